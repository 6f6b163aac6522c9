"""The audit log in words: one sentence for each action that Docket logs."""

from __future__ import annotations

from webapp.i18n import Sentence
from webapp.i18n import lazy_gettext as _l

ACTIONS: dict[str, Sentence] = {
    "booked": _l("Booked a visit"),
    "moved": _l("Moved a visit"),
    "cancelled": _l("Cancelled a visit"),
    "confirmed": _l("Confirmed a visit"),
    "arrived": _l("Marked as arrived"),
    "completed": _l("Marked as completed"),
    "no_show": _l("Marked as did not come"),
    "words_changed": _l("Changed reason or notes of a visit"),
    "undone": _l("Undid the last change of a visit"),
    "note_changed": _l("Changed a private note"),
    "flagged": _l("Flagged a visit for attention"),
    "flag_settled": _l("Settled a flagged visit"),
    "unflagged": _l("Took a flag off, for the visit fits again"),
    "rule_overridden": _l("Set a booking rule aside"),
    "appointment_read": _l("Opened a visit"),
    "appointments_listed": _l("Read a list of visits with their reasons"),
    "appointments_exported": _l("Exported the list of visits"),
    "schedule_read": _l("Opened a schedule"),
    "patient_read": _l("Opened a patient’s record"),
    "patients_searched": _l("Searched for patients"),
    "patient_created": _l("Added a patient"),
    "patient_changed": _l("Changed a patient’s details"),
    "patient_removed": _l("Removed a patient"),
    "patient_linked": _l("Let somebody book for a patient"),
    "patient_unlinked": _l("Ended that somebody books for a patient"),
    "profile_changed": _l("Changed their own details"),
    "messages_chosen": _l("Chose which messages to receive"),
    "message_read": _l("Read a message"),
    "message_sent_again": _l("Sent a message again"),
    "calendar_feed_made": _l("Made a private address for their calendar"),
    "calendar_feed_renewed": _l("Changed the private address of their calendar"),
    "calendar_feed_removed": _l("Removed the private address of their calendar"),
    "user_created": _l("Made an account"),
    "email_confirmed": _l("Confirmed an e-mail address"),
    "role_changed": _l("Changed a role"),
    "user_disabled": _l("Disabled an account"),
    "user_enabled": _l("Enabled an account"),
    "sessions_ended": _l("Signed an account out everywhere"),
    "password_changed": _l("Changed a password"),
    "password_link_requested": _l("Was asked for a link to set a forgotten password"),
    "password_link_created": _l("Made a password link"),
    "hours_changed": _l("Changed working hours"),
    "extra_hours_added": _l("Added extra hours"),
    "extra_hours_removed": _l("Removed extra hours"),
    "time_off_added": _l("Added time off"),
    "time_off_removed": _l("Removed time off"),
    "doctor_created": _l("Added a doctor"),
    "doctor_changed": _l("Changed a doctor’s details"),
    "doctor_deactivated": _l("Deactivated a doctor"),
    "doctor_reactivated": _l("Reactivated a doctor"),
    "visit_type_created": _l("Added a visit type"),
    "visit_type_changed": _l("Changed a visit type"),
    "visit_type_deactivated": _l("Deactivated a visit type"),
    "visit_type_reactivated": _l("Reactivated a visit type"),
    "clinic_changed": _l("Changed the clinic’s settings"),
    "closure_created": _l("Added a closure"),
    "closure_changed": _l("Changed a closure"),
    "closure_removed": _l("Removed a closure"),
    "demo_made": _l("Filled the clinic with demo data"),
    "audit_read": _l("Read the audit log"),
    "audit_exported": _l("Exported the audit log"),
}

ROLES: dict[str, Sentence | str] = {
    "patient": _l("patient"),
    "doctor": _l("doctor"),
    "admin": _l("admin"),
    # The name beside it is enough.
    "system": "",
}


def action_words(action: str) -> str:
    """What happened, in words; an action without words is shown by its own name."""
    return str(ACTIONS.get(action) or action.replace("_", " ").capitalize())


def role_words(role: str) -> str:
    """The role in which a user acted, in words."""
    return str(ROLES.get(role, role))
