"""Publishing an event to its handlers, inside the transaction that the event is about.

The database holds the handlers and passes them to every writing session; there is no global list. Publishing without
handlers is an error, so a process that forgets to wire them cannot lose messages.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from sqlalchemy.orm import Session

from webapp.events.kinds import Event

E = TypeVar("E", bound=Event)
E_contra = TypeVar("E_contra", bound=Event, contravariant=True)

# The keys in a session's `info` for its handlers, and for the kind of event that is being handled.
_HANDLERS, _HANDLING = "docket_event_handlers", "docket_event"
# And for the names of all events that were published.
_PUBLISHED = "docket_published_events"


class Handler(Protocol[E_contra]):
    """Writes the consequences of an event, on the session that it is given.

    The transaction may still be rolled back, and trials of a change always are, so a handler may only write to the
    database. Messages to people go through the outbox. An exception in a handler rolls back the whole change.
    """

    def __call__(self, session: Session, event: E_contra, /, *, now: datetime) -> None: ...


@dataclass(frozen=True, slots=True)
class Subscription:
    """One handler of one kind of event; made by `on`."""

    kind: type[Event]
    handler: Handler[Any]


def on(kind: type[E], handler: Handler[E]) -> Subscription:
    """Subscribe a handler to this kind of event."""
    return Subscription(kind, handler)


class EventHandlers:
    """The handlers of all events. Handlers of the same event are called in the order given here."""

    def __init__(self, *subscriptions: Subscription) -> None:
        self._subscriptions = subscriptions
        self._handlers: dict[type[Event], list[Handler[Any]]] = defaultdict(list)
        for each in subscriptions:
            self._handlers[each.kind].append(each.handler)

    def followed_by(self, *subscriptions: Subscription) -> EventHandlers:
        """A copy with more handlers after these."""
        return EventHandlers(*self._subscriptions, *subscriptions)

    def handle(self, session: Session, event: Event, *, now: datetime) -> None:
        """Call every handler of this event."""
        for handler in self._handlers.get(type(event), ()):
            handler(session, event, now=now)


class NotWired(RuntimeError):
    """An event was published on a session without handlers."""


class PublishedByHandler(RuntimeError):
    """A handler published an event itself."""


def session_info(handlers: EventHandlers | None) -> dict[str, EventHandlers]:
    """The `info` for a writing session; without handlers nothing can be published on it."""
    return {} if handlers is None else {_HANDLERS: handlers}


def published_in(session: Session) -> list[str]:
    """The names of the events that were published on a session, in order."""
    return list(session.info.get(_PUBLISHED, ()))


def publish(session: Session, event: Event, *, now: datetime) -> None:
    """Call the handlers of this event, one after another, and return afterwards.

    Handlers may not publish events: later handlers would get the second event before the first. Nor may they call a use
    case, because locks are taken in a fixed order and the ones already held come last in it.

    Raises:
        NotWired: the session is for reading, or its database was opened without handlers.
        PublishedByHandler: a handler of another event is calling this.
    """
    handlers: EventHandlers | None = session.info.get(_HANDLERS)
    kind = type(event).__name__
    if handlers is None:
        raise NotWired(f"{kind} has no handlers here: open the database with webapp.event_handlers.wired_database.")
    if _HANDLING in session.info:
        raise PublishedByHandler(f"A handler of {session.info[_HANDLING]} published {kind}.")
    session.info[_HANDLING] = kind
    session.info.setdefault(_PUBLISHED, []).append(kind)
    try:
        handlers.handle(session, event, now=now)
    finally:
        del session.info[_HANDLING]
