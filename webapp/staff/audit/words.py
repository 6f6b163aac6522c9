"""The audit log in words: one sentence for each action that Docket logs."""

from __future__ import annotations

from collections.abc import Mapping

from webapp.i18n import Sentence
from webapp.i18n import gettext as _
from webapp.i18n import lazy_gettext as _l

ACTIONS: dict[str, Sentence] = {
    "booked": _l("Booked an appointment"),
    "moved": _l("Moved an appointment"),
    "given_to_doctor": _l("Gave an appointment to another doctor"),
    "given_to_patient": _l("Gave an appointment to another patient"),
    "type_changed": _l("Changed the visit type of an appointment"),
    "hour_kept": _l("Moved an appointment back to its promised time"),
    "hour_changed": _l("Changed the promised time of an appointment"),
    "cancelled": _l("Cancelled an appointment"),
    "confirmed": _l("Confirmed an appointment"),
    "arrived": _l("Marked as arrived"),
    "completed": _l("Marked as seen"),
    "no_show": _l("Marked as no-show"),
    "words_changed": _l("Changed an appointment’s reason or notes"),
    "undone": _l("Undid the last status change"),
    "desk_note_changed": _l("Changed the note for staff on an appointment"),
    "called": _l("Marked a patient as called"),
    "call_undone": _l("Marked a patient as not called"),
    "note_changed": _l("Changed a private note"),
    "links_ended": _l("Ended the links to an appointment"),
    "made_confidential": _l("Made an appointment confidential"),
    "shown_to_guardian": _l("Let the person who books for a patient see an appointment again"),
    "flagged": _l("Flagged an appointment"),
    "flag_settled": _l("Resolved a flagged appointment"),
    "unflagged": _l("Removed a flag that was no longer needed"),
    "rule_overridden": _l("Made an exception to a booking rule"),
    "walk_in_added": _l("Added a patient to today’s walk-ins"),
    "walk_in_changed": _l("Changed what a walk-in waits for"),
    "walk_in_left": _l("Marked a walk-in as left"),
    "walk_in_taken": _l("Booked a time for a walk-in"),
    "walk_in_undone": _l("Put a walk-in back in the queue"),
    "ran_late": _l("Changed how late a doctor is running"),
    "squeezed_in": _l("Squeezed in an appointment at a taken time"),
    "appointment_read": _l("Viewed an appointment"),
    "appointments_listed": _l("Viewed appointments with their reasons"),
    "appointments_exported": _l("Exported appointments"),
    "schedule_read": _l("Viewed a schedule"),
    "board_read": _l("Viewed the board of a day"),
    "patient_read": _l("Viewed a patient’s record"),
    "patients_listed": _l("Viewed the list of patients"),
    "messages_listed": _l("Viewed the list of messages"),
    "users_listed": _l("Viewed the list of accounts"),
    "user_read": _l("Viewed an account"),
    "calendar_read": _l("Viewed appointments through their calendar link"),
    "patients_searched": _l("Searched for patients"),
    "patient_created": _l("Added a patient"),
    "patient_changed": _l("Changed a patient’s details"),
    "patient_notes_changed": _l("Changed the alert or the note about a patient"),
    "patients_joined": _l("Joined two records of one patient"),
    "patients_parted": _l("Separated two joined records"),
    "patients_told_apart": _l("Marked two records as two different people"),
    "patient_removed": _l("Removed a patient"),
    "patient_linked": _l("Linked a person who books for a patient"),
    "patient_unlinked": _l("Unlinked a person who books for a patient"),
    "guardian_ended": _l("Ended a guardian’s access, because of the patient’s age"),
    "old_data_deleted": _l("Deleted old data"),
    "backup_restored": _l("Restored the database from a backup"),
    "patient_closed": _l("Closed a patient’s record, to be deleted later"),
    "patient_erased": _l("Deleted a patient’s data"),
    "account_deleted": _l("Deleted an account"),
    "patient_data_copied": _l("Made a copy of a patient’s data"),
    "profile_changed": _l("Changed their own details"),
    "messages_chosen": _l("Chose which messages to receive"),
    "message_read": _l("Viewed a message"),
    "patient_messaged": _l("Wrote a message to a patient"),
    "message_sent_again": _l("Sent a message again"),
    "calendar_feed_made": _l("Created their private calendar link"),
    "calendar_feed_renewed": _l("Changed their private calendar link"),
    "calendar_feed_removed": _l("Removed their private calendar link"),
    "user_created": _l("Created an account"),
    "email_confirmed": _l("Confirmed an email address"),
    "email_change_requested": _l("Requested another email address"),
    "email_change_given_up": _l("Cancelled a change of their email address"),
    "email_changed": _l("Changed an email address"),
    "role_changed": _l("Changed a role"),
    "user_disabled": _l("Disabled an account"),
    "user_enabled": _l("Enabled an account"),
    "sessions_ended": _l("Signed out an account everywhere"),
    "factor_added": _l("Set up two-step sign-in or a passkey"),
    "factor_removed": _l("Removed an app or a passkey"),
    "identity_linked": _l("Linked an account of an identity provider"),
    "identity_unlinked": _l("Unlinked an account of an identity provider"),
    "factor_reset": _l("Reset an account’s two-step sign-in"),
    "recovery_codes_renewed": _l("Created new recovery codes"),
    "sign_in_rules_changed": _l("Changed how staff sign in"),
    "password_changed": _l("Changed a password"),
    "password_link_requested": _l("Requested a password reset"),
    "password_link_mailed": _l("Emailed a password link to its owner"),
    "password_link_shown": _l("Viewed another person’s password link"),
    "password_link_created": _l("Created a password link"),
    "api_token_made": _l("Created an API token"),
    "api_token_used": _l("Used its API token that day"),
    "api_token_revoked": _l("Revoked an API token"),
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
    "document_published": _l("Published a privacy notice or an imprint"),
    "closure_created": _l("Added a closure"),
    "closure_changed": _l("Changed a closure"),
    "closure_removed": _l("Removed a closure"),
    "demo_made": _l("Added demo data"),
    "audit_read": _l("Viewed the audit log"),
    "audit_exported": _l("Exported the audit log"),
}

# Words for what a nightly run deleted, by the names in its row.
OLD_DATA: dict[str, Sentence] = {
    "messages": _l("messages: %(n)s"),
    "files": _l("message files: %(n)s"),
    "stray_files": _l("files without a message: %(n)s"),
    "joined_records": _l("joined records that can’t be separated any more: %(n)s"),
    "walk_ins": _l("walk-ins: %(n)s"),
    "told_lists": _l("lists of who was told: %(n)s"),
    "calls": _l("calls: %(n)s"),
    "sessions": _l("sessions: %(n)s"),
    "password_links": _l("password links: %(n)s"),
    "api_tokens": _l("API tokens: %(n)s"),
    "failed_logins": _l("failed sign-ins: %(n)s"),
    "security_events": _l("security events: %(n)s"),
    "passkey_challenges": _l("unused passkey requests: %(n)s"),
    "spent_sign_ons": _l("used sign-ins of identity providers: %(n)s"),
    "audit_rows": _l("audit rows: %(n)s"),
    "records": _l("patients’ records: %(n)s"),
    "new_addresses": _l("unconfirmed addresses: %(n)s"),
}

# Words for security events: see `audit.security_events`.
SECURITY: dict[str, Sentence] = {
    "signed_in": _l("Signed in"),
    "signed_out": _l("Signed out"),
    "sign_in_failed": _l("Failed to sign in"),
    "sign_in_throttled": _l("Had to wait before signing in"),
    "password_check_failed": _l("Entered a wrong current password"),
    "password_check_throttled": _l("Had to wait before entering the current password"),
    "registration_failed": _l("Failed to create an account"),
    "registration_throttled": _l("Had to wait before creating an account"),
    "reset_throttled": _l("Had to wait before requesting a link"),
    "refresh_reused": _l("Used a refresh token twice: the session ended"),
    "refresh_refused": _l("Used an invalid refresh token"),
    "token_expired": _l("Used an expired access token"),
    "token_ended": _l("Used an access token after signing out"),
    "token_forged": _l("Used a forged access token"),
    "link_refused": _l("Opened a link that doesn’t work"),
    "page_refused": _l("Was refused access to a page"),
    "origin_refused": _l("Sent a form from another site"),
    "requests_throttled": _l("Sent too many requests"),
}
# Words for ways of signing in. The other values of `about` are patterns of addresses.
WAYS: dict[str, Sentence] = {
    "password": _l("with a password"),
    "code": _l("with a code"),
    "passkey": _l("with a passkey"),
    "sso": _l("with an identity provider"),
    "api": _l("through the API"),
}

ROLES: dict[str, Sentence | str] = {
    "patient": _l("patient"),
    "receptionist": _l("front desk"),
    "doctor": _l("doctor"),
    "admin": _l("admin"),
    "machine": _l("API token"),
    # The name beside it says enough.
    "system": "",
}


def action_words(action: str) -> str:
    """An action in words; an action without words is shown by its own name."""
    return str(ACTIONS.get(action) or action.replace("_", " ").capitalize())


def security_words(action: str) -> str:
    """A security event in words."""
    return str(SECURITY.get(action) or action.replace("_", " ").capitalize())


def role_words(role: str) -> str:
    """The role in which a user acted, in words."""
    return str(ROLES.get(role, role))


def old_data_words(details: Mapping[str, object]) -> str:
    """How much a nightly run deleted: 'messages: 12, sessions: 3', or 'nothing'."""
    parts = [str(words) % {"n": details[name]} for name, words in OLD_DATA.items() if name in details]
    return ", ".join(parts) or _("nothing")
