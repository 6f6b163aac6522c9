"""Entity tags (RFC 9110, section 8.8.3): whether a client has the current version, and whether it has changed since.

Appointments have a version number, which is their tag. Other things use the fingerprint of everything that is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

from fastapi import Header, Request
from pydantic import BaseModel
from starlette.responses import Response

from webapp.core.api import answer
from webapp.core.optimistic_lock import EditedMeanwhile, fingerprint
from webapp.core.web import Page
from webapp.exceptions import AppError, Conflict
from webapp.i18n import gettext as _

Version = TypeVar("Version", int, str)

ETAG_HEADER: dict[str, Any] = {
    "ETag": {"description": "Stands for what was answered; for `If-Match`.", "schema": {"type": "string"}},
}
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "Nothing has changed since the `ETag` in `If-None-Match`."}
}
IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", description="An `ETag` you received: nothing is saved if the resource has changed since."),
]


class PreconditionFailed(AppError):
    """`If-Match` names another version than the current one: someone else has changed the thing meanwhile."""

    status = 412
    code = "precondition_failed"

    def __init__(self) -> None:
        super().__init__(_("It has changed in the meantime. Read it again before you decide."))


def entity_tag(version: int | str) -> str:
    """The entity tag for a version number or a fingerprint."""
    return f'"{version}"'


def is_known(request: Request, tag: str) -> bool:
    """Whether `If-None-Match` names this version: the answer is then 304."""
    return _names(request.headers.getlist("if-none-match"), tag, weakly=True)


def expected_version(request: Request, present: Version) -> Version | None:
    """The version or fingerprint in `If-Match`, to be compared again under the lock; None where any version will do.

    Raises:
        PreconditionFailed: it is not the current one.
    """
    headers = request.headers.getlist("if-match")
    if not headers:
        return None
    if not _names(headers, entity_tag(present), weakly=False):
        raise PreconditionFailed
    return present


def _names(headers: Iterable[str], tag: str, *, weakly: bool) -> bool:
    tags = [each.strip() for header in headers for each in header.split(",")]
    return "*" in tags or any((each.removeprefix("W/") if weakly else each) == tag for each in tags)


@contextmanager
def precondition_of(request: Request, *stale: type[AppError]) -> Iterator[None]:
    """Turn errors of the kinds `stale` into HTTP's 412 for a client that sent `If-Match`.

    Raises:
        PreconditionFailed. Conflict: someone else saved at the same moment; in words that do not speak of a form.
    """
    kinds: tuple[type[AppError], ...] = (EditedMeanwhile, *stale)
    try:
        yield
    except kinds as error:
        if "if-match" in request.headers:
            raise PreconditionFailed from error
        if isinstance(error, EditedMeanwhile):
            raise Conflict(_("Someone else saved it at the same time. Try again."), code=error.code) from error
        raise


def tag_of(shown: BaseModel) -> str:
    """The entity tag of something without a version number: the fingerprint of everything that is shown."""
    return entity_tag(fingerprint(shown))


def answer_unless_known(page: Page, shown: BaseModel) -> Response:
    """200 with something that has a fingerprint, or 304 if the client has it already."""
    tag = tag_of(shown)
    if is_known(page.request, tag):
        return not_modified(page, tag)
    return answer(page, type(shown), shown, headers={"etag": tag})


def not_modified(page: Page, tag: str) -> Response:
    """304: the client has it already."""
    page.close()
    return Response(status_code=304, headers={"etag": tag})
