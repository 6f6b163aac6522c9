"""Access through the API: every route for every kind of user, compared with one table.

The users and appointments are those of `tests/test_access.py`. The disabled account has a token that was once valid;
public routes refuse it too, because a request with a token must be authenticated.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.api_client import API, bearer, token_header
from tests.cast import NOW, PASSWORD, Cast, assemble, client_for
from tests.test_access import COLUMNS, ROLES, STAFF, AccessClinic, routes_of
from webapp import models
from webapp.auth.programs.scopes import NOUNS, SCOPES, scope_of
from webapp.core.api import API_PREFIX
from webapp.core.formats import iso
from webapp.event_handlers import wired_database

Row = tuple[int, ...]

# fmt: off
PUBLIC: Row = (200, 200, 200, 200, 200, 200, 401)
ADMINS: Row = (401, 403, 403, 403, 403, 200, 401)
ADDED_BY_ADMINS: Row = (401, 403, 403, 403, 403, 201, 401)
# What belongs to a doctor; here the doctor is Bob.
BOBS: Row = (401, 403, 403, 200, 403, 200, 401)
ADDED_BY_BOB: Row = (401, 403, 403, 201, 403, 201, 401)
APPOINTMENT: Row = (401, 200, 404, 200, 404, 200, 401)
TABLE: dict[tuple[str, str], Row] = {
    #                                               guest  alice dave bob  erin carol disabled
    ("POST", "/auth/token"):                        (200, 200, 200, 200, 200, 200, 401),
    ("POST", "/auth/refresh"):                      (200, 200, 200, 200, 200, 200, 401),
    ("POST", "/auth/logout"):                       (401, 200, 200, 200, 200, 200, 401),
    ("GET", "/auth/me"):                            (401, 200, 200, 200, 200, 200, 401),
    ("POST", "/auth/register"):                     (201,) * 7,
    # None of these clients has the code.
    ("POST", "/auth/register/confirmation"):        (422,) * 7,
    ("GET", "/clinic"):                             (200,) * 7,
    ("GET", "/clinic/opening-hours"):               (200,) * 7,
    ("PATCH", "/clinic"):                           ADMINS,
    ("PUT", "/clinic/opening-hours"):               ADMINS,
    ("GET", "/closures"):                           (200,) * 7,
    ("GET", "/closures/{closure_id}"):              (200,) * 7,
    ("POST", "/closures"):                          ADDED_BY_ADMINS,
    ("PUT", "/closures/{closure_id}"):              ADMINS,
    ("PATCH", "/closures/{closure_id}"):            ADMINS,
    ("DELETE", "/closures/{closure_id}"):           ADMINS,
    ("GET", "/visit-types"):                        PUBLIC,
    ("GET", "/visit-types/{visit_type_id}"):        PUBLIC,
    ("POST", "/visit-types"):                       ADDED_BY_ADMINS,
    ("PUT", "/visit-types/{visit_type_id}"):        ADMINS,
    ("PATCH", "/visit-types/{visit_type_id}"):      ADMINS,
    ("GET", "/doctors"):                            PUBLIC,
    ("GET", "/doctors/{doctor_id}"):                PUBLIC,
    ("POST", "/doctors"):                           ADDED_BY_ADMINS,
    ("PUT", "/doctors/{doctor_id}"):                ADMINS,
    ("PATCH", "/doctors/{doctor_id}"):              ADMINS,
    ("GET", "/doctors/{doctor_id}/hours"):          BOBS,
    ("GET", "/doctors/{doctor_id}/hours/{period}"): BOBS,
    ("POST", "/doctors/{doctor_id}/hours"):         ADDED_BY_BOB,
    ("PUT", "/doctors/{doctor_id}/hours/{period}"): BOBS,
    ("DELETE", "/doctors/{doctor_id}/hours/{period}"): BOBS,
    ("GET", "/doctors/{doctor_id}/extra-hours"):    BOBS,
    ("GET", "/doctors/{doctor_id}/extra-hours/{day}"): BOBS,
    ("POST", "/doctors/{doctor_id}/extra-hours"):   ADDED_BY_BOB,
    ("DELETE", "/doctors/{doctor_id}/extra-hours/{day}"): BOBS,
    ("GET", "/doctors/{doctor_id}/time-off"):       BOBS,
    ("GET", "/doctors/{doctor_id}/time-off/{time_off_id}"): BOBS,
    ("POST", "/doctors/{doctor_id}/time-off"):      ADDED_BY_BOB,
    ("DELETE", "/doctors/{doctor_id}/time-off/{time_off_id}"): BOBS,
    ("GET", "/doctors/{doctor_id}/availability"):   PUBLIC,
    ("GET", "/availability"):                       PUBLIC,
    # Without a patient in the request, staff book for no patient. Doctors may book only with themselves.
    ("POST", "/appointments"):                      (401, 201, 201, 201, 403, 201, 401),
    ("GET", "/appointments"):                       (401, 200, 200, 200, 200, 200, 401),
    ("GET", "/appointments/{appointment_id}"):      APPOINTMENT,
    ("PUT", "/appointments/{appointment_id}"):      APPOINTMENT,
    ("PATCH", "/appointments/{appointment_id}"):    APPOINTMENT,
    ("DELETE", "/appointments/{appointment_id}"):   APPOINTMENT,
    ("GET", "/patients"):                           (401, 200, 200, 422, 422, 200, 401),
    ("POST", "/patients"):                          (401, 201, 201, 201, 201, 201, 401),
    ("GET", "/patients/me"):                        (401, 200, 200, 403, 403, 403, 401),
    ("PATCH", "/patients/me"):                      (401, 200, 200, 403, 403, 403, 401),
    ("GET", "/patients/{patient_id}"):              (401, 200, 404, 200, 200, 200, 401),
    ("PATCH", "/patients/{patient_id}"):            (401, 200, 404, 403, 403, 200, 401),
}
# fmt: on
# Of the admins' routes, those that the front desk has too; all others are as for admins.
AT_THE_DESK = {("PATCH", "/patients/{patient_id}")}
# Routes about a doctor's own things are not for the front desk, although both the doctor and admins have them.
CLOSED_TO_THE_DESK = re.compile(r"/doctors/{doctor_id}/(hours|extra-hours|time-off)")


def answer_to(role: str, method: str, path: str) -> int:
    """What the table says that a route answers to a role."""
    row = dict(zip(COLUMNS, TABLE[method, path], strict=True))
    if role != "fiona":
        return row[role]
    only_admins = row["carol"] != 403 and {row["alice"], row["bob"], row["erin"]} == {403}
    closed = (only_admins and (method, path) not in AT_THE_DESK) or CLOSED_TO_THE_DESK.match(path)
    return 403 if closed else row["carol"]


# Routes for people only: an API token opens none of them, with any scopes.
FOR_PEOPLE = {
    ("POST", "/auth/token"),
    ("POST", "/auth/refresh"),
    ("POST", "/auth/logout"),
    ("GET", "/auth/me"),
    ("POST", "/auth/register"),
    ("POST", "/auth/register/confirmation"),
    ("GET", "/patients/me"),
    ("PATCH", "/patients/me"),
}
FRIDAY = [{"weekday": "friday", "start": "08:00", "end": "12:00"}]
DOCTOR = {"name": "Dr. Bob Brown", "specialty": "General practice", "slot_step": 15}


class ApiClients:
    """API clients for the users of `AccessClinic`, each with a valid token."""

    def __init__(self, cast: Cast) -> None:
        self.clinic = AccessClinic(cast)
        self.client: TestClient = client_for(
            cast.database, api_rate_limit="100000/minute", api_rate_limit_anonymous="100000/minute"
        )
        self.cast = cast
        signed_in = [role for role in ROLES if role != "guest"]
        self._set_active("disabled", active=True)
        self.headers = {role: bearer(self.client, role) for role in signed_in} | {"guest": {}}
        self.headers["every scope"] = token_header(cast, *SCOPES)
        self._set_active("disabled", active=False)
        self.number = 0

    def _set_active(self, name: str, *, active: bool) -> None:
        mine = models.User.email == f"{name}@docket.example"
        self.cast.change(sa.update(models.User).where(mine).values(active=active))

    def ask(self, role: str, method: str, path: str) -> int:
        """The status of a well-formed request, after making what it needs."""
        address = self._address(path)
        if path == "/auth/token":
            form = {"username": f"{'alice' if role == 'guest' else role}@docket.example", "password": PASSWORD}
            return self.client.post(f"{API}{path}", data=form).status_code
        body = self._body(role, method, path)
        answer = self.client.request(method, f"{API}{address}", headers=self.headers[role], json=body)
        if path == "/auth/logout" and answer.status_code == 200:
            self.headers[role] = bearer(self.client, role)
        return answer.status_code

    def _address(self, path: str) -> str:
        bob = self.cast.doctor_ids["bob"]
        made = {"doctor_id": bob, "day": "2026-03-07", "visit_type_id": self.cast.erins_only}
        if "{appointment_id}" in path:
            made["appointment_id"] = self._appointment()
        if "{patient_id}" in path:
            made["patient_id"] = self.clinic.child()[0]
        if "{closure_id}" in path:
            made["closure_id"] = self.cast.add(models.Closure(name="Far", starts_on=_far(), ends_on=_far()))
        if "{period}" in path:
            self.clinic.registered += 1
            made["period"] = self.clinic.hours()
        if "{time_off_id}" in path:
            made["time_off_id"] = self.clinic.time_off()
        if "{day}" in path:
            self.cast.add(models.ExtraHours(doctor_id=bob, day=_saturday(), start_minute=600, end_minute=660))
        return path.format(**made)

    def _appointment(self) -> int:
        reference = self.clinic.appointment()
        with self.cast.database.reading() as session:
            number: int | None = session.scalar(
                sa.select(models.Appointment.id).where(models.Appointment.reference == reference)
            )
        assert number is not None
        return number

    def _body(self, role: str, method: str, path: str) -> dict[str, Any] | None:
        """The body of the request. Names and days are new each time, so that requests do not affect each other."""
        self.number += 1
        if path == "/auth/refresh":
            return {"refresh_token": self._refresh_token(role)}
        if (method, path) == ("PUT", "/clinic/opening-hours"):
            return dict(self.client.get(f"{API}{path}").json())
        new = {"name": f"Somebody {'abcdefghij'[self.number % 10]}{self.number}"}
        year = 2030 + self.number % 60
        bob = self.cast.doctor_ids["bob"]
        slot = {"doctor_id": bob, "starts_at": iso(next(self.clinic.free_times))}
        for_alice = {"patient_id": self.cast.patient_ids["alice"]} if role in STAFF | {"every scope"} else {}
        days = {"starts_on": f"{year}-04-01", "ends_on": f"{year}-04-02"}
        bodies: dict[tuple[str, str], dict[str, Any]] = {
            ("POST", "/auth/register"): {
                **new,
                "email": f"new{self.number}@docket.example",
                "password": "walrus teapot orbit",
            },
            ("POST", "/auth/register/confirmation"): {
                "registration": "unknown",
                "email": f"new{self.number}@docket.example",
                "code": "123456",
            },
            ("PATCH", "/clinic"): {"phone": "020 123 4567"},
            ("POST", "/closures"): {**new, **days},
            ("PUT", "/closures/{closure_id}"): {**new, **days},
            ("PATCH", "/closures/{closure_id}"): new,
            ("POST", "/visit-types"): {**new, "minutes": 20},
            ("PUT", "/visit-types/{visit_type_id}"): {
                "name": "Allergy test",
                "minutes": 30,
                "doctor_ids": [self.cast.doctor_ids["erin"]],
            },
            ("PATCH", "/visit-types/{visit_type_id}"): {"preparation": "Come early."},
            ("POST", "/doctors"): {**DOCTOR, **new},
            ("PUT", "/doctors/{doctor_id}"): {
                **DOCTOR,
                "visit_type_ids": [self.cast.short, self.cast.long, self.cast.buffered, self.cast.by_phone],
            },
            ("PATCH", "/doctors/{doctor_id}"): {"room": "Room 4"},
            ("POST", "/doctors/{doctor_id}/hours"): {
                "valid_from": f"{year}-05-01", "valid_until": f"{year}-05-{1 + self.number % 28:02d}", "hours": FRIDAY,
            },
            ("PUT", "/doctors/{doctor_id}/hours/{period}"): {
                "valid_from": f"{year}-06-01", "valid_until": f"{year}-06-{1 + self.number % 28:02d}", "hours": FRIDAY,
            },
            ("POST", "/doctors/{doctor_id}/extra-hours"): {
                "day": f"{year}-07-{1 + self.number % 28:02d}", "hours": [{"start": "10:00", "end": "11:00"}],
            },
            ("POST", "/doctors/{doctor_id}/time-off"): days,
            ("POST", "/appointments"): {**slot, **for_alice},
            ("PUT", "/appointments/{appointment_id}"): slot,
            ("PATCH", "/appointments/{appointment_id}"): {"reason": "A rash"},
            ("POST", "/patients"): new,
            ("PATCH", "/patients/me"): {"phone": f"020 {self.number}"},
            ("PATCH", "/patients/{patient_id}"): {"phone": f"020 {self.number}"},
        }  # fmt: skip
        return bodies.get((method, path))

    def _refresh_token(self, role: str) -> str:
        form = {"username": f"{'alice' if role == 'guest' else role}@docket.example", "password": PASSWORD}
        token: str = self.client.post(f"{API}/auth/token", data=form).json().get("refresh_token", "none")
        return token


def _far() -> Any:
    return NOW.date().replace(year=2027)


def _saturday() -> Any:
    return NOW.date().replace(day=7)


@pytest.fixture(scope="module")
def clients(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiClients]:
    path = tmp_path_factory.mktemp("access") / "docket.db"
    shutil.copyfile(sqlite_template, path)
    database = wired_database(f"sqlite:///{path}")
    yield ApiClients(assemble(database))
    database.dispose()


def test_every_route_has_a_row_and_every_row_a_route(clients: ApiClients) -> None:
    app: Any = clients.client.app
    routes = {
        (method, path.removeprefix(API_PREFIX)) for method, path in routes_of(app.routes) if path.startswith(API_PREFIX)
    }
    assert routes == set(TABLE)


@pytest.mark.parametrize(("method", "path"), TABLE)
def test_the_route_answers_every_role_as_the_table_says(clients: ApiClients, method: str, path: str) -> None:
    answers = tuple(clients.ask(role, method, path) for role in ROLES)
    assert dict(zip(ROLES, answers, strict=True)) == {role: answer_to(role, method, path) for role in ROLES}


def test_a_token_does_what_an_admin_does_within_its_scopes_and_nothing_else(clients: ApiClients) -> None:
    """With every scope; and for each route with all scopes but the one that it needs."""
    without = {scope: token_header(clients.cast, *(each for each in SCOPES if each != scope)) for scope in SCOPES}
    assert {path for _method, path in set(TABLE) - FOR_PEOPLE} == set(NOUNS)
    for (method, path), row in TABLE.items():
        scope = scope_of(method, path)
        if scope is None:
            assert (method, path) in FOR_PEOPLE
            continue
        assert clients.ask("every scope", method, path) == row[COLUMNS.index("carol")], (method, path)
        address = f"{API}{path.format(**dict.fromkeys(re.findall(r'{(.*?)}', path), 1))}"
        answer = clients.client.request(method, address, headers=without[scope])
        # Some routes do not ask who calls.
        refused = row[COLUMNS.index("disabled")] == 401
        assert (answer.status_code == 403) == refused, (method, path)
        assert not refused or (answer.json()["code"], answer.json()["scope"]) == ("scope_missing", scope)
    for method, path in (("GET", "/auth/me"), ("POST", "/auth/logout"), ("GET", "/patients/me")):
        answer = clients.client.request(method, f"{API}{path}", headers=clients.headers["every scope"])
        assert (answer.status_code, answer.json()["code"]) == (403, "people_only")


def test_a_cookie_reads_and_changes_nothing(clients: ApiClients) -> None:
    alice = clients.clinic.client("alice")
    number = clients._appointment()
    assert alice.get(f"{API}/appointments/{number}").status_code == 200
    assert alice.patch(f"{API}/appointments/{number}", json={"reason": "x"}).status_code == 401
    assert alice.delete(f"{API}/appointments/{number}").status_code == 401
