"""Which answers are compressed, and how long browsers cache files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.cast import Cast, client_for, log_in
from webapp.core import static_files
from webapp.core.compression_middleware import CompressionMiddleware
from webapp.core.static_files import VersionedStatic
from webapp.core.templates import asset


def sizes(client: TestClient, path: str, **headers: str) -> tuple[int, int]:
    """The bytes of an answer on the wire, and after decoding."""
    with client.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        wire = int(answer.headers["content-length"])
        return wire, len(answer.read())


@pytest.mark.parametrize("path", ["/", "/doctors", "/api/v1/doctors"])
def test_pages_and_json_leave_compressed(path: str, cast: Cast) -> None:
    with client_for(cast.database) as client:
        wire, full = sizes(client, path)
        plain = client.get(path, headers={"accept-encoding": "identity"})
        packed = client.get(path)
        assert wire < full / 2
        assert "content-encoding" not in plain.headers
        assert packed.content == plain.content
        # A page has one ETag, because writes depend on it.
        assert packed.headers.get("etag") == plain.headers.get("etag")
        for answer in (plain, packed):
            assert "Accept-Encoding" in answer.headers["vary"]
        refusing = client.get(path, headers={"accept-encoding": "gzip;q=0, identity"})
        assert "content-encoding" not in refusing.headers


@pytest.mark.parametrize("path", ["/doctors", "/api/v1/doctors/1", "/openapi.json"])
def test_an_answer_that_the_client_has_varies_like_the_first_one(path: str, sqlite_cast: Cast) -> None:
    with client_for(sqlite_cast.database) as client:
        got = client.get(path)
        known = client.get(path, headers={"if-none-match": got.headers["etag"]})
        assert (known.status_code, known.content) == (304, b"")
        assert "Accept-Encoding" in known.headers["vary"]
        assert set(got.headers.get("vary", "").split(", ")) <= {*known.headers["vary"].split(", "), ""}


def test_answers_with_a_secret_are_not_compressed(cast: Cast) -> None:
    with client_for(cast.database) as client:
        assert "content-encoding" not in log_in(client, "alice").get("/account").headers
        assert "content-encoding" not in client.get("/password/reset/not-a-token").headers


def test_a_route_says_that_its_answer_is_secret() -> None:
    def answer(request: Request) -> Response:
        return PlainTextResponse("word " * 1000, headers={"cache-control": request.query_params["cache"]})

    client = TestClient(CompressionMiddleware(Starlette(routes=[Route("/", answer)])))
    assert "content-encoding" not in client.get("/?cache=no-store, no-transform").headers
    assert client.get("/?cache=no-store").headers["content-encoding"] == "gzip"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """One style sheet and one picture."""
    monkeypatch.setattr(static_files, "asset", lambda name: f"/static/{name}?v=1")
    (tmp_path / "a.css").write_text("body { color: black }\n" * 200)
    (tmp_path / "a.png").write_bytes(b"\x89PNG" * 500)
    (tmp_path / "empty.js").touch()
    app = Starlette()
    app.mount("/static", VersionedStatic(tmp_path))
    return TestClient(app)


def test_a_file_is_compressed_and_has_an_etag_for_each_coding(files: TestClient) -> None:
    packed = files.get("/static/a.css")
    plain = files.get("/static/a.css", headers={"accept-encoding": "identity"})
    assert (packed.headers["content-encoding"], packed.headers["content-type"]) == ("gzip", "text/css; charset=utf-8")
    assert int(packed.headers["content-length"]) < 200 < int(plain.headers["content-length"])
    assert packed.text == plain.text
    assert packed.headers["etag"] != plain.headers["etag"]
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    again = files.get("/static/a.css", headers={"if-none-match": packed.headers["etag"]})
    assert (again.status_code, again.headers["etag"], again.content) == (304, packed.headers["etag"], b"")
    # A part of a file is a part of the file itself.
    part = files.get("/static/a.css", headers={"range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"body")
    assert "content-encoding" not in files.get("/static/a.png").headers
    assert files.get("/static/empty.js").content == b""
    assert files.get("/static/missing.css").status_code == 404
    assert files.post("/static/a.css").status_code == 405


def test_a_file_that_changes_is_compressed_again(files: TestClient, tmp_path: Path) -> None:
    before = files.get("/static/a.css")
    (tmp_path / "a.css").write_text("body { color: green }\n" * 200)
    os.utime(tmp_path / "a.css", ns=(1, 1))
    after = files.get("/static/a.css")
    assert after.text.startswith("body { color: green }")
    assert after.headers["etag"] != before.headers["etag"]


@pytest.mark.parametrize("name", ["css/base.css", "js/swaps.js", "img/mark.svg"])
def test_our_files_are_kept_for_a_year_under_their_version(name: str, cast: Cast) -> None:
    with client_for(cast.database) as client:
        fixed, other = client.get(asset(name)), client.get(f"/static/{name}?v=other")
        head = client.head(asset(name))
    assert fixed.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert other.headers["cache-control"] == "no-cache"
    assert (head.headers["content-length"], head.content) == (fixed.headers["content-length"], b"")
    assert fixed.headers["content-encoding"] == "gzip"
