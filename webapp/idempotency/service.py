"""Requests that may be sent twice but have one effect: the first answer for a key is kept for 24 hours and repeated.

The key is written in the same transaction as the work. If several requests with one key arrive at the same moment, one
does the work and the others wait and read its answer. Refusals are kept as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.database import table_of
from webapp.exceptions import AppError, Invalid
from webapp.i18n import gettext as _
from webapp.idempotency.models import IdempotencyKey
from webapp.sql_functions import insert_into

RETENTION = timedelta(hours=24)
# These statuses are final answers to the request; any other error may be temporary.
FINAL = {403, 404, 409, 422}


class StoredAnswer(NamedTuple):
    """An answer as it is sent. `headers` are those of this answer alone."""

    status: int
    headers: dict[str, str]
    body: str


class IdempotencyKeyReused(Invalid):
    """The key was used with another request before."""

    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__(_("This Idempotency-Key was used for another request. Use a new key for each request."))


_TABLE = table_of(IdempotencyKey)


def hash_of_request(method: str, path: str, body: bytes) -> str:
    """A hash that tells requests apart."""
    return hashlib.sha256(b"\n".join((method.encode(), path.encode(), body))).hexdigest()


def answer_once(
    session: Session,
    user_id: int,
    key: str,
    request_hash: str,
    work: Callable[[Session], StoredAnswer],
    refused: Callable[[AppError], StoredAnswer],
    *,
    now: datetime,
) -> tuple[StoredAnswer, bool]:
    """Do the work and store its answer, or return the stored answer; and whether it was a stored one.

    Raises:
        IdempotencyKeyReused: the key belongs to another request. AppError: an error that may be temporary.
    """
    mine = (_TABLE.c.user_id == user_id, _TABLE.c.key == key)
    session.execute(sa.delete(_TABLE).where(*mine, _TABLE.c.created_at < now - RETENTION))
    row = {"user_id": user_id, "key": key, "request_hash": request_hash, "created_at": now}
    # A second request with the same key waits here until the first has committed.
    insert = insert_into(_TABLE, session.connection().dialect.name).values(**row, status=0, headers={}, body="")
    written = insert.on_conflict_do_nothing().returning(_TABLE.c.id)
    number = session.execute(written).scalar()
    if number is None:
        kept = session.execute(
            sa.select(_TABLE.c.request_hash, _TABLE.c.status, _TABLE.c.headers, _TABLE.c.body).where(*mine)
        ).one()
        if kept.request_hash != request_hash:
            raise IdempotencyKeyReused
        return StoredAnswer(kept.status, kept.headers, kept.body), True
    try:
        with session.begin_nested():
            answer = work(session)
    except AppError as error:
        if error.status not in FINAL:
            raise
        answer = refused(error)
    session.execute(sa.update(_TABLE).where(_TABLE.c.id == number).values(**answer._asdict()))
    return answer, False


def is_any_old(session: Session, *, now: datetime) -> bool:
    """Whether `forget_old_answers` would delete anything. It only reads."""
    return session.scalar(sa.select(_TABLE.c.id).where(_TABLE.c.created_at < now - RETENTION).limit(1)) is not None


def forget_old_answers(session: Session, *, now: datetime) -> None:
    """Delete the answers that are older than 24 hours."""
    session.execute(sa.delete(_TABLE).where(_TABLE.c.created_at < now - RETENTION))
