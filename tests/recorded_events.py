"""Events as a handler receives them that tests add after those of the application."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy.orm import Session

from webapp.database import Database
from webapp.event_handlers import HANDLERS
from webapp.events.kinds import EVENTS, Event
from webapp.events.publishing import Subscription, on, session_info


def wire(database: Database, patch: pytest.MonkeyPatch, *subscriptions: Subscription) -> None:
    """Add these handlers until the end of the test."""
    patch.setattr(database, "session_info", session_info(HANDLERS.followed_by(*subscriptions)))


def record_events(database: Database, patch: pytest.MonkeyPatch) -> list[Event]:
    """The list to which every event is added that is published after this, even if it is undone."""
    heard: list[Event] = []

    def record(_session: Session, event: Event, /, *, now: datetime) -> None:
        heard.append(event)

    wire(database, patch, *(on(kind, record) for kind in EVENTS))
    return heard
