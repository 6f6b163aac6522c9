"""Overload: which requests are admitted, wait or are refused, and that staff go ahead."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.cast import Cast, client_for, log_in
from tests.processes import PATIENCE
from webapp.core import admission_middleware
from webapp.core.admission_middleware import AdmissionMiddleware, Gate, Limits, RecentStaff
from webapp.core.security import HSTS

# Whatever waits is let in, however slow the machine is.
PATIENT = Limits(2, seconds_ahead=PATIENCE)
FEW = PATIENT._replace(waiting=4)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A stopped clock for the gates; tests move it."""
    clock = [100.0]
    monkeypatch.setattr(admission_middleware, "perf_counter", lambda: clock[0])
    return clock


def run(work: Callable[[], Awaitable[None]]) -> None:
    """Run a test in an event loop; what waits forever is an error.

    In a thread: where browser tests ran in this process, its main thread has a loop already.
    """

    async def bounded() -> None:
        await asyncio.wait_for(work(), PATIENCE)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(bounded())).result()


async def settle() -> None:
    """Let all tasks come to where they wait."""
    for _step in range(10):
        await asyncio.sleep(0)


def test_a_gate_has_places_a_short_queue_and_then_an_end() -> None:
    async def work() -> None:
        gate = Gate(FEW._replace(seconds=1))
        assert [await gate.enter(ahead=False) for _number in range(2)] == [True, True]
        waiting = []
        for _number in range(4):
            assert gate.is_open(ahead=False)
            waiting.append(asyncio.create_task(gate.enter(ahead=False)))
            await settle()
        assert (gate.busy, gate.waiting, gate.is_open(ahead=False)) == (2, 4, False)
        # Staff are still admitted, and are first in the queue.
        assert gate.is_open(ahead=True)
        staff = asyncio.create_task(gate.enter(ahead=True))
        await settle()
        gate.leave(0.02)
        await settle()
        assert (staff.done(), [each.done() for each in waiting]) == (True, [False] * 4)
        for _number in range(6):
            gate.leave(0.02)
            await settle()
        assert all(each.result() for each in waiting)
        assert (gate.busy, gate.waiting, gate.is_open(ahead=False)) == (0, 0, True)

    run(work)


def test_the_slower_the_answers_the_shorter_the_queue() -> None:
    async def work() -> None:
        gate = Gate(PATIENT._replace(seconds=1, waiting=100))
        for _number in range(60):
            await gate.enter(ahead=False)
            gate.leave(1)
        await asyncio.gather(gate.enter(ahead=False), gate.enter(ahead=False))
        tasks = []
        while gate.is_open(ahead=False):
            tasks.append(asyncio.create_task(gate.enter(ahead=False)))
            await settle()
        # As many requests as there are places may always wait, so that a slow start refuses none.
        assert len(tasks) == 2
        # Answers are quick again, and the queue may be long again.
        for _number in range(60):
            gate.leave(0.001)
            gate.busy += 1
        assert gate.is_open(ahead=False)
        for task in tasks:
            task.cancel()
        await settle()

    run(work)


def test_a_queue_is_as_long_as_one_processor_can_serve() -> None:
    async def work() -> None:
        gate = Gate(Limits(4, seconds=0.4))
        # Four at a time take 0.2 s, because they share the processor: one is done every 0.05 s.
        for _number in range(15):
            for _place in range(4):
                await gate.enter(ahead=False)
            for _place in range(4):
                gate.leave(0.2 / 4 * gate.busy)
        assert gate.seconds == pytest.approx(0.05, rel=0.01)
        # One that takes a minute does not close the gate for all others.
        await gate.enter(ahead=False)
        gate.leave(60)
        assert gate.seconds < 0.1

    run(work)


def test_no_one_is_let_in_behind_one_who_waits_longer_than_expected(clock: list[float]) -> None:
    async def work() -> None:
        gate = Gate(PATIENT._replace(places=1))
        await gate.enter(ahead=False)
        waiting = [asyncio.create_task(gate.enter(ahead=False)) for _number in range(2)]
        await settle()
        assert gate.is_open(ahead=False)
        clock[0] += 0.5
        assert (gate.is_open(ahead=False), gate.is_open(ahead=True)) == (False, True)
        gate.leave(0.02)
        gate.leave(0.02)
        assert await asyncio.gather(*waiting) == [True, True]

    run(work)


def test_the_place_of_one_who_takes_long_is_lent() -> None:
    async def work() -> None:
        gate = Gate(PATIENT._replace(places=1, lent=1))
        await gate.enter(ahead=False)
        others = [asyncio.create_task(gate.enter(ahead=False)) for _number in range(2)]
        await settle()
        gate.lend()
        await settle()
        # Another one comes in, but no more than may be lent.
        gate.lend()
        await settle()
        assert ([each.done() for each in others], gate.busy) == ([True, False], 2)
        gate.take_back()
        gate.take_back()
        gate.leave(1)
        await settle()
        assert (others[1].done(), gate.busy) == (False, 1)
        gate.leave(0.1)
        assert await others[1]

    run(work)


def test_a_place_is_not_lost_when_the_client_is_gone() -> None:
    async def work() -> None:
        gate = Gate(PATIENT._replace(places=1))
        await gate.enter(ahead=False)
        one, two = (asyncio.create_task(gate.enter(ahead=False)) for _number in range(2))
        await settle()
        gate.leave(0.01)
        one.cancel()
        await settle()
        assert (one.cancelled(), two.done()) == (True, True)
        gate.leave(0.01)
        assert gate.busy == 0

    run(work)


def test_waiting_ends_after_a_while_whatever_was_expected() -> None:
    async def work() -> None:
        gate = Gate(Limits(1, seconds_ahead=0.01))
        await gate.enter(ahead=False)
        assert not await gate.enter(ahead=False)
        assert gate.waiting == 0

    run(work)


def test_staff_are_known_for_a_while_and_not_too_many() -> None:
    now = [0.0]
    staff = RecentStaff(lambda: now[0])
    staff.note(b"secret")
    assert (staff.knows(b"secret"), staff.knows(b"made up"), staff.knows(b"")) == (True, False, False)
    now[0] = admission_middleware.SECONDS_AHEAD + 1
    assert not staff.knows(b"secret")
    for number in range(admission_middleware.MOST_AHEAD + 5):
        staff.note(str(number).encode())
    assert len(staff._until) == admission_middleware.MOST_AHEAD


class Held:
    """An application that answers when it is allowed to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.inside += 1
        request = Request(scope, receive)
        body = await request.body()
        if request.headers.get("authorization") == "Bearer staff":
            scope["state"]["is_staff"] = True
        if "wait" in scope["path"]:
            await self.go.wait()
        await PlainTextResponse(f"{len(body)}")(scope, receive, send)


def busy(_request: Request) -> Response:
    return PlainTextResponse("busy", 503)


def admitted(app: ASGIApp, monkeypatch: pytest.MonkeyPatch) -> httpx2.AsyncClient:
    for kind in ("READING", "WRITING"):
        monkeypatch.setattr(admission_middleware, kind, FEW)
    middleware = AdmissionMiddleware(app, session_cookie="session", busy_response=busy)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=middleware), base_url="http://test")


def test_excess_requests_are_refused_immediately_but_staff_and_files_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        app = Held()
        async with admitted(app, monkeypatch) as client:
            staff = {"authorization": "Bearer staff"}
            await client.get("/hello", headers=staff)
            asked = [asyncio.create_task(client.get("/wait")) for _number in range(6)]
            while len([task for task in asked if not task.done()]) > 6 or app.inside < 3:
                await settle()
            refused = await client.get("/wait")
            assert (refused.status_code, refused.text) == (503, "busy")
            assert (refused.headers["retry-after"], refused.headers["cache-control"]) == ("3", "no-store")
            # Requests that do not need these places are answered.
            for path in ("/health/live", "/health/ready", "/static/css/base.css"):
                assert (await client.get(path)).status_code == 200
            assert (await client.post("/save", content=b"x" * 10)).text == "10"
            ahead = asyncio.create_task(client.get("/wait", headers=staff))
            pretended = await client.get("/wait", headers={"authorization": "Bearer made-up"})
            assert pretended.status_code == 503
            app.go.set()
            answers = await asyncio.gather(*asked, ahead)
            assert {answer.status_code for answer in answers} == {200}
            assert (await client.get("/hello")).status_code == 200

    run(work)


def test_a_slow_form_holds_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        app, more = Held(), asyncio.Event()

        async def slowly() -> Any:
            yield b"a"
            await more.wait()
            yield b"b"

        async with admitted(app, monkeypatch) as client:
            slow = [asyncio.create_task(client.post("/slow", content=slowly())) for _number in range(6)]
            await settle()
            assert app.inside == 0
            assert (await client.post("/quick", content=b"abc")).text == "3"
            more.set()
            assert {answer.text for answer in await asyncio.gather(*slow)} == {"2"}

    run(work)


def test_long_forms_that_come_slowly_keep_no_short_ones_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        app, more = Held(), asyncio.Event()
        monkeypatch.setattr(admission_middleware, "MOST_BODY_BYTES", 60_000)

        async def slowly() -> Any:
            yield b"a" * 70_000
            await more.wait()

        async with admitted(app, monkeypatch) as client:
            slow = asyncio.create_task(client.post("/slow", content=slowly()))
            await settle()
            assert (await client.post("/sign-in", content=b"abc")).text == "3"
            assert (await client.post("/long", content=b"a" * 20_000)).status_code == 503
            more.set()
            assert (await slow).text == "70000"

    run(work)


def test_a_client_that_reads_slowly_holds_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        reading = asyncio.Event()

        async def send(message: Message) -> None:
            if message["type"] == "http.response.body":
                await reading.wait()

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        middleware = AdmissionMiddleware(PlainTextResponse("long"), session_cookie="s", busy_response=busy)
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        task = asyncio.create_task(middleware({**scope}, receive, send))
        await settle()
        assert (middleware.reading.busy, task.done()) == (0, False)
        reading.set()
        await task

    run(work)


@pytest.mark.parametrize("path", ["/", "/api/v1/doctors"])
def test_a_refusal_says_what_to_do_without_the_database(path: str, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gate, "is_open", lambda _gate, *, ahead: False)
    with client_for(cast.database, base_url="https://docket.test") as client:
        cast.database.dispose()
        answer = client.get(path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["strict-transport-security"] == HSTS
    assert answer.headers["cache-control"] == "no-store"
    if path == "/":
        assert "We’re very busy" in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    else:
        assert answer.json()["status"] == 503


@pytest.mark.parametrize(("name", "known"), [("carol", True), ("alice", False)])
def test_only_staff_go_ahead(name: str, known: bool, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[bytes] = []
    monkeypatch.setattr(RecentStaff, "note", lambda _staff, credential: noted.append(credential))
    with client_for(cast.database) as client:
        log_in(client, name).get("/account")
        assert [each.decode() for each in noted] == ([client.cookies["docket_session"]] if known else [])
