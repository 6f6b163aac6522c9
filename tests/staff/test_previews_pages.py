"""Message previews: every kind can be read, and the document is sandboxed."""

from __future__ import annotations

from html import unescape

import pytest
from starlette.testclient import TestClient

from tests.cast import Cast, client_for, log_in
from tests.reading import read
from webapp.core.signing import unsign
from webapp.staff.messages.previews import DEAD_KEYS, KINDS

DOCUMENT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Nothing here depends on the kind of database."""
    return sqlite_url


@pytest.fixture
def carol(cast: Cast) -> TestClient:
    """The admin's browser."""
    return log_in(client_for(cast.database), "carol")


def test_every_kind_is_listed_and_can_be_read(carol: TestClient) -> None:
    links = read(carol.get("/admin/messages/previews")).links
    for kind in KINDS:
        address = f"/admin/messages/previews/{kind.name}"
        assert address in links
        answer = carol.get(address)
        assert answer.status_code == 200
        assert "example" in read(answer).text
        document = carol.get(f"{address}/document")
        assert document.status_code == 200
        assert "Harbour Lane Clinic" in document.text
        assert document.text.count("<style>") == 1
    assert carol.get("/admin/messages/previews/nothing").status_code == 404
    assert carol.get("/admin/messages/previews/nothing/document").status_code == 404


def test_the_document_is_sandboxed_and_framed_by_our_own_page_alone(carol: TestClient) -> None:
    page = carol.get("/admin/messages/previews/visit_booked")
    assert 'src="/admin/messages/previews/visit_booked/document"' in page.text
    assert page.headers["content-security-policy"].endswith("; frame-src 'self'")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    document = carol.get("/admin/messages/previews/visit_booked/document")
    assert document.headers["content-security-policy"] == DOCUMENT_POLICY
    assert document.headers["x-frame-options"] == "SAMEORIGIN"
    assert document.headers["cache-control"] == "no-store"


def test_links_of_examples_open_nothing(carol: TestClient) -> None:
    document = unescape(carol.get("/admin/messages/previews/visit_moved_by_clinic/document").text)
    token = document.partition("/visit/")[2].partition("/")[0].partition('"')[0]
    assert unsign(DEAD_KEYS, "visit", token) == ["EXAM-PLE2", "alex.example@example.org"]
    path = "/visit/" + token
    assert carol.get(path).status_code in {403, 404, 410}
