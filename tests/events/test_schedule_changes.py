"""Every change of the bookable times is published where it is written; a change of anything else is not."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from tests.cast import NOW, Cast
from tests.recorded_events import record_events
from webapp.clinic import closures, settings
from webapp.clinic.closures import CloseDays
from webapp.clinic.settings import BookingRules, ClinicDetails, ClinicZone, OpeningWeek, ReminderRules
from webapp.doctors import extra_hours, hours, offers, profiles, time_off, zone
from webapp.doctors.extra_hours import ExtraDay
from webapp.doctors.hours import Period, SaveHours
from webapp.doctors.offers import VisitTypeOffer
from webapp.doctors.profiles import DoctorProfile
from webapp.doctors.time_off import AddTimeOff
from webapp.events.kinds import DoneBy, Event, ScheduleChange, ScheduleChanged
from webapp.exceptions import Invalid

DAY = date(2026, 3, 5)
CLOSURE = CloseDays(name="Works", starts_on=DAY, ends_on=DAY)


class Watched:
    """The cast, a way to act as Carol, and the events that this publishes."""

    def __init__(self, cast: Cast, heard: list[Event]) -> None:
        self.cast, self._heard = cast, heard
        self.bob, self.erin = cast.doctor_ids["bob"], cast.doctor_ids["erin"]

    def done(self, action: Any, *arguments: Any, **named: Any) -> tuple[Any, list[tuple[ScheduleChange, Any]]]:
        """The result of the action, and what it published: the kind of change, and for which doctors."""
        self._heard.clear()
        result = self.cast.database.write(action, self.cast.carol, *arguments, now=NOW, **named)
        carol = DoneBy(self.cast.carol.user_id, "admin", "Carol Clark")
        assert all(isinstance(event, ScheduleChanged) and event.by == carol for event in self._heard)
        return result, [(event.what, event.doctor_ids) for event in self._heard if isinstance(event, ScheduleChanged)]

    def published(self, action: Any, *arguments: Any, **named: Any) -> list[tuple[ScheduleChange, Any]]:
        """What the action published."""
        return self.done(action, *arguments, **named)[1]


@pytest.fixture
def watched(sqlite_cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(sqlite_cast, record_events(sqlite_cast.database, monkeypatch))


def test_working_hours(watched: Watched) -> None:
    mornings = SaveHours(
        period=None, valid_from=date(2026, 6, 1), valid_until=None, week=(((540, 720),),) * 5 + ((), ())
    )
    expected = [("working_hours", (watched.bob,))]
    assert watched.published(hours.save_hours, watched.bob, mornings) == expected
    assert watched.published(hours.remove_hours, watched.bob, Period(date(2026, 6, 1), None)) == expected


def test_extra_hours(watched: Watched) -> None:
    expected = [("extra_hours", (watched.bob,))]
    saturday = ExtraDay(day=date(2026, 3, 7), spans=((540, 720),))
    assert watched.published(extra_hours.add_extra_hours, watched.bob, saturday) == expected
    assert watched.published(extra_hours.remove_extra_hours, watched.bob, saturday.day) == expected


def test_time_off(watched: Watched) -> None:
    expected = [("time_off", (watched.bob,))]
    weekly = AddTimeOff(from_date=DAY, until_date=DAY, repeat_until=date(2026, 3, 19))
    made, published = watched.done(time_off.add_time_off, watched.bob, weekly)
    assert (len(made), published) == (3, expected)
    assert watched.published(time_off.remove_time_off, watched.bob, made[0].id, "series") == expected


def test_closures(watched: Watched) -> None:
    for_all = [("closures", None)]
    later = CloseDays(name="More works", starts_on=date(2026, 3, 9), ends_on=date(2026, 3, 10))
    (number, _other), published = watched.done(closures.add, [CLOSURE, later])
    assert published == for_all
    renamed = CLOSURE.model_copy(update={"name": "Painters"})
    assert watched.published(closures.change, number, renamed, seen="") == []
    longer = renamed.model_copy(update={"ends_on": date(2026, 3, 6)})
    assert watched.published(closures.change, number, longer, seen="") == for_all
    assert watched.published(closures.remove, number, seen="") == for_all
    assert watched.published(closures.add, []) == []


def test_settings_of_the_clinic(watched: Watched) -> None:
    week = OpeningWeek(days=(((480, 1020),),) * 5 + ((), ()))
    assert watched.published(settings.change_opening_hours, week, seen="") == [("opening_hours", None)]
    with watched.cast.database.reading() as session:
        rules = settings.get(session, BookingRules)
    assert watched.published(settings.change_rules, rules, seen="") == []
    further = rules.model_copy(update={"horizon_days": 30})
    assert watched.published(settings.change_rules, further, seen="") == [("booking_rules", None)]
    london = ClinicZone(time_zone="Europe/London")
    assert watched.published(zone.change_zone, london, seen="") == [("time_zone", None)]
    assert watched.published(zone.change_zone, london, seen="") == []


def test_the_clinics_name_and_reminders_change_no_time(watched: Watched) -> None:
    assert watched.published(settings.change_details, ClinicDetails(name="Quay Clinic"), seen="") == []
    reminders = ReminderRules(reminder_days="3", daytime_from=480, daytime_until=1200)
    assert watched.published(settings.change_reminders, reminders, seen="") == []


def test_visit_types(watched: Watched) -> None:
    def changed(number: int, doctor_ids: list[int], **details: Any) -> list[tuple[ScheduleChange, Any]]:
        with watched.cast.database.reading() as session:
            _saved, offer = offers.get_offer(session, number)
        command = VisitTypeOffer(details=offer.details.model_copy(update=details), doctor_ids=doctor_ids)
        return watched.published(offers.change, number, command, locked=both, seen="")

    both = [watched.bob, watched.erin]
    with watched.cast.database.reading() as session:
        _saved, offer = offers.get_offer(session, watched.cast.short)
    new = VisitTypeOffer(details=offer.details.model_copy(update={"name": "Vaccination"}), doctor_ids=both[::-1])
    number, published = watched.done(offers.create, new)
    assert published == [("visit_type", tuple(both))]
    assert changed(number, both, name="Jab", preparation="Come early.") == []
    assert changed(number, both, minutes=10) == [("visit_type", tuple(both))]
    # The doctor who no longer offers it has other free times, too.
    assert changed(number, [watched.erin]) == [("visit_type", tuple(both))]
    assert watched.published(offers.set_active, number, False, locked=both) == [("visit_type", (watched.erin,))]
    assert watched.published(offers.set_active, number, False, locked=both) == []
    assert changed(number, []) == [("visit_type", (watched.erin,))]
    # Now no doctor offers it, so its length changes no times.
    assert changed(number, [], minutes=20) == []


def test_doctors(watched: Watched) -> None:
    expected = [("doctor", (watched.bob,))]
    with watched.cast.database.reading() as session:
        profile = profiles.get_profile(session, "bob", now=NOW).profile
    assert watched.published(profiles.change, "bob", profile.model_copy(update={"room": "Room 9"}), seen="") == []
    wider = profile.model_copy(update={"slot_step": 30})
    assert watched.published(profiles.change, "bob", wider, seen="") == expected
    fewer = wider.model_copy(update={"visit_type_ids": [watched.cast.short]})
    assert watched.published(profiles.change, "bob", fewer, seen="") == expected
    assert watched.published(profiles.set_active, "bob", False) == expected
    assert watched.published(profiles.set_active, "bob", False) == []
    # A new doctor has no hours yet, and so no free times.
    assert watched.published(profiles.create, DoctorProfile(name="Dr. Mei Lin", specialty="Cardiology")) == []


def test_a_change_that_is_refused_publishes_nothing(watched: Watched) -> None:
    backwards = CloseDays(name="Works", starts_on=DAY, ends_on=date(2026, 3, 1))
    with pytest.raises(Invalid):
        watched.done(closures.add, [backwards])
    assert watched.published(closures.add, []) == []
