"""Typed text is not lost: when the session has ended, on the way to another time, after a forgotten password. Only its
writer reads it, and it is in no address and no log.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests import registering
from tests.cast import NOW, PASSWORD, Cast, client_for, local, log_in_by_form
from tests.reading import Element, read
from tests.snapshot import lasting_rows
from webapp import models
from webapp.auth import drafts
from webapp.auth.passwords import password_reset
from webapp.core import signing
from webapp.core.formats import iso
from webapp.exceptions import Unavailable

REASON, NOTES = "A rash that I tell only the doctor", "An interpreter, please"
NEW = {"name": "Nora Nowak", "email": "nora@example.org", "password": "two words and more words"}


def book_address(start: str = "2026-03-10 10:00") -> str:
    return f"/book?doctor=bob&visit_type=1&starts_at={iso(local(start)).replace(':', '%3A')}"


def written(client: TestClient, address: str | None = None) -> dict[str, str]:
    """The booking form as a patient has filled it in."""
    form = read(client.get(address or book_address())).form("/appointments")
    return form | {"reason": REASON, "notes": NOTES}


def end_sessions(cast: Cast) -> None:
    cast.change(sa.delete(models.UserSession))


def sign_in_link(page: Element) -> str:
    return next(href for href in page.links if href.startswith("/login?next="))


def sign_in_from(client: TestClient, page: Element, name: str) -> str:
    """Follow the link to sign in, do so by the form, and return where it leads."""
    login = read(client.get(sign_in_link(page)))
    form = login.form("/login") | {"email": f"{name}@docket.example", "password": PASSWORD}
    answer = client.post("/login", data=form)
    assert answer.status_code == 303
    return answer.headers["location"]


def kept_in_database(cast: Cast) -> int:
    with cast.database.reading() as session:
        return session.scalar(sa.select(sa.func.count(models.Draft.id))) or 0


def typed(page: Element) -> tuple[str, str]:
    form = page.form("/appointments")
    return form["reason"], form["notes"]


# ------------------------------------------------------------------------------------- the session has ended


@pytest.mark.both_databases
def test_a_booking_is_filled_in_after_signing_in_again(
    client: TestClient, cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    form = written(log_in_by_form(client, "alice"))
    end_sessions(cast)
    answer = client.post("/appointments", data=form)
    assert answer.status_code == 401
    page = read(answer)
    assert "Sign in, and your form will be there, filled in." in page.text
    assert parse_qs(urlsplit(sign_in_link(page)).query) == {"next": [book_address()]}
    assert "httponly" in answer.headers["set-cookie"].lower()
    back = sign_in_from(client, page, "alice")
    assert back == book_address()
    shown = read(client.get(back))
    assert typed(shown) == (REASON, NOTES)
    assert "We kept what you typed." in shown.text
    # Nothing was booked automatically. The user books now, and the draft is gone.
    assert client.post("/appointments", data=shown.form("/appointments")).status_code == 303
    assert kept_in_database(cast) == 0
    assert typed(read(client.get(book_address("2026-03-17 10:00")))) == ("", "")
    # No part of it was in an address, a cookie or a log.
    for word in ("rash", "interpreter"):
        assert word not in back + sign_in_link(page) + answer.headers["set-cookie"] + caplog.text


def test_any_other_form_is_shown_again_and_sent_by_its_user(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 10:00")
    forms: list[tuple[str, str, dict[str, Any], str]] = [
        ("alice", f"/appointments/{reference}/cancellation", {"reason": REASON}, "reason"),
        ("alice", "/account", {"name": "Alice Adamson"}, "name"),
        ("alice", "/account/people", {"name": "Ada Adams", "birth_date": "2020-01-02"}, "name"),
        ("bob", f"/appointments/{reference}/note", {"private_note": REASON}, "private_note"),
        ("bob", "/schedule/time-off/new", {"reason": REASON, "from_day": "2026-03-30"}, "reason"),
        ("carol", f"/admin/patients/{cast.patient_ids['alice']}/edit", {"name": "Alice Adamson"}, "name"),
        ("carol", "/admin/patients", {"name": "Paul Post"}, "name"),
        ("carol", "/admin/clinic/details", {"name": "Another Clinic"}, "name"),
        ("carol", "/admin/doctors/erin", {"name": "Dr. Erin Eze-Ito"}, "name"),
    ]
    for who, path, sent, name in forms:
        log_in_by_form(client, who)
        end_sessions(cast)
        before = lasting_rows(cast.database)
        answer = client.post(path, data=sent)
        assert answer.status_code == 401, path
        assert sign_in_from(client, read(answer), who) == "/continue"
        form = read(client.get("/continue")).one("form", action=path)
        shown = client.post(path, data=form.values())
        assert shown.status_code == 422, (path, shown.text)
        page = read(shown)
        assert "This hasn’t been sent yet" in page.text, path
        assert page.form(path)[name] == sent[name], path
        assert "unsent" not in page.form(path)
        assert lasting_rows(cast.database) == before, path


def test_a_button_without_words_leads_back_to_its_page(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 10:00")
    log_in_by_form(client, "bob")
    end_sessions(cast)
    referer = {"referer": f"{client.base_url}/schedule/2026-03-10"}
    answer = client.post(
        f"/appointments/{reference}/status", data={"status": "confirmed", "version": "1"}, headers=referer
    )
    assert answer.status_code == 401
    assert sign_in_from(client, read(answer), "bob") == "/schedule/2026-03-10"
    assert kept_in_database(cast) == 0
    assert client.get("/continue").headers["location"] == "/schedule"


def test_a_new_account_gets_the_draft_of_a_browser_without_cookies(client: TestClient, cast: Cast) -> None:
    """After the cookies are cleared, nothing says who wrote it; the way back to the form does."""
    form = written(log_in_by_form(client, "alice"))
    client.cookies.clear()
    login = read(client.get(sign_in_link(read(client.post("/appointments", data=form)))))
    register = next(href for href in login.links if href.startswith("/register?"))
    sent = read(client.get(register)).form("/register") | NEW
    answer = registering.register(client, cast, sent)
    assert answer.headers["location"].startswith("/book?")
    assert typed(read(client.get(answer.headers["location"]))) == (REASON, NOTES)


def test_passwords_are_never_kept(client: TestClient, cast: Cast) -> None:
    log_in_by_form(client, "alice")
    end_sessions(cast)
    answer = client.post("/account/password", data={"current": PASSWORD, "new": "some other words here"})
    assert answer.status_code == 401
    assert "words" not in answer.text
    assert kept_in_database(cast) == 0


# --------------------------------------------------------------------------------------- who may read it


def test_another_user_of_the_same_browser_never_reads_it(client: TestClient, cast: Cast) -> None:
    form = written(log_in_by_form(client, "alice"))
    end_sessions(cast)
    page = read(client.post("/appointments", data=form))
    assert client.get("/continue").headers["location"].startswith("/login")
    back = sign_in_from(client, page, "dave")
    assert back == book_address()
    for path in (back, "/continue"):
        assert "rash" not in client.get(path).text
    assert kept_in_database(cast) == 0


def test_a_draft_of_an_unknown_account_opens_only_on_the_way_to_the_form(client: TestClient, cast: Cast) -> None:
    form = written(log_in_by_form(client, "alice"))
    client.cookies.clear()
    client.post("/appointments", data=form)
    assert kept_in_database(cast) == 1
    log_in_by_form(client, "dave")
    assert typed(read(client.get(book_address()))) == ("", "")
    assert kept_in_database(cast) == 0


def test_signing_out_deletes_it_and_so_does_an_hour(client: TestClient, cast: Cast) -> None:
    log_in_by_form(client, "alice")
    client.post("/book/draft", data=written(client))
    assert kept_in_database(cast) == 1
    client.post("/logout")
    assert kept_in_database(cast) == 0

    log_in_by_form(client, "alice")
    client.post("/book/draft", data=written(client))
    with client_for(cast.database, now=NOW + timedelta(hours=1)) as later:
        later.cookies.update(client.cookies)
        assert typed(read(later.get(book_address()))) == ("", "")
    with cast.database.reading() as session:
        assert not drafts.is_any_old(session, now=NOW)
        assert drafts.is_any_old(session, now=NOW + timedelta(hours=1))
    cast.database.write(drafts.forget_old, now=NOW + timedelta(hours=1))
    assert kept_in_database(cast) == 0


def test_a_forged_cookie_opens_nothing(client: TestClient, cast: Cast) -> None:
    log_in_by_form(client, "alice")
    client.post("/book/draft", data=written(client))
    cookie = client.cookies["docket_draft"]
    with client_for(cast.database) as daves:
        log_in_by_form(daves, "dave")
        # Even with the real cookie.
        for value in (cookie, f"{cookie}x", "nonsense"):
            daves.cookies.set("docket_draft", value)
            assert "rash" not in daves.get(book_address()).text
            assert "rash" not in daves.get("/continue").text


@pytest.mark.both_databases
def test_drafts_of_unknown_accounts_are_few_and_short(client: TestClient, cast: Cast) -> None:
    for field in (REASON, "long " * 2000):
        answer = client.post("/account", data={"name": field})
        kept = "your form will be there" in answer.text
        assert kept == (field == REASON)
        # Text that is not kept can be copied.
        assert kept or field.strip() in read(answer).one("textarea").raw
    rows = [
        {"key_hash": str(n), "account": "", "action": "/", "address": "/", "fields": [], "created_at": NOW}
        for n in range(drafts.MOST_UNKNOWN)
    ]
    cast.database.write(lambda session: session.execute(sa.insert(models.Draft), rows))
    client.cookies.clear()
    answer = client.post("/account", data={"name": REASON})
    assert read(answer).one("textarea").raw.strip() == REASON
    assert kept_in_database(cast) == drafts.MOST_UNKNOWN + 1


# ------------------------------------------------------------------------------- another time, another patient


def test_choosing_another_time_keeps_the_words(client: TestClient, cast: Cast) -> None:
    log_in_by_form(client, "alice")
    form = written(client)
    button = read(client.get(book_address())).one("button", formaction="/book/draft")
    assert (button.text, button["form"]) == ("Choose another time", "booking")
    answer = client.post("/book/draft", data=form)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/doctors/bob?visit_type={cast.short}&week=2026-W11"
    calendar = read(client.get(answer.headers["location"]))
    other = calendar.all("a", class_="slot")[-1]["href"]
    assert typed(read(client.get(other))) == (REASON, NOTES)
    # Emptied words are not kept.
    client.post("/book/draft", data=form | {"reason": " ", "notes": ""})
    assert typed(read(client.get(other))) == ("", "")


def test_the_words_are_kept_on_the_way_from_a_time_that_was_taken(client: TestClient, cast: Cast) -> None:
    log_in_by_form(client, "alice")
    form = written(client)
    cast.book(cast.dave, "2026-03-10 10:00")
    taken = read(client.post("/appointments", data=form))
    (button,) = taken.one("section", id="taken-time").all("button", formaction="/book/draft")
    assert button.text == "See all free times"
    client.post("/book/draft", data=taken.form("/appointments"))
    assert typed(read(client.get(book_address("2026-03-12 10:00")))) == (REASON, NOTES)


def test_staff_keep_the_words_for_another_time_and_another_patient(client: TestClient, cast: Cast) -> None:
    log_in_by_form(client, "carol")
    alice, dave = cast.patient_ids["alice"], cast.patient_ids["dave"]
    form = written(client, f"{book_address()}&patient={alice}")
    times = client.post("/book/draft", data=form).headers["location"]
    assert times == f"/doctors/bob?visit_type={cast.short}&patient={alice}&week=2026-W11"
    patients = client.post("/book/draft", data=form | {"to": "patient"}).headers["location"]
    assert patients == book_address()
    page = read(client.get(f"{patients}&patient={dave}"))
    assert page.h1 == "Book for Dave Dunn"
    assert typed(page) == (REASON, NOTES)
    # The session ends after another date was typed, and before it was looked at.
    form = page.form("/appointments") | {"date": "2026-03-12", "time": "11:15"}
    end_sessions(cast)
    back = sign_in_from(client, read(client.post("/appointments", data=form)), "carol")
    shown = read(client.get(back)).form("/appointments")
    assert (shown["date"], shown["time"], shown["reason"]) == ("2026-03-12", "11:15", REASON)


# ----------------------------------------------------------------------------------- a forgotten password


def reset_address(client: TestClient, values: dict[str, str]) -> str:
    """The address in the mail with these values."""
    keys = client.app.state.settings.secret_keys  # type: ignore[attr-defined]
    return f"/password/reset/{signing.sign(keys, password_reset.PURPOSE, values['nonce'])}"


def test_a_forgotten_password_loses_neither_the_time_nor_the_words(client: TestClient, cast: Cast) -> None:
    form = written(log_in_by_form(client, "alice"))
    end_sessions(cast)
    login = read(client.get(sign_in_link(read(client.post("/appointments", data=form)))))
    forgotten = next(href for href in login.links if href.startswith("/password/forgot"))
    page = read(client.get(forgotten))
    assert parse_qs(urlsplit(sign_in_link(page)).query)["next"] == [book_address()]
    sent = page.form("/password/forgot") | {"email": "alice@docket.example"}
    answer = client.post("/password/forgot", data=sent)
    assert parse_qs(urlsplit(sign_in_link(read(client.get(answer.headers["location"])))).query)["next"] == [
        book_address()
    ]
    with cast.database.reading() as session:
        values = session.scalars(sa.select(models.OutboxMessage.values)).one()
    assert "book" not in str(values)
    reset = reset_address(client, values)
    done = client.post(reset, data={"new": "quite another sentence"})
    assert parse_qs(urlsplit(done.headers["location"]).query)["next"] == [book_address()]
    login = read(client.get(done.headers["location"]))
    assert "Tuesday 10 March" in login.text
    sent = login.form("/login") | {"email": "alice@docket.example", "password": "quite another sentence"}
    back = client.post("/login", data=sent).headers["location"]
    assert typed(read(client.get(back))) == (REASON, NOTES)


def test_the_time_is_for_the_address_that_asked_for_the_link(client: TestClient, cast: Cast) -> None:
    client.post("/password/forgot", data={"email": "alice@docket.example", "next": book_address()})
    client.post("/password/forgot", data={"email": "dave@docket.example"})
    with cast.database.reading() as session:
        nonces = session.scalars(sa.select(models.OutboxMessage.values).order_by(models.OutboxMessage.id)).all()
    assert (
        client.post(reset_address(client, nonces[1]), data={"new": "quite another sentence"}).headers["location"]
        == "/login"
    )


# -------------------------------------------------------------------------------------- other errors of a form


WORDS = "Because of the flood"


@pytest.mark.parametrize(
    ("who", "address", "form", "shown"),
    [
        ("alice", "/account", {"name": "Alice Adamson", "password": "not this one"}, [("Your name", "Alice Adamson")]),
        (
            "alice",
            "/appointments",
            {"starts_at": iso(local("2026-03-10 10:00")), "doctor": "bob", "visit_type": "1", "reason": WORDS},
            [("Reason for the appointment", WORDS)],
        ),
        (
            "carol",
            "/admin/closures",
            {"name": WORDS, "starts_on": "2026-03-10", "ends_on": "2026-03-10", "seen": "seen so", "why": "A reason"},
            [("Name", WORDS), ("Reason", "A reason")],
        ),
        ("carol", "/desk/away/bob", {"listed": "A|1 B|2", "why": WORDS}, [("Reason", WORDS)]),
        (
            "carol",
            "/admin/appointments/selection",
            {"action": "message", "words": WORDS, "seen": WORDS, "step": "send"},
            [("Message", WORDS)],
        ),
    ],
)
@pytest.mark.parametrize(("error", "status"), [(Unavailable("Very busy."), 503), (RuntimeError("a bug"), 500)])
def test_an_error_page_shows_what_was_typed_and_nothing_else(
    client: TestClient,
    cast: Cast,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    who: str,
    address: str,
    form: dict[str, str],
    shown: list[tuple[str, str]],
) -> None:
    def fails(*_args: object, **_named: object) -> None:
        raise error

    log_in_by_form(client, who)
    monkeypatch.setattr(cast.database, "write", fails)
    monkeypatch.setattr(client._transport, "raise_app_exceptions", False)
    answer = client.post(address, data=form)
    assert answer.status_code == status
    typed = read(answer).all("section", aria_labelledby="typed")
    if not typed:
        # The form is there again.
        assert error.args[0] in answer.text
        return
    labels, texts = (typed[0].all(name) for name in ("label", "textarea"))
    assert [(label.text, text.raw.strip()) for label, text in zip(labels, texts, strict=True)] == shown
