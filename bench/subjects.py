"""The measured pages and their baselines, for one clinic in one database."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import jinja2
import sqlalchemy as sa
from fastapi import Depends, FastAPI, Request
from itsdangerous import Signer
from sqlalchemy.orm import Session
from starlette.datastructures import FormData
from starlette.responses import Response

from bench import asgi
from bench.data import NOW
from bench.free_slots import PlannedBooking, SignedInPatient, plan_bookings, sign_in
from bench.raw import RawBooker, raw_booker
from tests.servers import SECRET_KEY
from webapp import models
from webapp.auth.dependencies import SESSION_COOKIE
from webapp.clinic.dependencies import current_clinic
from webapp.config import Settings
from webapp.core.web import Page
from webapp.database import Database
from webapp.doctors.service import list_doctors
from webapp.event_handlers import wired_database
from webapp.main import create_app

PATIENTS = 400
TICK = 1000 / os.sysconf("SC_CLK_TCK")

Work = Callable[[], Awaitable[None]]


@dataclass
class Subject:
    """Answers a request; holds the CPU milliseconds that an answer took, by round."""

    name: str
    work: Work
    own: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)


class Clinic:
    """Docket with one database and its patients, and the same application with baselines instead of its routes."""

    def __init__(self, url: str) -> None:
        self.database = wired_database(url)
        self.settings = Settings(database_url=url, secret_key=SECRET_KEY)
        self.app = self._new_app()
        self.bare = self._new_app()
        self.bare.router.routes.clear()
        self.patients: list[SignedInPatient] = self.database.write(_prepare)
        with self.database.reading() as session:
            self.planned: Iterator[PlannedBooking] = iter(list(plan_bookings(session, self.patients, NOW)))
            self.appointments = session.scalar(sa.select(sa.func.count(models.Appointment.id))) or 0
            self.slug = list_doctors(session)[0].slug
        self.raw: RawBooker = raw_booker(self.database)
        self._bare_bookings: dict[str, PlannedBooking] = {}

    def _new_app(self) -> FastAPI:
        app = create_app(self.settings, self.database)
        app.state.clock = lambda: NOW
        return app

    def cookie(self, patient: SignedInPatient) -> str:
        """The session cookie as the browser sends it."""
        signer = Signer(self.settings.secret_keys, salt="docket.session")
        return f"{SESSION_COOKIE}={signer.sign(patient.secret).decode()}"

    def close(self) -> None:
        """Close every connection."""
        self.raw.close()
        self.database.dispose()

    # ------------------------------------------------------------------------------------- the calendar

    async def calendar(self, *, fragment: bool) -> tuple[Subject, Subject]:
        """The calendar of next week, and a route that only renders the same template with the same values."""
        path = f"/doctors/{self.slug}/calendar" if fragment else f"/doctors/{self.slug}"
        week = f"week={NOW + timedelta(days=7):%G-W%V}"
        ask = asgi.get(path, self.cookie(self.patients[0]), query=week, fragment=fragment)
        template, context, expected = await self._captured(ask)
        self._render_always(path, template, context)
        answer = await asgi.send(self.bare, ask)
        assert answer.status == 200, answer
        assert answer.body == expected, "The baseline must answer with the very same page."
        name = "fragment" if fragment else "page"
        return (
            Subject(f"calendar, {name}", lambda: _expect(self.app, ask, 200)),
            Subject(f"its template alone, {name}", lambda: _expect(self.bare, ask, 200)),
        )

    async def _captured(self, ask: asgi.PreparedRequest) -> tuple[str, dict[str, Any], bytes]:
        """The template and values with which Docket answers, and the bytes of the answer."""
        rendered: list[tuple[str, dict[str, Any]]] = []
        original = jinja2.Template.generate

        def generate(template: jinja2.Template, *args: Any, **kwargs: Any) -> Iterator[str]:
            rendered.append((str(template.name), dict(*args, **kwargs)))
            return original(template, *args, **kwargs)

        jinja2.Template.generate = generate  # type: ignore[method-assign,assignment]
        try:
            answer = await asgi.send(self.app, ask)
        finally:
            jinja2.Template.generate = original  # type: ignore[method-assign]
        assert answer.status == 200, answer
        return (*rendered[-1], answer.body)

    def _render_always(self, path: str, template: str, context: dict[str, Any]) -> None:
        """Add a `def` route to the same application, behind the same middleware, that only renders."""
        environment = self.bare.state.templates
        rendering = _rendering_of(self.app, context)

        def render() -> Response:
            rendering()
            body = environment.get_template(template).render(context).encode()
            return Response(body, media_type="text/html; charset=utf-8")

        self.bare.get(path)(render)

    # -------------------------------------------------------------------------------------- the booking

    def bookings(self) -> tuple[Subject, Subject, Subject]:
        """A booking, the raw guarded transaction behind a bare route, and that transaction alone."""
        self._book_raw_always()

        async def booking() -> None:
            planned = next(self.planned)
            await _expect(self.app, asgi.post("/appointments", self.cookie(planned.patient), planned.form()), 303)

        async def behind_a_route() -> None:
            planned = next(self.planned)
            ask = asgi.post("/appointments", self.cookie(planned.patient), planned.form())
            self._bare_bookings[planned.form()["starts_at"] + planned.doctor_slug] = planned
            await _expect(self.bare, ask, 303)

        async def alone() -> None:
            self.raw.book(next(self.planned))

        return (
            Subject("booking", booking),
            Subject("raw transaction behind a form route", behind_a_route),
            Subject("raw transaction alone", alone),
        )

    def _book_raw_always(self) -> None:
        """Add a `def` route to the same application that reads the form, runs the raw transaction and redirects."""

        async def read(request: Request) -> FormData:
            return await request.form()

        def book(sent: FormData = Depends(read)) -> Response:
            planned = self._bare_bookings.pop(f"{sent['starts_at']}{sent['doctor']}")
            return Response(status_code=303, headers={"location": f"/appointments/{self.raw.book(planned)}"})

        self.bare.post("/appointments")(book)


def _rendering_of(app: FastAPI, context: dict[str, Any]) -> Callable[[], None]:
    """A function that gives the template filters the clinic's zone, as the application does for each page."""
    request = Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [], "app": app})
    page = Page(request)
    page.known |= {"clinic": context["clinic"], "actor": context["actor"]}
    assert current_clinic(page) is context["clinic"]

    def tell() -> None:
        app.state.page_context(page)

    return tell


def _prepare(session: Session) -> list[SignedInPatient]:
    """Raise the limit of appointments, so that only ordinary bookings are measured, and sign patients in."""
    session.execute(sa.update(models.ClinicSettings).values(max_active_visits=10_000))
    return sign_in(session, PATIENTS, NOW)


async def _expect(app: FastAPI, ask: asgi.PreparedRequest, status: int) -> None:
    answer = await asgi.send(app, ask)
    if answer.status != status:
        raise RuntimeError(f"{ask.method} {ask.path} answered {answer.status}: {answer.body[:400]!r}")


# ------------------------------------------------------------------------------------------- measuring


async def measure(subjects: list[Subject], *, rounds: int, requests: int, backends: Backends) -> None:
    """Let the subjects take turns: `requests` each, `rounds` times, after one round as warm-up."""
    for number in range(rounds + 1):
        for subject in subjects:
            theirs, ours = backends.spent(), time.process_time()
            for _ in range(requests):
                await subject.work()
            ours, theirs = time.process_time() - ours, backends.spent() - theirs
            if number:
                subject.own.append(ours * 1000 / requests)
                subject.server.append(theirs / requests)
        await asyncio.sleep(0)


class Backends:
    """The CPU time of a PostgreSQL server's processes for our databases, where they run on this machine."""

    def __init__(self, databases: list[Database]) -> None:
        self._databases = [database for database in databases if not database.is_sqlite]

    @property
    def known(self) -> bool:
        """Whether their time can be read."""
        return bool(self._databases) and any(path.exists() for path in self._files())

    def _files(self) -> Iterator[Path]:
        for database in self._databases:
            with database.engine.connect() as connection:
                query = sa.text("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
                for pid in connection.scalars(query):
                    yield Path(f"/proc/{pid}/stat")

    def spent(self) -> float:
        """User and system time in milliseconds, to the nearest tick of the kernel."""
        ticks = 0
        for path in self._files():
            if path.exists():
                fields = path.read_text().rsplit(")", 1)[1].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks * TICK


@contextmanager
def opened(urls: list[str]) -> Iterator[list[Clinic]]:
    """The clinics in these databases, closed at the end."""
    clinics = [Clinic(url) for url in urls]
    try:
        yield clinics
    finally:
        for clinic in clinics:
            clinic.close()
