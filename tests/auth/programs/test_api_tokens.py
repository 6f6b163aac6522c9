"""API tokens: a program acts within scopes, under its own name, until an admin or a day ends it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import ValidationError
from starlette.testclient import TestClient

from tests.api_client import API, make_api_token
from tests.cast import NOW, SECRET_KEY, Cast, client_for, local, log_in
from tests.reading import read
from webapp import models
from webapp.auth.programs import api_tokens
from webapp.auth.programs.api_tokens import MakeToken
from webapp.core.formats import iso
from webapp.exceptions import NotFound
from webapp.privacy import retention

TOKENS = "/admin/users/tokens"


def rows_of(cast: Cast, *columns: Any) -> list[tuple[Any, ...]]:
    with cast.database.reading() as session:
        return [tuple(row) for row in session.execute(sa.select(*columns).order_by(columns[0]))]


def ask(client: TestClient, token: str, path: str = "/patients") -> Any:
    return client.get(f"{API}{path}", headers={"authorization": f"Bearer {token}"})


@pytest.mark.both_databases
def test_an_admin_makes_a_token_sees_it_once_and_revokes_it(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")
    assert TOKENS in read(client.get("/admin/users")).links
    assert "No program has a token yet." in client.get(TOKENS).text
    form = read(client.get(f"{TOKENS}/new")).form(TOKENS)
    assert form["days"] == "90"
    assert client.post(TOKENS, data={**form, "name": "Laboratory system"}).status_code == 422
    made = client.post(TOKENS, data={**form, "name": "Laboratory system", "scopes": "patients:read"})
    assert made.headers["cache-control"] == "no-store, no-transform"
    found = re.search(r"docket_([a-z0-9]{8})_[A-Za-z0-9_-]{51}", made.text)
    assert found is not None
    token = found[0]
    listed = client.get(TOKENS).text
    assert found[1] in listed
    assert token not in listed
    assert "Never" in listed
    assert "Laboratory system" not in client.get("/admin/users").text
    [(stored,)] = rows_of(cast, models.ApiToken.token_hash)
    assert stored not in token
    assert len(stored) == 64
    assert ask(client, token).status_code == 200
    assert "Never" not in client.get(TOKENS).text
    [address] = [link for link in read(client.get(TOKENS)).links if link.endswith("/revocation")]
    assert client.get(address).status_code == 200
    assert client.post(address).headers["location"] == TOKENS
    assert client.get(address).status_code == 404
    assert ask(client, token).json()["code"] == "invalid_token"
    actions = [action for _id, action in rows_of(cast, models.AuditEvent.id, models.AuditEvent.action)]
    assert [each for each in actions if each.startswith("api_token")] == [
        "api_token_made",
        "api_token_used",
        "api_token_revoked",
    ]
    assert "Laboratory system" in client.get("/admin/audit?who=laboratory").text


def test_all_admins_are_told_and_an_old_proof_is_not_enough(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")
    form = {"name": "Laboratory system", "scopes": "patients:read", "days": "90"}
    client.app.state.clock = lambda: NOW + timedelta(minutes=20)  # type: ignore[attr-defined]
    assert client.post(TOKENS, data=form).headers["location"].startswith("/confirm?")
    assert rows_of(cast, models.ApiToken.id) == []
    client.app.state.clock = lambda: NOW  # type: ignore[attr-defined]
    assert client.post(TOKENS, data=form).status_code == 200
    columns = (models.OutboxMessage.recipient, models.OutboxMessage.template)
    assert ("carol@docket.example", "api_token_made") in rows_of(cast, *columns)


def test_a_token_ends_after_a_year_at_most(cast: Cast) -> None:
    token = make_api_token(cast, "patients:read", days=30)
    with client_for(cast.database, now=NOW + timedelta(days=30, seconds=-1)) as client:
        assert ask(client, token).status_code == 200
    with client_for(cast.database, now=NOW + timedelta(days=30)) as client:
        assert ask(client, token).status_code == 401
        log_in(client, "carol")
        assert "Expired" in client.get(TOKENS).text
    wrongs: list[dict[str, object]] = [{"days": 366}, {"days": 0}, {"scopes": []}, {"scopes": ["patients:delete"]}]
    for wrong in wrongs:
        with pytest.raises(ValidationError):
            MakeToken.model_validate({"name": "Laboratory", "scopes": ["patients:read"], **wrong})
    retention.run(cast.database, now=NOW + timedelta(days=59))
    assert len(rows_of(cast, models.ApiToken.id)) == 1
    assert retention.run(cast.database, now=NOW + timedelta(days=61))["api_tokens"] == 1
    # Its name stays, for the audit log.
    assert ("Laboratory system", "machine", False) in rows_of(
        cast, models.User.name, models.User.role, models.User.active
    )


def test_use_is_written_every_five_minutes_and_once_a_day_into_the_audit_log(cast: Cast) -> None:
    token = make_api_token(cast, "patients:read")
    used = models.ApiToken.last_used_at, models.ApiToken.last_network
    for minutes, last in ((0, 0), (4, 0), (5, 5), (24 * 60, 24 * 60)):
        now = NOW + timedelta(minutes=minutes)
        found = cast.database.write(api_tokens.find_token, token, address="192.0.2.9", now=now)
        assert found is not None
        assert found.unnoted == (minutes != 4)
        cast.database.write(api_tokens.note_use, found.actor, found.id, now=now)
        assert rows_of(cast, *used) == [(NOW + timedelta(minutes=last), "192.0.2.9")]
    days = rows_of(cast, models.AuditEvent.id, models.AuditEvent.action, models.AuditEvent.actor_role)
    assert [role for _id, action, role in days if action == "api_token_used"] == ["machine"] * 2


def test_staff_see_a_programs_bookings_under_its_name(client: TestClient, cast: Cast) -> None:
    headers = {"authorization": f"Bearer {make_api_token(cast, 'appointments:write')}", "idempotency-key": "one"}
    body = {
        "doctor_id": cast.doctor_ids["bob"],
        "visit_type_id": cast.short,
        "patient_id": cast.patient_ids["alice"],
        "starts_at": iso(local("2026-03-03 09:30")),
    }
    booked = client.post(f"{API}/appointments", json=body, headers=headers)
    assert booked.status_code == 201, booked.text
    again = client.post(f"{API}/appointments", json=body, headers=headers)
    assert (again.json(), again.headers["idempotency-replayed"]) == (booked.json(), "true")
    # The key is this token's own.
    other = {**headers, "authorization": f"Bearer {make_api_token(cast, 'appointments:write')}"}
    assert client.post(f"{API}/appointments", json=body, headers=other).status_code == 409
    address = f"/appointments/{booked.json()['reference']}"
    assert "Booked by Laboratory system" in read(log_in(client, "bob").get(address)).text
    assert "Booked by the clinic" in read(log_in(client, "alice").get(address)).text


def test_the_account_of_a_token_is_no_persons(client: TestClient, cast: Cast) -> None:
    make_api_token(cast, "patients:read")
    with cast.database.reading() as session:
        machine = session.scalars(sa.select(models.User).where(models.User.role == "machine")).one()
    log_in(client, "carol")
    assert client.get(f"/admin/users/{machine.id}").status_code == 404
    for path, form in (("access", {"access": "yes"}), ("role", {"role": "admin"}), ("password-link", {})):
        assert client.post(f"/admin/users/{machine.id}/{path}", data=form).status_code == 404
    with pytest.raises(NotFound):
        cast.database.write(api_tokens.revoke_token, cast.carol, 999, now=NOW)


def test_a_program_never_changes_the_address_with_which_a_patient_signs_in(client: TestClient, cast: Cast) -> None:
    """Not even when the cookie of an admin who proved just now who they are comes along."""
    log_in(client, "carol")
    headers = {"authorization": f"Bearer {make_api_token(cast, 'patients:write')}"}
    alice = f"{API}/patients/{cast.patient_ids['alice']}"
    refused = client.patch(alice, json={"email": "mallory@docket.example"}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_confirmed")
    assert client.patch(alice, json={"phone": "020 123 4567"}, headers=headers).status_code == 200


def test_requests_are_counted_for_each_token_and_invented_ones_for_their_network(cast: Cast) -> None:
    one, two = make_api_token(cast, "patients:read"), make_api_token(cast, "patients:read")
    assert api_tokens.handle_of(["another key", SECRET_KEY], one) == one[7:15]
    assert api_tokens.handle_of([SECRET_KEY], one[:-1] + ("0" if one[-1] != "0" else "1")) == ""
    with client_for(cast.database, api_rate_limit="2/minute", api_rate_limit_anonymous="1/minute") as client:
        assert [ask(client, one).status_code for _again in range(3)] == [200, 200, 429]
        assert ask(client, two).status_code == 200
        invented = [f"docket_aaaaaaa{number}_{'x' * 43}00000000" for number in range(2)]
        assert [ask(client, token).status_code for token in invented] == [401, 429]
