"""The examples in the API's description: one clinic, with the same people and the same day throughout.

Examples that belong to one model or member are defined there. This module has those that are the same in many places,
and those that only make sense as a whole. A test validates every example against its schema.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError

from webapp.appointments.impact.decisions import AppointmentsAffected
from webapp.causes import Trace, begin_trace, end_trace
from webapp.core.api_problems import UnsupportedMediaType, problem_response
from webapp.core.entity_tags import PreconditionFailed
from webapp.core.rate_limit import TooManyRequests
from webapp.exceptions import AppError, BadRequest, Conflict, Forbidden, NotFound, NotSignedIn, TooLarge, Unavailable
from webapp.patients.exceptions import LikelyDuplicate
from webapp.scheduling.exceptions import SlotTaken

# The members of answers, by name.
MEMBERS: dict[str, Any] = {
    "access_token": "eyJhbGciOiJIUzI1NiIsImtpZCI6IjFmIn0.eyJzdWIiOiIxMiJ9.bQ1yQ2mZ0dYk",
    "active": True,
    "address": "18 Harbour Lane, 1011 AB Amsterdam",
    "bio": "Looks after skin.",
    "birth_date": "1984-03-27",
    "buffer_after": 5,
    "buffer_before": 0,
    "change_until_minutes": 1440,
    "created_at": "2026-11-24T13:05:00Z",
    "day": "2026-12-05",
    "doctor_id": 1,
    "doctor_ids": [1, 4],
    "doctor_name": "Dr. Amara Okafor",
    "email": "alice@docket.example",
    "ends_at": "2026-12-01T09:00:00Z",
    "ends_on": "2026-08-07",
    "gained": 0,
    "has_account": True,
    "horizon_days": 90,
    "id": 1,
    "ids": [1],
    "lost": 12,
    "managed_by_id": None,
    "max_active_visits": 10,
    "minutes": 30,
    "name": "Alice Adams",
    "named_in_messages": False,
    "notes": "It itches at night.",
    "notice_minutes": 120,
    "online": True,
    "patient_gap_minutes": 30,
    "asks_birth_date": "ask",
    "asks_phone": "ask",
    "emergency_phone": "112",
    "emergency_text": "",
    "patient_id": 1,
    "patient_name": "Alice Adams",
    "phone": "+31201234567",
    "preparation": "Bring a list of your medicines.",
    "problem": "",
    "proposal": "2026-12-02T08:30:00Z",
    "reason": "A rash on the left arm",
    "reference": "K7QM-2F9X",
    "refresh_token": "V2hvZXZlciByZWFkcyB0aGlzIGlzIGN1cmlvdXM",
    "room": "Room 5",
    "series": None,
    "slot_step": 15,
    "specialty": "Dermatology",
    "starts_at": "2026-12-01T08:30:00Z",
    "starts_on": "2026-07-27",
    "suggested_for": "new",
    "status": "scheduled",
    "time_zone": "Europe/Amsterdam",
    "updated_at": "2026-11-24T13:05:00Z",
    "valid_from": "2026-06-01",
    "valid_until": None,
    "version": 1,
    "visit_type_id": 1,
    "visit_type_ids": [1, 2],
    "visit_type_name": "First visit",
    "wants_email": True,
    "wants_sms": False,
    "why": "The clinic is closed then.",
}
# Members that mean something else in a certain model, by model.
SPECIAL: dict[tuple[str, str], Any] = {
    ("ClosureOut", "name"): "Summer break",
    ("PeriodOut", "id"): "2026-06-01..",
    ("TimeOffOut", "reason"): "Leave",
    ("Said", "message"): "The appointment is cancelled.",
}
# Request bodies by model, if the members of the model do not provide the example.
BODIES: dict[str, Any] = {
    "AddPatient": {"name": "Robin Adams", "birth_date": "2019-05-14", "phone": "+31201234567"},
    "BookAppointment": {
        "doctor_id": 1,
        "visit_type_id": 1,
        "starts_at": "2026-12-01T09:30:00+01:00",
        "reason": "A rash on the left arm",
    },
    "Change": {
        "decisions": {"each": {"K7QM-2F9X": {"kind": "cancel", "version": 3}}, "why": "The clinic moves house."}
    },
    "ChangeAppointment": {"starts_at": "2026-12-02T09:30:00+01:00"},
    "ChangeClinic": {"phone": "+31201234567", "notice_minutes": 120},
    "ChangeClosure": {"ends_on": "2026-08-14"},
    "ChangeDoctor": {"room": "Room 6"},
    "ChangeMe": {"phone": "+31201234567", "wants_email": True},
    "ChangePatient": {"phone": "+31201234567"},
    "ChangeVisitType": {"preparation": "Bring a list of your medicines."},
    "PasswordGrant": {"grant_type": "password", "username": "alice@docket.example", "password": "walrus teapot orbit"},
    "Refresh": {"refresh_token": "V2hvZXZlciByZWFkcyB0aGlzIGlzIGN1cmlvdXM"},
    "RegisterAccount": {
        "name": "Alice Adams",
        "email": "alice@docket.example",
        "password": "walrus teapot orbit",
        "phone": "+31201234567",
        "birth_date": "1984-03-27",
    },
    "SaveAppointment": {
        "doctor_id": 1,
        "visit_type_id": 1,
        "starts_at": "2026-12-02T09:30:00+01:00",
        "reason": "A rash on the left arm",
        "notes": "It itches at night.",
    },
}
# The meaning of each part of an address, with an example.
PLACES: dict[str, tuple[str, Any]] = {
    "appointment_id": ("The appointment's id.", 1),
    "closure_id": ("The closure's id.", 1),
    "day": ("A day in the clinic's time zone.", "2026-12-05"),
    "doctor_id": ("The doctor's id.", 1),
    "patient_id": ("The patient's id.", 1),
    "period": ("The period's id: its days, as in the list, or `always`.", "always"),
    "time_off_id": ("The id of the time off.", 1),
    "visit_type_id": ("The visit type's id.", 1),
}


def _unreadable_start() -> RequestValidationError:
    return RequestValidationError(
        [{"type": "timezone_aware", "loc": ("body", "starts_at"), "msg": "Input should have timezone info"}],
        body={"starts_at": "2026-12-02T09:30:00"},
    )


_PROBLEMS: dict[int, Callable[[], Exception]] = {
    400: lambda: BadRequest("The body is not valid JSON.", code="json_invalid"),
    401: lambda: NotSignedIn("Sign in: send an access token in the Authorization header."),
    403: lambda: Forbidden("Your account does not have access.", code="wrong_role"),
    404: lambda: NotFound("It does not exist, or you have no access to it."),
    409: lambda: Conflict("Someone else saved it at the same time. Try again."),
    412: PreconditionFailed,
    413: lambda: TooLarge("The body is too large."),
    415: lambda: UnsupportedMediaType("Send the body as application/json."),
    422: _unreadable_start,
    429: lambda: TooManyRequests(retry_after=20),
    500: lambda: Exception(),
    503: lambda: Unavailable("The booking system is very busy. Please try again in a moment."),
}


# Problems that have additional members, by the first of these.
_WITH_MEMBERS: dict[str, Callable[[], AppError]] = {
    "alternatives": lambda: SlotTaken("This time was just taken. The nearest free times are listed."),
    "visits": lambda: Conflict("1 appointment is affected. Choose what to do with it.", code=AppointmentsAffected.code),
    "ids": lambda: LikelyDuplicate([]),
}


def problem_example(status: int, members: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """An example of a problem with this status, made by the same code that writes real ones."""
    error = _PROBLEMS[status]()
    for name, value in (members or {}).items():
        error = _WITH_MEMBERS[name]() if name in _WITH_MEMBERS else error
        if isinstance(error, AppError):
            error.members[name] = value
    token = begin_trace(Trace("5f3c9a1e07"))
    response = problem_response(error)
    end_trace(token)
    example: dict[str, Any] = json.loads(bytes(response.body))
    return example


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any], *, model: str = "", member: str = "") -> Any:
    """An example for a schema, assembled from those of its parts.

    Raises:
        LookupError: one of the parts has no example, and an invented one would not be useful.
    """
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return BODIES[name] if name in BODIES else example_of(schemas[name], schemas, model=name)
    if (model, member) in SPECIAL:
        return SPECIAL[model, member]
    if schema.get("examples"):
        # All instants share one example, but the end of an appointment must lie after its start.
        return MEMBERS[member] if schema.get("format") == "date-time" and member in MEMBERS else schema["examples"][0]
    if "properties" in schema:
        return {
            name: example_of(part, schemas, model=model, member=name) for name, part in schema["properties"].items()
        }
    if schema.get("type") == "array" and member not in MEMBERS:
        return [example_of(schema["items"], schemas)]
    if member in MEMBERS:
        return MEMBERS[member]
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if "default" in schema:
        return schema["default"]
    for part in schema.get("anyOf", ()):
        if part.get("type") != "null":
            return example_of(part, schemas, model=model, member=member)
    raise LookupError(f"{model or 'A schema'} has no example of {member or schema}: give it one where it is defined.")
