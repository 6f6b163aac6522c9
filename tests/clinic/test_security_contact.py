"""`/.well-known/security.txt`, as RFC 9116 asks for it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import NOW, Cast, client_for
from webapp.models import ClinicSettings

ADDRESS = "/.well-known/security.txt"


def fields(text: str) -> list[tuple[str, str]]:
    """The lines as names and values."""
    assert text.endswith("\n")
    return [(name, value) for name, _colon, value in (line.partition(": ") for line in text.splitlines())]


def test_it_names_the_contact_in_the_settings(sqlite_cast: Cast) -> None:
    contact = ("security@clinic.example", "https://clinic.example/report")
    settings: dict[str, Any] = {"security_contact": contact, "security_policy": "https://clinic.example/policy"}
    with client_for(sqlite_cast.database, base_url="https://booking.example.org", **settings) as client:
        answer = client.get(ADDRESS)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    said = fields(answer.text)
    assert [value for name, value in said if name == "Contact"] == ["mailto:security@clinic.example", contact[1]]
    assert said[-2:] == [
        ("Canonical", f"https://booking.example.org{ADDRESS}"),
        ("Policy", "https://clinic.example/policy"),
    ]
    (expires,) = [datetime.fromisoformat(value) for name, value in said if name == "Expires"]
    assert NOW < expires < NOW + timedelta(days=365)


def test_without_one_it_names_the_telephone_and_without_that_there_is_none(client: TestClient, cast: Cast) -> None:
    assert fields(client.get(ADDRESS).text)[0] == ("Contact", "tel:+31201234567")
    cast.change(sa.update(ClinicSettings).values(phone=""))
    assert client.get(ADDRESS).status_code == 404
