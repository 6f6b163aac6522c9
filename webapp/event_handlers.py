"""The only place that connects handlers to events. Every process opens its database here."""

from __future__ import annotations

from webapp.appointments import erasure as appointments_erasure
from webapp.appointments import walk_ins
from webapp.appointments.messages import event_handlers as messages
from webapp.appointments.messages import lateness
from webapp.audit import service as audit
from webapp.auth import erasure as auth_erasure
from webapp.database import Database
from webapp.events.kinds import (
    AccountAddressChanged,
    AccountErased,
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentHourChanged,
    AppointmentHourKept,
    AppointmentMoved,
    AppointmentReassigned,
    AppointmentStatusChanged,
    ContactChanged,
    DoctorRanLate,
    PatientErased,
)
from webapp.events.publishing import EventHandlers, on
from webapp.idempotency import erasure as idempotency_erasure
from webapp.notifications import erasure as notifications_erasure
from webapp.patients import addresses
from webapp.patients import erasure as patients_erasure

# Handlers of the same event are called in this order.
HANDLERS = EventHandlers(
    on(AppointmentBooked, messages.announce_booking),
    on(AppointmentMoved, messages.announce_move),
    on(AppointmentHourKept, messages.withdraw_reminders),
    on(AppointmentHourChanged, messages.announce_hour),
    on(AppointmentCancelled, messages.announce_cancellation),
    on(AppointmentReassigned, messages.announce_to_right_patient),
    on(AppointmentReassigned, walk_ins.follow_appointment),
    on(AppointmentStatusChanged, messages.announce_return),
    on(DoctorRanLate, lateness.tell),
    on(AccountAddressChanged, addresses.follow_account),
    on(AccountAddressChanged, messages.follow_account),
    on(ContactChanged, messages.follow_contact),
    on(AccountErased, appointments_erasure.forget_booker),
    on(AccountErased, patients_erasure.detach_account),
    on(AccountErased, notifications_erasure.forget_accounts_messages),
    on(AccountErased, audit.forget_account_addresses),
    # Last, because everything that refers to the account must be deleted before.
    on(AccountErased, auth_erasure.delete_account),
    on(PatientErased, appointments_erasure.blank_appointments),
    on(PatientErased, appointments_erasure.forget_messages_naming),
    on(PatientErased, notifications_erasure.forget_patients_messages),
    on(PatientErased, idempotency_erasure.forget_answers),
    on(PatientErased, auth_erasure.forget_drafts),
    on(PatientErased, audit.forget_patient_addresses),
    on(PatientErased, patients_erasure.blank_record),
)


def wired_database(url: str, *, patience: float | None = None) -> Database:
    """The database at this address, whose transactions call the application's event handlers.

    `patience` is how many seconds one statement may take; None for as long as it needs.
    """
    return Database(url, HANDLERS, patience=patience)
