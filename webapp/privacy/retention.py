"""Deletes old rows: one nightly run over every table that grows, by the clinic's settings.

`TABLES` says of every table how its rows end; a test fails for a table without an entry. Old rows are looked up without
a lock, and deleted in small portions, so that bookings never wait for a run.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments import calls, guardians, separating
from webapp.appointments.messages import notification_lists
from webapp.appointments.models import Call, NotificationList, WalkIn
from webapp.audit import service as audit
from webapp.audit.models import AuditEvent, SecurityEvent
from webapp.audit.queries import find_action_time
from webapp.auth.models import (
    ApiToken,
    FailedLogin,
    PasskeyChallenge,
    PasswordLink,
    SpentSignOn,
    User,
    UserSession,
)
from webapp.auth.programs.api_tokens import TOKEN_RETENTION
from webapp.auth.second_factor.passkeys import LIFETIME as CHALLENGE
from webapp.auth.single_sign_on.identities import SIGN_ON_RETENTION
from webapp.clinic.service import Clinic, get_clinic
from webapp.database import Base, Database, table_of
from webapp.notifications.erasure import NO_RECIPIENT
from webapp.notifications.models import OutboxMessage
from webapp.patients.models import JoinedRecord
from webapp.privacy.erasure import erase_due

logger = logging.getLogger(__name__)

# The local hour from which on a night's run is due.
NIGHT = time(3)
RUN = "old_data_deleted"
PORTION = 200
KEEP_SECURITY_EVENTS = timedelta(days=90)
KEEP_FAILED_LOGINS = timedelta(days=2)
KEEP_WALK_INS = timedelta(days=30)
# A file may be written a moment before its message is marked as kept.
KEEP_STRAY_FILES = timedelta(days=1)
_KEPT_FILE = re.compile(r"([0-9a-f]{32})\.(eml|txt)(\.draft)?")

# Of each table: how its rows end. "clinic" rows describe the clinic, and admins end them.
TABLES: dict[str, str] = {
    "api_tokens": "when they are revoked, or 30 days after they expire (nightly)",
    "appointments": "stay; those of an erased person lose their texts (`webapp/appointments/erasure.py`)",
    "audit_events": "after the time in the setting *Keep the audit log*; 0 keeps them forever (nightly)",
    "authenticator_apps": "when it is removed, or with the account",
    "board_choices": "when their user chooses all doctors, or with the account",
    "busy_times": "with their appointments and time off (triggers)",
    "calls": "when a call is unticked; 30 days after the appointment (nightly)",
    "clinic_documents": "stay: people have read them",
    "clinic_settings": "one row",
    "closures": "admins",
    "consents": "with the account",
    "doctor_visit_types": "admins",
    "doctors": "stay, inactive: appointments name them",
    "drafts": "1 hour (each round of the worker)",
    "extra_hours": "admins and doctors",
    "failed_logins": "2 days (nightly, and at each attempt)",
    "former_notes": "when their doctor gets the appointment back, or when the person is erased",
    "heartbeats": "a day after the process ended (the worker)",
    "idempotency_keys": "24 hours (each round of the worker)",
    "joined_records": "30 days (nightly), or with the record",
    "linked_identities": "when it is unlinked, or with the account",
    "live_changes": "all but the newest 500 (each round of the worker)",
    "opening_hours": "admins",
    "outbox_messages": "with their files, after the time in the setting *Keep messages* (nightly)",
    "passkey_challenges": "after 5 minutes (nightly, and at the next one)",
    "passkeys": "when it is removed, or with the account",
    "password_links": "when they expire (nightly)",
    "patient_words": "with the patient",
    "patients": "on request: `webapp/privacy/erasure.py`; a locked one on its day (nightly)",
    "pending_decisions": "when the decision is carried out (the worker)",
    "possible_duplicates": "with one of the records",
    "recovery_codes": "when there are new ones, or with the account",
    "refresh_tokens": "with their session",
    "schedule_versions": "one row for each doctor and month, which stays",
    "security_events": "90 days (nightly)",
    "sessions": "when they expire (nightly, and at each sign-in)",
    "sign_in_codes": "when they no longer count, with the registration that waits for them (each round of the worker)",
    "sign_in_rules": "one row",
    "spent_sign_ons": "after 20 minutes (nightly, and at the next one)",
    "time_off": "admins and doctors",
    "told_lines": "with their list, or when the person is erased",
    "told_lists": "30 days after they were made (nightly)",
    "users": "patients: on request; staff and API tokens: stay, disabled, because the audit log names them",
    "visit_types": "stay, inactive: appointments name them",
    "walk_ins": "30 days after their day (nightly), or with the patient",
    "working_hours": "admins and doctors",
}


class Rule(NamedTuple):
    """A rule for a table. `old` returns the condition of its old rows, None to keep all; `name` names them in the audit
    log.
    """

    name: str
    table: type[Base]
    old: Callable[[Clinic, datetime], sa.ColumnElement[bool] | None]


def _old_messages(clinic: Clinic, now: datetime) -> sa.ColumnElement[bool]:
    before = now - timedelta(days=clinic.keep_messages_days)
    return sa.and_(OutboxMessage.status.in_(("sent", "dead")), OutboxMessage.finished_at < before)


def _old_audit(clinic: Clinic, now: datetime) -> sa.ColumnElement[bool] | None:
    """A little less than the limit, which the database compares with its own clock."""
    if not clinic.keep_audit_years:
        return None
    return AuditEvent.at < now - timedelta(days=366 * clinic.keep_audit_years)


RULES = (
    Rule("messages", OutboxMessage, _old_messages),
    Rule("joined_records", JoinedRecord, lambda _clinic, now: JoinedRecord.joined_at < now - separating.REVERSIBLE),
    Rule("walk_ins", WalkIn, lambda clinic, now: WalkIn.day < clinic.today(now) - KEEP_WALK_INS),
    Rule(
        "told_lists",
        NotificationList,
        lambda _clinic, now: NotificationList.made_at < now - notification_lists.RETENTION,
    ),
    Rule("calls", Call, lambda _clinic, now: Call.starts_at < now - calls.RETENTION),
    Rule("sessions", UserSession, lambda _clinic, now: UserSession.expires_at < now),
    Rule("password_links", PasswordLink, lambda _clinic, now: PasswordLink.expires_at < now),
    Rule("api_tokens", ApiToken, lambda _clinic, now: ApiToken.expires_at < now - TOKEN_RETENTION),
    Rule("failed_logins", FailedLogin, lambda _clinic, now: FailedLogin.at < now - KEEP_FAILED_LOGINS),
    Rule("security_events", SecurityEvent, lambda _clinic, now: SecurityEvent.minute < now - KEEP_SECURITY_EVENTS),
    Rule("passkey_challenges", PasskeyChallenge, lambda _clinic, now: PasskeyChallenge.created_at <= now - CHALLENGE),
    Rule("spent_sign_ons", SpentSignOn, lambda _clinic, now: SpentSignOn.at <= now - SIGN_ON_RETENTION),
    Rule("audit_rows", AuditEvent, _old_audit),
)


def is_due(session: Session, *, now: datetime) -> bool:
    """Whether this night's run is still to come: the audit log has a row of each run."""
    clinic = get_clinic(session)
    night = datetime.combine(clinic.today(now), NIGHT, tzinfo=clinic.zone).astimezone(UTC)
    if now < night:
        night -= timedelta(days=1)
    since = night - timedelta(seconds=1)
    return find_action_time(session, [RUN], actor_user_id=None, subject=("clinic", 1), since=since, ago=1) is None


def run(
    database: Database, *, now: datetime, folder: Path | None = None, stop: Callable[[], bool] = lambda: False
) -> dict[str, int]:
    """Delete everything that is old, and write the numbers into the audit log; returns them.

    It can be stopped between two portions, and goes on when it is run again. `folder` has the messages that are files.
    """
    removed: dict[str, int] = {}

    def count(name: str, number: int) -> None:
        if number:
            removed[name] = removed.get(name, 0) + number

    for name, number in guardians.run(database, now=now, stop=stop).items():
        count(name, number)
    for rule in RULES:
        for number in _delete(database, rule, now=now):
            count(rule.name, number)
            if stop():
                return removed
    for number in _release_files(database, now=now):
        count("files", number)
        if stop():
            return removed
    while not stop() and (erased := database.write(erase_due, now=now)):
        count("records", erased)
    count("new_addresses", database.write(_forget_new_addresses, now=now))
    if folder is not None:
        count("stray_files", _delete_stray_files(database, folder, now=now))
    database.write(_note_run, removed, now=now)
    if removed.get("records"):
        database.empty_log()
    said = ", ".join(f"{number} {name}" for name, number in removed.items()) or "nothing"
    logger.info("Old data deleted: %s", said)
    return removed


def _delete(database: Database, rule: Rule, *, now: datetime) -> Iterator[int]:
    """Delete the old rows of one table in portions; yields how many were deleted each time."""
    (identity,) = table_of(rule.table).primary_key
    while True:
        with database.reading() as session:
            old = rule.old(get_clinic(session), now)
            if old is None:
                return
            ids = list(session.scalars(sa.select(identity).where(old).order_by(identity).limit(PORTION)))
        if not ids:
            return
        delete = sa.delete(table_of(rule.table)).where(identity.in_(ids), old)
        deleted = database.write(_changed, delete)
        yield deleted
        if not deleted:
            # The database's clock differs, or another worker was faster.
            return


def _release_files(database: Database, *, now: datetime) -> Iterator[int]:
    """Empty old messages that are files: a round of the worker deletes the file and then the row."""
    while True:
        with database.reading() as session:
            before = now - timedelta(days=get_clinic(session).keep_messages_days)
            old = (
                OutboxMessage.status == "kept",
                OutboxMessage.finished_at < before,
                OutboxMessage.recipient != NO_RECIPIENT,
            )
            ids = list(session.scalars(sa.select(OutboxMessage.id).where(*old).limit(PORTION)))
        if not ids:
            return
        table = table_of(OutboxMessage)
        emptied = sa.update(table).where(table.c.id.in_(ids)).values({"recipient": NO_RECIPIENT, "values": {}})
        yield database.write(_changed, emptied)


def _forget_new_addresses(session: Session, *, now: datetime) -> int:
    """Delete wanted addresses that were not confirmed in time."""
    users = table_of(User)
    late = sa.update(users).where(users.c.new_email_until < now).values(new_email="", new_email_until=None)
    return _changed(session, late)


def _changed(session: Session, statement: sa.Update | sa.Delete) -> int:
    """How many rows a statement changes."""
    return session.connection().execute(statement).rowcount


def _delete_stray_files(database: Database, folder: Path, *, now: datetime) -> int:
    """Delete the files of messages that are no longer in the outbox."""
    before = (now - KEEP_STRAY_FILES).timestamp()
    found = [(path, named[1]) for path in folder.glob("*") if (named := _KEPT_FILE.fullmatch(path.name))]
    strays = 0
    for first in range(0, len(found), PORTION):
        some = found[first : first + PORTION]
        query = sa.select(OutboxMessage.message_id).where(OutboxMessage.message_id.in_([name for _path, name in some]))
        with database.reading() as session:
            known = set(session.scalars(query))
        for path, name in some:
            if name not in known and path.stat().st_mtime < before:
                path.unlink(missing_ok=True)
                strays += 1
    return strays


def _note_run(session: Session, removed: dict[str, int], *, now: datetime) -> None:
    audit.record(
        session,
        RUN,
        subject=("clinic", 1),
        actor_user_id=None,
        actor_role="system",
        now=now,
        details=dict(removed),
    )
