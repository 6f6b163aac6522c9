"""Passkeys on the server's side, with an authenticator in thirty lines: replays, other accounts, other purposes."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from datetime import timedelta
from typing import Any
from typing import cast as typed

import cbor2
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.cast import NOW, ORIGIN, Cast, client_for, log_in
from tests.reading import read
from webapp import models
from webapp.auth.addresses import confirmation
from webapp.auth.passwords.password_links import create_password_link
from webapp.patients import records
from webapp.patients.schemas import PatientDetails

ACCOUNT_KEYS, SIGN_IN = "/account/passkeys", "/login/passkey"


def coded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


class Device:
    """A device that keeps one passkey and always recognises its owner."""

    def __init__(self, origin: str = ORIGIN) -> None:
        self.origin, self.count = origin, 0
        self.key, self.id = ec.generate_private_key(ec.SECP256R1()), os.urandom(16)

    def create(self, options: dict[str, Any], *, verified: bool = True) -> str:
        point = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cbor2.dumps(cose)
        seen = self._seen(options["rp"]["id"], 0x45 if verified else 0x41) + attested
        made = {"fmt": "none", "attStmt": {}, "authData": seen}
        said = self._said("webauthn.create", options)
        return self._answer(clientDataJSON=coded(said), attestationObject=coded(cbor2.dumps(made)))

    def sign(self, options: dict[str, Any], *, count: int | None = None, verified: bool = True) -> str:
        self.count = self.count + 1 if count is None else count
        seen = self._seen(options["rpId"], 0x05 if verified else 0x01)
        said = self._said("webauthn.get", options)
        signature = self.key.sign(seen + hashlib.sha256(said).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer(clientDataJSON=coded(said), authenticatorData=coded(seen), signature=coded(signature))

    def _seen(self, host: str, flags: int) -> bytes:
        return hashlib.sha256(host.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def _said(self, kind: str, options: dict[str, Any]) -> bytes:
        said = {"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": False}
        return json.dumps(said).encode()

    def _answer(self, **response: str) -> str:
        return json.dumps({"id": coded(self.id), "rawId": coded(self.id), "type": "public-key", "response": response})


def options(client: TestClient, purpose: str) -> dict[str, Any]:
    answer = client.post("/passkeys/options", data={"purpose": purpose})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def add(client: TestClient, device: Device, name: str = "My phone") -> Any:
    return client.post(ACCOUNT_KEYS, data={"passkey": device.create(options(client, "register")), "name": name})


def sign_in(client: TestClient, answer: str, **more: str) -> str:
    """Sign in with a device's answer, and return where that leads."""
    sent = client.post(SIGN_IN, data={"passkey": answer, **more})
    assert sent.status_code == 303
    location: str = sent.headers["location"]
    return location


def later(client: TestClient, minutes: int) -> None:
    state = typed(FastAPI, client.app).state
    now = state.clock() + timedelta(minutes=minutes)
    state.clock = lambda: now


@pytest.fixture
def device(client: TestClient) -> Device:
    """Alice's device, with a passkey; the client is signed out."""
    device = Device()
    log_in(client, "alice")
    assert add(client, device).headers["location"] == "/account"
    client.cookies.clear()
    return device


@pytest.mark.both_databases
def test_a_passkey_signs_in_once_with_each_answer(client: TestClient, cast: Cast, device: Device) -> None:
    answer = device.sign(options(client, "sign-in"))
    assert sign_in(client, answer, next="/appointments") == "/appointments"
    assert "My phone" in read(client.get("/account")).text
    with client_for(cast.database) as thief:
        assert sign_in(thief, answer) == "/login"
        assert thief.get("/account").status_code == 303
    with cast.database.reading() as session:
        assert session.scalars(sa.select(models.PasskeyChallenge)).all() == []
        mails = session.scalars(sa.select(models.OutboxMessage.values)).all()
    assert [(mail["what"], mail["name"]) for mail in mails if "what" in mail] == [("passkey_added", "My phone")]


def test_a_passkey_without_a_name_has_a_usual_one_in_the_readers_language(client: TestClient, cast: Cast) -> None:
    """Nothing is stored for it, because a stored word would stay in the language of the person who added it."""
    log_in(client, "alice")
    assert add(client, Device(), name=" ").headers["location"] == "/account"
    with cast.database.reading() as session:
        assert session.scalars(sa.select(models.Passkey.name)).all() == [""]
    assert "Passkey" in [element.text for element in read(client.get("/account")).all("b")]


def test_an_answer_must_fit_in_every_way(client: TestClient, cast: Cast, device: Device) -> None:
    asked = options(client, "sign-in")
    stranger, elsewhere = Device(), Device(origin="https://evil.example")
    stranger.id = elsewhere.id = device.id
    elsewhere.key = device.key
    wrong = [
        "",
        "{}",
        "[1]",
        "not JSON",
        "x" * 30_000,
        stranger.sign(options(client, "sign-in")),
        elsewhere.sign(options(client, "sign-in")),
        device.sign({**options(client, "sign-in"), "rpId": "evil.example"}),
        device.sign({**options(client, "sign-in"), "challenge": coded(b"made up by the client")}),
        device.sign(options(client, "sign-in"), verified=False),
        Device().sign(options(client, "sign-in")),
    ]
    for number, answer in enumerate(wrong):
        assert sign_in(client, answer) == "/login", number
        assert client.get("/account").status_code == 303, number
    later(client, 6)
    assert sign_in(client, device.sign(asked)) == "/login"
    with cast.database.reading() as session:
        failed = models.SecurityEvent.action == "sign_in_failed", models.SecurityEvent.about == "passkey"
        assert session.scalar(sa.select(sa.func.sum(models.SecurityEvent.count)).where(*failed))


def test_a_copied_passkey_is_noticed_by_its_count(client: TestClient, device: Device) -> None:
    assert sign_in(client, device.sign(options(client, "sign-in"), count=7)) == "/"
    client.cookies.clear()
    assert sign_in(client, device.sign(options(client, "sign-in"), count=6)) == "/login"


def test_a_challenge_is_for_one_purpose_and_one_account(client: TestClient, cast: Cast, device: Device) -> None:
    log_in(client, "alice")
    with client_for(cast.database) as daves:
        log_in(daves, "dave")
        # Dave's browser cannot confirm with Alice's device, nor with a challenge for signing in.
        for asked in (options(daves, "prove"), options(client, "prove"), options(daves, "sign-in")):
            answer = daves.post("/confirm", data={"passkey": device.sign(asked)})
            assert answer.status_code == 401
        made = Device()
        answer = daves.post(ACCOUNT_KEYS, data={"passkey": made.create(options(client, "register"))})
        assert "didn’t work" in read(daves.get("/account")).text
        assert daves.get("/account").text.count("/removal") == 0
    assert client.post("/confirm", data={"passkey": device.sign(options(client, "prove"))}).status_code == 303
    client.cookies.clear()
    log_in(client, "alice")
    assert sign_in(client, device.sign(options(client, "prove"))) == "/login"


@pytest.mark.both_databases
def test_a_passkey_is_a_second_step_and_one_alone_is_enough_for_staff(client: TestClient, cast: Cast) -> None:
    device = Device()
    log_in(client, "carol")
    codes = read(add(client, device)).one("ol", class_="codes").all("li")
    assert len(codes) == 10
    assert [each["id"] for each in options(client, "register")["excludeCredentials"]] == [coded(device.id)]
    client.cookies.clear()
    form = {"email": "carol@docket.example", "password": "a long sentence for tests"}
    assert client.post("/login", data=form).headers["location"] == "/login/factor"
    page = read(client.get("/login/factor"))
    assert page.one("form", action="/login/factor", **{"data-passkey": "prove"})
    answer = device.sign(options(client, "prove"))
    assert client.post("/login/factor", data={"passkey": answer, "next": "/admin"}).headers["location"] == "/admin"
    client.cookies.clear()
    assert sign_in(client, device.sign(options(client, "sign-in"))) == "/admin"
    assert client.get("/admin").status_code == 200
    # No passkey lets a disabled account in.
    cast.change(sa.update(models.User).values(active=False))
    client.cookies.clear()
    assert sign_in(client, device.sign(options(client, "sign-in"))) == "/login"


@pytest.mark.both_databases
def test_a_required_passkey_stays_and_another_persons_is_not_found(
    client: TestClient, cast: Cast, device: Device
) -> None:
    log_in(client, "carol")
    add(client, Device(), "Mine")
    cast.change(sa.update(models.SignInRules).values(factor_admins=True))
    with cast.database.reading() as session:
        ids = dict(list(session.execute(sa.select(models.Passkey.user_id, models.Passkey.id))))
    client.post(f"{ACCOUNT_KEYS}/{ids[cast.carol.user_id]}/removal")
    assert "requires two-step sign-in" in read(client.get("/account")).text
    assert client.post(f"{ACCOUNT_KEYS}/{ids[cast.alice.user_id]}/removal").status_code == 404
    log_in(client, "alice")
    assert client.post(f"{ACCOUNT_KEYS}/{ids[cast.alice.user_id]}/removal").status_code == 303
    assert "You haven’t added a passkey." in read(client.get("/account")).text


@pytest.mark.parametrize("how", ["code", "link", "correction"])
def test_a_former_users_passkey_ends_when_the_owner_takes_the_account(
    client: TestClient, cast: Cast, device: Device, how: str
) -> None:
    """A stranger has registered with Alice's address, or reads a mailbox that a typing mistake named."""
    alice = cast.alice.user_id
    confirmed_at = NOW if how == "correction" else None
    cast.change(sa.update(models.User).where(models.User.id == alice).values(email_confirmed_at=confirmed_at))
    if how == "code":
        assert cast.database.write(confirmation.confirm_by_code, alice, known=False, address="", now=NOW)
    elif how == "link":
        token = cast.database.write(create_password_link, alice, now=NOW, lifetime=timedelta(hours=1))
        form = {"new": "walrus teapot orbit"}
        assert client.post(f"/password/reset/{token}", data=form).headers["location"] == "/login"
    else:
        record = cast.patient_ids["alice"]
        details = PatientDetails(name="Alice Adams", phone="", email="alice.adams@docket.example")
        cast.database.write(records.change_patient, cast.carol, record, details, seen="", now=NOW)
    answer = client.post(SIGN_IN, data={"passkey": device.sign(options(client, "sign-in"))})
    assert answer.headers.get("location", "") != "/"
    with cast.database.reading() as session:
        assert session.scalars(sa.select(models.Passkey.id)).all() == []
        assert session.scalar(sa.select(models.User.factor_since).where(models.User.id == alice)) is None


def test_adding_one_needs_a_recent_proof_and_a_verified_owner(client: TestClient) -> None:
    log_in(client, "alice")
    answer = Device().create(options(client, "register"), verified=False)
    client.post(ACCOUNT_KEYS, data={"passkey": answer})
    assert "didn’t work" in read(client.get("/account")).text
    later(client, 11)
    assert client.post("/passkeys/options", data={"purpose": "register"}).headers["location"].startswith("/confirm")
    assert client.post(ACCOUNT_KEYS, data={"passkey": "{}"}).headers["location"].startswith("/confirm")


@pytest.mark.both_databases
def test_one_network_cannot_fill_the_table_of_challenges(client: TestClient, cast: Cast) -> None:
    row = {"purpose": "sign-in", "network": "testclient", "created_at": NOW}
    rows = [{**row, "challenge_hash": f"{number}"} for number in range(60)]
    cast.database.write(lambda session: session.execute(sa.insert(models.PasskeyChallenge), rows))
    answer = client.post("/passkeys/options", data={"purpose": "sign-in"})
    assert answer.status_code == 429
    later(client, 6)
    assert client.post("/passkeys/options", data={"purpose": "sign-in"}).status_code == 200
    with cast.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count(models.PasskeyChallenge.id))) == 1
