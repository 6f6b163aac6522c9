"""A day of work writes no name, address, telephone number or reason into the log."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cast import PASSWORD, Cast, client_for, local, log_in
from tests.reading import read
from webapp.core.formats import iso
from webapp.worker import Worker

NAME, PHONE, REASON = "Philippa Quartermain", "+31 6 98765432", "eczema that itches at night"
EMAIL, TYPED = "philippa@quartermain.example", "my-secret-pass-phrase 7"
NEVER = (
    *("philippa", "quartermain", "98765432", "eczema", "itches", "1984-03-27", TYPED, PASSWORD),
    *("alice", "adams", "docket.example", "bob brown", "carol", "dave"),
)


def test_a_day_of_work_logs_no_person(
    cast: Cast, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    client = client_for(cast.database, log_format="json")
    app: Any = client.app

    def crash() -> None:
        raise RuntimeError(f"{EMAIL} cannot be reached")

    app.add_api_route("/crash", crash)

    new = {"name": NAME, "email": EMAIL, "password": TYPED, "password_again": TYPED, "phone": PHONE}
    client.post("/register", data={**new, "birth_date": "1984-03-27"})
    client.post("/login", data={"email": EMAIL, "password": TYPED})
    client.post("/login", data={"email": "alice@docket.example", "password": "wrong horse battery"})
    client.get("/", params={"q": NAME})
    log_in(client, "alice")
    start = iso(local("2026-03-10 09:30"))
    slot = {"doctor": "bob", "visit_type": str(cast.short), "starts_at": start}
    form = read(client.get("/book", params=slot)).form("/appointments")
    booked = client.post("/appointments", data={**form, "reason": REASON})
    assert booked.status_code == 303
    reference = booked.headers["location"].split("/")[2].partition("?")[0]
    client.get(f"/appointments/{reference}")
    for path, form in (("reschedule", {"starts_at": iso(local("2026-03-12 09:30"))}), ("cancellation", {})):
        client.post(f"/appointments/{reference}/{path}", data={**form, "version": "1", "reason": REASON})
    client.post("/account", data={"name": NAME, "phone": PHONE, "birth_date": "1984-03-27"})
    log_in(client, "carol")
    client.get("/admin/patients", params={"q": NAME})
    client.post("/admin/patients/new", data={"name": NAME, "email": EMAIL, "phone": PHONE})
    assert read(client.get("/crash")).h1 == "Sorry, something went wrong"
    client.get(f"/{EMAIL}")
    client.get("/api/v1/patients", params={"q": NAME}, headers={"authorization": f"Bearer {TYPED}"})
    courier = Worker(cast.database, app.state.settings, base_url="https://d.test", clock=lambda: cast.now).couriers[0]
    while courier.deliver_next():
        pass

    lines = capsys.readouterr().err.splitlines()
    entries = [json.loads(line) for line in lines]
    asked = {(entry["method"], entry["route"], entry["status"] < 400) for entry in entries if "route" in entry}
    assert {("POST", "/register", True), ("POST", "/login", False), ("GET", "/admin/patients", True)} <= asked
    assert any("exception" in entry for entry in entries), "The crash has its traceback."
    assert all(re.fullmatch("[0-9a-f]{10}", entry["request_id"]) for entry in entries if "route" in entry)
    text = "\n".join(lines).lower()
    assert [word for word in (*NEVER, reference.lower()) if word.lower() in text] == []
