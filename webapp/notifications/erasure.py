"""Deletes messages about an erased person, and their files.

Messages are deleted, delivered or not. A message that was kept as a file first loses its contents, and stays so that
the worker deletes the file and then the row: the files may be on another machine than this process.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.events.kinds import AccountErased, PatientErased
from webapp.notifications.models import OutboxMessage

# Statements with more parameters take longer to parse than to run.
IDS_AT_ONCE = 500
# No message is sent to this address, which cannot exist.
NO_RECIPIENT = ""


def forget_patients_messages(session: Session, event: PatientErased, /, *, now: datetime) -> None:  # noqa: ARG001
    """Delete the messages about the patient and their appointments, to any recipient, and all messages to their
    addresses.
    """
    appointments = event.appointment_ids
    parts = [appointments[first : first + IDS_AT_ONCE] for first in range(0, len(appointments), IDS_AT_ONCE)]
    about = [_is_about("patient", [event.patient_id]), *(_is_about("appointment", part) for part in parts)]
    for condition in (*about, OutboxMessage.recipient.in_(event.addresses)):
        _forget(session, condition)


def forget_accounts_messages(session: Session, event: AccountErased, /, *, now: datetime) -> None:  # noqa: ARG001
    """Delete the messages about the account, such as links to a password."""
    _forget(session, _is_about("user", [event.user_id]))


def forget_messages(session: Session, ids: Sequence[int]) -> None:
    """Delete these messages, which name an erased person."""
    for first in range(0, len(ids), IDS_AT_ONCE):
        _forget(session, OutboxMessage.id.in_(ids[first : first + IDS_AT_ONCE]))


def _is_about(kind: str, ids: Iterable[int]) -> sa.ColumnElement[bool]:
    return sa.and_(OutboxMessage.subject_type == kind, OutboxMessage.subject_id.in_(list(ids)))


def _forget(session: Session, which: sa.ColumnElement[bool]) -> None:
    kept = sa.and_(which, OutboxMessage.status == "kept")
    session.execute(
        sa.update(OutboxMessage)
        .where(kept)
        .values(
            recipient=NO_RECIPIENT,
            values={},
            last_error="",
            dedupe_key=sa.literal("forgotten:") + sa.cast(OutboxMessage.id, sa.String),
        )
        .execution_options(synchronize_session=False)
    )
    session.execute(
        sa.delete(OutboxMessage)
        .where(which, OutboxMessage.status != "kept")
        .execution_options(synchronize_session=False)
    )


def list_forgotten(session: Session) -> list[tuple[int, str]]:
    """The id and the Message-ID of emptied messages whose files still exist."""
    query = sa.select(OutboxMessage.id, OutboxMessage.message_id).where(OutboxMessage.recipient == NO_RECIPIENT)
    return [(row.id, row.message_id) for row in session.execute(query.order_by(OutboxMessage.id).limit(IDS_AT_ONCE))]


def delete_forgotten(session: Session, ids: Iterable[int]) -> None:
    """Delete these emptied messages, whose files are gone."""
    found = sa.delete(OutboxMessage).where(OutboxMessage.id.in_(list(ids)), OutboxMessage.recipient == NO_RECIPIENT)
    session.execute(found.execution_options(synchronize_session=False))


def delete_files(folder: Path, message_ids: Iterable[str]) -> None:
    """Delete the files of these messages, as `file_sender` names them; those that are gone already are no error."""
    for name in message_ids:
        for ending in ("eml", "txt"):
            for path in (folder / f"{name}.{ending}", folder / f"{name}.{ending}.draft"):
                path.unlink(missing_ok=True)
