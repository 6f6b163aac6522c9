"""Texts of the account page: the people a patient books for, and the signed-in devices."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from webapp.auth import sessions
from webapp.auth.schemas import Actor
from webapp.auth.single_sign_on import identities
from webapp.auth.user_agents import device_name
from webapp.clinic.dependencies import current_clinic
from webapp.core import formats
from webapp.core.web import Page
from webapp.patients.schemas import Person


class PersonLine(NamedTuple):
    """A person whom a patient books for.

    `born` is '27 March 1984', or '' if the date is not known; `until` is the day on which the booking ends, or ''.
    """

    id: int
    name: str
    born: str
    phone: str
    has_account: bool
    until: str


class DeviceLine(NamedTuple):
    """A signed-in browser; `current` is the one that makes the request."""

    id: int
    device: str
    last_seen: datetime
    current: bool


class IdentityLine(NamedTuple):
    """An account at an identity provider that opens the actor's account; `name` is the provider's name."""

    id: int
    name: str
    email: str
    last_used_at: datetime


class Identities(NamedTuple):
    """The linked ones, and the name and label of each provider that can be linked."""

    linked: list[IdentityLine]
    others: list[tuple[str, str]]


def linked_identities(page: Page, actor: Actor) -> Identities | None:
    """The actor's accounts at identity providers; None if nothing is linked and nothing can be linked."""
    found, providers = identities.list_linked(page.session, actor.user_id), page.settings.oidc_providers
    labels, issuers = {each.issuer: each.shown for each in providers}, {each.issuer for each in found}
    linked = [
        IdentityLine(each.id, labels.get(each.issuer, each.provider), each.email, each.last_used_at) for each in found
    ]
    others = [(each.name, each.shown) for each in providers if each.issuer not in issuers and actor.role in each.roles]
    return Identities(linked, others) if linked or others else None


def person_line(page: Page, person: Person) -> PersonLine:
    """A person whom a patient books for, as the account page shows them."""
    zone = current_clinic(page).zone
    born = formats.day_month_year(person.birth_date, zone) if person.birth_date else ""
    until = formats.day_month_year(person.managed_until, zone) if person.managed_until else ""
    return PersonLine(person.id, person.name, born, person.phone, person.has_account, until)


def device_lines(page: Page, actor: Actor) -> list[DeviceLine]:
    """The actor's signed-in browsers, the current one first."""
    lines = [
        DeviceLine(row.id, device_name(row.user_agent), row.last_seen_at, row.id == actor.session_id)
        for row in sessions.list_sessions(page.session, actor, now=page.now)
    ]
    return sorted(lines, key=lambda line: not line.current)
