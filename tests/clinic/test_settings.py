"""Changing the clinic's settings, on both databases; in an empty database the missing row is made."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from tests.cast import NOW, Cast, local
from webapp.auth.schemas import Actor
from webapp.clinic import settings
from webapp.clinic.service import get_clinic
from webapp.clinic.settings import BookingRules, ClinicDetails, ClinicZone, OpeningWeek
from webapp.core.optimistic_lock import EditedMeanwhile, fingerprint
from webapp.database import Database
from webapp.doctors import zone
from webapp.exceptions import Invalid
from webapp.models import AuditEvent, ClinicSettings, TimeOff

FIRST_ADMIN = Actor(1, 0, "First Admin", "first@docket.example", "admin")
RULES = BookingRules(
    notice_minutes=60, horizon_days=30, change_until_minutes=120, max_active_visits=3, patient_gap_minutes=0
)


def audited(database: Database) -> list[tuple[str, dict[str, object]]]:
    """The changes of the clinic in the audit log, in order."""
    query = sa.select(AuditEvent.action, AuditEvent.details).where(AuditEvent.subject_type == "clinic")
    with database.reading() as session:
        return [(row.action, row.details) for row in session.execute(query.order_by(AuditEvent.id))]


def test_an_empty_database_gets_its_row_with_the_first_change(database: Database) -> None:
    details = ClinicDetails(name="New Clinic", address="1 Quay", phone="+31201234561")
    database.write(settings.change_details, FIRST_ADMIN, details, seen="", now=NOW)
    with database.reading() as session:
        clinic = get_clinic(session)
        assert (clinic.name, clinic.address, clinic.phone, clinic.demo) == (
            "New Clinic",
            "1 Quay",
            "+31201234561",
            False,
        )
        # What was not entered has the defaults that every page showed before.
        assert (clinic.time_zone, clinic.notice_minutes, clinic.horizon_days) == ("Europe/Amsterdam", 120, 90)
        assert not any(settings.get_opening_hours(session).days)
    week = OpeningWeek(days=(((540, 720), (780, 1020)), (), (), (), (), (), ((0, 1440),)))
    database.write(settings.change_opening_hours, FIRST_ADMIN, week, seen="", now=NOW)
    with database.reading() as session:
        assert settings.get_opening_hours(session) == week
    assert audited(database) == [
        ("clinic_changed", {"changed": ["address", "name", "phone"]}),
        ("clinic_changed", {"changed": ["opening_hours"]}),
    ]


def test_two_users_who_set_up_an_empty_database_concurrently_make_one_row(database: Database) -> None:
    commands = [ClinicDetails(name=f"Clinic {number}") for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda each: database.write(settings.change_details, FIRST_ADMIN, each, seen="", now=NOW), commands
            )
        )
    with database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(ClinicSettings)) == 1
        assert get_clinic(session).name in {each.name for each in commands}


def test_the_second_of_two_editors_is_shown_the_current_values(cast: Cast) -> None:
    with cast.database.reading() as session:
        seen = {
            "details": fingerprint(settings.get(session, ClinicDetails)),
            "rules": fingerprint(settings.get(session, BookingRules)),
            "zone": fingerprint(settings.get(session, ClinicZone)),
            "week": fingerprint(settings.get_opening_hours(session)),
        }
    week = OpeningWeek(days=(((540, 1020),), (), (), (), (), (), ()))
    write, carol = cast.database.write, cast.carol
    write(settings.change_details, carol, ClinicDetails(name="Ours"), seen=seen["details"], now=NOW)
    write(settings.change_rules, carol, RULES, seen=seen["rules"], now=NOW)
    write(settings.change_zone, carol, ClinicZone(time_zone="UTC"), seen=seen["zone"], now=NOW)
    write(settings.change_opening_hours, carol, week, seen=seen["week"], now=NOW)
    with pytest.raises(EditedMeanwhile) as details:
        write(settings.change_details, carol, ClinicDetails(name="Theirs"), seen=seen["details"], now=NOW)
    assert details.value.saved.model_dump() == {"name": "Ours", "address": "", "phone": "", "country": ""}
    others = RULES.model_copy(update={"max_active_visits": 7})
    with pytest.raises(EditedMeanwhile) as rules:
        write(settings.change_rules, carol, others, seen=seen["rules"], now=NOW)
    assert rules.value.saved == RULES
    with pytest.raises(EditedMeanwhile):
        write(settings.change_zone, carol, ClinicZone(time_zone="Europe/Paris"), seen=seen["zone"], now=NOW)
    with pytest.raises(EditedMeanwhile) as hours:
        write(settings.change_opening_hours, carol, OpeningWeek(days=((),) * 7), seen=seen["week"], now=NOW)
    assert hours.value.saved == week
    # The same form again has the same effect as once.
    write(settings.change_rules, carol, RULES, seen=seen["rules"], now=NOW)
    write(settings.change_opening_hours, carol, week, seen=seen["week"], now=NOW)


def test_saving_unchanged_settings_leaves_no_row(cast: Cast) -> None:
    with cast.database.reading() as session:
        details = settings.get(session, ClinicDetails)
    cast.database.write(settings.change_details, cast.carol, details, seen="", now=NOW)
    assert audited(cast.database) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("notice_minutes", -1),
        ("notice_minutes", 14 * 1440 + 1),
        ("horizon_days", 0),
        ("horizon_days", 731),
        ("change_until_minutes", -1),
        ("max_active_visits", 0),
        ("max_active_visits", 101),
        ("patient_gap_minutes", 1441),
    ],
)
def test_rules_have_sane_bounds(name: str, value: int) -> None:
    with pytest.raises(ValidationError):
        BookingRules(**{**RULES.model_dump(), name: value})


# ---------------------------------------------------------------------------------------------- the time zone


def leave(cast: Cast, start: datetime, end: datetime) -> int:
    return cast.add(TimeOff(doctor_id=cast.doctor_ids["bob"], starts_at=start, ends_at=end))


def stretch(cast: Cast, number: int) -> tuple[datetime, datetime]:
    with cast.database.reading() as session:
        row = session.execute(sa.select(TimeOff.starts_at, TimeOff.ends_at).where(TimeOff.id == number)).one()
        return row.starts_at, row.ends_at


def test_future_leave_keeps_its_wall_clock_and_past_leave_its_instants(cast: Cast) -> None:
    ahead = leave(cast, local("2026-03-10 09:00"), local("2026-03-12 17:00"))
    # London's clocks go forward on the same night, and Amsterdam's summer time stays one hour ahead.
    summer = leave(cast, local("2026-07-01 00:00"), local("2026-07-02 00:00"))
    over = leave(cast, NOW - timedelta(days=9), NOW - timedelta(days=8))
    shifted = cast.database.write(
        zone.change_zone, cast.carol, ClinicZone(time_zone="America/New_York"), seen="", now=NOW
    )
    assert shifted == 2
    assert stretch(cast, ahead) == (
        datetime(2026, 3, 10, 13, tzinfo=UTC),
        datetime(2026, 3, 12, 21, tzinfo=UTC),
    )
    assert stretch(cast, summer) == (datetime(2026, 7, 1, 4, tzinfo=UTC), datetime(2026, 7, 2, 4, tzinfo=UTC))
    assert stretch(cast, over) == (NOW - timedelta(days=9), NOW - timedelta(days=8))
    assert audited(cast.database) == [("clinic_changed", {"changed": ["time_zone"]})]


def test_leave_in_an_hour_that_the_new_zone_skips_still_ends_after_it_starts(cast: Cast) -> None:
    # New York's clocks go from 02:00 to 03:00 on 8 March; Amsterdam's do not.
    night = leave(cast, local("2026-03-08 02:30"), local("2026-03-08 03:00"))
    cast.database.write(zone.change_zone, cast.carol, ClinicZone(time_zone="America/New_York"), seen="", now=NOW)
    start, end = stretch(cast, night)
    assert end - start == timedelta(minutes=30)


def test_the_same_zone_shifts_nothing(cast: Cast) -> None:
    number = leave(cast, local("2026-03-10 09:00"), local("2026-03-12 17:00"))
    same = ClinicZone(time_zone="Europe/Amsterdam")
    assert cast.database.write(zone.change_zone, cast.carol, same, seen="", now=NOW) == 0
    assert stretch(cast, number) == (local("2026-03-10 09:00"), local("2026-03-12 17:00"))


def test_a_zone_that_does_not_exist_is_refused(cast: Cast) -> None:
    for odd in ("", "Europe/Atlantis", "../etc/passwd", "posix/Europe/Paris"):
        with pytest.raises(Invalid) as refused:
            cast.database.write(zone.change_zone, cast.carol, ClinicZone(time_zone=odd), seen="", now=NOW)
        assert refused.value.field == "time_zone"
