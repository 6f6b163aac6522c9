"""How long staff stay signed in, and that typed text survives the end of a session."""

from __future__ import annotations

from datetime import timedelta
from typing import cast as typed
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.cast import NOW, PASSWORD, Cast, client_for, log_in, log_in_by_form
from tests.reading import read
from webapp import models
from webapp.auth import sessions

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def after(client: TestClient, time: timedelta) -> TestClient:
    """The same browser, later."""
    typed(FastAPI, client.app).state.clock = lambda: NOW + time
    return client


@pytest.mark.parametrize(("name", "home"), [("bob", "/schedule"), ("carol", "/admin")])
def test_a_session_of_staff_ends_after_half_an_hour_without_a_request(client: TestClient, name: str, home: str) -> None:
    log_in(client, name)
    for minutes in (29, 58, 86):
        assert after(client, minutes * MINUTE).get(home).status_code == 200, minutes
    assert after(client, 116 * MINUTE).get(home).headers["location"].startswith("/login?next=")


def test_a_session_of_staff_ends_after_twelve_hours_in_any_case(client: TestClient) -> None:
    log_in(client, "carol")
    for twenty in range(1, 36):
        assert after(client, twenty * 20 * MINUTE).get("/admin").status_code == 200, twenty
    assert after(client, 12 * HOUR).get("/admin").status_code == 303


def test_patients_stay_signed_in_for_a_month(client: TestClient) -> None:
    log_in(client, "alice")
    assert after(client, timedelta(days=29)).get("/account").status_code == 200
    assert after(client, timedelta(days=30)).get("/account").status_code == 303


def test_a_patient_who_becomes_staff_has_the_session_of_staff_immediately(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    cast.change(sa.update(models.User).where(models.User.id == cast.alice.user_id).values(role="admin"))
    assert after(client, 29 * MINUTE).get("/admin").status_code == 200
    assert after(client, 60 * MINUTE).get("/admin").status_code == 303


@pytest.mark.both_databases
def test_admins_set_how_long_staff_stay_signed_in(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")
    address = "/admin/clinic/sign-in"
    form = read(client.get(address)).form(address)
    assert (form["idle_minutes"], form["staff_hours"]) == ("30", "12")
    for field, value in (("idle_minutes", "4"), ("idle_minutes", "241"), ("staff_hours", "0"), ("staff_hours", "25")):
        answer = client.post(address, data={**form, field: value})
        assert answer.status_code == 422
        assert "from" in read(answer).one(id=f"{field}-error").text
    assert client.post(address, data={**form, "idle_minutes": "10", "staff_hours": "1"}).status_code == 303
    assert "After 10 minutes" in read(client.get("/admin/clinic")).text
    # The rules apply to users who are signed in already.
    assert after(client, 9 * MINUTE).get("/admin").status_code == 200
    assert after(client, 19 * MINUTE).get("/admin").status_code == 303
    with cast.database.reading() as session:
        changed = session.scalars(sa.select(models.AuditEvent.details).order_by(models.AuditEvent.id.desc())).first()
    assert changed == {"changed": ["idle_minutes", "staff_hours"]}


@pytest.mark.parametrize("hx", [False, True])
def test_typed_text_of_staff_is_kept_when_their_session_ends(client: TestClient, hx: bool) -> None:
    log_in_by_form(client, "bob")
    address = "/schedule/patients/new"
    page = read(client.get(address))
    form = {**page.form(address), "name": "Nora Nowak", "phone": "+31 20 123 4567"}
    after(client, HOUR)
    headers = {"hx-request": "true"} if hx else {}
    answer = client.post(address, data=form, headers=headers)
    assert answer.status_code == 401
    assert "Sign in, and your form will be there, filled in." in read(answer).text
    link = next(href for href in read(answer).links if href.startswith("/login?next="))
    wanted = parse_qs(urlsplit(link).query)["next"][0]
    login = {"email": "bob@docket.example", "password": PASSWORD, "next": wanted}
    assert client.post("/login", data=login).headers["location"] == "/continue"
    kept = read(client.get("/continue")).form(address)
    shown = read(client.post(address, data=kept)).form(address)
    assert (shown["name"], shown["phone"]) == ("Nora Nowak", "+31 20 123 4567")


def test_a_list_of_devices_leaves_out_those_that_were_signed_out(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")
    after(client, HOUR)
    log_in(client, "carol")
    assert len(read(client.get("/account")).one("ul", class_="devices").all("li")) == 1
    assert "1 device" in read(client.get(f"/admin/users/{cast.carol.user_id}")).text


def test_all_other_devices_are_signed_out_together(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    with client_for(cast.database) as other, client_for(cast.database) as third, client_for(cast.database) as daves:
        for each in (log_in(other, "alice"), log_in(third, "alice")):
            assert each.get("/account").status_code == 200
        log_in(daves, "dave")
        action = "/account/sessions/end-others"
        assert read(client.get("/account")).one("form", action=action)
        assert client.post(action).status_code == 303
        assert "Signed out on 2 other devices." in read(client.get("/account")).text
        assert other.get("/account").status_code == third.get("/account").status_code == 303
        assert daves.get("/account").status_code == 200


def test_a_new_password_ends_the_calendar_feed_and_renews_the_session(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    cast.change(sa.update(models.User).where(models.User.id == cast.alice.user_id).values(calendar_secret="shared"))
    old = client.cookies["docket_session"]
    form = {"current": PASSWORD, "new": "walrus teapot orbit"}
    assert client.post("/account/password", data=form).status_code == 303
    assert "Your calendar link no longer works" in read(client.get("/account")).text
    assert client.cookies["docket_session"] != old
    with client_for(cast.database) as thief:
        thief.cookies.set("docket_session", old)
        assert thief.get("/account").status_code == 303
    with cast.database.reading() as session:
        hers = sa.select(models.User.calendar_secret).where(models.User.id == cast.alice.user_id)
        assert session.scalar(hers) == ""


def test_ended_sessions_are_deleted_when_the_next_one_begins(cast: Cast) -> None:
    start = cast.database.write
    start(sessions.start_session, cast.carol.user_id, address="", user_agent="", now=NOW)
    start(sessions.start_session, cast.alice.user_id, address="", user_agent="", now=NOW + 13 * HOUR)
    with cast.database.reading() as session:
        assert session.scalars(sa.select(models.UserSession.user_id)).all() == [cast.alice.user_id]
