"""Security events: who signed in and out, which passwords were wrong, what was refused.

An attacker decides how many of these events there are. So equal events of one minute are one row with a count, a
minute has at most three hundred rows (then the network and the account are left out), and each row writes one line to
the log. Events that a stranger can cause without effort, from many networks, must not hide who signed in: signing in,
failing to, and signing out have three hundred rows each. A row holds ids, hashes and networks: no name, no e-mail
address and no text that was typed.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from threading import Lock
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.audit.models import SecurityEvent
from webapp.core.networks import network_of
from webapp.database import count_up_to, table_of
from webapp.sql_functions import insert_into

logger = logging.getLogger("docket.security")

MOST_A_MINUTE = 300
# Each of these needs a secret, or is throttled.
AT_THE_DOORS = frozenset({"signed_in", "signed_out", "sign_in_failed", "password_check_failed", "refresh_reused"})
_EVENTS = table_of(SecurityEvent)
_KEY = ("minute", "action", "actor_user_id", "account", "about", "network")


class ObservedEvent(NamedTuple):
    """One event. `user_id` is 0 where no account is known; `account` is the hash of an address that was tried."""

    action: str
    user_id: int = 0
    account: str = ""
    about: str = ""
    network: str = ""


class Tally:
    """How often each event happened since this process started, for metrics; and which were logged in this minute."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._minute: datetime | None = None
        self._logged: set[ObservedEvent] = set()
        self._lines: Counter[str] = Counter()

    def note(self, seen: ObservedEvent, count: int, minute: datetime) -> None:
        """Count the event, and log it unless an equal one was logged in the same minute."""
        with self._lock:
            self._counts[seen.action] += count
            if self._minute != minute:
                self._minute, self._logged, self._lines = minute, set(), Counter()
            kind = seen.action if seen.action in AT_THE_DOORS else ""
            if seen in self._logged or self._lines[kind] >= MOST_A_MINUTE:
                return
            self._logged.add(seen)
            self._lines[kind] += 1
        logger.info(
            "%s user=%s network=%s about=%s", seen.action, seen.user_id or "-", seen.network or "-", seen.about or "-"
        )

    def counts(self) -> dict[str, int]:
        """The number of events by their code."""
        with self._lock:
            return dict(self._counts)


tally = Tally()


def record(session: Session, seen: ObservedEvent, *, now: datetime, count: int = 1) -> None:
    """Write an event, or count it in the row of its minute."""
    tally.note(seen, count, _minute(now))
    _write(session, seen, now=now, count=count)


def _write(session: Session, seen: ObservedEvent, *, now: datetime, count: int) -> None:
    minute = _minute(now)
    action = _EVENTS.c.action
    alike = action == seen.action if seen.action in AT_THE_DOORS else action.not_in(AT_THE_DOORS)
    query = sa.select(_EVENTS.c.id).where(_EVENTS.c.minute == minute, alike)
    if count_up_to(session, query, MOST_A_MINUTE) > MOST_A_MINUTE:
        seen = ObservedEvent(seen.action)
    row = insert_into(_EVENTS, session.connection().dialect.name).values(
        minute=minute,
        last_at=now,
        action=seen.action,
        actor_user_id=seen.user_id,
        account=seen.account,
        about=seen.about[:120],
        network=seen.network[:45],
        count=count,
    )
    again = {"count": _EVENTS.c.count + count, "last_at": now}
    session.connection().execute(row.on_conflict_do_update(index_elements=_KEY, set_=again))


def record_counted(session: Session, events: Iterable[tuple[ObservedEvent, datetime, int]]) -> None:
    """Write events that were noted in the tally already, in an order that all processes keep."""
    for seen, at, count in sorted(events):
        _write(session, seen, now=at, count=count)


def _minute(now: datetime) -> datetime:
    return now.replace(second=0, microsecond=0)


def signed_in(session: Session, user_id: int, *, how: str = "password", address: str, now: datetime) -> None:
    """An account was signed in to; `how` is password, code, passkey or the name of a provider."""
    record(session, ObservedEvent("signed_in", user_id, about=how, network=network_of(address)), now=now)


def sign_in_failed(session: Session, user_id: int, *, how: str, address: str, now: datetime) -> None:
    """A wrong proof of an account that the throttle does not count, such as a passkey."""
    record(session, ObservedEvent("sign_in_failed", user_id, about=how, network=network_of(address)), now=now)


def signed_out(session: Session, user_id: int, *, address: str, now: datetime) -> None:
    """An account signed out, or ended one of its sessions."""
    record(session, ObservedEvent("signed_out", user_id, network=network_of(address)), now=now)


def forget_security_events(session: Session, before: datetime) -> int:
    """Delete the events of minutes before this instant, and return how many rows these were."""
    old = sa.delete(_EVENTS).where(_EVENTS.c.minute < before)
    return session.connection().execute(old).rowcount


def forget_account(session: Session, user_id: int, account: str) -> None:
    """Delete the events of an account that is deleted; `account` is the hash of its address."""
    theirs = sa.or_(_EVENTS.c.actor_user_id == user_id, _EVENTS.c.account == account)
    session.connection().execute(sa.delete(_EVENTS).where(theirs))
