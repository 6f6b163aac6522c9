"""Closing the clinic through the pages: previews, decisions about appointments, and public holidays."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import NOW, Cast, log_in
from tests.reading import Element, read
from webapp.models import Appointment, Closure

SPRING = {"name": "Spring break", "starts_on": "2026-03-03", "ends_on": "2026-03-04"}


@pytest.fixture
def carol(client: TestClient) -> TestClient:
    """The admin's browser."""
    return log_in(client, "carol")


def closures(cast: Cast) -> list[tuple[str, date, date]]:
    query = sa.select(Closure.name, Closure.starts_on, Closure.ends_on).order_by(Closure.starts_on, Closure.id)
    with cast.database.reading() as session:
        return [(row.name, row.starts_on, row.ends_on) for row in session.execute(query)]


def close(cast: Cast, name: str, first: date, last: date) -> int:
    return cast.add(Closure(name=name, starts_on=first, ends_on=last))


def appointment(cast: Cast, reference: str) -> Any:
    with cast.database.reading() as session:
        return session.execute(sa.select(Appointment).where(Appointment.reference == reference)).scalar_one()


def asked(page: Element) -> dict[str, str]:
    """The data that the form on the page would send."""
    return page.one("main").all("form", method="post")[-1].values()


def test_a_closure_that_affects_no_appointment_is_saved_without_a_question(carol: TestClient, cast: Cast) -> None:
    form = read(carol.get("/admin/closures/new")).form("/admin/closures")
    answer = carol.post("/admin/closures", data={**form, **SPRING, "step": "save"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/closures")
    assert closures(cast) == [("Spring break", date(2026, 3, 3), date(2026, 3, 4))]
    page = read(carol.get("/admin/closures"))
    assert "Tuesday 3 March 2026 to Wednesday 4 March 2026" in page.text
    assert "The closure is saved." in page.text


def test_the_preview_counts_what_can_no_longer_be_booked_and_saves_nothing(carol: TestClient, cast: Cast) -> None:
    answer = carol.post("/admin/closures", data={**SPRING, "ends_on": "2026-03-03", "step": "preview"})
    assert answer.status_code == 200
    # Bob: 28 short, 26 long and 24 buffered appointments could begin on that day. Erin: 14 of each of her two types.
    assert "106 times can no longer be booked in the next 90 days." in read(answer).text
    assert asked(read(answer))["name"] == "Spring break"
    assert closures(cast) == []


def test_affected_appointments_are_listed_and_each_decision_is_carried_out(carol: TestClient, cast: Cast) -> None:
    kept = cast.book(cast.alice, "2026-03-03 10:00")
    moved = cast.book(cast.dave, "2026-03-03 11:00")
    answer = carol.post("/admin/closures", data={**SPRING, "step": "save"})
    assert answer.status_code == 409
    page = read(answer)
    assert "2 appointments are affected" in page.text
    assert closures(cast) == []
    decided = {**asked(page), f"decide-{kept}": "keep", f"decide-{moved}": "move", "why": "We are away."}
    answer = carol.post("/admin/closures", data={**decided, "step": "save"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/desk/told/1")
    told = read(carol.get("/desk/told/1"))
    assert "The clinic is closed: Tuesday 3 March 2026" in told.text
    # The title names the day, so the lines have only times.
    assert sorted(each.text for each in told.one("main").all("time"))[:2] == ["10:00", "11:00"]
    assert "Moved to" in told.text
    assert "Kept, decide later" in told.text
    assert "closure:We are away." in appointment(cast, kept).flagged_why
    assert appointment(cast, moved).starts_at.date() not in (date(2026, 3, 3), date(2026, 3, 4))
    assert appointment(cast, moved).flagged_why == ""
    assert len(closures(cast)) == 1


def test_invalid_input_is_reported_and_kept(carol: TestClient, cast: Cast) -> None:
    for field, value, words in (
        ("name", "", "Enter a name, such as Summer break."),
        ("name", "x", "Enter a name of 2 to 120 characters."),
        ("name", "Break\x07", "Enter a name of 2 to 120 characters."),
        ("starts_on", "0001-01-01", "Enter a date between 2000 and 2100."),
        ("ends_on", "9999-12-31", "Enter a date between 2000 and 2100."),
        ("starts_on", "", "Enter the first day."),
        ("starts_on", "3 March", "Enter a real date, such as 2026-12-25."),
        ("ends_on", "2026-02-30", "Enter a real date, such as 2026-12-25."),
        ("ends_on", "2026-03-02", "The last day is before the first day."),
        ("ends_on", "2028-03-04", "This is longer than a year."),
    ):
        answer = carol.post("/admin/closures", data={**SPRING, field: value, "step": "save"})
        assert answer.status_code == 422, (field, value)
        page = read(answer)
        assert words in page.one(id=f"{field}-error").text
        assert {name: asked(page)[name] for name in SPRING} == {**SPRING, field: value}
    assert closures(cast) == []


def test_past_closures_are_listed_to_their_end(carol: TestClient, cast: Cast) -> None:
    days = [NOW.date() - timedelta(days=number) for number in range(1, 61)]
    rows = [{"name": f"Day {day:%j}", "starts_on": day, "ends_on": day} for day in days]
    cast.database.write(lambda session: session.execute(sa.insert(Closure), rows))
    details = read(carol.get("/admin/closures")).one("details")
    assert "60 past closures" in details.text
    assert len(details.all("tr")) == 1 + 60


def test_the_second_of_two_editors_is_shown_both(carol: TestClient, cast: Cast) -> None:
    number = close(cast, "Spring break", date(2026, 3, 3), date(2026, 3, 4))
    address = f"/admin/closures/{number}"
    form = read(carol.get(address)).form(address)
    assert carol.post(address, data={**form, "ends_on": "2026-03-05", "step": "save"}).status_code == 303
    answer = carol.post(address, data={**form, "name": "Team days", "step": "save"})
    assert answer.status_code == 409
    page = read(answer)
    assert "Someone else changed this while you were editing." in page.text
    assert page.one(id="ends_on-theirs").text == "Saved in the meantime: 2026-03-05"
    assert page.one(id="name-theirs").text == "Saved in the meantime: Spring break"
    # An admin who has seen both may save theirs.
    assert carol.post(address, data={**asked(page), "step": "save"}).status_code == 303
    assert closures(cast) == [("Team days", date(2026, 3, 3), date(2026, 3, 4))]


@pytest.mark.both_databases
def test_removing_a_closure_asks_first_and_takes_flags_off(carol: TestClient, cast: Cast) -> None:
    kept = cast.book(cast.alice, "2026-03-03 10:00")
    page = read(carol.post("/admin/closures", data={**SPRING, "step": "save"}))
    carol.post("/admin/closures", data={**asked(page), "decide-all": "keep", "step": "save"})
    assert appointment(cast, kept).flagged_why
    with cast.database.reading() as session:
        number = session.scalar(sa.select(Closure.id))
    address = f"/admin/closures/{number}/removal"
    form = read(carol.get(address)).form(address)
    preview = carol.post(address, data={**form, "step": "preview"})
    assert "more times can be booked in the next 90 days." in read(preview).text
    assert len(closures(cast)) == 1
    assert carol.post(address, data={**form, "step": "save"}).status_code == 303
    assert closures(cast) == []
    assert appointment(cast, kept).flagged_why == ""
    assert carol.get(address).status_code == carol.post(address, data=form).status_code == 404


def test_a_closure_that_was_edited_meanwhile_is_shown_again_before_it_is_removed(carol: TestClient, cast: Cast) -> None:
    number = close(cast, "Spring break", date(2026, 3, 3), date(2026, 3, 4))
    address = f"/admin/closures/{number}/removal"
    form = read(carol.get(address)).form(address)
    cast.change(sa.update(Closure).values(name="Renovation"))
    answer = carol.post(address, data={**form, "step": "save"})
    assert answer.status_code == 409
    assert "Remove Renovation?" in read(answer).h1
    assert carol.post(address, data={**asked(read(answer)), "step": "save"}).status_code == 303


# ------------------------------------------------------------------------------------------- public holidays


def ticked(page: Element) -> list[str]:
    return [box["value"] for box in page.all("input", type="checkbox") if box.get("checked") is not None]


def test_holidays_are_offered_for_the_clinics_country_but_for_days_on_which_it_is_never_open(
    carol: TestClient, cast: Cast
) -> None:
    close(cast, "King’s Day", date(2026, 4, 27), date(2026, 4, 27))
    page = read(carol.get("/admin/closures/holidays"))
    assert page.form("/admin/closures/holidays", "get") == {"country": "NL", "region": "", "year": "2026"}
    assert ticked(page) == ["2026-04-03", "2026-04-06", "2026-05-14", "2026-05-25", "2026-12-25"]
    assert "Sunday 5 April: Easter Sunday (never open on this weekday)" in page.text
    # It is 2 March.
    assert "New Year" not in page.text
    assert "Already closed Monday 27 April: King's Day" in page.text


def test_another_country_region_and_year(carol: TestClient) -> None:
    page = read(carol.get("/admin/closures/holidays?country=GB&region=SCT&year=2027"))
    assert "Saint Andrew's Day" in page.text
    assert page.form("/admin/closures/holidays", "get") == {"country": "GB", "region": "SCT", "year": "2027"}
    for odd in ("country=XX", "country=NL&region=SCT", "year=1900", "year=x", "country=&region=&year="):
        assert carol.get(f"/admin/closures/holidays?{odd}").status_code == 200, odd


def test_the_chosen_holidays_become_closures_and_appointments_on_them_are_asked_about(
    carol: TestClient, cast: Cast
) -> None:
    cast.book(cast.alice, "2026-04-06 10:00")
    page = read(carol.get("/admin/closures/holidays"))
    sent: dict[str, Any] = {**asked(page), "days": ["2026-04-03", "2026-04-06", "1999-01-01"], "step": "save"}
    answer = carol.post("/admin/closures/holidays", data=sent)
    assert answer.status_code == 409
    page = read(answer)
    assert "1 appointment is affected" in page.text
    assert ticked(page) == ["2026-04-03", "2026-04-06"]
    again: dict[str, Any] = {**asked(page), "days": sent["days"], "decide-all": "cancel", "step": "save"}
    assert carol.post("/admin/closures/holidays", data=again).status_code == 303
    assert closures(cast) == [
        ("Good Friday", date(2026, 4, 3), date(2026, 4, 3)),
        ("Easter Monday", date(2026, 4, 6), date(2026, 4, 6)),
    ]
    # They cannot be chosen again.
    answer = carol.post("/admin/closures/holidays", data=again)
    assert answer.status_code == 422
    assert "Select at least one day." in read(answer).one(id="days-error").text
    assert len(closures(cast)) == 2
