"""`python -m bench.board`: what the board of a large clinic's day costs: 30 doctors with 40 appointments each.

The CPU time of the process for one answer, as in `make bench`, with and without compression; its queries; the bytes as
sent; and in Chromium the time until the board is painted, from the beginning of the navigation, and how long layout and
scripts take of it. `--picture FILE` keeps what Chromium painted.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from fastapi import FastAPI
from itsdangerous import Signer
from playwright.sync_api import CDPSession, Page, sync_playwright
from sqlalchemy.orm import Session

from bench import asgi
from bench.servers import temporary_database
from bench.terminal import say, table
from tests.browser_path import browser_path
from tests.cast import SECRET_KEY, Cast, assemble, local, promised
from tests.servers import live_server
from webapp import models
from webapp.auth import sessions
from webapp.auth.dependencies import SESSION_COOKIE
from webapp.config import Settings
from webapp.core.clock import utc_now
from webapp.core.compression_middleware import LEVEL
from webapp.event_handlers import wired_database
from webapp.main import create_app
from webapp.migrations import upgrade

FIRST_HOUR, LAST_HOUR = 8, 18
SPECIALTIES = ("General practice", "Dermatology", "Cardiology", "Paediatrics", "Physiotherapy")
GIVEN = ("Alice", "Wilhelmina", "Bo", "Hassan", "Zoë", "Małgorzata", "Femke", "José", "Priscilla", "Ali")
FAMILY = ("Jansen", "Okonkwo", "de Vries", "Nguyễn", "van den Berg", "Kovács", "Adeyemi", "Li", "Petrović", "El Amrani")
STATUSES = ("scheduled", "confirmed", "confirmed", "arrived", "completed", "no_show")
# The entry of the first paint comes when the frame is on the screen, which may be after the page has loaded.
PAINTED = """() => new Promise((done) => new PerformanceObserver((seen) => {
  const [paint] = seen.getEntriesByName("first-contentful-paint");
  if (paint) done({
    painted: paint.startTime,
    ready: performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd,
    elements: document.querySelectorAll("*").length,
  });
}).observe({type: "paint", buffered: true}))"""


def main() -> int:
    """Measure and print the table; 0 when everything could be measured, with any figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.board", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], help="only this one")
    parser.add_argument("--doctors", type=int, default=30)
    parser.add_argument("--appointments", type=int, default=40, help="of each doctor (40)")
    parser.add_argument("--rounds", type=int, default=30, help="requests whose median counts (30)")
    parser.add_argument("--picture", type=Path, help="where to keep a picture of the board")
    options = parser.parse_args()
    rows = []
    for kind in [options.database] if options.database else ["sqlite", "postgresql"]:
        with _clinic(kind, options.doctors, options.appointments) as (url, day):
            rows.append([kind, *asyncio.run(_costs(url, day, options.rounds)), *_painted(url, day, options.picture)])
    units = ["ms", "ms, gzip", "queries", "bytes", "bytes, gzip", "painted ms", "layout ms", "script ms", "elements"]
    title = f"The board of {options.doctors} doctors with {options.appointments} appointments each"
    say(table(["", *units], rows, title=title))
    return 0


@contextmanager
def _clinic(kind: str, doctors: int, appointments: int) -> Iterator[tuple[str, str]]:
    """A database with that many doctors, and the day, which is tomorrow's or a working day after it."""
    day = utc_now() + timedelta(days=1)
    while day.weekday() > 4:
        day += timedelta(days=1)
    with temporary_database(kind) as url:
        database = wired_database(url)
        upgrade(database)
        cast = assemble(database)
        database.write(_fill, cast, f"{day:%Y-%m-%d}", doctors, appointments)
        database.dispose()
        yield url, f"{day:%Y-%m-%d}"


def _fill(session: Session, cast: Cast, day: str, doctors: int, appointments: int) -> None:
    """Doctors who work all day, and patients one after the other, with a free time here and there."""
    session.execute(sa.update(models.OpeningHours).values(start_minute=FIRST_HOUR * 60, end_minute=LAST_HOUR * 60))
    session.execute(sa.update(models.Doctor).values(active=False))
    patients = [
        models.Patient(name=f"{GIVEN[number % 10]} {FAMILY[number // 10 % 10]}", created_at=cast.now)
        for number in range(appointments)
    ]
    session.add_all(patients)
    for number in range(doctors):
        name = f"Dr. {GIVEN[number % 10]} {FAMILY[number * 7 % 10]}"
        doctor = models.Doctor(
            slug=f"doctor-{number}",
            name=name,
            specialty=SPECIALTIES[number % len(SPECIALTIES)],
            languages=[],
            tint=number % 6 + 1,
            slot_step=15,
            position=number,
        )
        session.add(doctor)
        session.flush()
        for weekday in range(5):
            hours = {"weekday": weekday, "start_minute": FIRST_HOUR * 60, "end_minute": LAST_HOUR * 60}
            session.add(models.WorkingHours(doctor_id=doctor.id, **hours))
        session.execute(
            sa.insert(models.doctor_visit_types).values(doctor_id=doctor.id, visit_type_id=cast.short),
        )
        _fill_day(session, cast, day, doctor.id, number, [patient.id for patient in patients])


def _fill_day(session: Session, cast: Cast, day: str, doctor_id: int, number: int, patient_ids: list[int]) -> None:
    start, length = local(f"{day} {FIRST_HOUR:02d}:00"), (LAST_HOUR - FIRST_HOUR) * 60 // (len(patient_ids) + 1)
    length -= length % 5
    rows = []
    for at, patient_id in enumerate(patient_ids):
        # No patient is with two doctors at once.
        turn = (at + number) % len(patient_ids)
        begins = start + timedelta(minutes=turn * max(length, 10))
        ends = begins + timedelta(minutes=max(length, 10))
        rows.append(
            {
                "doctor_id": doctor_id,
                "patient_id": patient_id,
                "starts_at": begins,
                "ends_at": ends,
                "busy_from": begins,
            }
            | {"busy_until": ends, "promised_minute": promised(begins), "status": STATUSES[(turn + number) % 6]}
            | {"visit_type_id": (cast.short, cast.long, cast.buffered)[turn % 3], "created_at": cast.now}
            | {"reference": f"{number:04d}-{at:04d}", "updated_at": cast.now, "notes": "Wheelchair" * (turn % 11 == 0)}
        )
    session.execute(sa.insert(models.Appointment), rows)


def _application(url: str) -> tuple[FastAPI, str]:
    """The application, and the cookie of an admin's session."""
    database = wired_database(url)
    settings = Settings(database_url=url, secret_key=SECRET_KEY)
    app = create_app(settings, database)

    def sign_in(session: Session) -> str:
        admin = session.scalars(sa.select(models.User.id).where(models.User.role == "admin")).first()
        assert admin is not None
        return sessions.start_session(session, admin, address="127.0.0.1", user_agent="bench", now=utc_now())

    secret = database.write(sign_in)
    return app, Signer(settings.secret_keys, salt="docket.session").sign(secret).decode()


async def _costs(url: str, day: str, rounds: int) -> list[str]:
    """The medians of the CPU time without and with compression, the queries, and the bytes."""
    app, cookie = _application(url)
    queries: list[object] = []
    sa.event.listen(app.state.database.engine, "before_cursor_execute", lambda *each: queries.append(each[2]))
    plain = asgi.get(f"/board/{day}", f"{SESSION_COOKIE}={cookie}")
    packed = plain._replace(headers=[*plain.headers, (b"accept-encoding", b"gzip")])
    spent: dict[bool, list[float]] = {False: [], True: []}
    for number in range(rounds + 2):
        for ask in (plain, packed):
            queries.clear()
            began = time.process_time()
            answer = await asgi.send(app, ask)
            if answer.status != 200:
                raise RuntimeError(f"The board answered {answer.status}: {answer.body[:300]!r}")
            if number > 1:
                spent[ask is packed].append((time.process_time() - began) * 1000)
            if ask is plain:
                asked, body = len(queries), answer.body
    app.state.database.dispose()
    sizes = [f"{len(body):,}", f"{len(gzip.compress(body, LEVEL)):,}"]
    return [f"{statistics.median(spent[False]):.1f}", f"{statistics.median(spent[True]):.1f}", f"{asked}", *sizes]


def _painted(url: str, day: str, picture: Path | None) -> list[str]:
    """The medians of the time until the board is painted, of layout and of scripts; and the elements of the page."""
    app, cookie = _application(url)
    app.state.database.dispose()
    with live_server(url) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(browser_path()))
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.add_cookies([{"name": SESSION_COOKIE, "value": cookie, "url": server.url}])
        page = context.new_page()
        found = [_visit(page, f"{server.url}/board/{day}") for _ in range(6)][1:]
        if picture:
            page.screenshot(path=picture)
        browser.close()
    names = ("painted", "layout", "script", "elements")
    return [f"{statistics.median(each[name] for each in found):,.0f}" for name in names]


def _visit(page: Page, address: str) -> dict[str, float]:
    """Open the address, and see when it was painted and what that took, in milliseconds."""
    browser = page.context.new_cdp_session(page)
    browser.send("Performance.enable")
    before = _spent(browser)
    page.goto(address)
    seen: dict[str, float] = page.evaluate(PAINTED)
    spent = _spent(browser)
    browser.detach()
    return seen | {name: spent[name] - before[name] for name in spent}


def _spent(browser: CDPSession) -> dict[str, float]:
    """The time that the page's process has spent so far, in milliseconds."""
    found = {each["name"]: each["value"] * 1000 for each in browser.send("Performance.getMetrics")["metrics"]}
    return {"layout": found["LayoutDuration"] + found["RecalcStyleDuration"], "script": found["ScriptDuration"]}


if __name__ == "__main__":
    sys.exit(main())
