"""The audit log in words: one sentence for each action that Docket writes down."""

from __future__ import annotations

from webapp.core.i18n import gettext as _

ACTIONS: dict[str, str] = {
    "booked": _("Booked a visit"),
    "moved": _("Moved a visit"),
    "cancelled": _("Cancelled a visit"),
    "confirmed": _("Confirmed a visit"),
    "arrived": _("Marked as arrived"),
    "completed": _("Marked as completed"),
    "no_show": _("Marked as did not come"),
    "words_changed": _("Changed reason or notes of a visit"),
    "undone": _("Undid the last change of a visit"),
    "note_changed": _("Changed a private note"),
    "flagged": _("Flagged a visit for attention"),
    "flag_settled": _("Settled a flagged visit"),
    "unflagged": _("Took a flag off, for the visit fits again"),
    "rule_overridden": _("Set a booking rule aside"),
    "appointment_read": _("Opened a visit"),
    "appointments_listed": _("Read a list of visits with their reasons"),
    "appointments_exported": _("Exported the list of visits"),
    "schedule_read": _("Opened a schedule"),
    "patient_read": _("Opened a patient’s record"),
    "patients_searched": _("Searched for patients"),
    "patient_created": _("Added a patient"),
    "patient_changed": _("Changed a patient’s details"),
    "patient_removed": _("Removed a patient"),
    "patient_linked": _("Let somebody book for a patient"),
    "patient_unlinked": _("Ended that somebody books for a patient"),
    "profile_changed": _("Changed their own details"),
    "messages_chosen": _("Chose which messages to receive"),
    "message_read": _("Read a message"),
    "message_sent_again": _("Sent a message again"),
    "calendar_feed_made": _("Made a private address for their calendar"),
    "calendar_feed_renewed": _("Changed the private address of their calendar"),
    "calendar_feed_removed": _("Removed the private address of their calendar"),
    "user_created": _("Made an account"),
    "email_confirmed": _("Confirmed an e-mail address"),
    "role_changed": _("Changed a role"),
    "user_disabled": _("Disabled an account"),
    "user_enabled": _("Enabled an account"),
    "sessions_ended": _("Signed an account out everywhere"),
    "password_changed": _("Changed a password"),
    "password_link_requested": _("Was asked for a link to set a forgotten password"),
    "password_link_created": _("Made a password link"),
    "hours_changed": _("Changed working hours"),
    "extra_hours_added": _("Added extra hours"),
    "extra_hours_removed": _("Removed extra hours"),
    "time_off_added": _("Added time off"),
    "time_off_removed": _("Removed time off"),
    "doctor_created": _("Added a doctor"),
    "doctor_changed": _("Changed a doctor’s details"),
    "doctor_deactivated": _("Deactivated a doctor"),
    "doctor_reactivated": _("Reactivated a doctor"),
    "visit_type_created": _("Added a visit type"),
    "visit_type_changed": _("Changed a visit type"),
    "visit_type_deactivated": _("Deactivated a visit type"),
    "visit_type_reactivated": _("Reactivated a visit type"),
    "clinic_changed": _("Changed the clinic’s settings"),
    "closure_created": _("Added a closure"),
    "closure_changed": _("Changed a closure"),
    "closure_removed": _("Removed a closure"),
    "demo_made": _("Filled the clinic with demo data"),
    "audit_read": _("Read the audit log"),
    "audit_exported": _("Exported the audit log"),
}

ROLES: dict[str, str] = {
    "patient": _("patient"),
    "doctor": _("doctor"),
    "admin": _("admin"),
    # The name beside it says it all.
    "system": "",
}


def action_words(action: str) -> str:
    """What happened, in words; an action that has none yet is shown as it is called."""
    return ACTIONS.get(action) or action.replace("_", " ").capitalize()


def role_words(role: str) -> str:
    """As what somebody acted."""
    return ROLES.get(role, role)
