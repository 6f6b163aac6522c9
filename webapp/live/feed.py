"""Learns of changes when they are committed, by any process on any machine.

A process listens on one connection as long as pages that show changes are open. Changes that happened before are not
reported later: a page compares the version that it shows with the current one.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from webapp.database import Database, rows, table_of
from webapp.live.models import ANY_DAY, ANY_DOCTOR, CHANNEL, LiveChange

# How often SQLite is asked whether something was written (5 µs), and how often a feed yields without news.
TICK_SECONDS = 0.2
# If more changes than this come together, pages learn only that everything changed.
MOST_AT_ONCE = 50
# The newest rows, by which a version is made; the worker keeps a few more.
NEWEST = 500
KEPT = 2 * NEWEST

_CHANGE = table_of(LiveChange).c
# A version is made of the newest ids, because on PostgreSQL transactions do not end in the order of their numbers. On
# SQLite they do, so the newest id is enough.
_POSTGRESQL_VERSION = f"""(
    SELECT coalesce(max(id), 0) || '-' || CAST(coalesce(sum(id), 0) AS bigint)
    FROM (SELECT id FROM live_changes ORDER BY id DESC LIMIT {NEWEST}) AS newest
)"""  # noqa: S608 - a number of ours.
_SQLITE_VERSION = "(SELECT CAST(coalesce(max(id), 0) AS TEXT) FROM live_changes)"


class live_version(FunctionElement[str]):  # noqa: N801 - it is used like a function in queries.
    """The version of all days that the transaction sees. Another version means that something changed."""

    type = sa.String()
    inherit_cache = True


@compiles(live_version)
def _version_in_postgresql(_element: live_version, _compiler: SQLCompiler, **_options: Any) -> str:
    return _POSTGRESQL_VERSION


@compiles(live_version, "sqlite")
def _version_in_sqlite(_element: live_version, _compiler: SQLCompiler, **_options: Any) -> str:
    return _SQLITE_VERSION


_SEEN = sa.select(live_version())


class FeedLost(Exception):
    """The connection that listens is lost: the database is away."""


class ChangedDay(NamedTuple):
    """A doctor's day that changed: `ANY_DOCTOR` and `ANY_DAY` stand for all of them. Days are dates in UTC."""

    doctor_id: int = ANY_DOCTOR
    day: str = ANY_DAY


EVERYTHING = ChangedDay()


class News(NamedTuple):
    """The changes, and the version after them; empty if nothing has changed for a moment."""

    changes: tuple[ChangedDay, ...]
    version: str


def version_seen(session: Session) -> str:
    """The version of all days that this session's snapshot sees."""
    version: str = rows(session, _SEEN).scalar_one()
    return version


@contextmanager
def listening(database: Database) -> Iterator[Iterator[News]]:
    """Listen on a separate connection. The iterator never ends: it yields at least every `TICK_SECONDS`.

    Raises:
        FeedLost: there is no connection, or it is lost; also later, from the block.
    """
    driver: Any = None
    try:
        pooled = database.engine.raw_connection()
        # It does not return to the pool, which has others for requests.
        pooled.detach()
        driver = pooled.dbapi_connection
        yield _sqlite_news(driver) if database.is_sqlite else _postgresql_news(driver)
    except (SQLAlchemyError, database.engine.dialect.loaded_dbapi.Error) as error:
        raise FeedLost from error
    finally:
        if driver is not None:
            driver.close()


def _sqlite_news(driver: Any) -> Iterator[News]:
    written = driver.execute("PRAGMA data_version").fetchone()
    last: int = driver.execute("SELECT coalesce(max(id), 0) FROM live_changes").fetchone()[0]
    yield News((), "")
    while True:
        time.sleep(TICK_SECONDS)
        now = driver.execute("PRAGMA data_version").fetchone()
        found: list[tuple[int, int, str]] = []
        if now != written:
            # It also changes when something else is written, such as a session or a message.
            written = now
            query = "SELECT id, doctor_id, day FROM live_changes WHERE id > ? ORDER BY id LIMIT ?"
            # One snapshot: a change that is committed between the statements would be passed over.
            driver.execute("BEGIN")
            found = driver.execute(query, (last, NEWEST)).fetchall()
            newest = driver.execute("SELECT max(id) FROM live_changes").fetchone()[0]
            version = driver.execute(f"SELECT {_SQLITE_VERSION}").fetchone()[0]
            driver.execute("COMMIT")
        if not found:
            yield News((), "")
            continue
        last = newest
        yield News(_few({ChangedDay(doctor_id, day) for _id, doctor_id, day in found}), version)


def _postgresql_news(driver: Any) -> Iterator[News]:
    driver.rollback()
    driver.autocommit = True
    found: set[ChangedDay] = set()
    # Notifications also come with the answer to a query.
    driver.add_notify_handler(lambda notify: found.add(_change_in(notify.payload)))
    driver.execute(f"LISTEN {CHANNEL}")
    poll = select.poll()
    poll.register(driver.fileno(), select.POLLIN)
    yield News((), "")
    while True:
        if not found and poll.poll(1000 * TICK_SECONDS):
            # This raises if the server is gone.
            driver.pgconn.consume_input()
            while (notify := driver.pgconn.notifies()) is not None:
                found.add(_change_in(notify.extra.decode()))
        if not found:
            yield News((), "")
            continue
        changes = _few(found)
        found.clear()
        # Notifications during this query are newer, or already part of the version.
        yield News(changes, driver.execute(f"SELECT {_POSTGRESQL_VERSION}").fetchone()[0])


def _change_in(payload: str) -> ChangedDay:
    doctor_id, _space, day = payload.partition(" ")
    return ChangedDay(int(doctor_id), day)


def _few(changes: set[ChangedDay]) -> tuple[ChangedDay, ...]:
    return tuple(sorted(changes)) if len(changes) <= MOST_AT_ONCE else (EVERYTHING,)


def tell(session: Session, change: ChangedDay) -> None:
    """Notify open pages, when this is committed, of a change that no trigger sees."""
    session.execute(sa.insert(LiveChange).values(doctor_id=change.doctor_id, day=change.day))


# ------------------------------------------------------------------------------------------------------ clean-up


def is_any_old(session: Session, *, now: datetime) -> bool:  # noqa: ARG001 - the worker passes it to all such functions.
    """Whether there are more rows than a version needs."""
    return session.execute(sa.select(_CHANGE.id).offset(KEPT).limit(1)).first() is not None


def forget_old(session: Session) -> None:
    """Delete all rows but the newest."""
    oldest = sa.select(_CHANGE.id).order_by(_CHANGE.id.desc()).offset(NEWEST - 1).limit(1).scalar_subquery()
    session.execute(sa.delete(LiveChange).where(_CHANGE.id < oldest))
