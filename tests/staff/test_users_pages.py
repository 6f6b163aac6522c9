"""Accounts, as an admin manages them; and that one admin always remains, on both databases."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from tests.cast import LETTERHEAD, NOW, PASSWORD, SECRET_KEY, Cast, client_for, log_in
from tests.reading import Element, read
from webapp.auth import roles, sessions
from webapp.auth.exceptions import LastAdmin
from webapp.auth.passwords import password_links
from webapp.auth.passwords.link_delivery import LinkDelivery
from webapp.auth.schemas import Actor
from webapp.auth.tokens import hashed
from webapp.event_handlers import wired_database
from webapp.exceptions import AppError, Forbidden
from webapp.models import AuditEvent, Doctor, OutboxMessage, PasswordLink, Patient, PatientWord, User, UserSession
from webapp.notifications.rendering import render
from webapp.staff.users import service as users
from webapp.staff.users.service import ChangeRole

NEW = "walrus teapot orbit"


def add_admin(cast: Cast, name: str = "Anna Other") -> Actor:
    """Another admin, without a password."""
    email = f"{name.split()[0].lower()}@docket.example"
    user_id = cast.add(User(email=email, name=name, role="admin", password_hash="", created_at=NOW))
    return Actor(user_id, 0, name, email, "admin")


def user_of(cast: Cast, user_id: int) -> User:
    """An account as stored."""
    with cast.database.reading() as session:
        return session.scalars(sa.select(User).where(User.id == user_id)).one()


def doctor_user(cast: Cast, key: str = "bob") -> int | None:
    """The account that a doctor is connected to."""
    with cast.database.reading() as session:
        return session.scalar(sa.select(Doctor.user_id).where(Doctor.id == cast.doctor_ids[key]))


def actions(cast: Cast, user_id: int) -> list[str]:
    """The actions on an account in the audit log, without what was only read."""
    with cast.database.reading() as session:
        mine = (
            AuditEvent.subject_type == "user",
            AuditEvent.subject_id == user_id,
            AuditEvent.action.not_in(("user_read", "users_listed")),
        )
        return list(session.scalars(sa.select(AuditEvent.action).where(*mine).order_by(AuditEvent.id)))


def change_role(cast: Cast, actor: Actor, user_id: int, role: Any, doctor_id: int | None = None) -> None:
    """Change a role as the page does, without comparing with what was there before."""
    command = ChangeRole(role=role, doctor_id=doctor_id)
    cast.database.write(users.change_role, actor, user_id, command, seen="", now=NOW)


# ----------------------------------------------------------------------------------- an admin always remains


def test_the_last_admin_can_be_neither_demoted_nor_disabled(cast: Cast) -> None:
    carol = cast.carol.user_id
    actions: list[Callable[[], None]] = [
        lambda: change_role(cast, cast.carol, carol, "patient"),
        lambda: cast.database.write(roles.disable_account, cast.carol, carol, now=NOW),
    ]
    disabled = add_admin(cast)
    cast.database.write(roles.disable_account, cast.carol, disabled.user_id, now=NOW)
    for action in actions:
        with pytest.raises(LastAdmin) as caught:
            action()
        assert (caught.value.status, caught.value.code) == (409, "last_admin")
    assert (user_of(cast, carol).role, user_of(cast, carol).active) == ("admin", True)
    cast.database.write(roles.enable_account, cast.carol, disabled.user_id, now=NOW)
    change_role(cast, cast.carol, carol, "patient")
    assert user_of(cast, carol).role == "patient"


SHOWN = LinkDelivery(mailed=False, keys=[SECRET_KEY], letterhead={"name": "Harbour Lane Clinic", "phone": ""})


def test_an_admin_who_never_had_a_password_does_not_count(cast: Cast) -> None:
    """They could never sign in, and the link to their first password may have expired."""
    invite = users.InviteUser(name="Ivo Invited", email="ivo@docket.example", role="admin")
    invited, token = cast.database.write(users.invite, cast.carol, invite, SHOWN, now=NOW)
    with pytest.raises(LastAdmin):
        change_role(cast, cast.carol, cast.carol.user_id, "patient")
    with pytest.raises(LastAdmin):
        cast.database.write(roles.disable_account, cast.carol, cast.carol.user_id, now=NOW)
    cast.database.write(password_links.use_password_link, hashed(token), "a hash", LETTERHEAD, now=NOW)
    assert user_of(cast, invited).has_password
    change_role(cast, cast.carol, cast.carol.user_id, "patient")
    assert user_of(cast, cast.carol.user_id).role == "patient"


def test_last_seen_outlives_the_session_and_new_accounts_have_never_signed_in(cast: Cast) -> None:
    secret = cast.database.write(
        sessions.start_session, cast.alice.user_id, address="192.0.2.1", user_agent="Tests", now=NOW
    )
    cast.database.write(sessions.forget_session, secret)
    invite = users.InviteUser(name="Ivo Invited", email="ivo@docket.example", role="admin")
    cast.database.write(users.invite, cast.carol, invite, SHOWN, now=NOW)
    with client_for(cast.database) as client:
        page = read(log_in(client, "carol").get("/admin/users"))
    lines = {line.split(" ")[0]: line for line in map(str, (row.text for row in page.all("tr")))}
    assert "Monday" in lines["Alice"] or "08:00" in lines["Alice"]
    assert "No password yet Never signed in" in lines["Ivo"]
    assert "Active Never signed in" in lines["Dave"]


def _demote(session: Session, actor: Actor, user_id: int) -> None:
    users.change_role(session, actor, user_id, ChangeRole(role="patient"), seen="", now=NOW)


def _disable(session: Session, actor: Actor, user_id: int) -> None:
    roles.disable_account(session, actor, user_id, now=NOW)


@pytest.mark.parametrize("action", [_demote, _disable])
def test_of_two_admins_who_remove_each_other_concurrently_one_stays(
    cast: Cast, action: Callable[[Session, Actor, int], None]
) -> None:
    anna = add_admin(cast)
    for _ in range(10):
        cast.change(
            sa.update(User).where(User.id.in_([anna.user_id, cast.carol.user_id])).values(role="admin", active=True)
        )
        start = Barrier(2)

        def attempt(actor: Actor, other: Actor, start: Barrier = start) -> str:
            # Each has its own connection, as two processes do.
            database = wired_database(cast.url)
            try:
                start.wait()
                database.write(action, actor, other.user_id)
            except AppError as error:
                return type(error).__name__
            finally:
                database.dispose()
            return "done"

        with ThreadPoolExecutor(2) as pool:
            pair = [pool.submit(attempt, cast.carol, anna), pool.submit(attempt, anna, cast.carol)]
            assert sorted(each.result() for each in pair) == ["LastAdmin", "done"]
        with cast.database.reading() as session:
            left = session.scalar(sa.select(sa.func.count(User.id)).where(User.role == "admin", User.active.is_(True)))
        assert left == 1


def test_without_the_locks_both_admins_would_be_removed(cast: Cast) -> None:
    """The control: without locks, two snapshots each see another admin."""
    if cast.database.is_sqlite:
        pytest.skip("SQLite has one writer at a time.")
    anna = add_admin(cast)
    looked = Barrier(2)

    def attempt(other: Actor) -> None:
        def work(session: Session) -> None:
            admins = sa.select(sa.func.count(User.id)).where(User.role == "admin", User.id != other.user_id)
            assert session.scalar(admins)
            looked.wait()
            session.execute(sa.update(User).where(User.id == other.user_id).values(role="patient"))

        cast.database.write(work)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(attempt, [anna, cast.carol]))
    with cast.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count(User.id)).where(User.role == "admin")) == 0


def test_a_just_demoted_admin_can_change_no_account(cast: Cast) -> None:
    anna = add_admin(cast)
    add_admin(cast, "Third Admin")
    change_role(cast, cast.carol, anna.user_id, "patient")
    for action in (roles.disable_account, roles.enable_account, roles.end_sessions, roles.renew_password_link):
        with pytest.raises(Forbidden):
            cast.database.write(action, anna, cast.alice.user_id, now=NOW)
    with pytest.raises(Forbidden):
        change_role(cast, anna, anna.user_id, "admin")


# ------------------------------------------------------------------------------------------- roles and connections


def test_a_patient_who_becomes_staff_and_back_keeps_record_and_appointments(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 09:00")
    cast.change(sa.update(Patient).where(Patient.user_id == cast.alice.user_id).values(phone="+31201234561"))
    with client_for(cast.database) as alice:
        log_in(alice, "alice")
        change_role(cast, cast.carol, cast.alice.user_id, "admin")
        # The session of a patient was opened without what the clinic asks of staff.
        assert alice.get("/admin/users").headers["location"].startswith("/login")
        log_in(alice, "alice")
        assert alice.get("/admin/users").status_code == 200
        slot = {"doctor": "bob", "visit_type": str(cast.short), "starts_at": "2026-03-11T08:00:00Z"}
        # Staff choose for whom they book; a patient's form has no such choice.
        assert alice.post("/appointments", data=slot).status_code in {403, 422}
        # The form of staff has only a name; the patient record keeps the rest.
        assert alice.post("/account", data={"name": "Alice A."}).status_code == 303
        change_role(cast, cast.carol, cast.alice.user_id, "patient")
        assert reference in alice.get("/appointments").text
    with cast.database.reading() as session:
        record = session.scalars(sa.select(Patient).where(Patient.user_id == cast.alice.user_id)).one()
        assert (record.id, record.name, record.phone) == (cast.patient_ids["alice"], "Alice Adams", "+31201234561")
    assert actions(cast, cast.alice.user_id) == ["role_changed", "profile_changed", "role_changed"]


def test_a_user_who_becomes_a_patient_gets_a_record_that_can_be_found(cast: Cast) -> None:
    anna = add_admin(cast)
    change_role(cast, cast.carol, anna.user_id, "patient")
    with cast.database.reading() as session:
        patient = session.scalars(sa.select(Patient).where(Patient.user_id == anna.user_id)).one()
        words = set(session.scalars(sa.select(PatientWord.word).where(PatientWord.patient_id == patient.id)))
    assert (patient.name, patient.email) == ("Anna Other", "anna@docket.example")
    assert words == {"anna", "other", "anna@docket.example"}


def test_a_doctors_account_is_connected_and_disconnected(cast: Cast) -> None:
    bob, doctor = cast.bob.user_id, cast.doctor_ids["bob"]
    change_role(cast, cast.carol, bob, "admin")
    assert doctor_user(cast) is None
    change_role(cast, cast.carol, bob, "doctor", doctor)
    assert doctor_user(cast) == bob
    for role, doctor_id, words in (
        ("doctor", None, "Choose a doctor."),
        ("doctor", cast.doctor_ids["erin"], "already has an account"),
        ("doctor", 999, "Doctor not found."),
        ("admin", doctor, "Only an account with the role Doctor can have a doctor."),
    ):
        with pytest.raises(AppError, match=re.escape(words)):
            change_role(cast, cast.carol, bob, role, doctor_id)
    assert (user_of(cast, bob).role, doctor_user(cast)) == ("doctor", bob)


def test_of_two_accounts_that_are_connected_to_one_doctor_concurrently_one_succeeds(cast: Cast) -> None:
    change_role(cast, cast.carol, cast.bob.user_id, "admin")
    start = Barrier(2)

    def attempt(user_id: int) -> str:
        start.wait()
        try:
            change_role(cast, cast.carol, user_id, "doctor", cast.doctor_ids["bob"])
        except AppError as error:
            return error.code
        return "done"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(attempt, [cast.bob.user_id, cast.alice.user_id])) == ["doctor_has_account", "done"]


# ---------------------------------------------------------------------------------------------------- pages


def test_a_demoted_admin_is_refused_at_the_next_request_and_a_disabled_one_is_signed_out(cast: Cast) -> None:
    anna = add_admin(cast)
    with client_for(cast.database) as carol:
        log_in(carol, "carol")
        assert carol.get("/admin/users").status_code == 200
        change_role(cast, anna, cast.carol.user_id, "patient")
        assert carol.get("/admin/users").status_code == 403
        change_role(cast, anna, cast.carol.user_id, "admin")
        # A user who becomes staff signs in again, by the rules for staff.
        assert carol.get("/admin/users").status_code == 303
        log_in(carol, "carol")
        assert carol.get("/admin/users").status_code == 200
        cast.database.write(roles.disable_account, anna, cast.carol.user_id, now=NOW)
        answer = carol.get("/admin/users")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Fadmin%2Fusers")
        cast.database.write(roles.enable_account, anna, cast.carol.user_id, now=NOW)
        assert carol.get("/admin/users").status_code == 303
        log_in(carol, "carol")


def rows(page: Element) -> list[str]:
    """The names in the list."""
    return [row.one("th").text for row in page.one("tbody").all("tr")]


@pytest.mark.both_databases
def test_users_are_searched_filtered_and_shown_with_when_they_were_seen(cast: Cast, client: TestClient) -> None:
    log_in(client, "carol")
    page = read(client.get("/admin/users"))
    assert rows(page) == ["Fiona Fox", "Carol Clark", "Dr. Erin Eze", "Dr. Bob Brown", "Dave Dunn", "Alice Adams"]
    assert "Today, 08:00" in page.one("tbody").all("tr")[1].text
    assert not page.all(class_="error")
    cast.change(sa.update(User).where(User.id == cast.dave.user_id).values(active=False))
    for query, found in (
        ("q=ALICE", ["Alice Adams"]),
        ("q=adams+alice", ["Alice Adams"]),
        ("q=docket.example+eze", ["Dr. Erin Eze"]),
        ("q=%25", []),
        ("role=doctor", ["Dr. Erin Eze", "Dr. Bob Brown"]),
        ("role=receptionist", ["Fiona Fox"]),
        ("role=nonsense&access=nonsense", rows(page)),
        ("access=no", ["Dave Dunn"]),
        ("role=patient&access=yes", ["Alice Adams"]),
    ):
        page = read(client.get(f"/admin/users?{query}"))
        assert (rows(page) if page.all("tbody") else []) == found, query
        if not found:
            assert "No users match these filters." in page.text


@pytest.mark.both_databases
def test_long_lists_have_pages_in_both_directions(cast: Cast, client: TestClient) -> None:
    for number in range(120):
        cast.add(
            User(
                email=f"p{number}@docket.example",
                name=f"Person {number}",
                role="patient",
                password_hash="",
                created_at=NOW,
            )
        )
    log_in(client, "carol")
    first = read(client.get("/admin/users?q=person"))
    second = read(client.get(first.one("a", rel="next")["href"]))
    third = read(client.get(second.one("a", rel="next")["href"]))
    assert rows(first) + rows(second) + rows(third) == [f"Person {number}" for number in range(119, -1, -1)]
    assert not first.all("a", rel="prev")
    assert not third.all("a", rel="next")
    back = read(client.get(third.one("a", rel="prev")["href"]))
    assert rows(back) == rows(second)
    assert rows(read(client.get(back.one("a", rel="prev")["href"]))) == rows(first)
    for odd in ("before=x", "before=-1", "after=99999999999999", "before=%00", "after=1&before=2"):
        assert client.get(f"/admin/users?{odd}").status_code in {200, 400}


def test_an_admin_is_added_and_chooses_a_password_with_the_link(cast: Cast, client: TestClient) -> None:
    log_in(client, "carol")
    form = read(client.get("/admin/users/new")).form("/admin/users")
    answer = client.post(
        "/admin/users", data={**form, "name": "Ivy Invited", "email": "ivy@docket.example", "role": "admin"}
    )
    assert answer.status_code == 200
    assert answer.headers["cache-control"].startswith("no-store")
    page = read(answer)
    link = page.one("input", id="link")["value"]
    assert re.fullmatch(r"http://docket\.test/password/reset/[\w.-]{80,}", link)
    with client_for(cast.database) as ivy:
        assert ivy.post(link, data={"new": NEW}).status_code == 303
        assert ivy.post("/login", data={"email": "ivy@docket.example", "password": NEW}).status_code == 303
        assert ivy.get("/admin/users").status_code == 200
    shown_again = client.get(next(each for each in page.links if re.fullmatch(r"/admin/users/\d+", each))).text
    assert "/password/reset/" not in shown_again


def test_with_a_mail_server_the_link_goes_to_its_owner_and_both_are_told(cast: Cast) -> None:
    address = f"/admin/users/{cast.bob.user_id}"
    with client_for(cast.database, smtp_url="smtp://mail.example.org") as client:
        log_in(client, "carol")
        answer = client.post(f"{address}/password-link")
        assert (answer.status_code, answer.headers["location"]) == (303, address)
        page = client.get(address).text
        assert "We’ve emailed a link to choose a password to bob@docket.example." in page
        assert "/password/reset/" not in page
    with cast.database.reading() as session:
        sent = {row.template: row for row in session.scalars(sa.select(OutboxMessage))}
    invitation, note = sent["password_invitation"], sent["password_link_note"]
    assert (invitation.recipient, note.recipient) == ("bob@docket.example", "carol@docket.example")
    assert actions(cast, cast.bob.user_id) == ["password_link_mailed"]
    said = render(invitation.template, "email", invitation.recipient, invitation.values, base_url="", keys=[SECRET_KEY])
    link = re.search(r"/password/reset/\S+", said.text)
    assert link
    assert "Carol Clark" in said.text
    with client_for(cast.database) as bob:
        assert bob.post(link[0], data={"new": NEW}).status_code == 303
    with cast.database.reading() as session:
        last = session.scalars(sa.select(AuditEvent.details).order_by(AuditEvent.id.desc()).limit(1)).one()
    assert last == {"by": "link", "made_by": cast.carol.user_id}


def test_a_doctor_is_invited_by_mail_where_there_is_a_mail_server(cast: Cast) -> None:
    with client_for(cast.database, smtp_url="smtp://mail.example.org") as client:
        log_in(client, "carol")
        form = read(client.get("/admin/users/new")).form("/admin/users")
        new = {"name": "Ivy Invited", "email": "ivy@docket.example", "role": "admin"}
        answer = client.post("/admin/users", data={**form, **new})
        assert answer.status_code == 303
    with cast.database.reading() as session:
        sent = session.execute(sa.select(OutboxMessage.template, OutboxMessage.recipient)).all()
    assert ("password_invitation", "ivy@docket.example") in {tuple(row) for row in sent}


def test_the_link_names_the_address_of_the_settings(cast: Cast) -> None:
    with client_for(cast.database, base_url="https://booking.example.org") as client:
        client.base_url = client.base_url.copy_with(scheme="https", host="booking.example.org")
        client.headers["origin"] = "https://booking.example.org"
        log_in(client, "carol")
        answer = client.post(f"/admin/users/{cast.alice.user_id}/password-link", headers={"host": "evil.example"})
        assert read(answer).one("input", id="link")["value"].startswith("https://booking.example.org/password/reset/")


def test_a_doctor_is_added_for_a_doctor_without_account(cast: Cast, client: TestClient) -> None:
    log_in(client, "carol")
    new = {"name": "Dr. Bea Brown", "email": "bea@docket.example", "role": "doctor"}
    page = read(client.get("/admin/users/new"))
    assert [option["value"] for option in page.all("option")] == [""]
    change_role(cast, cast.carol, cast.bob.user_id, "admin")
    doctor = str(cast.doctor_ids["bob"])
    page = read(client.get("/admin/users/new"))
    assert [option["value"] for option in page.all("option")] == ["", doctor]
    for sent, field, words, status in (
        ({**new, "doctor": ""}, "doctor", "Choose a doctor.", 422),
        ({**new, "doctor": str(cast.doctor_ids["erin"])}, "doctor", "Not a valid choice", 422),
        (
            {**new, "doctor": doctor, "role": "admin"},
            "doctor",
            "Only an account with the role Doctor can have a doctor.",
            422,
        ),
        ({**new, "doctor": doctor, "role": ""}, "role", "Choose a role.", 422),
        ({**new, "doctor": doctor, "role": "patient"}, "role", "Not a valid choice", 422),
        ({**new, "doctor": doctor, "name": "B"}, "name", "Enter a name of 2 to 120 characters.", 422),
        ({**new, "doctor": doctor, "email": "bea"}, "email", "Enter an email address", 422),
        ({**new, "doctor": doctor, "email": "alice@docket.example"}, "email", "already an account", 409),
    ):
        answer = client.post("/admin/users", data=sent)
        assert answer.status_code == status, sent
        page = read(answer)
        assert words in page.one(id=f"{field}-error").text
        assert page.form("/admin/users")["name"] == sent["name"]
    assert client.post("/admin/users", data={**new, "doctor": doctor}).status_code == 200
    assert user_of(cast, doctor_user(cast) or 0).email == "bea@docket.example"


def test_an_account_is_shown_with_its_connections(cast: Cast, client: TestClient) -> None:
    cast.book(cast.alice, "2026-03-10 09:00")
    log_in(client, "carol")
    page = read(client.get(f"/admin/users/{cast.bob.user_id}"))
    assert "/admin/doctors/bob" in page.links
    page = read(client.get(f"/admin/users/{cast.alice.user_id}"))
    assert f"/admin/patients/{cast.patient_ids['alice']}" in page.links
    assert "1 upcoming appointment stays booked." in page.text
    for path in ("", "/access"):
        assert client.get(f"/admin/users/999{path}").status_code == 404
    for path in ("/role", "/access", "/password-link", "/sessions/end"):
        data = {"role": "admin", "access": "no"}
        assert client.post(f"/admin/users/999{path}", data=data).status_code == 404


def test_a_role_is_changed_on_the_page(cast: Cast, client: TestClient) -> None:
    log_in(client, "carol")
    address = f"/admin/users/{cast.bob.user_id}"
    form = read(client.get(address)).form(f"{address}/role")
    assert (form["role"], form["doctor"]) == ("doctor", str(cast.doctor_ids["bob"]))
    answer = client.post(f"{address}/role", data={**form, "role": "admin", "doctor": ""})
    assert (answer.status_code, answer.headers["location"]) == (303, address)
    assert (user_of(cast, cast.bob.user_id).role, doctor_user(cast)) == ("admin", None)
    # Another admin opened the form before that.
    answer = client.post(f"{address}/role", data={**form, "role": "patient", "doctor": ""})
    assert answer.status_code == 409
    page = read(answer)
    assert "Someone else changed this while you were editing." in page.text
    assert "Admin: runs the clinic" in page.one(id="role-theirs").text
    again = page.form(f"{address}/role")
    assert again["role"] == "patient"
    assert client.post(f"{address}/role", data=again).status_code == 303
    assert user_of(cast, cast.bob.user_id).role == "patient"


def test_the_page_says_that_the_last_admin_stays(cast: Cast, client: TestClient) -> None:
    log_in(client, "carol")
    address = f"/admin/users/{cast.carol.user_id}"
    form = read(client.get(address)).form(f"{address}/role") | {"role": "patient", "doctor": ""}
    for path, data in (("role", form), ("access", {"access": "no"})):
        answer = client.post(f"{address}/{path}", data=data)
        assert answer.status_code == 409
        assert "This is the only admin." in read(answer).one("div", role="alert").text
    add_admin(cast)
    answer = client.post(f"{address}/role", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_disabling_is_asked_first_and_ends_sessions_and_links(cast: Cast, client: TestClient) -> None:
    log_in(client, "carol")
    address = f"/admin/users/{cast.alice.user_id}"
    with client_for(cast.database) as alice:
        log_in(alice, "alice")
        link = read(client.post(f"{address}/password-link")).one("input", id="link")["value"]
        page = read(client.get(f"{address}/access"))
        assert page.h1 == "Disable Alice Adams?"
        form = page.form(f"{address}/access")
        # Doing it twice is the same as once.
        for _ in range(2):
            assert client.post(f"{address}/access", data=form).status_code == 303
        assert alice.get("/account").status_code == 303
        assert alice.post("/login", data={"email": "alice@docket.example", "password": PASSWORD}).status_code == 401
        assert alice.get(link).status_code == 404
        assert client.post(f"{address}/password-link").headers["location"] == address
        assert "Enable it first." in client.get(address).text
        page = read(client.get(f"{address}/access"))
        assert page.h1 == "Enable Alice Adams?"
        assert client.post(f"{address}/access", data=page.form(f"{address}/access")).status_code == 303
        log_in(alice, "alice")
        assert alice.get(link).status_code == 404
    assert actions(cast, cast.alice.user_id) == ["password_link_shown", "user_disabled", "user_enabled"]


def test_a_form_without_an_answer_disables_no_account(cast: Cast, client: TestClient) -> None:
    log_in(client, "carol")
    address = f"/admin/users/{cast.alice.user_id}"
    for data in ({}, {"access": ""}, {"access": "perhaps"}):
        assert client.post(f"{address}/access", data=data).status_code == 422
    assert user_of(cast, cast.alice.user_id).active


def test_an_account_is_signed_out_everywhere(cast: Cast, client: TestClient) -> None:
    log_in(client, "carol")
    cast.database.write(sessions.start_session, cast.alice.user_id, address="", user_agent="", now=NOW)
    address = f"/admin/users/{cast.alice.user_id}"
    assert client.post(f"{address}/sessions/end").status_code == 303
    assert "Signed out on 1 device." in read(client.get(address)).text
    with cast.database.reading() as session:
        hers = UserSession.user_id == cast.alice.user_id
        assert session.scalar(sa.select(sa.func.count(UserSession.id)).where(hers)) == 0
        assert session.scalar(sa.select(sa.func.count(PasswordLink.id))) == 0
    assert actions(cast, cast.alice.user_id) == ["sessions_ended"]
