"""The only place that connects handlers to events. Every process opens its database here."""

from __future__ import annotations

from webapp.appointments.messages import event_handlers as messages
from webapp.database import Database
from webapp.events.kinds import (
    AccountAddressChanged,
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentHourChanged,
    AppointmentHourKept,
    AppointmentMoved,
    AppointmentStatusChanged,
    ContactChanged,
)
from webapp.events.publishing import EventHandlers, on
from webapp.patients import addresses

# Handlers of the same event are called in this order.
HANDLERS = EventHandlers(
    on(AppointmentBooked, messages.announce_booking),
    on(AppointmentMoved, messages.announce_move),
    on(AppointmentHourKept, messages.withdraw_reminders),
    on(AppointmentHourChanged, messages.announce_hour),
    on(AppointmentCancelled, messages.announce_cancellation),
    on(AppointmentStatusChanged, messages.announce_return),
    on(AccountAddressChanged, addresses.follow_account),
    on(AccountAddressChanged, messages.follow_account),
    on(ContactChanged, messages.follow_contact),
)


def wired_database(url: str, *, patience: float | None = None) -> Database:
    """The database at this address, whose transactions call the application's event handlers.

    `patience` is how many seconds one statement may take; None for as long as it needs.
    """
    return Database(url, HANDLERS, patience=patience)
