"""Finding a doctor and a free time: the list, the profile, the week calendar."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import Cast, client_for, local, log_in
from tests.reading import HTMX, Element, read, read_fragment
from webapp import models

OF_PAGES = "Cookie, HX-Request, HX-Boosted, HX-History-Restore-Request"
VARY = f"{OF_PAGES}, Accept-Encoding"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Free times have their own tests on both databases; these are about pages."""
    return sqlite_url


def doctor_names(page: Element) -> list[str]:
    return [item.one("h3").text for item in page.all("li", class_="doctor")]


def slots(page: Element) -> list[str]:
    """The labels of the free times, in the order of the page."""
    return [slot.text for slot in page.all("a", class_="slot")]


def day_column(page: Element, name: str) -> Element:
    columns = [item for item in page.all("li") if item.get("data-day") and item.one("h3").text.startswith(name)]
    assert len(columns) == 1
    return columns[0]


# ------------------------------------------------------------------------------------------ the doctors


def test_the_first_page_offers_the_earliest_time_of_all_as_one_link(client: TestClient, cast: Cast) -> None:
    page = read(client.get("/"))
    assert page.h1 == "A doctor can see you today at 10:00."
    book = page.one("section", class_="slip").one("a")
    assert book.text == "Book this time"
    assert book["href"] == f"/book?doctor=bob&visit_type={cast.short}&starts_at=2026-03-02T09:00:00Z"


def test_the_list_shows_every_doctor_with_the_next_free_times(client: TestClient, cast: Cast) -> None:
    page = read(client.get("/doctors"))
    assert doctor_names(page) == ["Dr. Bob Brown", "Dr. Erin Eze"]
    bob = page.all("li", class_="doctor")[0]
    assert slots(bob)[:2] == ["10:00", "10:15"]
    assert bob.all("a", class_="slot")[0]["aria-label"] == "10:00, Today 2 Mar, Dr. Bob Brown"
    assert "English" in bob.text
    # Every free time is an ordinary link to the booking page.
    assert all(href.startswith("/book?doctor=bob&") for href in (a["href"] for a in bob.all("a", class_="slot")))


def test_the_first_page_and_the_list_are_the_same(client: TestClient) -> None:
    assert doctor_names(read(client.get("/"))) == doctor_names(read(client.get("/doctors")))


FILTERS: list[tuple[dict[str, str], list[str]]] = [
    ({"q": "erin"}, ["Dr. Erin Eze"]),
    ({"q": "EZÉ"}, ["Dr. Erin Eze"]),
    ({"q": "dermatology"}, ["Dr. Erin Eze"]),
    ({"q": "brown bob"}, ["Dr. Bob Brown"]),
    ({"q": "family"}, ["Dr. Bob Brown"]),
    ({"q": "skin"}, ["Dr. Bob Brown", "Dr. Erin Eze"]),
    ({"q": "nobody"}, []),
    ({"specialty": "Dermatology"}, ["Dr. Erin Eze"]),
    ({"specialty": "Astrology"}, []),
    ({"language": "Igbo"}, ["Dr. Erin Eze"]),
    ({"visit_type": "Follow-up"}, ["Dr. Bob Brown"]),
    ({"visit_type": "First visit"}, ["Dr. Bob Brown", "Dr. Erin Eze"]),
    ({"visit_type": "First visit", "language": "Igbo", "q": "e"}, ["Dr. Erin Eze"]),
    ({"specialty": "Dermatology", "visit_type": "Follow-up"}, []),
    ({"q": "%_\\'\""}, ["Dr. Bob Brown", "Dr. Erin Eze"]),
]


def test_a_filter_narrows_the_page_and_the_fragment_alike(client: TestClient) -> None:
    for query, names in FILTERS:
        whole = client.get("/doctors", params=query)
        assert whole.headers["vary"] == VARY
        assert doctor_names(read(whole)) == names, query
        part = client.get("/doctors", params=query, headers=HTMX)
        assert part.status_code == 200
        assert doctor_names(read_fragment(part, "doctor-list")) == names, query
        if not names:
            assert "No doctors found" in read(whole).text
            # An empty list of doctors has no headline about free times.
            assert read(whole).h1 == "Find a time"


def test_a_filter_stays_chosen_and_can_be_cleared(client: TestClient) -> None:
    page = read(client.get("/doctors?specialty=Dermatology&q=erin"))
    assert page.form("/doctors", "get") == {"q": "erin", "specialty": "Dermatology", "visit_type": "", "language": ""}
    assert "Clear filters" in page.text
    assert "Clear filters" not in read(client.get("/doctors")).text


def test_the_headline_is_about_the_filtered_doctors(client: TestClient) -> None:
    whole = read(client.get("/doctors?specialty=Dermatology")).one("div", id="hero")
    assert whole.get("hx-swap-oob") is None
    assert "Dr. Erin Eze" in whole.text
    part = read_fragment(client.get("/doctors?specialty=Dermatology", headers=HTMX), "doctor-list")
    hero = part.one("div", id="hero")
    assert (hero["hx-swap-oob"], hero.text) == ("true", whole.text)


def test_a_search_ignores_accents_and_is_limited_in_length(client: TestClient, cast: Cast) -> None:
    bob = sa.update(models.Doctor).where(models.Doctor.slug == "bob")
    for name, typed in (("Dr. Işıl Łoś", "isil los"), ("Dr. Søren Đæss", "SOREN daeß"), ("Dr. O’Brien", "o'brien")):
        cast.change(bob.values(name=name))
        assert doctor_names(read(client.get("/doctors", params={"q": typed}))) == [name]
    # A search text that would take long to parse is cut first.
    long = "o\u0301" * 2000
    page = read(client.get("/doctors", params={"q": long}))
    assert len(page.one("input", name="q")["value"]) <= 100


def test_past_the_last_page_is_the_last_page(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.scheduling.search_router.PAGE_SIZE", 1)
    for number in (2, 3, 99):
        page = read(client.get(f"/doctors?page={number}"))
        assert doctor_names(page) == ["Dr. Erin Eze"]
        assert "Page 2 of 2" in page.text


def test_a_week_that_has_passed_says_so(client: TestClient) -> None:
    calendar = read(client.get("/doctors/bob?week=2026-W08")).one("section", id="calendar")
    assert "This week is over" in calendar.text
    assert calendar["data-announce"] == "16 to 20 February 2026. This week is over."


def test_an_appointment_that_is_only_booked_by_telephone_is_no_filter(client: TestClient) -> None:
    kinds = read(client.get("/doctors")).one("select", name="visit_type")
    assert [option.text for option in kinds.all("option")] == [
        "Any visit type",
        "Allergy test",
        "First visit",
        "Follow-up",
        "Skin procedure",
    ]


def test_boosted_and_restored_requests_get_the_whole_page(client: TestClient) -> None:
    for path in ("/doctors", "/doctors/bob/calendar"):
        for header in ("hx-boosted", "hx-history-restore-request"):
            assert read(client.get(path, headers={**HTMX, header: "true"})).one("html")


def test_the_doctor_with_the_earliest_time_comes_first(client: TestClient, cast: Cast) -> None:
    away = models.TimeOff(doctor_id=cast.doctor_ids["bob"], starts_at=cast.now, ends_at=local("2026-03-04 00:00"))
    cast.add(away)
    assert doctor_names(read(client.get("/doctors"))) == ["Dr. Erin Eze", "Dr. Bob Brown"]


def test_without_any_free_time_the_page_says_so(client: TestClient, cast: Cast) -> None:
    cast.add(models.Closure(name="Rebuilding", starts_on=date(2026, 3, 1), ends_on=date(2026, 12, 31)))
    page = read(client.get("/"))
    assert page.h1 == "There are no free times at the moment."
    assert slots(page) == []
    assert page.text.count("No free times in the next 90 days") == 2
    profile = read(client.get("/doctors/bob"))
    assert "No free times this week" in profile.text
    assert "Closed: Rebuilding" in profile.text
    assert "There are no other free times." in profile.text


def test_a_clinic_without_doctors_still_has_a_first_page(client: TestClient, cast: Cast) -> None:
    cast.change(sa.update(models.Doctor).values(active=False))
    page = read(client.get("/"))
    # There are no filters to remove, and no new times every day.
    assert page.h1 == "Find a time"
    assert "No doctors yet" in page.text
    assert "Show all doctors" not in page.text
    assert client.get("/doctors/bob").status_code == 404


# ------------------------------------------------------------------------------------------ the profile


def test_a_profile_says_who_the_doctor_is_and_shows_the_week_of_the_next_free_time(client: TestClient) -> None:
    page = read(client.get("/doctors/bob"))
    assert page.h1 == "Dr. Bob Brown"
    for words in ("General practice", "A family doctor.", "Room 3", "Today at 10:00", "Up to 24 hours before"):
        assert words in page.text
    assert page.one("h2", id="calendar-title").text == "2 to 6 March 2026"
    assert "All times are Amsterdam time." in page.text


def test_a_taken_or_past_time_is_not_a_link(client: TestClient, cast: Cast) -> None:
    cast.book(cast.dave, "2026-03-03 09:30")
    page = read(client.get("/doctors/bob"))
    tuesday = day_column(page, "Tuesday 3 March")
    assert "09:15" in slots(tuesday)
    assert "09:30" not in slots(tuesday)
    # With two hours of notice, the first time that can be booked at 08:00 is 10:00.
    assert slots(day_column(page, "Monday 2 March"))[0] == "10:00"


def test_the_calendar_is_a_fragment_for_htmx_and_a_page_otherwise(client: TestClient) -> None:
    whole = client.get("/doctors/bob/calendar?week=2026-W11")
    part = client.get("/doctors/bob/calendar?week=2026-W11", headers=HTMX)
    assert whole.headers["vary"] == part.headers["vary"] == VARY
    assert read(whole).h1 == "Dr. Bob Brown"
    fragment = read_fragment(part, "calendar")
    assert slots(fragment) == slots(read(whole).one("section", id="calendar"))
    assert fragment["data-announce"] == "9 to 13 March 2026. Free times are shown."


def test_the_fragment_puts_the_address_of_the_whole_page_into_the_address_bar(client: TestClient, cast: Cast) -> None:
    plain = client.get("/doctors/bob/calendar?week=2026-W11", headers=HTMX)
    assert plain.headers["hx-push-url"] == "/doctors/bob?week=2026-W11"
    typed = client.get(f"/doctors/bob/calendar?visit_type={cast.long}&week=2026-W11", headers=HTMX)
    assert typed.headers["hx-push-url"] == f"/doctors/bob?visit_type={cast.long}&week=2026-W11"
    assert "hx-push-url" not in client.get("/doctors/bob/calendar?week=2026-W11").headers
    # Another visitor with that address sees the same week.
    shared = read(client.get(typed.headers["hx-push-url"]))
    assert slots(shared.one("section", id="calendar")) == slots(read_fragment(typed, "calendar"))


def test_the_weeks_are_joined_by_links_that_work_without_scripts(client: TestClient) -> None:
    first = read(client.get("/doctors/bob"))
    assert not first.all("a", id="calendar-previous")
    assert not first.all("a", id="calendar-today")
    onward = first.one("a", id="calendar-next")
    assert onward["href"] == "/doctors/bob?week=2026-W11"
    assert onward["hx-get"] == "/doctors/bob/calendar?week=2026-W11"
    second = read(client.get(onward["href"]))
    assert second.one("a", id="calendar-previous")["href"] == "/doctors/bob?week=2026-W10"
    assert second.one("a", id="calendar-today")["href"] == "/doctors/bob?week=2026-W10"


def test_the_weeks_end_at_the_horizon(client: TestClient) -> None:
    # Ninety days, starting with Monday 2 March, end on Sunday 31 May.
    last = read(client.get("/doctors/bob?week=2026-W22"))
    assert slots(last)
    assert not last.all("a", id="calendar-next")
    beyond = read(client.get("/doctors/bob?week=2026-W23"))
    assert slots(beyond) == []
    assert "Booking not open yet" in beyond.text


def test_a_week_without_free_times_says_why_and_leads_to_the_next_that_has_one(client: TestClient, cast: Cast) -> None:
    cast.add(
        models.TimeOff(
            doctor_id=cast.doctor_ids["bob"],
            starts_at=local("2026-03-09 00:00"),
            ends_at=local("2026-03-14 00:00"),
        )
    )
    cast.add(models.Closure(name="Carnival", starts_on=date(2026, 3, 10), ends_on=date(2026, 3, 10)))
    page = read(client.get("/doctors/bob?week=2026-W11"))
    assert "No free times this week" in page.text
    assert "Monday 9 March: Away" in page.text
    assert "Tuesday 10 March: Closed: Carnival" in page.text
    assert page.one("a", id="calendar-jump")["href"] == "/doctors/bob?week=2026-W10"


def test_without_a_week_the_calendar_opens_where_something_is_free(client: TestClient, cast: Cast) -> None:
    cast.add(
        models.TimeOff(
            doctor_id=cast.doctor_ids["bob"], starts_at=local("2026-03-01 00:00"), ends_at=local("2026-03-25 12:00")
        )
    )
    page = read(client.get("/doctors/bob"))
    assert page.one("h2", id="calendar-title").text == "23 to 27 March 2026"
    assert slots(page)[0] == "13:00"
    assert "Wednesday 25 March at 13:00" in page.text
    assert "Clocks go forward on Sunday 29 March." in page.text


def test_the_visit_type_changes_the_times_and_stays_in_the_links(client: TestClient, cast: Cast) -> None:
    page = read(client.get(f"/doctors/bob?visit_type={cast.buffered}"))
    kinds = page.one("form", class_="kinds")
    assert [choice.text for choice in kinds.all("label")] == [
        "Follow-up 15 minutes",
        "First visit 30 minutes",
        "Skin procedure 45 minutes",
    ]
    assert kinds.values() == {"week": "2026-W10", "visit_type": str(cast.buffered)}
    # 45 minutes must end before the doctor's break at 12:00.
    tuesday = slots(day_column(page, "Tuesday 3 March"))
    assert "11:15" in tuesday
    assert "11:30" not in tuesday
    assert page.one("a", id="calendar-next")["href"] == f"/doctors/bob?visit_type={cast.buffered}&week=2026-W11"
    hrefs = [slot["href"] for slot in page.all("a", class_="slot")]
    assert all(f"visit_type={cast.buffered}&" in href for href in hrefs)


def test_a_visit_type_that_is_not_bookable_here_falls_back_to_the_first(client: TestClient, cast: Cast) -> None:
    for odd in (cast.by_phone, cast.erins_only, 999, "x", "-1", "٣"):
        page = read(client.get("/doctors/bob", params={"visit_type": odd}))
        assert page.one("form", class_="kinds").values()["visit_type"] == str(cast.short), odd


def test_a_doctor_seen_by_appointment_on_the_telephone_has_no_calendar(client: TestClient, cast: Cast) -> None:
    cast.change(sa.update(models.VisitType).values(online=False))
    page = read(client.get("/doctors/bob"))
    assert "Call us to book this doctor" in page.text
    assert "020 123 4567" in page.text
    assert slots(page) == []
    # There is nothing to swap in, so HTMX gets the page as well.
    assert client.get("/doctors/bob/calendar", headers=HTMX).status_code == 200


ODD_WEEKS = ["2026-W60", "2026-W00", "W11", "x", "2026-11", "0001-W01", "9999-W52", "-1-W01", "2026-W1-1", "99999-W01"]


def test_a_week_that_does_not_exist_is_not_found(client: TestClient) -> None:
    for week in ODD_WEEKS:
        for path in ("/doctors/bob", "/doctors/bob/calendar"):
            answer = client.get(path, params={"week": week})
            assert answer.status_code == 404, week
            assert "This week does not exist." in answer.text


def test_a_doctor_who_does_not_exist_is_not_found(client: TestClient) -> None:
    for path in ("/doctors/nobody", "/doctors/nobody/calendar", "/doctors/BOB'--", "/doctors/bob/nothing"):
        assert client.get(path).status_code == 404, path
    fragment = client.get("/doctors/nobody/calendar", headers=HTMX)
    assert fragment.status_code == 404
    assert read_fragment(fragment, "fragment").one("h2").text == "Page not found"


def test_clocks_going_forward_leave_no_time_that_does_not_exist(cast: Cast) -> None:
    # A night clinic on the Sunday on which 02:00 to 03:00 does not exist.
    cast.add(
        models.ExtraHours(doctor_id=cast.doctor_ids["bob"], day=date(2026, 3, 29), start_minute=60, end_minute=4 * 60)
    )
    with client_for(cast.database) as client:
        page = read(client.get("/doctors/bob?week=2026-W13"))
    sunday = day_column(page, "Sunday 29 March")
    assert slots(sunday) == ["01:00", "01:15", "01:30", "01:45", "03:00", "03:15", "03:30", "03:45"]


def test_clocks_going_back_name_the_hour_that_comes_twice(cast: Cast) -> None:
    cast.add(
        models.ExtraHours(
            doctor_id=cast.doctor_ids["bob"], day=date(2026, 10, 25), start_minute=2 * 60, end_minute=3 * 60
        )
    )
    with client_for(cast.database, now=datetime(2026, 10, 5, 7, 0, tzinfo=UTC)) as client:
        page = read(client.get("/doctors/bob?week=2026-W43"))
    sunday = day_column(page, "Sunday 25 October")
    assert slots(sunday) == [
        f"{label} {zone}" for zone in ("CEST", "CET") for label in ("02:00", "02:15", "02:30", "02:45")
    ]
    hrefs = [slot["href"][-20:] for slot in sunday.all("a", class_="slot")]
    assert hrefs[0] == "2026-10-25T00:00:00Z"
    assert hrefs[4] == "2026-10-25T01:00:00Z"


# --------------------------------------------------------------------------------------- who is looking


def test_a_signed_in_patient_is_not_offered_times_that_clash_with_their_own(client: TestClient, cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 10:00", doctor="erin", visit_type=cast.long)
    signed_out = slots(day_column(read(client.get("/doctors/bob")), "Tuesday 3 March"))
    assert "10:00" in signed_out
    alices = slots(day_column(read(log_in(client, "alice").get("/doctors/bob")), "Tuesday 3 March"))
    # The margin of half an hour around 10:00 to 10:30 is not offered.
    assert set(signed_out) - set(alices) == {"09:30", "09:45", "10:00", "10:15", "10:30", "10:45"}


def test_ten_appointments_are_a_banner_and_hide_nothing(client: TestClient, cast: Cast) -> None:
    for day in (*range(9, 14), *range(16, 21)):
        cast.book(cast.alice, f"2026-03-{day:02d} 09:00")
    page = read(log_in(client, "alice").get("/doctors/bob"))
    assert "You have 10 upcoming appointments, which is the most you can book online." in page.text
    assert slots(page)
    assert "10 upcoming visits" not in read(client.get("/doctors/bob/calendar", headers=HTMX)).text


# ---------------------------------------------------------------------------------------------- caching


def test_a_public_page_that_has_not_changed_is_not_sent_again(client: TestClient, cast: Cast) -> None:
    tags = {}
    for path in ("/", "/doctors", "/doctors/bob", "/doctors/bob/calendar?week=2026-W11"):
        first = client.get(path)
        assert first.headers["cache-control"] == "no-cache"
        again = client.get(path, headers={"if-none-match": first.headers["etag"]})
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == first.headers["etag"]
        assert again.headers["cache-control"] == "no-cache"
        assert again.headers["vary"] == first.headers["vary"] == VARY
        tags[path] = first.headers["etag"]
    cast.change(sa.update(models.ClinicSettings).values(name="Another clinic"))
    for path, tag in tags.items():
        changed = client.get(path, headers={"if-none-match": tag})
        assert changed.status_code == 200
        assert changed.headers["etag"] != tag


def test_page_and_fragment_have_different_etags(client: TestClient) -> None:
    whole, part = client.get("/doctors"), client.get("/doctors", headers=HTMX)
    assert whole.headers["etag"] != part.headers["etag"]
    assert client.get("/doctors", headers={**HTMX, "if-none-match": part.headers["etag"]}).status_code == 304


def test_a_booking_changes_the_etag_of_the_calendar(client: TestClient, cast: Cast) -> None:
    before = client.get("/doctors/bob?week=2026-W10")
    cast.book(cast.dave, "2026-03-03 09:30")
    after = client.get("/doctors/bob?week=2026-W10", headers={"if-none-match": before.headers["etag"]})
    assert after.status_code == 200


def test_pages_of_a_signed_in_patient_are_cached_only_by_their_browser(client: TestClient) -> None:
    log_in(client, "alice")
    answer = client.get("/doctors/bob")
    assert answer.headers["cache-control"] == "private, no-cache"
    again = client.get("/doctors/bob", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304
    assert again.headers["cache-control"] == "private, no-cache"


def test_static_files_with_a_version_may_be_kept_for_a_year(client: TestClient) -> None:
    styles = re.findall(r'href="(/static/[^"]+\.css\?v=[0-9a-f]+)"', client.get("/").text)
    assert styles
    for address in styles:
        assert client.get(address).headers["cache-control"] == "public, max-age=31536000, immutable"
    assert client.get("/static/css/base.css").headers["cache-control"] == "no-cache"
    assert client.get("/static/css/nothing.css?v=1").headers["cache-control"] == "no-store"


# ------------------------------------------------------------------------------------------ for another person


def child_of(cast: Cast, parent: str, name: str) -> int:
    """A dependant of a patient."""
    return cast.add(models.Patient(name=name, managed_by_id=cast.patient_ids[parent], created_at=cast.now))


def test_a_parent_looks_for_times_of_a_child(client: TestClient, cast: Cast) -> None:
    child = child_of(cast, "alice", "Cleo Child")
    cast.book(cast.alice, "2026-03-03 09:30")
    log_in(client, "alice")

    assert f"/doctors?patient={child}" in read(client.get("/account")).links
    page = read(client.get(f"/doctors?patient={child}"))
    assert "These times are for Cleo Child." in page.text
    assert page.h1.startswith("A doctor can see Cleo Child ")
    assert page.form("/doctors", "get")["patient"] == str(child)
    booking = [link for link in page.links if link.startswith("/book?")]
    assert booking
    assert all(f"patient={child}" in link for link in booking)
    assert f"/doctors/bob?visit_type={cast.short}&patient={child}" in page.links
    # Alice's own appointment hides that time with Erin for herself, but not for her child.
    at_that_time = "starts_at=2026-03-03T08:30:00Z"
    hers, theirs = (client.get(f"/doctors/erin{query}").text for query in ("", f"?patient={child}"))
    assert at_that_time not in hers
    assert at_that_time in theirs


def test_a_strangers_child_changes_nothing(client: TestClient, cast: Cast) -> None:
    child = child_of(cast, "alice", "Cleo Child")
    log_in(client, "dave")
    page = read(client.get(f"/doctors?patient={child}"))
    assert "Cleo" not in page.text
    assert not any("patient=" in link for link in page.links)
