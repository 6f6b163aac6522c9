"""All routers of pages, in the order in which addresses are matched. The API has its own: `webapp/api_routes.py`."""

from __future__ import annotations

from fastapi import APIRouter

from webapp.appointments.pages.address_router import router as address_router
from webapp.appointments.pages.appointment_link_router import router as appointment_link_router
from webapp.appointments.pages.booking_router import router as booking_router
from webapp.appointments.pages.calendars_router import router as calendars_router
from webapp.appointments.pages.check_in_router import router as check_in_router
from webapp.appointments.pages.code_router import router as code_router
from webapp.appointments.pages.reschedule_router import router as reschedule_router
from webapp.appointments.pages.router import router as appointments_router
from webapp.auth.pages.confirm_router import router as confirm_router
from webapp.auth.pages.drafts_router import router as drafts_router
from webapp.auth.pages.factor_router import router as factor_router
from webapp.auth.pages.first_password_router import router as first_password_router
from webapp.auth.pages.links_router import router as links_router
from webapp.auth.pages.passkeys_router import router as passkeys_router
from webapp.auth.pages.password_reset_router import router as password_reset_router
from webapp.auth.pages.router import router as auth_router
from webapp.clinic.documents_router import router as documents_router
from webapp.clinic.security_contact_router import router as security_contact_router
from webapp.dashboard.reports_router import router as reports_router
from webapp.dashboard.router import router as dashboard_router
from webapp.health import router as health_router
from webapp.live.router import router as live_router
from webapp.openapi.router import router as docs_router
from webapp.patients.dependants_router import router as dependants_router
from webapp.patients.router import router as patients_router
from webapp.privacy.router import router as own_data_router
from webapp.privacy.staff_router import router as patient_data_router
from webapp.scheduling.profile_router import router as profile_router
from webapp.scheduling.search_router import router as search_router
from webapp.staff.appointments.changes_router import router as changes_router
from webapp.staff.appointments.decisions_router import router as decisions_router
from webapp.staff.appointments.flags_router import router as flags_router
from webapp.staff.appointments.promised_hours_router import router as promised_hours_router
from webapp.staff.appointments.router import router as staff_appointments_router
from webapp.staff.appointments.selection_router import router as selection_router
from webapp.staff.appointments.status_router import router as status_router
from webapp.staff.appointments.why_router import router as why_router
from webapp.staff.audit.router import router as audit_router
from webapp.staff.board.router import router as board_router
from webapp.staff.clinic.closures_router import router as closures_router
from webapp.staff.clinic.poster_router import router as poster_router
from webapp.staff.clinic.router import router as clinic_router
from webapp.staff.clinic.sign_in_router import router as sign_in_rules_router
from webapp.staff.clinic.visit_types_router import router as visit_types_router
from webapp.staff.clinic.words_router import router as words_router
from webapp.staff.desk.away_router import router as away_router
from webapp.staff.desk.booking_router import router as desk_booking_router
from webapp.staff.desk.calls_router import router as calls_router
from webapp.staff.desk.notification_lists_router import router as notification_lists_router
from webapp.staff.desk.walk_ins_router import router as walk_ins_router
from webapp.staff.doctors.hours_router import router as hours_router
from webapp.staff.doctors.late_router import router as late_router
from webapp.staff.doctors.router import router as doctors_router
from webapp.staff.doctors.squeeze_ins_router import router as squeeze_ins_router
from webapp.staff.doctors.time_off_router import router as time_off_router
from webapp.staff.messages.previews_router import router as previews_router
from webapp.staff.messages.router import router as messages_router
from webapp.staff.patients.dependants_router import router as staff_dependants_router
from webapp.staff.patients.duplicates_router import router as duplicates_router
from webapp.staff.patients.notes_router import router as patient_notes_router
from webapp.staff.patients.router import router as staff_patients_router
from webapp.staff.schedule.router import router as schedule_router
from webapp.staff.sheets.router import router as sheets_router
from webapp.staff.users.router import router as users_router
from webapp.staff.users.sign_on_router import router as sign_on_router
from webapp.staff.users.tokens_router import router as api_tokens_router

ROUTERS: tuple[APIRouter, ...] = (
    health_router,
    live_router,
    docs_router,
    search_router,
    profile_router,
    booking_router,
    # Before the appointments' pages, which would match .ics as a part of the reference.
    calendars_router,
    appointments_router,
    reschedule_router,
    appointment_link_router,
    check_in_router,
    board_router,
    sheets_router,
    staff_appointments_router,
    selection_router,
    desk_booking_router,
    away_router,
    calls_router,
    walk_ins_router,
    notification_lists_router,
    why_router,
    decisions_router,
    promised_hours_router,
    patients_router,
    dependants_router,
    own_data_router,
    patient_data_router,
    duplicates_router,
    patient_notes_router,
    staff_patients_router,
    staff_dependants_router,
    auth_router,
    factor_router,
    passkeys_router,
    confirm_router,
    first_password_router,
    drafts_router,
    password_reset_router,
    links_router,
    address_router,
    code_router,
    # Before the users, whose addresses match any word as an id.
    api_tokens_router,
    users_router,
    sign_on_router,
    doctors_router,
    visit_types_router,
    clinic_router,
    poster_router,
    sign_in_rules_router,
    words_router,
    documents_router,
    security_contact_router,
    closures_router,
    # Before the messages, which match any other word after /admin/messages/.
    previews_router,
    messages_router,
    audit_router,
    status_router,
    # Before the hours, which match any word after /schedule/hours/ as a period.
    squeeze_ins_router,
    late_router,
    hours_router,
    time_off_router,
    # Last, because it matches any word after /schedule/ as a day.
    schedule_router,
    flags_router,
    changes_router,
    dashboard_router,
    reports_router,
)
