"""The board: all doctors of a day side by side, and one appointment beside it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.appointment_rows import put
from tests.cast import Cast, client_for, local, log_in
from tests.reading import HTMX, Element, read
from webapp import models
from webapp.database import VersionCache

DAY = "/board/2026-03-03"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """tests/staff/test_board.py reads the board on both databases."""
    return sqlite_url


def board_of(cast: Cast, address: str = DAY, *, now: str = "2026-03-02 08:00") -> Element:
    """The admin's board, opened at this time of the clinic's wall clock."""
    with client_for(cast.database, now=local(now)) as client:
        return read(log_in(client, "carol").get(address))


def lines(page: Element, slug: str = "bob") -> list[str]:
    """What a doctor's column says, in order."""
    things = page.one("section", id=f"column-{slug}").one("ol").all("li")
    return [link["aria-label"] for each in things for link in each.all("a") or [Element("", {"aria-label": each.text})]]


def test_a_column_says_everything_about_a_day_in_order(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 09:30")
    cast.book(cast.dave, "2026-03-03 14:00", visit_type=cast.buffered)
    page = board_of(cast)
    assert page.h1 == "Tuesday 3 March 2026"
    assert lines(page)[:4] == [
        "09:00 to 09:15, free",
        "09:15 to 09:30, free",
        "09:30 to 09:45, Alice Adams, Follow-up, scheduled",
        "09:45 to 10:00, free",
    ]
    assert "12:00 to 13:00, Break" in lines(page)
    # Between the buffer's end and the next quarter, nothing can be booked.
    around = lines(page).index("14:00 to 14:45, Dave Dunn, Skin procedure, scheduled")
    assert lines(page)[around - 1 : around + 2 : 2] == ["13:45 to 13:55, free", "15:00 to 15:15, free"]
    column = page.one("section", id="column-bob")
    assert [each["class"] for each in column.all("i", class_="buffer")] == ["buffer h4 r11 v1", "buffer h5 r9 v2"]
    assert column.one("h2").text == "Dr. Bob Brown 2 booked"


def until_midnight(cast: Cast) -> str:
    """A clinic that is open until midnight, with Bob's last appointment and Erin's time off in it."""
    cast.change(sa.update(models.OpeningHours).values(end_minute=24 * 60))
    evening = models.WorkingHours.start_minute == 13 * 60
    cast.change(sa.update(models.WorkingHours).where(evening).values(end_minute=24 * 60))
    off = {"starts_at": local("2026-03-03 21:00"), "ends_at": local("2026-03-04 00:00"), "reason": "School"}
    cast.add(models.TimeOff(doctor_id=cast.doctor_ids["erin"], **off))
    return cast.book(cast.alice, "2026-03-03 23:45")


@pytest.mark.parametrize(
    ("who", "address"),
    [
        *(("carol", f"{DAY}{rest}") for rest in ("", "/appointments/{0}", "/sheets")),
        *(("carol", f"/appointments/{{0}}{rest}") for rest in ("", "/reschedule", "/cancellation")),
        *(("carol", address) for address in ("/admin", "/desk/booking?after={0}")),
        *(("bob", f"/schedule/{rest}") for rest in ("2026-03-03", "week/2026-W10")),
        *(("erin", f"/schedule/{rest}") for rest in ("week/2026-W10", "time-off")),
        ("alice", "/appointments/{0}"),
    ],
)
def test_a_day_ends_at_24_00(cast: Cast, who: str, address: str) -> None:
    """'23:45 to 00:00' would seem to end before it begins."""
    reference = until_midnight(cast)
    with client_for(cast.database, now=local("2026-03-03 08:00")) as client:
        page = read(log_in(client, who).get(address.format(reference)))
    spoken = " ".join([page.text, *(each.get("aria-label") or "" for each in page.all())])
    assert "00:00" not in spoken


def test_free_time_is_booked_and_an_appointment_opened_with_a_plain_link(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-03 09:30")
    page = read(log_in(client, "carol").get(DAY))
    assert "/desk/booking?doctor=bob&starts_at=2026-03-03T08:15:00Z" in page.links
    block = page.one("li", id=f"appointment-{reference}")
    assert block["data-version"] == "1"
    assert block.links == [f"{DAY}/appointments/{reference}"]
    beside = client.get(block.links[0])
    assert read(beside).one("section", class_="panel").one("h2").text == "Alice Adams"
    assert read(beside).one("li", id=f"appointment-{reference}").all("a", aria_current="true")
    assert read(client.get(block.links[0], headers=HTMX)).one("h2").text == "Alice Adams"


def test_an_appointment_of_another_day_leads_to_its_own_board(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-03 09:30")
    answer = log_in(client, "carol").get(f"/board/2026-03-04/appointments/{reference}")
    assert answer.headers["location"] == f"{DAY}/appointments/{reference}"
    assert client.get(f"{DAY}/appointments/ZZZZ-ZZZZ").status_code == 404
    assert client.get("/board/2026-02-30").status_code == 404
    assert client.get("/board?day=2026-03-04").headers["location"] == "/board/2026-03-04"


def test_times_within_the_notice_look_different_and_past_ones_are_gone(cast: Cast) -> None:
    page = board_of(cast, now="2026-03-03 10:05")
    # The patients' notice is two hours.
    assert lines(page)[:2] == ["10:15 to 10:30, free, staff only", "10:30 to 10:45, free, staff only"]
    assert "13:00 to 13:15, free" in lines(page)
    assert lines(page, "erin")[0] == "10:30 to 11:00, free, staff only"
    assert page.one("p", class_="now")["class"] == "now h1 r1"
    assert lines(board_of(cast, now="2026-03-04 10:05")) == ["12:00 to 13:00, Break"]
    # Beyond the horizon, too.
    assert lines(board_of(cast, "/board/2026-07-01"))[0] == "09:00 to 09:15, free, staff only"


def test_statuses_and_flags_have_signs_and_words(cast: Cast) -> None:
    put(cast, "2026-03-03 09:00", status="no_show")
    number = put(cast, "2026-03-03 10:00", status="confirmed")
    put(cast, "2026-03-03 11:00", status="cancelled")
    told = {"flagged_why": "time_off", "override_reason": "By telephone", "notes": "A wheelchair"}
    cast.change(sa.update(models.Appointment).where(models.Appointment.id == number).values(told))
    page = board_of(cast)
    said = lines(page)
    assert "09:00 to 09:30, Alice Adams, First visit, no-show" in said
    words = "First visit, confirmed, needs a decision, exception, to arrange"
    assert f"10:00 to 10:30, Alice Adams, {words}" in said
    # A cancelled appointment takes no room, and its time can be booked.
    assert "11:00 to 11:15, free" in said
    assert "2 appointments · 1 no-\u2060show · 1 cancelled" in page.text


def test_only_the_doctors_of_the_day_have_columns_and_any_can_be_shown_alone(cast: Cast) -> None:
    erin = models.WorkingHours.doctor_id == cast.doctor_ids["erin"]
    cast.change(sa.delete(models.WorkingHours).where(erin))
    page = board_of(cast)
    assert [each["id"] for each in page.all("section", class_="col")] == ["column-bob"]
    assert "Not in: Dr. Erin Eze" in page.text
    page = board_of(cast, f"{DAY}?doctor=erin")
    assert [each["id"] for each in page.all("section", class_="col")] == ["column-erin"]


def test_time_off_and_closures_are_seen(cast: Cast) -> None:
    off = {"starts_at": local("2026-03-03 10:00"), "ends_at": local("2026-03-03 12:00"), "reason": "School"}
    cast.add(models.TimeOff(doctor_id=cast.doctor_ids["bob"], **off))
    assert lines(board_of(cast))[3:6] == [
        "09:45 to 10:00, free",
        "10:00 to 12:00, Time off: School",
        "12:00 to 13:00, Break",
    ]
    # What is over lies before it, and nothing beside it looks free.
    seen = put(cast, "2026-03-03 09:30", minutes=60, status="completed")
    assert "10:30 to 12:00, Time off: School" in lines(board_of(cast))
    cast.change(sa.delete(models.Appointment).where(models.Appointment.id == seen))
    day = local("2026-03-03 12:00").date()
    cast.add(models.Closure(name="Rebuilding", starts_on=day, ends_on=day))
    page = board_of(cast)
    assert "Closed: Rebuilding" in page.text
    assert page.all("i", class_="open") == []
    assert not any("free" in line for line in lines(page))


def test_a_status_is_one_tap_beside_the_board(client: TestClient, cast: Cast) -> None:
    reference = put_on_the_board(cast)
    with client_for(cast.database, now=local("2026-03-03 09:25")) as client:
        address = f"{DAY}/appointments/{reference}"
        page = read(log_in(client, "carol").get(address))
        form = page.form(f"/appointments/{reference}/status") | {"status": "arrived"}
        answer = client.post(f"/appointments/{reference}/status", data=form, headers=HTMX)
        assert answer.headers["hx-push-url"] == address
        swapped = read(answer)
        assert swapped.one("section", class_="panel")["data-announce"] == "Alice Adams: arrived"
        column = swapped.one("section", id="column-bob")
        assert column["hx-swap-oob"] == "true"
        assert "09:30 to 10:00, Alice Adams, First visit, arrived" in lines(swapped)
        undo = swapped.form(f"/appointments/{reference}/status/undo")
        # Without JavaScript, the page comes again and says what was done.
        answer = client.post(f"/appointments/{reference}/status/undo", data=undo)
        assert answer.headers["location"] == address
        assert "Alice Adams: scheduled." in read(client.get(address)).text


def test_a_patient_arrives_with_one_tap_on_the_board_and_waits(cast: Cast) -> None:
    reference = put_on_the_board(cast)
    assert read_buttons(board_of(cast)) == []
    with client_for(cast.database, now=local("2026-03-03 09:20")) as client:
        page = read(log_in(client, "fiona").get(DAY))
        assert read_buttons(page) == [f"/appointments/{reference}/status?version=1"]
        sent = page.one("form", id="arrive").values() | {"status": "arrived"}
        # A board that shows an earlier state overwrites nothing, nor does a form that names none.
        for unseen in ("", "?version=2", "?version=x"):
            assert client.post(f"/appointments/{reference}/status{unseen}", data=sent).status_code == 409
        assert client.post(read_buttons(page)[0], data=sent).headers["location"] == DAY
        assert "Alice Adams: arrived." in read(client.get(DAY)).text
    with client_for(cast.database, now=local("2026-03-03 09:20") + timedelta(seconds=50)) as client:
        assert "09:30 to 10:00, Alice Adams, First visit, arrived" in lines(read(log_in(client, "fiona").get(DAY)))
    page = board_of(cast, now="2026-03-03 09:32")
    assert read_buttons(page) == []
    assert "09:30 to 10:00, Alice Adams, First visit, arrived, waiting 12 min" in lines(page)
    assert page.one("section", id="board")["data-live-every"] == "60"
    page = board_of(cast, f"{DAY}/appointments/{reference}", now="2026-03-03 09:35")
    assert page.one("span", class_="wait")["class"] == "wait long"
    assert "waiting 15 min" in page.one("section", class_="panel").text


def read_buttons(page: Element) -> list[str]:
    """The addresses to which the buttons on appointments send that a patient has arrived."""
    return [button["formaction"] for button in page.all("button", form="arrive")]


def put_on_the_board(cast: Cast) -> str:
    number = put(cast, "2026-03-03 09:30")
    with cast.database.reading() as session:
        return session.get_one(models.Appointment, number).reference


def test_the_reading_of_a_board_is_logged(client: TestClient, cast: Cast) -> None:
    number = put(cast, "2026-03-03 09:30")
    log_in(client, "carol").get(DAY)
    with cast.database.reading() as session:
        query = sa.select(models.AuditEvent.details).where(models.AuditEvent.action == "board_read")
        assert session.scalars(query).one() == {"appointments": [number]}


def test_the_columns_are_chosen_and_remembered(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")

    def columns(**sent: str) -> list[str]:
        assert client.post("/board/columns", data={"day": "2026-03-03", **sent}).headers["location"] == DAY
        return [each["id"].removeprefix("column-") for each in read(client.get(DAY)).all("section", class_="col")]

    assert columns(specialty="Dermatology") == ["erin"]
    assert columns(doctor="bob") == ["bob"]
    box = read(client.get(DAY)).one("input", type="checkbox", name="doctor", value="bob")
    assert box.get("checked") is not None
    # If every chosen doctor has left, the board shows all others.
    assert columns(doctor="nobody") == ["bob", "erin"]
    assert columns(specialty="Dermatology", all="1") == ["bob", "erin"]
    with cast.database.reading() as session:
        assert session.scalars(sa.select(models.BoardChoice)).all() == []


def test_the_scale_is_the_same_for_any_choice_of_columns(cast: Cast) -> None:
    put(cast, "2026-03-03 07:15", doctor="erin")
    clocks = [board_of(cast, address).one("div", class_="clock").text for address in (DAY, f"{DAY}?doctor=bob")]
    assert clocks[0] == clocks[1]
    assert clocks[0].startswith("07:00")


def test_staff_leave_a_note_that_patients_never_see(client: TestClient, cast: Cast) -> None:
    reference = put_on_the_board(cast)
    address = f"{DAY}/appointments/{reference}"
    page = read(log_in(client, "carol").get(address))
    form = page.form(f"{address}/note") | {"desk_note": "Wants the ground floor"}
    answer = client.post(f"{address}/note", data=form)
    assert answer.headers["location"] == address
    page = read(client.get(address))
    assert page.form(f"{address}/note")["desk_note"] == "Wants the ground floor"
    assert any("Alice Adams, First visit, scheduled, note" in line for line in lines(page))
    # The other window has the note as it was.
    late = client.post(f"{address}/note", data=form | {"desk_note": "Another"}, headers=HTMX)
    assert late.status_code == 409
    assert "Wants the ground floor" in read(late).text
    assert client.post(f"{address}/note", data=form | {"desk_note": "x" * 501}).status_code == 422
    assert "Wants the ground floor" in read(log_in(client, "bob").get("/schedule/2026-03-03")).text
    assert "Wants the ground floor" in read(client.get(f"/appointments/{reference}")).text
    assert "ground floor" not in log_in(client, "alice").get(f"/appointments/{reference}").text


def test_open_boards_that_ask_again_get_the_same_part_and_the_change(client: TestClient, cast: Cast) -> None:
    automatic = {**HTMX, "docket-live": "1"}
    log_in(client, "carol")
    part = client.get(DAY, headers=HTMX)
    for _time in range(2):
        again = client.get(DAY, headers=automatic)
        assert again.text == part.text
        # The second time the part is kept, and its headers with it.
        assert again.headers["vary"] == part.headers["vary"]
    # Another person's reading is logged, too.
    log_in(client, "fiona")
    assert client.get(DAY, headers=automatic).status_code == 200
    put(cast, "2026-03-03 10:00", patient="dave")
    changed = client.get(DAY, headers=automatic)
    assert "Dave Dunn" in changed.text
    assert changed.text == client.get(DAY, headers=HTMX).text
    with cast.database.reading() as session:
        query = sa.select(models.AuditEvent.actor_user_id).where(models.AuditEvent.action == "board_read")
        readers = session.scalars(query.order_by(models.AuditEvent.id)).all()
    assert len(set(readers)) == 2
    assert len(readers) == 4


def shown_and_new(client: TestClient, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]) -> tuple[str, str]:
    """The board as this process shows it, and as one shows it that has cached nothing."""
    app: Any = client.app
    shown = client.get(DAY, headers=headers)
    assert shown.status_code == 200
    with monkeypatch.context() as emptied:
        emptied.setattr(app.state.database, "_cache", VersionCache())
        return shown.text, client.get(DAY, headers=headers).text


def test_a_start_is_over_for_open_boards_too_from_its_first_second_on(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    app: Any = client.app
    boards = []
    for second in (0, 1):
        app.state.clock = lambda second=second: local("2026-03-03 10:00") + timedelta(seconds=second)
        log_in(client, "carol")
        shown, new = shown_and_new(client, monkeypatch, {**HTMX, "docket-live": "1"})
        assert shown == new
        boards.append(shown)
    assert boards[0] != boards[1]


# Neither 40 nor 45 minutes divide an hour, and Amsterdam is an hour ahead of UTC.
@pytest.mark.parametrize("step", [40, 45])
def test_free_time_is_gone_once_its_start_has_passed_whatever_the_doctors_steps(
    step: int, client: TestClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    app: Any = client.app
    cast.change(sa.update(models.Doctor).values(slot_step=step))
    for minutes in range(0, 95, 5):
        app.state.clock = lambda minutes=minutes: local("2026-03-03 09:00") + timedelta(minutes=minutes)
        if minutes % 20 == 0:
            log_in(client, "carol")
        shown, new = shown_and_new(client, monkeypatch, HTMX)
        assert shown == new, minutes


def test_the_patients_details_are_edited_beside_the_board(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-03 09:30")
    here, number = f"{DAY}/appointments/{reference}", cast.patient_ids["alice"]
    address = f"/admin/patients/{number}/edit"
    log_in(client, "fiona")
    for place in (here, f"/appointments/{reference}"):
        (edit,) = [link for link in read(client.get(place)).links if link.startswith(address)]
        page = read(client.get(edit))
        assert place in page.links
        answer = client.post(address, data=page.form(address) | {"phone": "020 123 4567"})
        assert answer.headers["location"] == place
    form = read(client.get(f"{address}?back={here}", headers=HTMX)).form(address)
    changed = client.post(address, data=form | {"phone": "020 765 4321", "alert": "wheelchair"}, headers=HTMX)
    assert changed.headers["hx-retarget"] == "#panel"
    panel = read(changed)
    assert "tel:+31207654321" in panel.links
    assert panel.one("section", class_="panel")["data-announce"] == "The record is saved."
    assert "alert: wheelchair" in panel.one("li", id=f"appointment-{reference}").one("a")["aria-label"]
    # Another browser had the form open: nothing that was typed there is lost, and nothing is overwritten.
    late = client.post(address, data=form | {"phone": "020 111 1111"}, headers=HTMX)
    assert late.status_code == 409
    again = read(late)
    assert (again.form(address)["phone"], again.form(address)["back"]) == ("020 111 1111", here)
    assert "020 765 4321" in again.text
    # The address of an account asks the desk to confirm who they are, and what was typed is kept.
    cast.change(sa.update(models.UserSession).values(factor_at=local("2026-03-01 08:00")))
    form = again.form(address) | {"email": "alice.new@docket.example", "phone": "020 222 2222"}
    asked = client.post(address, data=form, headers=HTMX)
    assert asked.headers["hx-redirect"].startswith("/confirm")
