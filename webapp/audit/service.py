"""Writing and reading the audit log; a row is written in the transaction of the action that it describes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.audit.models import AuditEvent
from webapp.database import rows, table_of
from webapp.events.kinds import AccountErased, PatientErased


class HistoryRow(NamedTuple):
    """One visible row of a history: what happened, when (UTC), who did it and the details."""

    action: str
    at: datetime
    actor_user_id: int | None
    actor_role: str
    details: dict[str, Any]


_TABLE = table_of(AuditEvent)
_INSERT = sa.insert(_TABLE)
# Statements with more parameters take longer to parse than to run.
IDS_AT_ONCE = 500
# A form that is sent twice (a double click, Back, a lost answer) is sent again within this time.
SENT_AGAIN = timedelta(minutes=10)


def record(
    session: Session,
    action: str,
    *,
    subject: tuple[str, int],
    actor_user_id: int | None,
    actor_role: str,
    now: datetime,
    visible: bool = False,
    details: dict[str, Any] | None = None,
    address: str = "",
) -> None:
    """Add one row about `subject`, such as ("appointment", 17). `details` must not hold health text or secrets."""
    rows(
        session,
        _INSERT,
        at=now,
        actor_user_id=actor_user_id,
        actor_role=actor_role,
        action=action,
        subject_type=subject[0],
        subject_id=subject[1],
        visible=visible,
        details=details or {},
        address=address,
    )


class Author(Protocol):
    """The actor of an action, as audit rows store it; `account_id` is None for a client without an account."""

    @property
    def account_id(self) -> int | None: ...
    @property
    def role(self) -> str: ...
    @property
    def address(self) -> str: ...


def record_by(
    session: Session,
    author: Author,
    action: str,
    *,
    subject: tuple[str, int],
    now: datetime,
    visible: bool = False,
    details: dict[str, Any] | None = None,
) -> None:
    """Add one row about an action of `author`: account, role and address are theirs."""
    record(
        session,
        action,
        subject=subject,
        actor_user_id=author.account_id,
        actor_role=author.role,
        now=now,
        visible=visible,
        details=details,
        address=author.address,
    )


def record_all_by(
    session: Session, author: Author, action: str, *, subject_type: str, subject_ids: Sequence[int], now: datetime
) -> None:
    """Add rows about one action of `author` on many subjects, in one statement; the rows have no details."""
    if not subject_ids:
        return
    same: dict[str, object] = {
        "at": now,
        "actor_user_id": author.account_id,
        "actor_role": author.role,
        "action": action,
        "subject_type": subject_type,
        "visible": False,
        "details": {},
        "address": author.address,
    }
    session.connection().execute(_INSERT, [{**same, "subject_id": number} for number in subject_ids])


# How many ids of a list that was read one row names.
MOST_IDS = 100


def record_list_read(
    session: Session, author: Author, action: str, listed: str, ids: Sequence[int], *, now: datetime
) -> None:
    """Record that `author` read a list; the row names what was `listed` ("patients") by id, at most a hundred."""
    details = {listed: list(ids[:MOST_IDS])}
    if author.account_id is not None:
        record_by(session, author, action, subject=("user", author.account_id), now=now, details=details)


def done_a_moment_ago(author: Author, action: str, *, now: datetime) -> sa.Select[int]:
    """The ids of what the author did this to a moment ago: the same form again may be the same wish, sent twice."""
    return sa.select(AuditEvent.subject_id).where(
        AuditEvent.actor_user_id == author.account_id, AuditEvent.action == action, AuditEvent.at > now - SENT_AGAIN
    )


def history(session: Session, subject: tuple[str, int]) -> list[HistoryRow]:
    """The visible rows about `subject`, oldest first."""
    query = (
        sa.select(
            AuditEvent.action,
            AuditEvent.at,
            AuditEvent.actor_user_id,
            AuditEvent.actor_role,
            AuditEvent.details,
        )
        .where(
            AuditEvent.subject_type == subject[0],
            AuditEvent.subject_id == subject[1],
            AuditEvent.visible.is_(True),
        )
        .order_by(AuditEvent.id)
    )
    return [HistoryRow(*row) for row in session.execute(query)]


def forget_account_addresses(session: Session, event: AccountErased, /, *, now: datetime) -> None:  # noqa: ARG001
    """Blank the network addresses in the rows of an account that ends. The database lets nothing else be changed."""
    _blank(session, _TABLE.c.actor_user_id == event.user_id)


def forget_patient_addresses(session: Session, event: PatientErased, /, *, now: datetime) -> None:  # noqa: ARG001
    """Blank the network addresses of those who followed a link in a message about the patient's appointments."""
    by_patients = sa.and_(_TABLE.c.subject_type == "appointment", _TABLE.c.actor_role == "patient")
    for first in range(0, len(event.appointment_ids), IDS_AT_ONCE):
        some = event.appointment_ids[first : first + IDS_AT_ONCE]
        _blank(session, sa.and_(by_patients, _TABLE.c.subject_id.in_(some)))


def _blank(session: Session, which: sa.ColumnElement[bool]) -> None:
    session.execute(sa.update(_TABLE).where(which, _TABLE.c.address != "").values(address=""))
