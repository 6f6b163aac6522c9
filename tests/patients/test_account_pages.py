"""Creating an account and managing it."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import NOW, PASSWORD, Cast, client_for, log_in, log_in_by_form
from tests.reading import HTMX, read
from tests.registering import last_code, register
from webapp import models
from webapp.auth.passwords import service as passwords

NINA = {"name": "Nina New", "email": "nina@docket.example", "password": "walrus teapot orbit"}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Forms and their texts do not depend on the kind of database."""
    return sqlite_url


def patient_of(cast: Cast, email: str) -> models.Patient:
    with cast.database.reading() as session:
        query = sa.select(models.Patient).join(models.User, models.User.id == models.Patient.user_id)
        return session.scalars(query.where(models.User.email == email)).one()


# ------------------------------------------------------------------------------------------ registering


def test_registering_makes_an_account_and_signs_in(client: TestClient, cast: Cast) -> None:
    form = read(client.get("/register")).form("/register")
    assert form == {"name": "", "email": "", "phone": "", "birth_date": "", "password": "", "next": ""}
    details = {"phone": " +31 20 123 4567 ", "birth_date": "1984-03-27"}
    answer = register(client, cast, {**form, **NINA, **details})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    page = read(client.get("/account"))
    assert "You’re signed in as nina@docket.example" in page.text
    assert page.form("/account") == {"name": "Nina New", "phone": "020 123 4567", "birth_date": "1984-03-27"}
    assert patient_of(cast, "nina@docket.example").name == "Nina New"


def test_pasted_text_is_registered_as_people_see_it(client: TestClient, cast: Cast) -> None:
    pasted = {
        "name": "\u202aNi\u00adna\u00a0 New\u200b",
        "email": "\u202aNina@praxis-mu\u0308ller.example\u202c",
        "phone": "\u202d+31\u00a020 123\u20114567\u202c",
        "birth_date": "1984\u201103\u201127\u200b",
        "password": "zoe\u0308 andre\u0301 orbit",
    }
    assert register(client, cast, pasted).status_code == 303
    nina = patient_of(cast, "nina@praxis-müller.example")
    assert (nina.name, str(nina.birth_date)) == ("Nina New", "1984-03-27")
    # Another browser sends the domain in ASCII, and another keyboard composed letters.
    with client_for(cast.database) as other:
        sent = {"email": "nina@xn--praxis-mller-klb.example", "password": "zoë andré orbit"}
        assert other.post("/login", data=sent).status_code == 303


def test_all_wrong_fields_of_a_registration_are_named_together(client: TestClient) -> None:
    details = {"name": "Pat Poe", "email": "not an address", "phone": "12ab", "password": "short"}
    page = read(client.post("/register", data=details))
    for field in ("email", "phone", "password"):
        assert page.one("input", id=field).get("aria-invalid") == "true", field
    assert page.text.count("Enter an email address like name@example.org.") == 2
    assert page.one("input", id="name").get("aria-invalid") is None
    missing = read(client.post("/register", data=details | {"name": ""}))
    assert "Enter your name." in missing.text
    assert "Enter an email address like name@example.org." in missing.text


def test_registering_by_htmx_redirects(client: TestClient, cast: Cast) -> None:
    answer = client.post("/register", data={**NINA, "next": "/appointments"}, headers=HTMX)
    assert (answer.status_code, answer.headers["hx-redirect"]) == (204, "/login/code")
    answer = client.post("/login/code", data={"code": last_code(cast)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/appointments")


def test_invalid_input_is_reported_beside_its_field_and_kept(client: TestClient) -> None:
    for field, value, words in (
        ("name", "", "Enter your name."),
        ("name", "N", "Enter a name of 2 to 120 characters."),
        ("name", "N" * 121, "Enter a name of 2 to 120 characters."),
        ("email", "", "Enter your email address."),
        ("email", "nina", "Enter an email address like name@example.org."),
        ("email", f"{'n' * 250}@docket.example", "Enter an email address like name@example.org."),
        ("phone", "call me", "Enter a phone number"),
        ("birth_date", "27/3/1984", "Enter a real date, such as 1984-03-27"),
        ("birth_date", "2026-02-30", "Enter a real date, such as 1984-03-27"),
        ("birth_date", "2026-03-03", "The date of birth can’t be in the future."),
        ("birth_date", "1783-01-01", "Enter a date of birth in 1900 or later."),
        ("password", "", "Choose a password."),
        ("password", "walrus team", "Use at least 12 characters."),
        ("password", "w" * 129, "Use no more than 128 characters."),
        ("password", "password1234", "words that people often use for passwords here."),
        ("password", "nina@docket.example", "your name or email address."),
    ):
        answer = client.post("/register", data={**NINA, field: value})
        assert answer.status_code == 422, (field, value)
        page = read(answer)
        assert words in page.one(id=f"{field}-error").text, (field, value)
        assert page.one("input", id=field)["aria-invalid"] == "true"
        assert f"{field}-error" in page.one("input", id=field)["aria-describedby"]
        assert f"#{field}" in page.one("div", role="alert").links
        kept = page.form("/register")
        assert kept["name"] == {**NINA, field: value}["name"]
        assert kept["email"] == {**NINA, field: value}["email"]
        # A password is never sent back.
        assert kept["password"] == ""
        if field == "birth_date":
            assert kept["birth_date"] == value
    assert client.get("/account").status_code == 303


def test_too_many_registrations_of_a_network_wait_before_anything_slow(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "hash_password", lambda _password: "a hash")
    # Invalid input does not count.
    for _ in range(3):
        assert client.post("/register", data={**NINA, "password": "short"}).status_code == 422
    for number in range(20):
        email = f"nina{number}@docket.example" if number % 2 else "alice@docket.example"
        answer = client.post("/register", data={**NINA, "email": email})
        assert answer.status_code == 303
    client.cookies.clear()
    slow: list[str] = []
    monkeypatch.setattr(passwords, "require_good_password", lambda *_, **__: slow.append("zxcvbn"))
    answer = client.post("/register", data=NINA)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3600")
    page = read(answer)
    assert "Too many accounts have been created from your network. Wait 1 hour, then try again." in page.text
    assert page.form("/register")["email"] == NINA["email"]
    assert slow == []
    # Signing in is not affected.
    log_in(client, "alice")


# ------------------------------------------------------------------------------------------- the profile


def test_a_patient_changes_name_telephone_and_date_of_birth(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    first = client.get("/account")
    assert first.headers["cache-control"] == "no-store"
    form = read(first).form("/account")
    assert form == {"name": "Alice Adams", "phone": "", "birth_date": ""}
    changed = {"name": "Alice <Adams>", "phone": "+31201234561", "birth_date": "1984-03-27"}
    answer = client.post("/account", data={**form, **changed})
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    page = read(client.get("/account"))
    assert "Your details are saved." in page.text
    assert page.form("/account") == {**changed, "phone": "020 123 4561"}
    # The menu shows the new name, and the patient's record has it too.
    assert "Alice <Adams>" in page.one("nav", id="menu").text
    assert patient_of(cast, "alice@docket.example").name == "Alice <Adams>"


def test_a_profile_with_mistakes_is_shown_again_as_it_was_typed(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    answer = client.post("/account", data={"name": "", "phone": "x", "birth_date": "tomorrow"})
    assert answer.status_code == 422
    page = read(answer)
    assert page.form("/account") == {"name": "", "phone": "x", "birth_date": "tomorrow"}
    assert patient_of(cast, "alice@docket.example").name == "Alice Adams"


def test_a_date_of_birth_in_the_future_is_reported_beside_its_field(client: TestClient) -> None:
    log_in(client, "alice")
    for born in ("2026-03-03", "1899-12-31"):
        answer = client.post("/account", data={"name": "Alice Adams", "birth_date": born})
        assert answer.status_code == 422, born
        page = read(answer)
        assert "date of birth" in page.one(id="birth_date-error").text
        assert page.form("/account")["birth_date"] == born


def test_staff_have_a_name_and_no_patient_data(cast: Cast) -> None:
    for name in ("bob", "carol"):
        with client_for(cast.database) as client:
            log_in(client, name)
            assert list(read(client.get("/account")).form("/account")) == ["name"]
            assert client.post("/account", data={"name": "New Name", "phone": "1"}).status_code == 303
            assert read(client.get("/account")).form("/account") == {"name": "New Name"}


# ------------------------------------------------------------------------------------------ the password


def test_a_new_password_needs_the_present_one_and_must_be_good(client: TestClient) -> None:
    log_in(client, "alice")
    for current, new, field, words in (
        ("", "walrus teapot orbit", "current", "Enter your current password."),
        ("wrong", "walrus teapot orbit", "current", "This is not your current password."),
        (PASSWORD, "", "new", "Enter a new password."),
        (PASSWORD, "short", "new", "Use at least 12 characters."),
        (PASSWORD, "alice adams 1", "new", "This password is made of your name or email address."),
        (PASSWORD, "harbour-lane-2026", "new", "This password is made of the clinic’s name or address."),
        (PASSWORD, "a1" * 65, "new", "Use no more than 128 characters."),
    ):
        answer = client.post("/account/password", data={"current": current, "new": new})
        assert answer.status_code == 422, (current, new)
        page = read(answer)
        assert words in page.one(id=f"{field}-error").text
        assert page.form("/account/password") == {"current": "", "new": ""}
        # The other form on the page is unchanged.
        assert page.form("/account")["name"] == "Alice Adams"


def test_guessing_the_present_password_is_throttled_like_a_log_in(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    for _ in range(10):
        sent = {"current": "wrong", "new": "walrus teapot orbit"}
        assert client.post("/account/password", data=sent).status_code == 422
    answer = client.post("/account/password", data={"current": PASSWORD, "new": "walrus teapot orbit"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "900")
    assert "too many wrong passwords. Wait 15 minutes" in read(answer).one(id="current-error").text
    # Other users, and signing in, are not affected.
    with client_for(cast.database) as dave:
        log_in(dave, "dave")
        sent = {"current": PASSWORD, "new": "walrus teapot orbit"}
        assert dave.post("/account/password", data=sent).status_code == 303


# ------------------------------------------------------------------------------------------ the sessions


def test_sessions_are_listed_with_this_device_first_and_can_be_ended(client: TestClient, cast: Cast) -> None:
    client.headers["user-agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    log_in_by_form(client, "alice")
    with client_for(cast.database, now=NOW + timedelta(minutes=9)) as phone:
        phone.headers["user-agent"] = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1"
        log_in_by_form(phone, "alice")
        devices = read(client.get("/account")).one("ul", class_="devices").all("li")
        assert "Firefox on Linux This device" in devices[0].text
        assert "Safari on iPhone Last active: Today, 08:09" in devices[1].text
        action = devices[1].one("form")["action"]
        answer = client.post(action)
        assert (answer.status_code, answer.headers["location"]) == (303, "/account")
        page = read(client.get("/account"))
        assert "That device is signed out." in page.text
        assert len(page.one("ul", class_="devices").all("li")) == 1
        assert phone.get("/account").status_code == 303
        # It has ended already, as the same form wanted.
        again = client.post(action)
        assert (again.status_code, again.headers["location"]) == (303, "/account")


def test_ending_the_session_of_this_device_signs_out(client: TestClient) -> None:
    log_in(client, "alice")
    action = read(client.get("/account")).one("ul", class_="devices").one("form")["action"]
    answer = client.post(action)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert client.get("/account").status_code == 303


def test_a_strangers_session_cannot_be_ended(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    with client_for(cast.database) as dave:
        log_in(dave, "dave")
        theirs = read(dave.get("/account")).one("ul", class_="devices").one("form")["action"]
        assert client.post(theirs).status_code == 404
        assert dave.get("/account").status_code == 200


def test_an_odd_number_of_a_session_is_not_found(client: TestClient) -> None:
    log_in(client, "alice")
    for odd in ("0", "-1", "x", "2147483648", "99999999999999999999999", "1.5"):
        assert client.post(f"/account/sessions/{odd}/end").status_code == 404, odd


def test_when_a_session_was_last_seen_is_written_every_five_minutes_at_most(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    cookie = f"docket_session={client.cookies['docket_session']}"

    def last_seen() -> timedelta:
        with cast.database.reading() as session:
            return session.scalars(sa.select(models.UserSession.last_seen_at)).one() - NOW

    for minutes, seen in ((4, 0), (5, 5), (9, 5), (10, 10)):
        with client_for(cast.database, now=NOW + timedelta(minutes=minutes)) as later:
            assert later.get("/account", headers={"cookie": cookie}).status_code == 200
        assert last_seen() == timedelta(minutes=seen)
