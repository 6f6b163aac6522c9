"""Guardianship: until when one patient books for another. Guardians lose their access at an age that the clinic sets.
This applies only to people who were younger when the link was made: an adult who lets another person book for them is
not affected. The end is a local midnight, which is stored with the link. Every query reads it with the database's clock
(`models.link_is_active`), so that access ends on the day even if no worker runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from webapp.auth.schemas import Actor
from webapp.clinic import settings
from webapp.clinic.models import ClinicSettings
from webapp.clinic.service import get_clinic
from webapp.clinic.settings import PrivacyRules
from webapp.core.local_time import first_instant
from webapp.database import table_of
from webapp.exceptions import Invalid
from webapp.i18n import gettext as _
from webapp.patients.models import Patient, link_is_active

# Both people are told this long before, and a changed setting of the clinic never ends access sooner than that.
NOTICE = timedelta(weeks=4)


class Policy(NamedTuple):
    """The age that the clinic has set, or None for never, the day since which it applies, and the clinic's time
    zone.
    """

    age: int | None
    since: date | None
    zone: ZoneInfo


def birthday(birth_date: date, age: int) -> date:
    """The day on which a person reaches an age. Those born on 29 February do so on 1 March in other years."""
    try:
        return birth_date.replace(year=birth_date.year + age)
    except ValueError:
        return date(birth_date.year + age, 3, 1)


def end_of_link(birth_date: date | None, linked_at: datetime | None, policy: Policy) -> datetime | None:
    """When a link ends, in UTC; None if it does not end by itself."""
    if policy.age is None or birth_date is None or linked_at is None:
        return None
    of_age = birthday(birth_date, policy.age)
    if of_age <= linked_at.astimezone(policy.zone).date():
        return None
    earliest = policy.since + NOTICE if policy.since is not None else of_age
    return first_instant(max(of_age, earliest), policy.zone)


def last_told_of(session: Session, *, now: datetime) -> datetime:
    """The end of the last day of which people are told today, in the clinic's local days."""
    clinic = get_clinic(session)
    return first_instant(clinic.today(now) + NOTICE, clinic.zone)


def list_stale(session: Session, *, among: Sequence[int] | None = None) -> list[int]:
    """The people whose link has an outdated end, because a setting or the time zone has changed."""
    policy = _policy(session)
    return [number for number, _end in _stale(session, policy, among)]


def renew_ends(session: Session, patient_ids: Sequence[int]) -> None:
    """Store when the links to these people end. If the day has changed, both people are told again."""
    table = table_of(Patient)
    stale = _stale(session, _policy(session), patient_ids)
    if stale:
        session.connection().execute(
            sa.update(table)
            .where(table.c.id == sa.bindparam("number"))
            .values(managed_until=sa.bindparam("until", type_=table.c.managed_until.type), managed_told_at=None),
            [{"number": number, "until": until} for number, until in stale],
        )


def change_privacy(session: Session, actor: Actor, command: PrivacyRules, *, seen: str, now: datetime) -> None:
    """Save the clinic's settings about patients' data, and when guardians lose their access.

    Raises:
        EditedMeanwhile: another user saved something else after `seen` was read.
    """
    settings.lock_settings(session)
    clinic = get_clinic(session)
    settings.change(session, actor, command, seen=seen, now=now)
    if command.guardian_age != clinic.guardian_age:
        since = clinic.today(now) if command.guardian_age is not None else None
        session.execute(sa.update(ClinicSettings).values(guardian_age_since=since))
        renew_ends(session, list_stale(session))


def require_same_birth_date(session: Session, patient_id: int, birth_date: date | None) -> None:
    """Check that neither of the two people moves the day by changing the date of birth; the clinic may.

    Raises:
        Invalid: it would be another date.
    """
    query = sa.select(Patient.birth_date).where(
        Patient.id == patient_id, Patient.managed_by_id.is_not(None), Patient.managed_until.is_not(None)
    )
    saved = session.scalar(query)
    if saved is not None and saved != birth_date:
        raise Invalid(_("Only the clinic can change this date of birth."), code="birth_date", field="birth_date")


def require_known_birth_date(session: Session, birth_date: date | None) -> None:
    """If guardians lose their access at an age, check that the date of birth of a new person is known.

    Raises:
        Invalid: it is missing.
    """
    if get_clinic(session).guardian_age is not None and birth_date is None:
        raise Invalid(_("Enter the date of birth."), code="birth_date_needed", field="birth_date")


def find_guardian(session: Session, actor: Actor) -> str | None:
    """The name of the person who books for the actor, or None."""
    query = sa.select(Patient.id).where(Patient.user_id == actor.user_id)
    own = None if actor.is_staff else session.scalar(query)
    return guardian_of(session, own) if own is not None else None


def guardian_of(session: Session, patient_id: int) -> str | None:
    """The name of the person who books for this patient, or None."""
    guardian = aliased(Patient)
    query = sa.select(guardian.name).join(Patient, Patient.managed_by_id == guardian.id)
    return session.scalar(query.where(Patient.id == patient_id, link_is_active()))


def _policy(session: Session) -> Policy:
    clinic = get_clinic(session)
    return Policy(clinic.guardian_age, clinic.guardian_age_since, clinic.zone)


def _stale(session: Session, policy: Policy, among: Sequence[int] | None) -> list[tuple[int, datetime | None]]:
    query = sa.select(Patient.id, Patient.birth_date, Patient.managed_since, Patient.managed_until)
    query = query.where(Patient.managed_by_id.is_not(None)).order_by(Patient.id)
    if among is not None:
        query = query.where(Patient.id.in_(list(among)))
    ends = ((row, end_of_link(row.birth_date, row.managed_since, policy)) for row in session.execute(query))
    return [(row.id, until) for row, until in ends if until != row.managed_until]
