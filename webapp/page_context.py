"""The values of every page: the clinic, the reader, and the filters that show instants in the clinic's zone."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import jinja2
from sqlalchemy.exc import SQLAlchemyError

from webapp.appointments.booking import statuses
from webapp.auth.dependencies import current_actor
from webapp.auth.schemas import Actor
from webapp.clinic import documents
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.service import Clinic, default_clinic
from webapp.core import formats, icons, phones
from webapp.core import templates as core_templates
from webapp.core.codes import REASONS
from webapp.core.compiled_templates import CompiledTemplates
from webapp.core.local_time import utc_days
from webapp.core.web import Page
from webapp.demo import DEMO_ACCOUNTS, DEMO_PASSWORD
from webapp.exceptions import Unavailable
from webapp.live.feed import version_seen
from webapp.notifications.exceptions import TROUBLES
from webapp.staff.menu import staff_places

# The clinic's zone and local date for the page that the current thread renders.
_rendering: ContextVar[tuple[ZoneInfo, date]] = ContextVar("rendering")


def values_of(page: Page) -> dict[str, Any]:
    """The values that every page needs; if the database cannot be reached, error pages use the defaults."""
    try:
        clinic, actor = current_clinic(page), current_actor(page)
    except (SQLAlchemyError, Unavailable):
        clinic, actor = default_clinic(), None
    else:
        page.request.app.state.last_clinic = clinic
    _rendering.set((clinic.zone, clinic.today(page.now)))
    phones.show_for(clinic.home_country)
    return {
        "clinic": clinic,
        "actor": actor,
        "notice_to_read": _asks_to_read(page, clinic, actor),
        "path": page.request.scope["path"],
        "flash": page.flash,
        # The version of all days: read only by pages that show it, from the snapshot that the page was made of.
        "live_version": lambda: version_seen(page.session),
    }


def _asks_to_read(page: Page, clinic: Clinic, actor: Actor | None) -> bool:
    """Whether a patient still has to read the privacy notice that the clinic asks everyone to read."""
    if actor is None or actor.is_staff or not clinic.consent_document:
        return False
    return documents.is_to_be_read(page.session, clinic, actor.user_id)


def letterhead(page: Page) -> dict[str, str]:
    """The clinic's details in messages, for modules that may not import the clinic."""
    return current_clinic(page).letterhead


def demo_accounts(page: Page) -> list[tuple[str, str, str]] | None:
    """The accounts to show on the sign-in page; None unless the data is demo data, and never in production."""
    if page.settings.environment == "production" or not current_clinic(page).demo:
        return None
    return [(who, email, DEMO_PASSWORD) for who, email in DEMO_ACCOUNTS]


@lru_cache
def templates() -> jinja2.Environment:
    """The Jinja environment with filters that show instants in the clinic's zone.

    It is made once, because compiling templates is slow. Macros are imported without the page's context, so the zone of
    the page being rendered is kept in a context variable.
    """
    environment = core_templates.template_environment()

    def in_clinic_zone(show: Callable[[datetime, ZoneInfo], str]) -> Callable[[datetime], str]:
        return lambda instant: show(instant, _rendering.get()[0])

    def as_of_today(show: Callable[..., str]) -> Callable[[datetime], str]:
        return lambda instant: show(instant, _rendering.get()[0], today=_rendering.get()[1])

    for show in (
        formats.clock,
        formats.end_clock,
        formats.day_long,
        formats.day_full,
        formats.day_brief,
        formats.day_month_year,
        formats.weekday_short,
        formats.day_number,
        formats.month_short,
    ):
        environment.filters[show.__name__] = in_clinic_zone(show)
    for show_today in (formats.moment, formats.moment_in_sentence):
        environment.filters[show_today.__name__] = as_of_today(show_today)
    environment.filters["utc_days"] = lambda days: " ".join(utc_days(days, _rendering.get()[0]))
    environment.globals["staff_places"] = staff_places
    environment.globals["status_words"] = statuses.WORDS
    environment.globals["staff_status_words"] = statuses.STAFF_WORDS
    environment.filters["iso"] = formats.iso
    environment.filters["breakable"] = formats.breakable
    environment.filters["phone"] = phones.shown
    environment.filters["minutes"] = formats.minutes
    environment.filters["reason"] = REASONS.words
    environment.filters["trouble"] = TROUBLES.words
    environment.bytecode_cache = CompiledTemplates([__file__, core_templates.__file__, icons.__file__])
    return environment


def compile_templates() -> None:
    """Compile all templates of pages, for processes that may not write."""
    environment = templates()
    for name in environment.list_templates(extensions=["html"]):
        # Messages have another environment.
        if not name.startswith("notifications/"):
            environment.get_template(name)
