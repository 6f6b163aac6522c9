"""Publishing an event to its handlers, inside the transaction that it tells of.

The database carries the handlers, and each session that writes has them: there is no global list. Publishing where
no handlers are wired is an error, so no message can be lost because a process forgot to wire them.
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

# Where a session keeps its handlers, and the kind of event that they are handling.
_HANDLERS, _HANDLING = "docket_event_handlers", "docket_event"


class Handler(Protocol[E_contra]):
    """Writes what follows from an event, on the session that it is handed.

    The transaction may still be undone, and trials of a change always are: a handler does nothing that the database
    cannot take back. What has to leave the house goes through the outbox. What the handler raises undoes the deed.
    """

    def __call__(self, session: Session, event: E_contra, /, *, now: datetime) -> None: ...


@dataclass(frozen=True, slots=True)
class Subscription:
    """One handler of one kind of event, as `on` makes it."""

    kind: type[Event]
    handler: Handler[Any]


def on(kind: type[E], handler: Handler[E]) -> Subscription:
    """Let a handler hear of this kind of event."""
    return Subscription(kind, handler)


class EventHandlers:
    """Who hears of which event. Handlers of one event are called in the order in which they are given here."""

    def __init__(self, *subscriptions: Subscription) -> None:
        self._subscriptions = subscriptions
        self._handlers: dict[type[Event], list[Handler[Any]]] = defaultdict(list)
        for each in subscriptions:
            self._handlers[each.kind].append(each.handler)

    def followed_by(self, *subscriptions: Subscription) -> EventHandlers:
        """These handlers, and more after them."""
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
    """What a session that writes is to be given as its `info`; without handlers nothing can be published on it."""
    return {} if handlers is None else {_HANDLERS: handlers}


def publish(session: Session, event: Event, *, now: datetime) -> None:
    """Call the handlers of this event, one after another, before this returns.

    Handlers publish nothing: the ones after them would hear of the second event before the first. Nor may they carry
    out a use case, for locks are taken in one order, and the ones held here are the last of it.

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
    try:
        handlers.handle(session, event, now=now)
    finally:
        del session.info[_HANDLING]
