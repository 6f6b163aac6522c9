"""The scopes of API tokens, and the scope that each address of the API needs.

A token opens only what is listed here. An address without an entry is for people, so a new route is closed to tokens
until it gets one.
"""

from __future__ import annotations

from typing import Literal, get_args

Scope = Literal[
    "appointments:read",
    "appointments:write",
    "patients:read",
    "patients:write",
    "schedule:read",
    "schedule:write",
]
SCOPES: tuple[Scope, ...] = get_args(Scope)
READING = {"GET", "HEAD"}
Noun = Literal["appointments", "patients", "schedule"]

# Addresses below /api/v1, as their routes write them. Reading needs the noun's `read`, anything else its `write`.
NOUNS: dict[str, Noun] = {
    "/appointments": "appointments",
    "/appointments/{appointment_id}": "appointments",
    "/patients": "patients",
    "/patients/{patient_id}": "patients",
    "/clinic": "schedule",
    "/clinic/opening-hours": "schedule",
    "/closures": "schedule",
    "/closures/{closure_id}": "schedule",
    "/visit-types": "schedule",
    "/visit-types/{visit_type_id}": "schedule",
    "/doctors": "schedule",
    "/doctors/{doctor_id}": "schedule",
    "/doctors/{doctor_id}/hours": "schedule",
    "/doctors/{doctor_id}/hours/{period}": "schedule",
    "/doctors/{doctor_id}/extra-hours": "schedule",
    "/doctors/{doctor_id}/extra-hours/{day}": "schedule",
    "/doctors/{doctor_id}/time-off": "schedule",
    "/doctors/{doctor_id}/time-off/{time_off_id}": "schedule",
    "/doctors/{doctor_id}/availability": "schedule",
    "/availability": "schedule",
}


def scope_of(method: str, route: str) -> Scope | None:
    """The scope that a request needs, by its method and the address of its route below /api/v1; None: people only."""
    noun = NOUNS.get(route)
    if noun is None:
        return None
    wanted = f"{noun}:{'read' if method in READING else 'write'}"
    return next(scope for scope in SCOPES if scope == wanted)
