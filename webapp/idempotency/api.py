"""`Idempotency-Key`, as in the IETF draft of that name: requests that create something and can safely be repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import Header
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.responses import Response

from webapp.auth.schemas import Actor
from webapp.core.api import JSON_TYPE, PROBLEM_TYPE, dump, problem_response
from webapp.core.web import Page
from webapp.exceptions import AppError
from webapp.idempotency.service import Answer, answer_once, hash_of_request

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


def create(page: Page, actor: Actor, key: str | None, command: BaseModel, kind: Any, work: Work) -> Response:
    """Answer 201 with what `work` creates, in the shape `kind`; for a known key, repeat the first answer.

    Raises:
        AppError: any error of `work` if there is no key; with a key, a refusal is an answer that is stored.
    """
    page.close()

    def answered(session: Session) -> Answer:
        made, headers = work(session)
        return Answer(201, dict(headers), dump(kind, made))

    if key is None:
        answer, replayed = page.database.write(answered), False
    else:
        request_hash = hash_of_request(
            page.request.method, page.request.url.path, command.model_dump_json(exclude_unset=True).encode()
        )
        answer, replayed = page.database.write(
            answer_once, actor.user_id, key, request_hash, answered, _refused, now=page.now
        )
    media_type = JSON_TYPE if answer.status < 400 else PROBLEM_TYPE
    headers = {**answer.headers, **({"idempotency-replayed": "true"} if replayed else {})}
    return Response(answer.body, answer.status, headers, media_type)


def _refused(error: AppError) -> Answer:
    response = problem_response(error)
    return Answer(response.status_code, {}, bytes(response.body).decode())
