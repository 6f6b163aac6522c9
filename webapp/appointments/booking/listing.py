"""All appointments of the clinic, filtered and in pages that stay fast for any number of appointments.

A page continues after the last row of the previous one, so no rows are skipped or counted. The rows of a page are
selected from the appointments alone, along an index in the order shown; names are joined only afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments import queries
from webapp.appointments.schemas import AppointmentView
from webapp.auth.schemas import Actor
from webapp.clinic.models import VisitType
from webapp.core.pagination import FIRST_PAGE, Cursor, PageEnds, cut
from webapp.core.parsing import YEARS, whole_number
from webapp.database import Database, count_up_to, rows, seek, table_of
from webapp.doctors.models import Doctor
from webapp.patients.models import Patient
from webapp.patients.names import shown_name_column
from webapp.scheduling.models import UNDECIDED, Appointment, status_is

PAGE_SIZE = 50
CHUNK = 500
PLACE_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
# In UTC, the first appointments of the first year and the last ones of the last may fall into the years next to these.
PLACE_YEARS = range(YEARS[0] - 1, YEARS[-1] + 2)

Order = Literal["time", "-time", "booked"]

_APPOINTMENT = table_of(Appointment).c
_DOCTOR, _KIND, _PATIENT = table_of(Doctor).c, table_of(VisitType).c, table_of(Patient).c


class AppointmentFilter(NamedTuple):
    """The appointments to show. None and False turn a filter off. Instants are UTC; `until` is exclusive.

    `patient_ids` are the patients that a search found. A `reference` selects one appointment and ignores other filters.
    """

    since: datetime | None = None
    until: datetime | None = None
    doctor_ids: Sequence[int] | None = None
    statuses: Sequence[str] | None = None
    visit_type_ids: Sequence[int] | None = None
    patient_ids: Sequence[int] | None = None
    reference: str | None = None
    flagged: bool = False
    order: Order = "time"


class AppointmentPlace(NamedTuple):
    """The position of a row in the list: the instant that the list is ordered by, and the row's id."""

    at: datetime
    id: int

    def __str__(self) -> str:
        return f"{self.at.astimezone(UTC):{PLACE_FORMAT}}.{self.id}"


class AppointmentRow(NamedTuple):
    """One appointment as the list shows it. Instants are UTC."""

    id: int
    reference: str
    status: str
    previous_status: str | None
    version: int
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    flagged_why: str
    doctor_slug: str
    doctor_name: str
    patient_id: int
    patient_name: str
    patient_birth_date: Any
    patient_phone: str
    visit_type_name: str
    override_reason: str
    squeeze_reason: str

    def place(self, order: Order) -> AppointmentPlace:
        """The row's position in a list with this order."""
        return AppointmentPlace(self.created_at if order == "booked" else self.starts_at, self.id)


class AppointmentPage(NamedTuple):
    """One page of the list, and the places next to which the previous and next pages begin."""

    rows: list[AppointmentRow]
    beside: PageEnds[AppointmentPlace] = PageEnds()


def parse_place(text: str) -> AppointmentPlace | None:
    """The place that an address names, or None."""
    at, _dot, written_id = text.rpartition(".")
    number = whole_number(written_id)
    if number is None:
        return None
    try:
        place = AppointmentPlace(datetime.strptime(at, PLACE_FORMAT).replace(tzinfo=UTC), number)
    except ValueError:
        return None
    # No appointment is further away. Near the end of the calendar, adding a minute would fail.
    return place if place.at.year in PLACE_YEARS else None


def list_appointments(
    session: Session,
    wanted: AppointmentFilter,
    *,
    cursor: Cursor[AppointmentPlace] = FIRST_PAGE,
    limit: int = PAGE_SIZE,
) -> AppointmentPage:
    """The page that begins at the cursor. One query."""
    # One row more than is shown tells whether the list continues.
    found = _read(session, wanted, cursor, limit=limit + 1)
    return AppointmentPage(*cut(found, cursor, limit, lambda row: row.place(wanted.order)))


class CountedPart(NamedTuple):
    """A part of the matching appointments, in full, the total number, and the place of the last one if more follow."""

    views: list[AppointmentView]
    total: int
    after: AppointmentPlace | None = None


def list_part(
    session: Session,
    actor: Actor,
    wanted: AppointmentFilter,
    *,
    after: AppointmentPlace | None,
    skip: int,
    limit: int,
) -> CountedPart:
    """A part of the matching appointments that the actor may see, by start: for API clients."""
    appointments, conditions = _all_visible(actor, wanted)
    total = session.scalar(sa.select(sa.func.count()).select_from(appointments).where(*conditions)) or 0
    if after is not None:
        appointments, conditions = _all_visible(actor, _narrowed(wanted, after, falling=False))
    chosen = sa.select(appointments.c.id, appointments.c.starts_at).where(*conditions)
    chosen = seek(chosen, (appointments.c.starts_at, appointments.c.id), after and (after.at, after.id), falling=False)
    found = session.execute(chosen.offset(skip).limit(limit + 1)).all()
    shown = found[:limit]
    last = AppointmentPlace(shown[-1].starts_at, shown[-1].id) if len(found) > limit else None
    return CountedPart(queries.get_appointments(session, actor, [row.id for row in shown]), total, last)


def _all_visible(actor: Actor, wanted: AppointmentFilter) -> tuple[sa.FromClause, list[sa.ColumnElement[bool]]]:
    """The source of the appointments that the actor may see, and the filters as conditions on it."""
    visible = queries.visible_to(actor)
    its_own = wanted.patient_ids is not None or actor.role == "patient"
    if not its_own and not (actor.role == "doctor" and wanted.statuses is not None):
        return table_of(Appointment), [visible, *_conditions(wanted)]
    # One person's appointments are few. They are fetched first, because an index on the other filters would lead
    # through the appointments of all people.
    table = table_of(Appointment)
    whose = _APPOINTMENT.patient_id.in_(list(wanted.patient_ids)) if wanted.patient_ids is not None else sa.true()
    names = ("id", "starts_at", "doctor_id", "status", "visit_type_id")
    few = sa.select(*(table.c[name] for name in names)).where(visible, whose).cte("few").prefix_with("MATERIALIZED")
    filters: list[tuple[Any, Any]] = [
        (few.c.starts_at.__ge__, wanted.since),
        (few.c.starts_at.__lt__, wanted.until),
        (few.c.doctor_id.in_, wanted.doctor_ids),
        (few.c.status.in_, wanted.statuses),
        (few.c.visit_type_id.in_, wanted.visit_type_ids),
    ]
    return few, [compare(value) for compare, value in filters if value is not None]


def count_appointments(session: Session, wanted: AppointmentFilter, *, most: int | None = None) -> int:
    """How many rows the filtered list has; with `most`, one more than that stands for any greater number."""
    if wanted.patient_ids is not None and not wanted.patient_ids:
        return 0
    return count_up_to(session, sa.select(_APPOINTMENT.id).where(*_conditions(wanted)), most)


def export(database: Database, wanted: AppointmentFilter) -> tuple[int, Iterator[list[AppointmentRow]]]:
    """The number of rows of the filtered list, and all of them in batches, from one snapshot."""
    return database.stream(
        lambda session: (count_appointments(session, wanted), all_appointments(session, wanted)),
    )


def all_appointments(session: Session, wanted: AppointmentFilter) -> Iterator[list[AppointmentRow]]:
    """All rows of the filtered list, in batches."""
    cursor: Cursor[AppointmentPlace] = FIRST_PAGE
    while found := _read(session, wanted, cursor, limit=CHUNK):
        yield found
        cursor = Cursor(found[-1].place(wanted.order))


def _read(
    session: Session, wanted: AppointmentFilter, cursor: Cursor[AppointmentPlace], *, limit: int
) -> list[AppointmentRow]:
    """Up to `limit` rows from a cursor on, in the order of the list or, if it reads backwards, in reverse."""
    if wanted.patient_ids is not None and not wanted.patient_ids:
        return []
    falling = (wanted.order != "time") != cursor.backwards
    page = _chosen(wanted, cursor.place, falling=falling, limit=limit).subquery("page")
    query = (
        sa.select(
            _APPOINTMENT.id,
            _APPOINTMENT.reference,
            _APPOINTMENT.status,
            _APPOINTMENT.previous_status,
            _APPOINTMENT.version,
            _APPOINTMENT.starts_at,
            _APPOINTMENT.ends_at,
            _APPOINTMENT.created_at,
            _APPOINTMENT.flagged_why,
            _DOCTOR.slug,
            _DOCTOR.name,
            _PATIENT.id,
            shown_name_column(_PATIENT),
            _PATIENT.birth_date,
            _PATIENT.phone,
            _KIND.name,
            _APPOINTMENT.override_reason,
            _APPOINTMENT.squeeze_reason,
        )
        .select_from(page)
        .join(table_of(Appointment), _APPOINTMENT.id == page.c.id)
        .join(table_of(Doctor), _DOCTOR.id == _APPOINTMENT.doctor_id)
        .join(table_of(Patient), _PATIENT.id == _APPOINTMENT.patient_id)
        .join(table_of(VisitType), _KIND.id == _APPOINTMENT.visit_type_id)
    )
    query = seek(query, (_column(wanted), _APPOINTMENT.id), None, falling=falling)
    return [AppointmentRow(*row) for row in rows(session, query)]


def _chosen(wanted: AppointmentFilter, here: AppointmentPlace | None, *, falling: bool, limit: int) -> sa.Select[Any]:
    """The ids of the rows of one page."""
    column: Any = _column(wanted)
    number: Any = _APPOINTMENT.id
    conditions = _conditions(_narrowed(wanted, here, falling=falling))
    if wanted.flagged or wanted.patient_ids is not None:
        # These are few, so all are fetched and sorted. Otherwise a database may scan all appointments in the wanted
        # order until it finds them.
        few = sa.select(number, column.label("at")).where(*conditions).cte("few").prefix_with("MATERIALIZED")
        number, column, conditions = few.c.id, few.c.at, []
    query = sa.select(number.label("id")).where(*conditions)
    return seek(query, (column, number), here, falling=falling).limit(limit)


def _narrowed(wanted: AppointmentFilter, here: AppointmentPlace | None, *, falling: bool) -> AppointmentFilter:
    """The same list, from a place on. If one side had two bounds, SQLite might search the index with the wider one."""
    if here is None or wanted.order == "booked":
        return wanted
    if falling:
        end = here.at + timedelta(minutes=1)
        return wanted._replace(until=end if wanted.until is None else min(wanted.until, end))
    return wanted._replace(since=here.at if wanted.since is None else max(wanted.since, here.at))


def _column(wanted: AppointmentFilter) -> Any:
    return _APPOINTMENT.created_at if wanted.order == "booked" else _APPOINTMENT.starts_at


def _conditions(wanted: AppointmentFilter) -> list[sa.ColumnElement[bool]]:
    """The filters as conditions on the appointments alone."""
    if wanted.reference is not None:
        return [_APPOINTMENT.reference == wanted.reference]
    conditions: list[Any] = []
    if wanted.since is not None:
        conditions.append(_APPOINTMENT.starts_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(_APPOINTMENT.starts_at < wanted.until)
    if wanted.doctor_ids is not None:
        conditions.append(_any_of(_APPOINTMENT.doctor_id, wanted.doctor_ids))
    if wanted.statuses is not None:
        # The index of a status leads through the appointments of all doctors.
        is_one = _APPOINTMENT.status.__eq__ if wanted.doctor_ids is not None else status_is
        conditions.append(sa.or_(sa.false(), *map(is_one, wanted.statuses)))
    if wanted.visit_type_ids is not None:
        conditions.append(_any_of(_APPOINTMENT.visit_type_id, wanted.visit_type_ids))
    if wanted.patient_ids is not None:
        conditions.append(_APPOINTMENT.patient_id.in_(list(wanted.patient_ids)))
    if wanted.flagged:
        conditions.append(UNDECIDED)
    return conditions


def _any_of(column: Any, values: Sequence[int]) -> sa.ColumnElement[bool]:
    """A single value is compared with `=`, so that an index is read in the order of its next column."""
    one: sa.ColumnElement[bool] = column == values[0] if len(values) == 1 else column.in_(list(values))
    return one


class Choices(NamedTuple):
    """The options of the filters: doctors as (id, slug, name, active), visit types as (id, name)."""

    doctors: list[tuple[int, str, str, bool]]
    visit_types: list[tuple[int, str]]

    def doctor_id(self, slug: str) -> int | None:
        """The id of the doctor with this slug."""
        return next((number for number, own, _name, _active in self.doctors if own == slug), None)


def find_choices(session: Session) -> Choices:
    """All doctors and visit types, including inactive ones, whose appointments are still listed."""
    doctors = sa.select(_DOCTOR.id, _DOCTOR.slug, _DOCTOR.name, _DOCTOR.active)
    kinds = sa.select(_KIND.id, _KIND.name)
    return Choices(
        [
            (row.id, row.slug, row.name, row.active)
            for row in rows(session, doctors.order_by(_DOCTOR.position, _DOCTOR.sort_name, _DOCTOR.id))
        ],
        [(row.id, row.name) for row in rows(session, kinds.order_by(_KIND.name, _KIND.id))],
    )
