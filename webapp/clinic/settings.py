"""Changing the clinic: its name and address, its time zone, its opening hours, its booking rules and reminders.

An empty database has no row of settings: the first change creates it from the defaults that all pages have shown until
then. Every change first takes the lock of that row, after the locks of doctors.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal, NamedTuple, TypeVar
from zoneinfo import ZoneInfo, available_timezones

import sqlalchemy as sa
from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth.schemas import Actor, readable_name
from webapp.clinic.models import MOST_LATE_HOURS, ClinicSettings, OpeningHours
from webapp.clinic.search_words import readable_lines
from webapp.clinic.service import default_clinic, get_clinic
from webapp.core import phones
from webapp.core.day_hours import Week
from webapp.core.optimistic_lock import require_unchanged
from webapp.core.strict_types import BARE, ONE_LINE, Whole
from webapp.core.zones import country_of_zone
from webapp.database import table_of
from webapp.events.kinds import ScheduleChange, ScheduleChanged
from webapp.events.publishing import publish
from webapp.exceptions import Invalid
from webapp.i18n import gettext as _
from webapp.sql_functions import insert_into

DAY_MINUTES = 24 * 60
MOST_REMINDERS, FURTHEST_REMINDER = 5, 60


class ClinicDetails(BaseModel):
    """The clinic's name for patients, and how they find and reach it."""

    name: Annotated[str, StringConstraints(min_length=2, max_length=120), ONE_LINE, AfterValidator(readable_name)]
    address: Annotated[str, StringConstraints(max_length=200), ONE_LINE] = ""
    phone: Annotated[str, StringConstraints(max_length=60), BARE] = ""
    country: Annotated[str, StringConstraints(pattern=r"^([A-Z]{2})?$")] = ""


class BookingRules(BaseModel):
    """The clinic's values in the rules of booking. Durations are in minutes, except `horizon_days`."""

    notice_minutes: Annotated[Whole, Field(ge=0, le=14 * DAY_MINUTES)]
    horizon_days: Annotated[Whole, Field(ge=1, le=730)]
    change_until_minutes: Annotated[Whole, Field(ge=0, le=14 * DAY_MINUTES)]
    max_active_visits: Annotated[Whole, Field(ge=1, le=100)]
    patient_gap_minutes: Annotated[Whole, Field(ge=0, le=DAY_MINUTES)]


def _in_words_of_the_column(value: str) -> str:
    """Turn '1 and 7' into '7,1'.

    Raises:
        ValueError: it does not list days, one of them is too far or too near, or there are too many.
    """
    days = sorted({int(number) for number in re.findall(r"\d{1,9}", value)}, reverse=True)
    said_more = re.sub(r"\d{1,9}|[\s,;&]|\band\b", "", value)
    if said_more or len(days) > MOST_REMINDERS or any(not 1 <= day <= FURTHEST_REMINDER for day in days):
        raise ValueError("Write days as whole numbers.")
    return ",".join(map(str, days))


class ReminderRules(BaseModel):
    """How many days before their appointments patients are reminded, such as '7,1', or '' for never.

    Reminders and text messages are sent between two minutes of the local day. `tell_late_hours`: see `ClinicSettings`.
    """

    reminder_days: Annotated[str, StringConstraints(max_length=40), AfterValidator(_in_words_of_the_column)]
    daytime_from: Annotated[int, Field(ge=0, lt=DAY_MINUTES)]
    daytime_until: Annotated[int, Field(gt=0, le=DAY_MINUTES)]
    tell_late_hours: Annotated[int, Field(ge=0, le=MOST_LATE_HOURS)] = 0


def days_of(reminder_days: str) -> list[int]:
    """The numbers of days before an appointment on which its reminders are sent, greatest first."""
    return [int(day) for day in reminder_days.split(",") if day]


class SearchSettings(BaseModel):
    """The specialty that comes first in the list of doctors, or '', and the clinic's own words for what it offers."""

    first_specialty: Annotated[str, StringConstraints(max_length=80), ONE_LINE] = ""
    search_words: Annotated[str, StringConstraints(max_length=4000), AfterValidator(readable_lines)] = ""


FieldRequirement = Literal["no", "ask", "require"]
REQUIRED: FieldRequirement = "require"


class NewPatientRules(BaseModel):
    """Whether new patients are asked for their date of birth and their phone number, and have to answer."""

    asks_birth_date: FieldRequirement
    asks_phone: FieldRequirement


class EmergencyLine(BaseModel):
    """Advice for an emergency: words before the number, and the number; '' for the usual ones."""

    emergency_text: Annotated[str, StringConstraints(max_length=300), ONE_LINE] = ""
    emergency_phone: Annotated[str, StringConstraints(max_length=40, pattern=r"^(\+?[\d][\d ]*)?$"), BARE] = ""


class PrivacyRules(BaseModel):
    """How long the clinic keeps data, and who does not see some of it; see `ClinicSettings`."""

    keep_records_years: Annotated[Whole, Field(ge=0, le=100)]
    keep_messages_days: Annotated[Whole, Field(ge=90, le=3650)]
    keep_audit_years: Annotated[Whole, Field(ge=0, le=100)]
    private_notes_in_copy: bool = False
    desk_sees_reasons: bool = True
    guardian_age: Annotated[Whole, Field(ge=10, le=25)] | None = None


class ClinicZone(BaseModel):
    """The IANA name of the clinic's time zone."""

    time_zone: str


class OpeningWeek(BaseModel):
    """When the clinic is open, Monday to Sunday, in wall-clock minutes."""

    days: Week


class ZoneChange(NamedTuple):
    """The old and the new time zone."""

    old: ZoneInfo
    new: ZoneInfo


Group = TypeVar("Group", bound=BaseModel)


def get(session: Session, group: type[Group]) -> Group:
    """A group of settings as saved, such as `BookingRules`: each of its fields is one of the clinic's.

    Values that were not saved through our forms are shown without validation, so that they can be corrected.
    """
    clinic = get_clinic(session)
    return group.model_construct(**{name: getattr(clinic, name) for name in group.model_fields})


def get_opening_hours(session: Session) -> OpeningWeek:
    """The week as saved; without opening hours the clinic is closed, except for doctors' extra hours."""
    query = sa.select(OpeningHours.weekday, OpeningHours.start_minute, OpeningHours.end_minute).order_by(
        OpeningHours.weekday, OpeningHours.start_minute, OpeningHours.id
    )
    days: list[list[tuple[int, int]]] = [[] for _day in range(7)]
    for weekday, start, end in session.execute(query):
        days[weekday].append((start, end))
    return OpeningWeek(days=tuple(tuple(spans) for spans in days))


def change_details(session: Session, actor: Actor, command: ClinicDetails, *, seen: str, now: datetime) -> None:
    """Save name, address, telephone number and country.

    Raises:
        Invalid: no such country, or no such telephone number.
        EditedMeanwhile: another user saved different ones after `seen` was read.
    """
    lock_settings(session)
    saved = get(session, ClinicDetails)
    if command.country not in {"", saved.country, *phones.countries()}:
        raise Invalid(_("Choose a country from the list."), code="country", field="country")
    clinic = get_clinic(session)
    country = command.country or country_of_zone(clinic.time_zone)
    # A number that was not changed is shown as the former country has it.
    is_same = command.phone == clinic.phone_shown
    phone = saved.phone if is_same else phones.read_phone(command.phone, country, saved=saved.phone)
    _save(session, actor, saved, command.model_copy(update={"phone": phone}), seen, now=now)


def change_rules(session: Session, actor: Actor, command: BookingRules, *, seen: str, now: datetime) -> None:
    """Save the booking rules; they apply from the next booking.

    Raises:
        EditedMeanwhile: another user saved different ones after `seen` was read.
    """
    lock_settings(session)
    if _save(session, actor, get(session, BookingRules), command, seen, now=now):
        _publish(session, actor, "booking_rules", now=now)


def change_reminders(session: Session, actor: Actor, command: ReminderRules, *, seen: str, now: datetime) -> None:
    """Save when reminders are sent; messages that are already in the outbox stay as they are.

    Raises:
        Invalid: daytime ends before it begins. EditedMeanwhile: another user saved others after `seen` was read.
    """
    if command.daytime_from >= command.daytime_until:
        raise Invalid(_("The start must be before the end."), field="daytime")
    lock_settings(session)
    _save(session, actor, get(session, ReminderRules), command, seen, now=now)


def change(
    session: Session,
    actor: Actor,
    command: NewPatientRules | SearchSettings | EmergencyLine | PrivacyRules,
    *,
    seen: str,
    now: datetime,
) -> None:
    """Save a group of settings. Accounts that exist, and records that are locked already, stay as they are.

    Raises:
        EditedMeanwhile: another user saved something else after `seen` was read.
    """
    lock_settings(session)
    _save(session, actor, get(session, type(command)), command, seen, now=now)


def change_zone(session: Session, actor: Actor, command: ClinicZone, *, seen: str, now: datetime) -> ZoneChange:
    """Save the time zone, which is confirmed by that even if it is the same.

    Weekly hours are wall-clock times and stay; instants are not handled in this module.

    Raises:
        Invalid: there is no such zone. EditedMeanwhile: another user saved a different one after `seen` was read.
    """
    if command.time_zone not in available_timezones():
        raise Invalid(_("Choose a time zone from the list."), field="time_zone")
    lock_settings(session)
    old = get(session, ClinicZone)
    if _save(session, actor, old, command, seen, now=now):
        _publish(session, actor, "time_zone", now=now)
    confirmed = sa.update(ClinicSettings).where(ClinicSettings.id == 1, ClinicSettings.zone_confirmed.is_(False))
    if session.execute(confirmed.values(zone_confirmed=True).returning(ClinicSettings.id)).first() is not None:
        record_change(session, actor, ["zone_confirmed"], now=now)
    return ZoneChange(ZoneInfo(old.time_zone), ZoneInfo(command.time_zone))


def change_opening_hours(session: Session, actor: Actor, command: OpeningWeek, *, seen: str, now: datetime) -> None:
    """Save the week's opening hours.

    Raises:
        EditedMeanwhile: another user saved different ones after `seen` was read.
    """
    lock_settings(session)
    require_unchanged(get_opening_hours(session), seen, wanted=command)
    session.execute(sa.delete(OpeningHours))
    for weekday, spans in enumerate(command.days):
        for start, end in spans:
            session.add(OpeningHours(weekday=weekday, start_minute=start, end_minute=end))
    session.flush()
    record_change(session, actor, ["opening_hours"], now=now)
    _publish(session, actor, "opening_hours", now=now)


def lock_settings(session: Session) -> None:
    """Take the lock of the clinic's row, and create the row if it does not exist."""
    mine = sa.select(ClinicSettings.id).where(ClinicSettings.id == 1).with_for_update(key_share=True)
    if session.scalar(mine) is not None:
        return
    defaults = default_clinic()
    values = {name: getattr(defaults, name) for name in defaults.__dataclass_fields__}
    # Two people may set up a new clinic at the same moment.
    row = insert_into(table_of(ClinicSettings), session.get_bind().dialect.name).values(id=1, **values)
    session.execute(row.on_conflict_do_nothing())
    session.scalar(mine)


def _save(session: Session, actor: Actor, saved: BaseModel, command: BaseModel, seen: str, *, now: datetime) -> bool:
    """Save what changed; return whether anything did."""
    require_unchanged(saved, seen, wanted=command)
    changed = {name: value for name, value in command.model_dump().items() if getattr(saved, name) != value}
    if changed:
        session.execute(sa.update(ClinicSettings).where(ClinicSettings.id == 1).values(**changed))
        record_change(session, actor, sorted(changed), now=now)
    return bool(changed)


def _publish(session: Session, actor: Actor, what: ScheduleChange, *, now: datetime) -> None:
    publish(session, ScheduleChanged(by=actor.done_by, what=what), now=now)


def record_change(session: Session, actor: Actor, changed: list[str], *, now: datetime) -> None:
    """Write an audit row of what changed in the clinic, by the names of the columns."""
    audit.record_by(session, actor, "clinic_changed", subject=("clinic", 1), now=now, details={"changed": changed})
