"""Writing heartbeats: only a change that was committed proves that changes can be kept."""

from __future__ import annotations

import os
import socket
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.database import database_now, rows, table_of
from webapp.heartbeats.models import Heartbeat
from webapp.sql_functions import insert_into

ProcessKind = Literal["web", "worker", "check"]
# Processes that have been silent for longer have ended.
RETENTION = timedelta(days=1)

_BEATS = table_of(Heartbeat)


@cache
def _upsert(dialect: str) -> Any:
    given = {"name": sa.bindparam("name"), "kind": sa.bindparam("kind"), "seen_at": database_now()}
    new = insert_into(_BEATS, dialect).values(given)
    return new.on_conflict_do_update(
        index_elements=["name"], set_={"kind": new.excluded.kind, "seen_at": database_now()}
    ).returning(_BEATS.c.seen_at)


class Beat(NamedTuple):
    """A process and when it last wrote."""

    name: str
    kind: ProcessKind
    seen_at: datetime


def own_name() -> str:
    """The name of this process."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}"


def beat(session: Session, kind: ProcessKind) -> datetime:
    """Write this process's heartbeat; returns the time on the database's clock."""
    upsert = _upsert(session.connection().dialect.name)
    now: datetime = rows(session, upsert, name=own_name(), kind=kind).scalar_one()
    return now


def list_beats(session: Session, kind: ProcessKind) -> list[Beat]:
    """The processes of one kind, the one that wrote last first."""
    query = sa.select(_BEATS.c.name, _BEATS.c.kind, _BEATS.c.seen_at).where(_BEATS.c.kind == kind)
    return [Beat(*row) for row in session.execute(query.order_by(_BEATS.c.seen_at.desc()))]


def is_any_old(session: Session, *, now: datetime) -> bool:
    """Whether a process has been silent for long."""
    return (
        session.execute(sa.select(_BEATS.c.name).where(_BEATS.c.seen_at < now - RETENTION).limit(1)).first() is not None
    )


def forget_old(session: Session, *, now: datetime) -> int:
    """Delete the rows of processes that have ended; returns how many."""
    gone = session.execute(sa.delete(_BEATS).where(_BEATS.c.seen_at < now - RETENTION).returning(_BEATS.c.name))
    return len(gone.all())
