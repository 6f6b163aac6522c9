"""`Idempotency-Key`, as in the IETF draft of that name: requests that create something and can safely be repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

from fastapi import Header
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.responses import Response

from webapp.auth.schemas import Actor
from webapp.core.api import JSON_TYPE, dump
from webapp.core.api_problems import PROBLEM_TYPE, problem_response
from webapp.core.web import Page
from webapp.exceptions import AppError
from webapp.idempotency.service import StoredAnswer, answer_once, hash_of_request

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="A new random value for each request that creates something, such as a UUID. Repeating the "
        "request with the same key returns the same answer for 24 hours.",
    ),
]

Work = Callable[[Session], tuple[Any, Mapping[str, str]]]
"""Creates something on the session, and returns the body of the answer and its headers."""


class Explain(NamedTuple):
    """Adds alternatives to a refusal of these kinds, after the transaction: the search for them can take long, and
    would block other writers.
    """

    kinds: tuple[type[AppError], ...]
    add: Callable[[AppError], None]


UNEXPLAINED = Explain((), lambda _error: None)


class _Unexplained(Exception):
    def __init__(self, refusal: AppError) -> None:
        self.refusal = refusal


def create(
    page: Page,
    actor: Actor,
    key: str | None,
    command: BaseModel,
    kind: Any,
    work: Work,
    explain: Explain = UNEXPLAINED,
) -> Response:
    """Answer 201 with what `work` creates, in the shape `kind`; for a known key, repeat the first answer.

    Raises:
        AppError: any error of `work` if there is no key; with a key, a refusal is an answer that is stored.
    """
    page.close()

    def answered(session: Session) -> StoredAnswer:
        made, headers = work(session)
        return StoredAnswer(201, dict(headers), dump(kind, made))

    if key is None:
        try:
            answer, replayed = page.database.write(answered), False
        except explain.kinds as error:
            explain.add(error)
            raise
    else:
        request_hash = hash_of_request(
            page.request.method, page.request.url.path, command.model_dump_json(exclude_unset=True).encode()
        )
        answer, replayed = _once(page, actor.user_id, key, request_hash, answered, explain)
    media_type = JSON_TYPE if answer.status < 400 else PROBLEM_TYPE
    headers = {**answer.headers, **({"idempotency-replayed": "true"} if replayed else {})}
    return Response(answer.body, answer.status, headers, media_type)


def _once(
    page: Page, user_id: int, key: str, request_hash: str, work: Callable[[Session], StoredAnswer], explain: Explain
) -> tuple[StoredAnswer, bool]:
    def refused(error: AppError) -> StoredAnswer:
        if isinstance(error, explain.kinds):
            raise _Unexplained(error)
        return _refused(error)

    def refuse_again(_session: Session) -> StoredAnswer:
        raise refusal

    try:
        return page.database.write(answer_once, user_id, key, request_hash, work, refused, now=page.now)
    except _Unexplained as unexplained:
        refusal = unexplained.refusal
    explain.add(refusal)
    # There is no retry, so that the explained refusal is stored.
    return page.database.write(answer_once, user_id, key, request_hash, refuse_again, _refused, now=page.now)


def _refused(error: AppError) -> StoredAnswer:
    response = problem_response(error)
    return StoredAnswer(response.status_code, {}, bytes(response.body).decode())
