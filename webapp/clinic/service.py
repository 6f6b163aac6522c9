"""Reading the clinic: its name, its time zone and its rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.clinic.models import ClinicSettings, Closure
from webapp.clinic.schedule_versions import cached_for_clinic
from webapp.core import formats, phones
from webapp.core.zones import country_of_zone
from webapp.database import rows, table_of

# 112 reaches help in all of Europe, and from mobile phones in most other countries.
EMERGENCY = "112"
EMERGENCY_ELSEWHERE = {
    **dict.fromkeys(("US", "CA", "MX", "PH", "PR"), "911"),
    **dict.fromkeys(("AU",), "000"),
    **dict.fromkeys(("NZ",), "111"),
    **dict.fromkeys(("GB", "IE", "HK", "SG", "MY"), "999"),
    **dict.fromkeys(("JP", "KR", "TW"), "119"),
    **dict.fromkeys(("CN",), "120"),
    **dict.fromkeys(("BR",), "192"),
    **dict.fromkeys(("CH",), "144"),
}
# In Singapore ambulances have a separate number.
EMERGENCY_ELSEWHERE["SG"] = "995"


def suggested_emergency_number(country: str) -> str:
    """The number of the ambulance in this country."""
    return EMERGENCY_ELSEWHERE.get(country, EMERGENCY)


@dataclass(frozen=True)
class Clinic:
    """The clinic as read for one request. Durations are in minutes, except `horizon_days`.

    `reminder_days` is a comma list of days before an appointment; `daytime_from` and `daytime_until` are minutes of the
    day.
    """

    name: str
    address: str
    phone: str
    time_zone: str
    country: str
    notice_minutes: int
    horizon_days: int
    change_until_minutes: int
    max_active_visits: int
    patient_gap_minutes: int
    reminder_days: str
    daytime_from: int
    daytime_until: int
    tell_late_hours: int
    search_words: str
    first_specialty: str
    keep_records_years: int
    keep_messages_days: int
    keep_audit_years: int
    private_notes_in_copy: bool
    desk_sees_reasons: bool
    poster_key: str
    guardian_age: int | None
    guardian_age_since: date | None
    asks_birth_date: str
    asks_phone: str
    privacy_document: int
    imprint_document: int
    consent_document: int
    emergency_text: str
    emergency_phone: str
    zone_confirmed: bool
    demo: bool

    @cached_property
    def zone(self) -> ZoneInfo:
        """The clinic's IANA time zone."""
        return ZoneInfo(self.time_zone)

    @cached_property
    def home_country(self) -> str:
        """The country whose telephone numbers need no country code: 'NL', or '' where the time zone has none."""
        return self.country or country_of_zone(self.time_zone)

    @property
    def name_shown(self) -> str:
        """The clinic's name as people read it; `name` is empty until an admin has named the clinic."""
        return formats.clinic_name(self.name)

    @property
    def phone_shown(self) -> str:
        """The clinic's telephone number as people read it; `phone` is the one that is dialled."""
        return phones.shown(self.phone, self.home_country)

    @property
    def emergency_number(self) -> str:
        """The number to call in an emergency: the clinic's, else that of its country."""
        return self.emergency_phone or suggested_emergency_number(self.home_country)

    @property
    def zone_label(self) -> str:
        """The zone as people say it: 'Amsterdam time'."""
        return formats.zone_label(self.zone)

    @property
    def letterhead(self) -> dict[str, str]:
        """The clinic's details as values of a message, which is rendered later in its recipient's language."""
        return {
            "name": self.name,
            "address": self.address,
            "phone": self.phone_shown,
            "phone_link": phones.dialled(self.phone),
            "time_zone": self.time_zone,
        }

    def today(self, now: datetime) -> date:
        """The local date at an instant."""
        return now.astimezone(self.zone).date()


# The table instead of the mapped class, because every request runs this query.
_SETTINGS = table_of(ClinicSettings).c
_QUERY = sa.select(*(_SETTINGS[name] for name in Clinic.__dataclass_fields__)).where(_SETTINGS.id == 1)


def get_clinic(session: Session) -> Clinic:
    """The clinic's row. An empty database gives the defaults, so that pages can always be shown."""
    return cached_for_clinic(session, "clinic", lambda: _read_clinic(session))


def _read_clinic(session: Session) -> Clinic:
    row = rows(session, _QUERY).one_or_none()
    return Clinic(*row) if row is not None else default_clinic()


def default_clinic() -> Clinic:
    """A clinic with the model's defaults, for an empty database and for error pages without a database."""
    columns = table_of(ClinicSettings).columns
    defaults: dict[str, Any] = {
        name: getattr(columns[name].default, "arg", None) for name in Clinic.__dataclass_fields__
    }
    return Clinic(**defaults)


class ClosureRow(NamedTuple):
    """Local days on which the clinic is closed, first and last included, and why."""

    name: str
    starts_on: date
    ends_on: date


_CLOSURE = table_of(Closure).c
_CLOSURES = (
    sa.select(_CLOSURE.name, _CLOSURE.starts_on, _CLOSURE.ends_on)
    .where(
        _CLOSURE.ends_on >= sa.bindparam("first", type_=sa.Date),
        _CLOSURE.starts_on <= sa.bindparam("last", type_=sa.Date),
    )
    .order_by(_CLOSURE.starts_on, _CLOSURE.id)
)


def find_closures(session: Session, first: date, last: date) -> list[ClosureRow]:
    """The closures that overlap the local days `first` to `last`, in order."""
    return cached_for_clinic(
        session,
        ("closures", first, last),
        lambda: [ClosureRow._make(row) for row in rows(session, _CLOSURES, first=first, last=last)],
    )
