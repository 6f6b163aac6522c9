"""Doctors and what they offer: the services behind the pages, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from tests.cast import NOW, Cast
from webapp.auth.passwords.password_links import create_password_link
from webapp.clinic import visit_types
from webapp.clinic.visit_types import NameTaken, VisitTypeDetails
from webapp.core.optimistic_lock import EditedMeanwhile, fingerprint
from webapp.doctors import offers, profiles
from webapp.doctors.offers import OfferedMeanwhile, VisitTypeOffer
from webapp.doctors.profiles import DoctorProfile, SavedDoctor
from webapp.exceptions import Invalid, NotFound
from webapp.models import AuditEvent, Doctor, User, VisitType, doctor_visit_types


def profile(name: str = "Dr. Emre Yıldız", **details: object) -> DoctorProfile:
    return DoctorProfile.model_validate({"name": name, "specialty": "Cardiology", **details})


def saved(cast: Cast, slug: str = "bob") -> SavedDoctor:
    with cast.database.reading() as session:
        return profiles.get_profile(session, slug, now=NOW)


def audited(cast: Cast, subject: str) -> list[tuple[str, dict[str, object]]]:
    query = sa.select(AuditEvent.action, AuditEvent.details).where(AuditEvent.subject_type == subject)
    with cast.database.reading() as session:
        return [(row.action, row.details) for row in session.execute(query.order_by(AuditEvent.id))]


# -------------------------------------------------------------------------------------------------- doctors


def test_a_slug_is_made_of_the_name_without_title_and_accents_and_only_once(cast: Cast) -> None:
    for name, slug in (
        ("Dr. Emre Yıldız", "emre-yildiz"),
        ("Emre Yildiz", "emre-yildiz-2"),
        ("Prof. Dr. Mei-Ling O’Brien", "mei-ling-obrien"),
        ("New", "new-2"),
        ("Dr. 王伟", "doctor"),
        ("李娜", "doctor-2"),
        ("A" * 120, "a" * 70),
    ):
        assert cast.database.write(profiles.create, cast.carol, profile(name), now=NOW)[1] == slug
        assert saved(cast, slug).profile.name == name


def test_two_doctors_of_one_name_who_are_created_concurrently_have_two_slugs(cast: Cast) -> None:
    barrier = Barrier(3)

    def make(_number: int) -> str:
        barrier.wait()
        return cast.database.write(profiles.create, cast.carol, profile(), now=NOW)[1]

    with ThreadPoolExecutor(3) as pool:
        slugs = list(pool.map(make, range(3)))
    assert sorted(slugs) == ["emre-yildiz", "emre-yildiz-2", "emre-yildiz-3"]


def test_a_conflict_that_another_slug_does_not_resolve_ends_the_search(cast: Cast) -> None:
    command = profile().model_copy(update={"tint": 99})
    with pytest.raises(IntegrityError):
        cast.database.write(profiles.create, cast.carol, command, now=NOW)


def test_a_change_of_name_keeps_the_slug_and_the_other_details(cast: Cast) -> None:
    before = saved(cast)
    command = before.profile.model_copy(update={"name": "Dr. Robert Brown", "room": "Room 9"})
    cast.database.write(profiles.change, cast.carol, "bob", command, seen=before.seen, now=NOW)
    after = saved(cast)
    assert after.profile == command
    assert (after.slug, after.user_id, after.active) == ("bob", cast.bob.user_id, True)
    assert audited(cast, "doctor") == [("doctor_changed", {"changed": ["name", "room"]})]


def test_visit_types_are_added_and_taken_and_inactive_ones_wait_for_their_return(cast: Cast) -> None:
    query = sa.update(VisitType).where(VisitType.id == cast.by_phone)
    cast.change(query.values(active=False))
    before = saved(cast)
    assert before.profile.visit_type_ids == [cast.short, cast.long, cast.buffered]
    command = before.profile.model_copy(update={"visit_type_ids": [cast.erins_only, cast.short]})
    cast.database.write(profiles.change, cast.carol, "bob", command, seen=before.seen, now=NOW)
    assert saved(cast).profile.visit_type_ids == [cast.short, cast.erins_only]
    cast.change(query.values(active=True))
    assert saved(cast).profile.visit_type_ids == [cast.short, cast.erins_only, cast.by_phone]


def test_an_inactive_visit_type_cannot_be_offered(cast: Cast) -> None:
    cast.change(sa.update(VisitType).where(VisitType.id == cast.erins_only).values(active=False))
    for odd in (cast.erins_only, 9999):
        command = saved(cast).profile.model_copy(update={"visit_type_ids": [cast.short, odd]})
        with pytest.raises(Invalid) as refused:
            cast.database.write(profiles.change, cast.carol, "bob", command, seen="", now=NOW)
        assert refused.value.field == "visit_type_ids"
        with pytest.raises(Invalid):
            cast.database.write(profiles.create, cast.carol, profile(visit_type_ids=[odd]), now=NOW)


def test_the_second_of_two_editors_is_shown_the_current_values(cast: Cast) -> None:
    seen = saved(cast).seen
    ours = saved(cast).profile.model_copy(update={"bio": "Ours"})
    cast.database.write(profiles.change, cast.carol, "bob", ours, seen=seen, now=NOW)
    with pytest.raises(EditedMeanwhile) as caught:
        cast.database.write(profiles.change, cast.carol, "bob", profile(), seen=seen, now=NOW)
    assert caught.value.saved == profiles.DoctorState(active=True, profile=ours)


def test_a_deactivated_doctor_keeps_everything_and_can_return(cast: Cast) -> None:
    before = saved(cast)
    for active in (False, False, True):
        cast.database.write(profiles.set_active, cast.carol, "bob", active, now=NOW)
        assert saved(cast) == before._replace(active=active)
    assert [action for action, _details in audited(cast, "doctor")] == ["doctor_deactivated", "doctor_reactivated"]


def test_a_doctor_who_does_not_exist_is_not_found(cast: Cast) -> None:
    with pytest.raises(NotFound):
        saved(cast, "nobody")
    with pytest.raises(NotFound):
        cast.database.write(profiles.set_active, cast.carol, "nobody", False, now=NOW)


def test_the_list_ignores_accents_and_names_missing_parts(cast: Cast) -> None:
    cast.database.write(profiles.create, cast.carol, profile(room="Küche", position=0), now=NOW)
    cast.database.write(create_password_link, cast.erin.user_id, now=NOW, lifetime=timedelta(days=7))
    cast.change(sa.update(User).where(User.id == cast.bob.user_id).values(active=False))
    cast.change(sa.update(Doctor).where(Doctor.slug == "erin").values(active=False))

    def found(text: str = "", active: bool | None = None) -> list[tuple[str, str, bool]]:
        with cast.database.reading() as session:
            lines = profiles.list_profiles(session, text=text, active=active, now=NOW)
        return [(line.slug, line.account, line.has_hours) for line in lines]

    emre, bob, erin = ("emre-yildiz", "none", False), ("bob", "disabled", True), ("erin", "invited", True)
    assert found() == [emre, bob, erin]
    assert found(active=True) == [emre, bob]
    assert found(active=False) == [erin]
    assert found("YILDIZ emre") == [emre]
    assert found("kuche") == [emre]
    assert found("general brown") == [bob]
    assert found("own") == []


# ---------------------------------------------------------------------------------------------- visit types


def offer(cast: Cast, number: int) -> VisitTypeOffer:
    with cast.database.reading() as session:
        return offers.get_offer(session, number)[1]


def test_a_visit_type_is_created_together_with_its_doctors(cast: Cast) -> None:
    details = VisitTypeDetails(name="Vaccination", minutes=10, preparation="Wear short sleeves.")
    both = sorted(cast.doctor_ids.values())
    number = cast.database.write(offers.create, cast.carol, VisitTypeOffer(details=details, doctor_ids=both), now=NOW)
    assert offer(cast, number) == VisitTypeOffer(details=details, doctor_ids=both)
    assert audited(cast, "visit_type") == [("visit_type_created", {})]
    with pytest.raises(NameTaken):
        cast.database.write(offers.create, cast.carol, VisitTypeOffer(details=details, doctor_ids=[]), now=NOW)


def test_a_visit_type_changes_together_with_its_doctors(cast: Cast) -> None:
    before = offer(cast, cast.long)
    bob, erin = cast.doctor_ids["bob"], cast.doctor_ids["erin"]
    assert before.doctor_ids == [bob, erin]
    after = VisitTypeOffer(details=before.details.model_copy(update={"minutes": 40}), doctor_ids=[erin])
    arguments = {"locked": [bob, erin], "now": NOW}
    cast.database.write(offers.change, cast.carol, cast.long, after, seen=fingerprint(before), **arguments)  # type: ignore[arg-type]
    assert offer(cast, cast.long) == after
    assert audited(cast, "visit_type") == [("visit_type_changed", {"changed": ["minutes", "doctors"]})]
    with pytest.raises(EditedMeanwhile) as caught:
        cast.database.write(offers.change, cast.carol, cast.long, before, seen=fingerprint(before), **arguments)  # type: ignore[arg-type]
    assert caught.value.saved == after
    taken = VisitTypeOffer(details=before.details.model_copy(update={"name": "Operation"}), doctor_ids=[])
    with pytest.raises(NameTaken) as refused:
        cast.database.write(offers.change, cast.carol, cast.long, taken, seen="", **arguments)  # type: ignore[arg-type]
    assert refused.value.field == "name"


def test_a_doctor_whose_appointments_were_not_checked_stops_the_change(cast: Cast) -> None:
    bob = cast.doctor_ids["bob"]
    with pytest.raises(OfferedMeanwhile):
        cast.database.write(
            offers.change, cast.carol, cast.long, offer(cast, cast.long), locked=[bob], seen="", now=NOW
        )
    with pytest.raises(OfferedMeanwhile):
        cast.database.write(offers.set_active, cast.carol, cast.long, False, locked=[bob], now=NOW)


def test_a_reactivated_visit_type_is_offered_by_the_same_doctors(cast: Cast) -> None:
    locked = sorted(cast.doctor_ids.values())
    before = offer(cast, cast.long)
    for active in (False, False, True):
        cast.database.write(offers.set_active, cast.carol, cast.long, active, locked=locked, now=NOW)
        with cast.database.reading() as session:
            assert visit_types.get_visit_type(session, cast.long).active is active
    assert offer(cast, cast.long) == before
    actions = [action for action, _details in audited(cast, "visit_type")]
    assert actions == ["visit_type_deactivated", "visit_type_reactivated"]


def test_the_list_counts_doctors_who_take_bookings(cast: Cast) -> None:
    cast.change(sa.update(Doctor).where(Doctor.slug == "erin").values(active=False))
    with cast.database.reading() as session:
        counts = offers.count_offering(session)
        choices = offers.doctors_to_choose(session)
    assert (counts[cast.long], counts.get(cast.erins_only)) == (1, None)
    assert [(each.name, each.active) for each in choices] == [("Dr. Bob Brown", True), ("Dr. Erin Eze", False)]


def test_concurrent_deactivating_and_offering_of_a_visit_type_are_serialised(cast: Cast) -> None:
    """Either Erin offers it and its deactivation saw her appointments, or it was inactive before she could."""
    erin, bob = cast.doctor_ids["erin"], cast.doctor_ids["bob"]
    command = saved(cast, "erin").profile
    wider = command.model_copy(update={"visit_type_ids": [*command.visit_type_ids, cast.short]})
    barrier = Barrier(2)

    def deactivate() -> str:
        barrier.wait()
        try:
            cast.database.write(offers.set_active, cast.carol, cast.short, False, locked=[bob], now=NOW)
        except OfferedMeanwhile:
            return "refused"
        return "done"

    def begin_to_offer() -> str:
        barrier.wait()
        try:
            cast.database.write(profiles.change, cast.carol, "erin", wider, seen="", now=NOW)
        except Invalid:
            return "refused"
        return "done"

    with ThreadPoolExecutor(2) as pool:
        ends = [future.result() for future in [pool.submit(deactivate), pool.submit(begin_to_offer)]]
    assert sorted(ends) == ["done", "refused"]
    with cast.database.reading() as session:
        tie = sa.select(doctor_visit_types).where(
            doctor_visit_types.c.doctor_id == erin, doctor_visit_types.c.visit_type_id == cast.short
        )
        assert (session.execute(tie).one_or_none() is not None) == (ends[1] == "done")
