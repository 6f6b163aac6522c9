"""Demo data: a believable clinic, the same for the same seed and day, through the real guard, in one transaction."""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.audit.models import AuditEvent
from webapp.auth.models import User
from webapp.auth.passwords import service as passwords
from webapp.clinic.models import VisitType
from webapp.clinic.service import get_clinic
from webapp.database import Database
from webapp.demo import DEMO_PASSWORD
from webapp.demo.maker import MADE, ZONE, DemoParameters, Maker, Progress
from webapp.doctors.models import Doctor
from webapp.exceptions import Conflict, Invalid
from webapp.i18n import gettext as _
from webapp.patients.models import Patient
from webapp.scheduling.models import Appointment

# A fixed salt gives the same rows every time. It is not a risk, because the password is public.
_SALT = b"docket-demo-data"

MOST_DOCTORS, MOST_PATIENTS, MOST_MONTHS = 200, 100_000, 240
YEARS = range(2010, 2100)


class DemoSummary(NamedTuple):
    """The contents of the database, and whether this run created them."""

    created: bool
    doctors: int
    patients: int
    visit_types: int
    appointments: int


class HoldsOtherData(Conflict):
    """The database holds real data, or demo data of another size; demo data is never mixed with it."""

    code = "holds_other_data"


def make_demo(
    database: Database,
    *,
    today: date | None = None,
    doctors: int = 12,
    patients: int = 200,
    months: int = 3,
    seed: int = 1,
    now: datetime,
    progress: Progress,
) -> DemoSummary:
    """Fill an empty database with a clinic, its people and their appointments, in one transaction.

    The same seed, day and sizes give the same rows, at any hour. Without a day it is the clinic's own at `now`: by the
    calendar of a machine further east, the clinic's afternoon would be over in the morning. If the database already
    holds that demo data, nothing changes and the summary says so, on later days too. `progress` is called with the per
    cent that is done, and 100.

    Raises:
        HoldsOtherData: there are accounts, doctors, patients or appointments that are not this demo's.
        Invalid: a size or the day is out of bounds.
    """
    order = DemoParameters(today or now.astimezone(ZoneInfo(ZONE)).date(), doctors, patients, months, seed)
    _require_sensible(order)
    password_hash = passwords.hasher.hash(DEMO_PASSWORD, salt=_SALT)
    summary = database.write(_make, order, password_hash, progress)
    progress(100, 100)
    return summary


def is_empty(database: Database) -> bool:
    """Whether the database is unused: it has no accounts, doctors, patients or appointments."""
    with database.reading() as session:
        return not _holds_anything(session)


def _require_sensible(order: DemoParameters) -> None:
    for name, value, low, high in (
        (_("doctors"), order.doctors, 1, MOST_DOCTORS),
        (_("patients"), order.patients, 1, MOST_PATIENTS),
        (_("months"), order.months, 0, MOST_MONTHS),
    ):
        if not low <= value <= high:
            message = _("Demo data needs %(low)d to %(high)d %(name)s.")
            raise Invalid(message % {"low": low, "high": high, "name": name})
    if order.today.year not in YEARS:
        message = _("Demo data needs a day in the years %(low)d to %(high)d.")
        raise Invalid(message % {"low": YEARS[0], "high": YEARS[-1]})


def _holds_anything(session: Session) -> bool:
    tables = (User, Doctor, Patient, Appointment)
    return any(session.scalar(sa.select(sa.exists(sa.select(table.id)))) for table in tables)


def _make(session: Session, order: DemoParameters, password_hash: str, progress: Progress) -> DemoSummary:
    if session.get_bind().dialect.name == "postgresql":
        # Of two runs at once, the second waits and then finds what the first has made.
        session.execute(sa.text("LOCK TABLE clinic_settings IN SHARE ROW EXCLUSIVE MODE"))
    if _holds_anything(session):
        _require_same(session, order)
        return _summary(session, created=False)
    Maker(session, order, password_hash, progress).make()
    return _summary(session, created=True)


def _require_same(session: Session, order: DemoParameters) -> None:
    """Refuse unless the present data was made by the same order, on this day or an earlier one."""
    if not get_clinic(session).demo:
        raise HoldsOtherData(_("This database is in use. Demo data needs an empty database."))
    about_clinic = sa.and_(AuditEvent.subject_type == MADE.subject_type, AuditEvent.subject_id == MADE.subject_id)
    made = session.scalar(sa.select(AuditEvent.details).where(about_clinic, AuditEvent.action == MADE.action))
    wanted = order.details()
    if made and any(made[name] != wanted[name] for name in ("doctors", "patients", "months", "seed")):
        message = _(
            "This database already has demo data, with %(doctors)d doctors, %(patients)d patients, %(months)d months "
            "of history and seed %(seed)d. Use an empty database for another set."
        )
        raise HoldsOtherData(message % made)


def _summary(session: Session, *, created: bool) -> DemoSummary:
    counts = (session.scalar(sa.select(sa.func.count(table.id))) for table in (Doctor, Patient, VisitType, Appointment))
    return DemoSummary(created, *(count or 0 for count in counts))
