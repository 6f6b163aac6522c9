"""Access to the pages: every route for every kind of user, compared with one table.

A route without a row fails, and so does a row without a route. A row has the answers, in this order, to
    a guest · the patient · another patient · the appointment's doctor · another doctor · the admin · a disabled account
where 303→login is a redirect to the sign-in page and back, and 401 asks the user to sign in. Of the routes that are the
admins', `AT_THE_DESK` lists those that the front desk has as well; all that others have answer it like the admins.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Mount
from starlette.testclient import TestClient

from tests.cast import (
    NOW,
    PASSWORD,
    SECRET_KEY,
    Cast,
    another,
    assemble,
    client_for,
    local,
    log_in,
    password_hash,
    promised,
)
from tests.postgres import new_database
from tests.reading import read
from tests.snapshot import lasting_rows
from tests.test_troubles import read_only
from webapp import models
from webapp.appointments import joining, walk_ins
from webapp.appointments.booking import service
from webapp.appointments.messages.recipients import LINK_PURPOSE
from webapp.appointments.schemas import Booking
from webapp.appointments.walk_ins import Queue
from webapp.auth import drafts, feeds
from webapp.auth.addresses import confirmation
from webapp.auth.pages.sign_in_code_dependencies import CODE_COOKIE
from webapp.auth.passwords.password_links import create_password_link
from webapp.auth.programs.api_tokens import MakeToken, list_tokens, make_token
from webapp.clinic import documents
from webapp.core.api import API_PREFIX
from webapp.core.formats import iso
from webapp.core.routing import all_routes
from webapp.core.signing import sign
from webapp.database import Database
from webapp.event_handlers import wired_database
from webapp.identity_providers import OidcProvider
from webapp.patients import duplicates

COLUMNS = ("guest", "alice", "dave", "bob", "erin", "carol", "disabled")
ROLES = (*COLUMNS, "fiona")
STAFF = {"bob", "erin", "carol", "fiona"}
LOGIN = "303→login"
# The routes to which a free time is sent.
TAKE_A_TIME = {"/book", "/appointments", "/visit/{token}/reschedule", "/appointments/{reference}/reschedule"}
# The forms that say what they saw, which only their page knows.
SAY_WHAT_THEY_SAW = {
    "/appointments/{reference}/note",
    "/admin/patients/{patient_id}/edit",
    "/admin/patients/{patient_id}/notes",
    "/schedule/hours/{period}",
    "/schedule/hours/{period}/removal",
    "/admin/doctors/{slug}",
    "/admin/doctors/{slug}/hours/{period}",
    "/admin/doctors/{slug}/hours/{period}/removal",
    "/admin/visit-types/{visit_type_id}",
    "/admin/closures/{closure_id}",
    "/admin/closures/{closure_id}/removal",
    "/admin/users/{user_id}/role",
    "/admin/clinic/details",
    "/admin/clinic/emergency",
    "/admin/clinic/privacy",
    "/admin/clinic/rules",
}
# A script asks, and no form is shown again.
NEVER_KEPT = {"/passkeys/options"}
# The forms that depend on who sends them.
SENT_DIFFERENTLY = {"/login", "/appointments"}
# What each appointment says that not everyone may read.
REASON, NOTE = "a rash that itches", "a note of the doctor alone"
Row = tuple[int | str, ...]

# The data of the admins' forms, chosen so that requests do not affect each other.
DOCTOR = {"name": "Dr. Bob Brown", "specialty": "General practice", "position": "1", "slot_step": "15", "tint": "1"}
BUFFERS = {"buffer_before": "0", "buffer_after": "0"}
WORKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")
RULES = {
    "notice_minutes": "120",
    "horizon_days": "90",
    "change_until_minutes": "1440",
    "max_active_visits": "100",
    "patient_gap_minutes": "0",
    "notice_unit": "minutes",
    "change_until_unit": "minutes",
    "patient_gap_unit": "minutes",
}

# fmt: off
PUBLIC: Row = (200,) * 7
TABLE: dict[tuple[str, str], Row] = {
    #                                                guest  alice  dave   bob   erin  carol disabled
    ("GET", "/"):                                   PUBLIC,
    ("GET", "/live"):                               (LOGIN,  403,   403,   204,   204,   204,  LOGIN),
    ("POST", "/live"):                              (401,    403,   403,   204,   204,   204,  401),
    ("GET", "/openapi.json"):                       PUBLIC,
    ("GET", "/docs"):                               PUBLIC,
    ("GET", "/redoc"):                              PUBLIC,
    ("GET", "/doctors"):                            PUBLIC,
    ("GET", "/doctors/{slug}"):                     PUBLIC,
    ("GET", "/doctors/{slug}/calendar"):            PUBLIC,
    ("GET", "/book"):                               (LOGIN,  200,   200,   200,   403,   200,  LOGIN),
    ("POST", "/appointments"):                      (401,    303,   303,   303,   403,   303,  401),
    ("GET", "/appointments"):                       (LOGIN,  200,   200,   303,   303,   303,  LOGIN),
    ("GET", "/board"):                              (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/board/{day}"):                        (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/board/columns"):                     (401,    403,   403,   403,   403,   303,  401),
    ("POST", "/board/{day}/appointments/{reference}/note"): (401, 403, 403, 403,  403,   303,  401),
    ("GET", "/board/{day}/sheets"):                 (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/board/week/{week}/sheets"):           (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    # The appointment is on another day, to which it leads.
    ("GET", "/board/{day}/appointments/{reference}"): (LOGIN, 403,  403,   403,   403,   303,  LOGIN),
    ("GET", "/admin/appointments"):                 (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/admin/appointments.csv"):             (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/admin/appointments/new"):             (LOGIN,  403,   403,   403,   403,   303,  LOGIN),
    ("GET", "/appointments/{reference}/reason"):    (LOGIN,  403,   403,   200,   404,   200,  LOGIN),
    ("POST", "/appointments/{reference}/reason"):   (401,    403,   403,   303,   404,   303,  401),
    ("GET", "/appointments/{reference}/patient"):   (LOGIN,  403,   403,   200,   404,   200,  LOGIN),
    ("POST", "/appointments/{reference}/patient"):  (401,    403,   403,   303,   404,   303,  401),
    ("GET", "/desk/booking"):                       (LOGIN,  403,   403,   200,   200,   200,  LOGIN),
    ("POST", "/desk/booking"):                      (401,    403,   403,   303,   303,   303,  401),
    ("GET", "/desk/away/{slug}"):                   (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/desk/away/{slug}"):                  (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/desk/calls/{day}"):                   (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/desk/calls/{day}/{reference}"):      (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/desk/walk-ins/{walk_in_id}"):         (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/desk/walk-ins/{walk_in_id}"):        (401,    403,   403,   403,   403,   303,  401),
    ("POST", "/desk/walk-ins/{walk_in_id}/leave"):  (401,    403,   403,   403,   403,   303,  401),
    ("POST", "/desk/walk-ins/{walk_in_id}/undo"):   (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/desk/told"):                          (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/desk/told/{list_id}"):                (LOGIN,  403,   403,   200,   404,   200,  LOGIN),
    ("POST", "/desk/told/{list_id}/{reference}"):   (401,    403,   403,   303,   404,   303,  401),
    ("GET", "/schedule/away"):                      (LOGIN,  403,   403,   200,   200,   403,  LOGIN),
    ("POST", "/schedule/away"):                     (401,    403,   403,   303,   303,   403,  401),
    ("GET", "/decisions"):                          (LOGIN,  403,   403,   200,   200,   200,  LOGIN),
    ("POST", "/decisions"):                         (401,    403,   403,   303,   303,   303,  401),
    ("GET", "/admin/appointments/promised-hours"):  (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/appointments/promised-hours"): (401,    403,   403,   403,   403,   303,  401),
    ("POST", "/admin/appointments/promised-hours/{reference}"): (401, 403, 403, 403, 403, 303, 401),
    ("GET", "/admin/appointments/selection"):       (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/appointments/selection"):      (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/appointments/why"):             (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/schedule/patients/new"):              (LOGIN,  403,   403,   200,   200,   403,  LOGIN),
    ("POST", "/schedule/patients/new"):             (401,    403,   403,   303,   303,   403,  401),
    ("GET", "/appointments/{reference}"):           (LOGIN,  200,   404,   200,   404,   200,  LOGIN),
    ("GET", "/appointments/{reference}/cancellation"): (LOGIN, 200, 404,   200,   404,   200,  LOGIN),
    ("POST", "/appointments/{reference}/cancellation"): (401, 303,  404,   303,   404,   303,  401),
    ("GET", "/appointments/{reference}/reschedule"): (LOGIN, 200,   404,   200,   404,   200,  LOGIN),
    ("POST", "/appointments/{reference}/reschedule"): (401,  303,   404,   303,   404,   303,  401),
    ("POST", "/appointments/{reference}/status"):   (401,    403,   403,   303,   404,   303,  401),
    ("POST", "/appointments/{reference}/status/undo"): (401, 403,   403,   303,   404,   303,  401),
    ("POST", "/appointments/{reference}/links/end"): (401,   403,   403,   303,   404,   303,  401),
    ("POST", "/appointments/{reference}/confidential"): (401, 403,  403,   303,   404,   303,  401),
    ("GET", "/appointments/{reference}/note"):      (LOGIN,  403,   403,   200,   404,   403,  LOGIN),
    ("POST", "/appointments/{reference}/note"):     (401,    403,   403,   303,   404,   403,  401),
    ("GET", "/schedule"):                           (LOGIN,  403,   403,   200,   200,   403,  LOGIN),
    ("GET", "/schedule/{day}/sheet"):               (LOGIN,  403,   403,   200,   200,   403,  LOGIN),
    ("GET", "/schedule/week/{week}/sheet"):         (LOGIN,  403,   403,   200,   200,   403,  LOGIN),
    ("GET", "/schedule/{day}"):                     (LOGIN,  403,   403,   200,   200,   403,  LOGIN),
    ("GET", "/admin"):                              (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/appointments/{reference}/flag"):      (LOGIN,  403,   403,   200,   404,   200,  LOGIN),
    ("POST", "/appointments/{reference}/flag"):     (401,    403,   403,   303,   404,   303,  401),
    ("GET", "/schedule/hours"):                      (LOGIN,  403,   403,   200,   200,   403,  LOGIN),
    ("GET", "/admin/doctors/{slug}/hours"):          (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/schedule/hours/new"):                  (LOGIN,  403,   403,   200,   200,   403,  LOGIN),
    ("GET", "/admin/doctors/{slug}/hours/new"):      (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/schedule/hours/new"):                 (401,    403,   403,   303,   303,   403,  401),
    ("POST", "/admin/doctors/{slug}/hours/new"):     (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/schedule/hours/extra"):                (LOGIN,  403,   403,   200,   200,   403,  LOGIN),
    ("GET", "/admin/doctors/{slug}/hours/extra"):    (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/schedule/hours/extra"):               (401,    403,   403,   303,   303,   403,  401),
    ("POST", "/admin/doctors/{slug}/hours/extra"):   (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/schedule/hours/extra/{day}/removal"):  (LOGIN,  403,   403,   200,   200,   403,  LOGIN),
    ("GET", "/admin/doctors/{slug}/hours/extra/{day}/removal"): (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/schedule/hours/extra/{day}/removal"): (401,    403,   403,   303,   303,   403,  401),
    ("POST", "/admin/doctors/{slug}/hours/extra/{day}/removal"): (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/schedule/hours/{period}"):             (LOGIN,  403,   403,   200,   200,   403,  LOGIN),
    ("GET", "/admin/doctors/{slug}/hours/{period}"): (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/schedule/hours/{period}"):            (401,    403,   403,   303,   303,   403,  401),
    ("POST", "/admin/doctors/{slug}/hours/{period}"): (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/schedule/hours/{period}/removal"):     (LOGIN,  403,   403,   200,   200,   403,  LOGIN),
    ("GET", "/admin/doctors/{slug}/hours/{period}/removal"): (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/schedule/hours/{period}/removal"):    (401,    403,   403,   303,   303,   403,  401),
    ("POST", "/admin/doctors/{slug}/hours/{period}/removal"): (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/desk/late/{slug}"):                (LOGIN,  403,   403,   200,   404,   200,  LOGIN),
    ("POST", "/desk/late/{slug}"):               (401,    403,   403,   303,   404,   303,  401),
    ("GET", "/schedule/hours/squeeze-ins"):          (LOGIN,  403,   403,   200,   200,   403,  LOGIN),
    ("POST", "/schedule/hours/squeeze-ins"):         (401,    403,   403,   303,   303,   403,  401),
    ("GET", "/schedule/time-off"):                   (LOGIN,  403,   403,   200,   200,   403,  LOGIN),
    ("GET", "/admin/doctors/{slug}/time-off"):       (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/schedule/time-off/new"):               (LOGIN,  403,   403,   200,   200,   403,  LOGIN),
    ("GET", "/admin/doctors/{slug}/time-off/new"):   (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/schedule/time-off/new"):              (401,    403,   403,   303,   303,   403,  401),
    ("POST", "/admin/doctors/{slug}/time-off/new"):  (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/schedule/time-off/{time_off_id}/removal"): (LOGIN,  403,   403,   200,   404,   403,  LOGIN),
    ("GET", "/admin/doctors/{slug}/time-off/{time_off_id}/removal"): (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/schedule/time-off/{time_off_id}/removal"): (401,    403,   403,   303,   404,   403,  401),
    ("POST", "/admin/doctors/{slug}/time-off/{time_off_id}/removal"): (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/schedule/week/{week}"):               (LOGIN,  403,   403,   200,   200,   403,  LOGIN),
    ("GET", "/admin/doctors"):                      (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/doctors"):                     (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/doctors/new"):                  (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/admin/doctors/{slug}"):               (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/doctors/{slug}"):              (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/doctors/{slug}/activity"):      (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/doctors/{slug}/activity"):     (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/doctors/{slug}/account"):       (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/doctors/{slug}/account"):      (401,    403,   403,   403,   403,   200,  401),
    ("GET", "/admin/visit-types"):                  (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/visit-types"):                 (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/visit-types/new"):              (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/admin/visit-types/{visit_type_id}"):  (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/visit-types/{visit_type_id}"): (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/visit-types/{visit_type_id}/activity"):(LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/visit-types/{visit_type_id}/activity"):(401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/clinic"):                       (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/admin/clinic/details"):               (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/clinic/details"):              (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/clinic/time-zone"):             (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/clinic/time-zone"):            (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/clinic/opening-hours"):         (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/clinic/opening-hours"):        (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/login/factor"):                       (LOGIN,) * 7,
    ("POST", "/login/factor"):                      (LOGIN,) * 7,
    ("GET", "/account/factor/new"):                 (LOGIN,  403,   403,   200,   200,   200,  LOGIN),
    ("POST", "/account/factor/new"):                (401,    403,   403,   409,   409,   409,  401),
    ("POST", "/account/factor/removal"):            (401,    404,   404,   404,   404,   404,  401),
    ("POST", "/account/recovery-codes"):            (401,    403,   403,   403,   403,   403,  401),
    # Without the answer of a passkey nothing is opened, and nothing is added.
    ("POST", "/passkeys/options"):                  (200,) * 7,
    ("POST", "/login/passkey"):                     (LOGIN,) * 7,
    ("POST", "/account/passkeys"):                  (401,    303,   303,   303,   303,   303,  401),
    ("POST", "/account/passkeys/{passkey_id}/removal"): (401, 303,  404,   404,   404,   404,  401),
    ("GET", "/login/sso/{provider}"):               (LOGIN,  303,   303,   303,   303,   303,  LOGIN),
    ("GET", "/login/sso/{provider}/callback"):      (LOGIN,) * 7,
    ("POST", "/account/identities/{provider}"):     (401,    303,   303,   303,   303,   303,  401),
    ("POST", "/account/identities/{identity_id}/removal"): (401, 303, 404, 404,   404,   404,  401),
    ("GET", "/confirm"):                            (LOGIN,  200,   200,   200,   200,   200,  LOGIN),
    ("POST", "/confirm"):                           (401,    303,   303,   303,   303,   303,  401),
    ("POST", "/confirm/again"):                     (401,  LOGIN, LOGIN, LOGIN, LOGIN, LOGIN,  401),
    ("POST", "/admin/users/{user_id}/factor/reset"): (401,   403,   403,   403,   403,   303,  401),
    ("GET", "/admin/clinic/sign-in"):               (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/clinic/sign-in"):              (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/clinic/rules"):                 (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/clinic/rules"):                (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/clinic/new-patients"):          (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/clinic/new-patients"):         (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/clinic/search"):                (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/clinic/search"):               (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/clinic/reminders"):             (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/clinic/reminders"):            (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/messages/previews"):            (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/admin/messages/previews/{kind}"):     (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/admin/messages/previews/{kind}/document"): (LOGIN, 403, 403, 403,   403,   200,  LOGIN),
    ("GET", "/admin/messages"):                     (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/admin/messages/sending"):             (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/messages/sending"):            (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/messages/{message_id}"):        (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/admin/messages/{message_id}/document"): (LOGIN, 403,  403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/messages/{message_id}/sending"): (401,  403,   403,   403,   403,   303,  401),
    ("GET", "/admin/closures"):                     (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/closures"):                    (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/closures/new"):                 (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/admin/closures/holidays"):            (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/closures/holidays"):           (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/closures/{closure_id}"):        (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/closures/{closure_id}"):       (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/closures/{closure_id}/removal"):(LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/closures/{closure_id}/removal"):(401,    403,   403,   403,   403,   303,  401),
    ("GET", "/register"):                           (200,    303,   303,   303,   303,   303,  200),
    # On to the page for the code, for everyone.
    ("POST", "/register"):                          (LOGIN,) * 7,
    ("GET", "/continue"):                           (LOGIN,  303,   303,   303,   303,   303,  LOGIN),
    ("POST", "/book/draft"):                        (401,    303,   303,   303,   303,   303,  401),
    ("GET", "/login"):                              (200,    303,   303,   303,   303,   303,  200),
    ("POST", "/login"):                             (303,    303,   303,   303,   303,   303,  401),
    # Only a browser that has asked for a code has more to do here.
    ("GET", "/login/code"):                         (LOGIN,  303,   303,   303,   303,   303,  LOGIN),
    ("POST", "/login/code"):                        (LOGIN,  303,   303,   303,   303,   303,  LOGIN),
    ("POST", "/login/code/again"):                  (LOGIN,  303,   303,   303,   303,   303,  LOGIN),
    ("GET", "/register/details"):                   (LOGIN,  303,   303,   303,   303,   303,  LOGIN),
    ("POST", "/register/details"):                  (LOGIN,  303,   303,   303,   303,   303,  LOGIN),
    ("POST", "/logout"):                            (303,) * 7,
    ("GET", "/password/reset/{token}"):             PUBLIC,
    ("POST", "/password/reset/{token}"):            (LOGIN,) * 7,
    ("GET", "/password/forgot"):                    PUBLIC,
    ("POST", "/password/forgot"):                   (303,) * 7,
    ("GET", "/email/confirm/{token}"):              PUBLIC,
    ("POST", "/email/confirm/{token}"):             (303,) * 7,
    ("GET", "/visit/{token}"):                      PUBLIC,
    ("GET", "/visit/{token}.ics"):                  PUBLIC,
    ("GET", "/visit/{token}/confirmation"):         PUBLIC,
    ("POST", "/visit/{token}/confirmation"):        (303,) * 7,
    # The poster was not scanned.
    ("POST", "/visit/{token}/here"):                (422,) * 7,
    ("POST", "/appointments/{reference}/here"):     (401,    422,   404,   403,   403,   403,  401),
    ("GET", "/here/{key}"):                         PUBLIC,
    ("GET", "/admin/clinic/poster"):                (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/clinic/poster"):               (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/visit/{token}/cancellation"):         PUBLIC,
    ("POST", "/visit/{token}/cancellation"):        (303,) * 7,
    ("GET", "/visit/{token}/reschedule"):           PUBLIC,
    ("POST", "/visit/{token}/reschedule"):          (303,) * 7,
    ("POST", "/account/email/confirmation"):        (401,    303,   303,   303,   303,   303,  401),
    ("POST", "/account/email"):                     (401,    303,   303,   303,   303,   303,  401),
    ("POST", "/account/email/withdrawal"):          (401,    303,   303,   303,   303,   303,  401),
    ("POST", "/account/messages"):                  (401,    303,   303,   403,   403,   403,  401),
    ("GET", "/account"):                            (LOGIN,  200,   200,   200,   200,   200,  LOGIN),
    ("POST", "/account"):                           (401,    303,   303,   303,   303,   303,  401),
    # The cast have passwords.
    ("GET", "/account/password/first"):             (LOGIN,  303,   303,   303,   303,   303,  LOGIN),
    ("POST", "/account/password/first"):            (401,    303,   303,   303,   303,   303,  401),
    ("POST", "/account/code"):                      (401,    LOGIN, LOGIN, LOGIN, LOGIN, LOGIN, 401),
    ("POST", "/account/password"):                  (401,    303,   303,   303,   303,   303,  401),
    ("POST", "/account/sessions/{session_id}/end"): (401,    303,   404,   404,   404,   404,  401),
    ("POST", "/account/sessions/end-others"):       (401,    303,   303,   303,   303,   303,  401),
    ("GET", "/appointments/{reference}.ics"):       (LOGIN,  200,   404,   200,   404,   200,  LOGIN),
    ("GET", "/calendar/{token}.ics"):               PUBLIC,
    ("POST", "/account/calendar"):                  (401,    303,   303,   303,   303,   403,  401),
    ("GET", "/account/calendar/renewal"):           (LOGIN,  200,   200,   200,   200,   403,  LOGIN),
    ("POST", "/account/calendar/renewal"):          (401,    303,   303,   303,   303,   403,  401),
    ("GET", "/account/calendar/removal"):           (LOGIN,  200,   200,   200,   200,   403,  LOGIN),
    ("POST", "/account/calendar/removal"):          (401,    303,   303,   303,   303,   403,  401),
    ("GET", "/admin/users"):                        (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/admin/users/tokens"):                 (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/admin/users/tokens/new"):             (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/users/tokens"):                (401,    403,   403,   403,   403,   200,  401),
    ("GET", "/admin/users/tokens/{token_id}/revocation"): (LOGIN, 403, 403, 403,  403,   200,  LOGIN),
    ("POST", "/admin/users/tokens/{token_id}/revocation"): (401, 403, 403,  403,  403,   303,  401),
    ("GET", "/admin/users/new"):                    (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/users"):                       (401,    403,   403,   403,   403,   200,  401),
    ("GET", "/admin/users/{user_id}"):              (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/users/{user_id}/role"):        (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/users/{user_id}/access"):       (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/users/{user_id}/access"):      (401,    403,   403,   403,   403,   303,  401),
    ("POST", "/admin/users/{user_id}/password-link"): (401,  403,   403,   403,   403,   200,  401),
    ("POST", "/admin/users/{user_id}/sessions/end"): (401,   403,   403,   403,   403,   303,  401),
    ("GET", "/account/people/new"):                 (LOGIN,  200,   200,   403,   403,   403,  LOGIN),
    ("POST", "/account/people"):                    (401,    303,   303,   403,   403,   403,  401),
    ("GET", "/account/people/{patient_id}"):        (LOGIN,  200,   404,   403,   403,   403,  LOGIN),
    ("POST", "/account/people/{patient_id}"):       (401,    303,   404,   403,   403,   403,  401),
    ("GET", "/account/people/{patient_id}/removal"): (LOGIN, 200,   404,   403,   403,   403,  LOGIN),
    ("POST", "/account/people/{patient_id}/removal"): (401,  303,   404,   403,   403,   403,  401),
    ("GET", "/account/data"):                       (LOGIN,  200,   200,   403,   403,   403,  LOGIN),
    ("POST", "/account/data"):                      (401,    200,   200,   403,   403,   403,  401),
    ("GET", "/admin/patients/{patient_id}/data"):   (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/patients/{patient_id}/data"):  (401,    403,   403,   403,   403,   200,  401),
    ("GET", "/privacy"):                            PUBLIC,
    ("GET", "/imprint"):                            PUBLIC,
    ("GET", "/.well-known/security.txt"):           PUBLIC,
    ("POST", "/privacy/read"):                      (401,    303,   303,   303,   303,   303,  401),
    ("GET", "/admin/clinic/emergency"):             (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/clinic/emergency"):            (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/clinic/documents/{kind}"):      (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/clinic/documents/{kind}"):     (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/clinic/privacy"):               (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/clinic/privacy"):              (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/account/deletion"):                   (LOGIN,  200,   200,   403,   403,   403,  LOGIN),
    ("POST", "/account/deletion"):                  (401,    422,   422,   403,   403,   403,  401),
    ("GET", "/admin/patients/{patient_id}/deletion"): (LOGIN, 403,  403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/patients/{patient_id}/deletion"): (401, 403,   403,   403,   403,   303,  401),
    ("GET", "/admin/patients"):                     (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/admin/patients/new"):                 (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/patients"):                    (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/patients/{patient_id}"):        (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/admin/patients/{patient_id}/edit"):   (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/patients/{patient_id}/edit"):  (401,    403,   403,   403,   403,   303,  401),
    ("GET", "/admin/patients/{patient_id}/people"): (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/patients/{patient_id}/people"): (401,   403,   403,   403,   403,   303,  401),
    ("GET", "/admin/patients/{patient_id}/people/{person_id}/removal"): (LOGIN, 403, 403, 403, 403, 200, LOGIN),
    ("POST", "/admin/patients/{patient_id}/people/{person_id}/removal"): (401, 403, 403, 403, 403, 303, 401),
    ("GET", "/admin/patients/{patient_id}/account"): (LOGIN, 403,   403,   403,   403,   200,  LOGIN),
    ("POST", "/admin/patients/{patient_id}/account"): (401,  403,   403,   403,   403,   303,  401),
    ("GET", "/admin/patients/duplicates"):          (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/admin/patients/{patient_id}/duplicates/{other_id}"): (LOGIN, 403, 403, 403, 403, 200, LOGIN),
    ("POST", "/admin/patients/{patient_id}/duplicates/{other_id}"): (401, 403, 403, 403, 403, 303, 401),
    ("GET", "/admin/patients/{patient_id}/joining"): (LOGIN, 403, 403, 403, 403, 200, LOGIN),
    # A doctor may, too, once the patient has an appointment with them.
    ("GET", "/admin/patients/{patient_id}/notes"):  (LOGIN,  403,   403,   404,   404,   200,  LOGIN),
    ("POST", "/admin/patients/{patient_id}/notes"): (401,    403,   403,   404,   404,   303,  401),
    ("GET", "/admin/patients/{patient_id}/joined/{join_id}"): (LOGIN, 403, 403, 403, 403, 200, LOGIN),
    ("POST", "/admin/patients/{patient_id}/joined/{join_id}"): (401, 403, 403, 403, 403, 303, 401),
    ("GET", "/admin/reports"):                      (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/admin/reports.csv"):                  (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/admin/audit"):                        (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/admin/audit/security"):               (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/admin/audit.csv"):                    (LOGIN,  403,   403,   403,   403,   200,  LOGIN),
    ("GET", "/health"):                             PUBLIC,
    ("GET", "/health/accepting"):                   PUBLIC,
    ("GET", "/health/live"):                        PUBLIC,
    # A token of the settings opens it, and no account.
    ("GET", "/metrics"):                            (404,) * 7,
    ("GET", "/health/ready"):                       PUBLIC,
    ("GET", "/static"):                             PUBLIC,
}
# fmt: on


# Of the admins' routes, those that the front desk has too. What belongs to the clinic as a whole is not among them:
# settings, doctors, closures, accounts, the audit log, privacy, exports, and sending all messages again.
AT_THE_DESK = {
    ("GET", "/board"),
    ("GET", "/desk/late/{slug}"),
    ("POST", "/desk/late/{slug}"),
    ("POST", "/board/columns"),
    ("POST", "/board/{day}/appointments/{reference}/note"),
    ("GET", "/board/{day}"),
    ("GET", "/board/{day}/sheets"),
    ("GET", "/board/week/{week}/sheets"),
    ("GET", "/board/{day}/appointments/{reference}"),
    ("GET", "/desk/away/{slug}"),
    ("POST", "/desk/away/{slug}"),
    ("GET", "/desk/calls/{day}"),
    ("GET", "/desk/walk-ins/{walk_in_id}"),
    ("POST", "/desk/walk-ins/{walk_in_id}"),
    ("POST", "/desk/walk-ins/{walk_in_id}/leave"),
    ("POST", "/desk/walk-ins/{walk_in_id}/undo"),
    ("GET", "/desk/told"),
    ("GET", "/desk/told/{list_id}"),
    ("POST", "/desk/told/{list_id}/{reference}"),
    ("POST", "/desk/calls/{day}/{reference}"),
    ("GET", "/admin/appointments"),
    ("GET", "/admin/appointments/new"),
    ("GET", "/admin/appointments/selection"),
    ("POST", "/admin/appointments/selection"),
    ("GET", "/admin/appointments/why"),
    ("GET", "/admin/messages"),
    ("GET", "/admin/messages/{message_id}"),
    ("GET", "/admin/messages/{message_id}/document"),
    ("POST", "/admin/messages/{message_id}/sending"),
    ("GET", "/admin/patients"),
    ("GET", "/admin/patients/new"),
    ("POST", "/admin/patients"),
    ("GET", "/admin/patients/{patient_id}"),
    ("GET", "/admin/patients/{patient_id}/edit"),
    ("POST", "/admin/patients/{patient_id}/edit"),
    ("GET", "/admin/patients/{patient_id}/people"),
    ("POST", "/admin/patients/{patient_id}/people"),
    ("GET", "/admin/patients/{patient_id}/people/{person_id}/removal"),
    ("POST", "/admin/patients/{patient_id}/people/{person_id}/removal"),
    ("GET", "/admin/patients/{patient_id}/joined/{join_id}"),
    ("POST", "/admin/patients/{patient_id}/joined/{join_id}"),
    ("GET", "/admin/patients/{patient_id}/notes"),
    ("POST", "/admin/patients/{patient_id}/notes"),
    ("GET", "/admin/patients/{patient_id}/joining"),
    ("GET", "/admin/patients/duplicates"),
    ("GET", "/admin/patients/{patient_id}/duplicates/{other_id}"),
    ("POST", "/admin/patients/{patient_id}/duplicates/{other_id}"),
}


def answer_to(role: str, method: str, path: str) -> int | str:
    """What the table says that a route answers to a role."""
    row = dict(zip(COLUMNS, TABLE[method, path], strict=True))
    if role != "fiona":
        return row[role]
    only_admins = row["carol"] != 403 and {row["alice"], row["bob"], row["erin"]} == {403}
    return 403 if only_admins and (method, path) not in AT_THE_DESK else row["carol"]


ANSWERS = {role: {key: answer_to(role, *key) for key in TABLE} for role in ROLES}


def routes_of(routes: Sequence[BaseRoute]) -> Iterator[tuple[str, str]]:
    """Every method and path that the application answers, however deeply its groups of routes are nested."""
    for route in all_routes(routes):
        if isinstance(route, APIRoute):
            yield from ((method, route.path) for method in route.methods or ())
        elif isinstance(route, Mount):
            yield "GET", route.path
        else:
            raise TypeError(f"What kind of route is {route!r}?")


@dataclass
class Unwritten:
    """Templates of which nothing is written out, except what is sent in pieces."""

    templates: Any

    def get_template(self, name: str) -> Any:
        def stream(context: dict[str, Any]) -> Any:
            return self.templates.get_template(name).stream(context)

        return SimpleNamespace(generate=lambda _context: iter(("",)), stream=stream)


class AccessClinic:
    """A clinic in which every request of the table can be sent repeatedly for every role."""

    def __init__(self, cast: Cast) -> None:
        self.cast = cast
        self.registered = 0
        self.appointments = 0
        self.free_times = _free_times()
        # A provider that does not answer: the way there leads back.
        place = {"name": "hospital", "issuer": "http://127.0.0.1:9", "client_id": "docket"}
        away = OidcProvider.model_validate({**place, "roles": ["patient", "receptionist", "doctor", "admin"]})
        settings: dict[str, Any] = {"security_contact": ("security@clinic.example",), "oidc_providers": (away,)}
        # One application, which compiles each template once.
        first = client_for(cast.database, **settings)
        self.clients = {role: another(first) for role in ROLES}
        cast.change(sa.update(models.ClinicSettings).values(max_active_visits=1000, patient_gap_minutes=0))
        user = models.User(
            email="disabled@docket.example",
            name="Frank Former",
            role="patient",
            password_hash=password_hash(),
            created_at=NOW,
        )
        cast.add(user)
        cast.add(models.Patient(user_id=user.id, name=user.name, email=user.email, created_at=NOW))
        for kind in documents.KINDS:
            text = documents.PublishDocument(text="Who is responsible for your data.")
            cast.database.write(documents.publish_document, cast.carol, kind, text, now=NOW)
        self.sessions: dict[str, int] = {}
        # The roles whose session nothing has ended since it was last looked at.
        self.settled: set[str] = set()
        for role in ROLES[1:]:
            log_in(self.clients[role], role)
        self.ended_session = dict(self.clients["disabled"].cookies)
        cast.change(sa.update(models.User).where(models.User.email == user.email).values(active=False))

    def client(self, role: str) -> TestClient:
        """A client that is signed in with that role, even if an earlier request ended the session."""
        client = self.clients[role]
        if role in {"guest", "disabled"}:
            client.cookies.clear()
            client.cookies.update(self.ended_session if role == "disabled" else {})
        elif not self.is_signed_in(role):
            self.cast.change(sa.update(models.User).values(password_hash=password_hash()))
            client.cookies.clear()
            log_in(client, role)
            self.sessions[role] = self.newest_session(role)
        return client

    def newest_session(self, role: str) -> int:
        """The id of the session that this user began last; 0 if there is none."""
        theirs = models.UserSession.user_id == getattr(self.cast, role).user_id
        with self.cast.database.reading() as session:
            return session.scalar(sa.select(sa.func.max(models.UserSession.id)).where(theirs)) or 0

    def is_signed_in(self, role: str) -> bool:
        """Whether the session of this role goes on, and its password is still the one of all."""
        query = sa.select(models.UserSession.id).join(models.User, models.User.id == models.UserSession.user_id)
        lasts = models.UserSession.id == self.sessions.get(role, 0)
        with self.cast.database.reading() as session:
            return session.scalar(query.where(lasts, models.User.password_hash == password_hash())) is not None

    def answers(self, method: str, path: str) -> dict[str, int | str]:
        """What the route answers to each role. What one role only read, or was refused, serves the next one, too."""
        found: dict[str, int | str] = {}
        made: tuple[str, dict[str, Any] | None] | None = None
        for role in ROLES:
            if made is None or path in SENT_DIFFERENTLY:
                made = self.request_for(role, method, path)
            found[role] = self.ask(role, method, path, made)
            if method == "POST" and found[role] not in {401, 403, 404}:
                made = None
                self.settled.clear()
        return found

    def ask(self, role: str, method: str, path: str, made: tuple[str, dict[str, Any] | None]) -> int | str:
        if role in {"guest", "disabled"} or role not in self.settled:
            self.client(role)
            self.settled.add(role)
        client = self.clients[role]
        app: Any = client.app
        # No browser waits for a code that an earlier request asked for.
        client.cookies.delete(CODE_COOKIE)
        address, form = self.completed(role, path, made)
        written = app.state.templates
        # Only the status matters here; the crawl in `tests.test_links` reads the pages.
        app.state.templates = written if role == "guest" else Unwritten(written)
        try:
            answer = client.request(method, address, data=form)
        finally:
            app.state.templates = written
        if role == "guest" and answer.status_code == 401 and path != "/login":
            assert "/login" in read(answer).links
        if answer.status_code == 303 and answer.headers["location"].startswith("/login"):
            return LOGIN
        return answer.status_code

    def complete_request(self, role: str, method: str, path: str) -> tuple[str, dict[str, Any] | None]:
        """The same as `request_for`, with what the form saw if its sender may send it."""
        return self.completed(role, path, self.request_for(role, method, path))

    def completed(
        self, role: str, path: str, made: tuple[str, dict[str, Any] | None]
    ) -> tuple[str, dict[str, Any] | None]:
        """This request with what the form saw if its sender may send it."""
        address, form = made
        if form is not None and path in SAY_WHAT_THEY_SAW and answer_to(role, "POST", path) == 303:
            page = read(self.client(role).get(address.removesuffix("/role")))
            form = form | {"seen": page.form(address)["seen"]}
        return address, form

    def request_for(self, role: str, method: str, path: str) -> tuple[str, dict[str, Any] | None]:
        """A well-formed request to the route, after making what it needs."""
        if path == "/static":
            return "/static/css/base.css", None
        if path == "/admin/appointments/selection":
            reference = self.appointment()
            if method == "GET":
                return f"{path}?action=confirm&chosen={reference}", None
            return path, {"action": "confirm", "chosen": f"{reference}.1"}
        address = path.replace("{slug}", "bob").replace("{day}", "2026-03-03").replace("{week}", "2026-W10")
        if "{session_id}" in path:
            self.client("alice")
            address = path.replace("{session_id}", str(self.newest_session("alice")))
        if "{passkey_id}" in path:
            address = path.replace("{passkey_id}", str(self.passkey()))
        if "{token_id}" in path:
            wanted = MakeToken(name="Laboratory system", scopes=["patients:read"])
            self.cast.database.write(make_token, self.cast.carol, wanted, [SECRET_KEY], {}, now=NOW)
            with self.cast.database.reading() as session:
                address = path.replace("{token_id}", str(list_tokens(session)[0].id))
        if "{provider}" in path:
            address = path.replace("{provider}", "hospital")
        if "{identity_id}" in path:
            address = path.replace("{identity_id}", str(self.identity()))
        if "{key}" in path:
            self.cast.change(sa.update(models.ClinicSettings).values(poster_key="a-key"))
            address = path.replace("{key}", "a-key")
        if "{walk_in_id}" in path:
            address = path.replace("{walk_in_id}", str(self.walk_in()))
        if "{user_id}" in path:
            address = path.replace("{user_id}", str(self.other_admin()))
        if "{patient_id}" in path:
            patient, person = self.child() if path.startswith("/account") else self.family()
            address = path.replace("{patient_id}", str(patient)).replace("{person_id}", str(person))
            if "{other_id}" in path:
                address = address.replace("{other_id}", str(person))
                self.cast.database.write(duplicates.note_pair, patient, person, now=NOW)
            if "{join_id}" in path:
                self.cast.database.write(duplicates.note_pair, patient, person, now=NOW)
                stays = self.cast.database.write(joining.join_records, self.cast.carol, patient, person, now=NOW)
                with self.cast.database.reading() as session:
                    join = session.scalars(sa.select(sa.func.max(models.JoinedRecord.id))).one()
                address = path.replace("{patient_id}", str(stays)).replace("{join_id}", str(join))
        if "/hours" in path or "/time-off" in path:
            address = address.replace("{period}", self.hours()).replace("{time_off_id}", str(self.time_off()))
        if "/calendar/" in path:
            self.feed()
        if "{token}" in path:
            address = path.replace("{token}", self.token(path))
        if "{visit_type_id}" in path:
            address = path.replace("{visit_type_id}", str(self.cast.erins_only))
        if "{kind}" in path:
            address = path.replace("{kind}", "privacy" if "documents" in path else "visit_booked")
        if "{message_id}" in path:
            address = path.replace("{message_id}", str(self.dead_message()))
        if "{closure_id}" in path:
            far = date(2027, 3, 1)
            number = self.cast.add(models.Closure(name="Far away", starts_on=far, ends_on=far))
            address = path.replace("{closure_id}", str(number))
        if "{list_id}" in path:
            address = path.replace("{list_id}", str(self.notification_list()))
        if path == "/admin/doctors/{slug}/account":
            self.appointments += 1
            slug = f"without-account-{self.appointments}"
            self.cast.add(models.Doctor(slug=slug, name="Dr. New", specialty="General practice", languages=[]))
            address = path.replace("{slug}", slug)
        if "{reference}" in path:
            address = address.replace("{reference}", self.appointment())
        # There are not enough of them to take one for every request.
        free = next(self.free_times) if path in TAKE_A_TIME else NOW
        slot = {"doctor": "bob", "visit_type": str(self.cast.short), "starts_at": iso(free)}
        if (method, path) == ("GET", "/book"):
            return f"/book?doctor=bob&visit_type={self.cast.short}&starts_at={slot['starts_at']}", None
        self.registered += 1
        new_person = {"name": "Somebody New", "email": f"new{self.registered}@docket.example"}
        closed_on = str(date(2070, 1, 1) + timedelta(days=self.registered))
        far_closure = {"name": "Far away", "starts_on": closed_on, "ends_on": closed_on}
        forms: dict[str, dict[str, Any]] = {
            "/desk/away/{slug}": {"why": "Dr. Brown is away."},
            "/schedule/away": {"why": "I am away."},
            "/appointments": {**slot, "patient": str(self.cast.patient_ids["alice"])} if role in STAFF else slot,
            "/appointments/{reference}/cancellation": {"version": "1"},
            "/visit/{token}/confirmation": {"version": "1"},
            "/visit/{token}/cancellation": {"version": "1"},
            "/visit/{token}/reschedule": {"starts_at": slot["starts_at"], "version": "1"},
            "/appointments/{reference}/flag": {"version": "1", "reason": "A colleague takes over"},
            "/appointments/{reference}/status": {"status": "confirmed", "version": "1"},
            "/appointments/{reference}/status/undo": {"version": "1"},
            "/appointments/{reference}/reason": {"reason": "A rash", "version": "1"},
            "/appointments/{reference}/patient": {
                "patient": str(self.cast.patient_ids["dave"]),
                "step": "give",
                "version": "1",
            },
            "/appointments/{reference}/confidential": {"confidential": "yes", "version": "1"},
            "/appointments/{reference}/note": {"private_note": "A note"},
            "/appointments/{reference}/reschedule": {"starts_at": slot["starts_at"], "version": "1"},
            "/register": {**new_person, "password": "walrus teapot orbit"},
            "/login": {"email": f"{'alice' if role == 'guest' else role}@docket.example", "password": PASSWORD},
            "/admin/users/tokens": {"name": "Laboratory system", "scopes": "patients:read", "days": "90"},
            "/admin/users": {**new_person, "role": "admin", "doctor": ""},
            "/admin/users/{user_id}/role": {"role": "patient", "doctor": ""},
            "/admin/users/{user_id}/access": {"access": "no"},
            "/account/people": {"name": "Somebody Young"},
            "/account/people/{patient_id}": {"name": "Somebody Young"},
            "/schedule/patients/new": new_person,
            "/schedule/hours/squeeze-ins": {"squeeze_ins": "1"},
            "/desk/late/{slug}": {"minutes": "20"},
            "/admin/patients": new_person,
            "/admin/patients/{patient_id}/edit": new_person,
            "/admin/patients/{patient_id}/people": new_person,
            "/admin/patients/{patient_id}/notes": {"alert": "wheelchair", "desk_note": "Calls in the evening."},
            "/admin/patients/{patient_id}/account": {"active": "no"},
            "/admin/patients/{patient_id}/duplicates/{other_id}": {"decision": "different"},
            "/account/data": {"current": PASSWORD, "format": "json"},
            "/admin/patients/{patient_id}/data": {"current": PASSWORD},
            # A wrong password: the cast is still needed.
            "/account/deletion": {"current": "wrong"},
            "/admin/patients/{patient_id}/deletion": {"current": PASSWORD},
            "/account/email": {"email": new_person["email"], "current": PASSWORD},
            **self.hours_forms(path),
            "/password/reset/{token}": {"new": "walrus teapot orbit"},
            "/password/forgot": {"email": "dave@docket.example"},
            "/admin/doctors": {**DOCTOR, "name": f"Dr. New {self.registered}"},
            "/admin/doctors/{slug}": {**DOCTOR, "visit_type_ids": [self.cast.short, self.cast.long]},
            "/admin/doctors/{slug}/activity": {"active": "yes"},
            "/admin/doctors/{slug}/account": {"email": new_person["email"]},
            "/admin/visit-types": {"name": f"Kind {self.registered}", "minutes": "20", **BUFFERS},
            "/admin/visit-types/{visit_type_id}": {"name": "Allergy test", "minutes": "30", "online": "y", **BUFFERS},
            "/admin/visit-types/{visit_type_id}/activity": {"active": "yes"},
            "/admin/clinic/details": {"name": "Harbour Lane Clinic"},
            "/admin/clinic/time-zone": {"time_zone": "Europe/Amsterdam"},
            "/admin/clinic/opening-hours": dict.fromkeys(WORKDAYS, "9-17"),
            "/admin/clinic/rules": RULES,
            "/account/factor/new": {"code": "000000", "setup": ""},
            "/confirm": {"current": PASSWORD},
            "/passkeys/options": {"purpose": "sign-in"},
            "/login/passkey": {"passkey": "{}"},
            "/account/passkeys": {"passkey": "{}"},
            "/admin/clinic/sign-in": {"idle_minutes": "30", "staff_hours": "12"},
            "/admin/clinic/new-patients": {"asks_birth_date": "ask", "asks_phone": "ask"},
            "/admin/clinic/emergency": {"emergency_phone": "112"},
            "/admin/clinic/documents/{kind}": {"text": "Who is responsible for your data."},
            "/admin/clinic/privacy": {"keep_records_years": "0", "keep_messages_days": "365", "keep_audit_years": "0"},
            "/admin/clinic/search": {"first_specialty": "", "search_words": ""},
            "/admin/clinic/reminders": {"reminder_days": "7, 1", "daytime": "9-20"},
            "/admin/closures": far_closure,
            "/admin/closures/{closure_id}": far_closure,
            "/admin/closures/holidays": {"country": "NL", "region": "", "year": "2027", "days": "2027-12-25"},
            "/account": {"name": "Same Person"},
            "/account/password": {"current": PASSWORD, "new": "walrus teapot orbit"},
        }
        return address, forms.get(path, {}) if method == "POST" else None

    def child(self) -> tuple[int, int]:
        """Alice's only dependant: the ids of the patient and of the appointment."""
        alice = self.cast.patient_ids["alice"]
        with self.cast.database.reading() as session:
            number = session.scalar(sa.select(models.Patient.id).where(models.Patient.managed_by_id == alice))
        return number or self.cast.add(models.Patient(name="Zoe Adams", managed_by_id=alice, created_at=NOW)), 0

    def family(self) -> tuple[int, int]:
        """A new patient with an account, and a dependant."""
        self.registered += 1
        user = models.User(
            email=f"parent{self.registered}@docket.example",
            name="Some Parent",
            role="patient",
            password_hash="",
            created_at=NOW,
        )
        self.cast.add(user)
        parent = self.cast.add(models.Patient(user_id=user.id, name=user.name, created_at=NOW))
        return parent, self.cast.add(models.Patient(managed_by_id=parent, name="Some Child", created_at=NOW))

    def passkey(self) -> int:
        """A new passkey of Alice."""
        self.registered += 1
        values = {"credential_id": f"key{self.registered}", "public_key": b"-", "sign_count": 0, "name": "Phone"}
        return self.cast.add(models.Passkey(user_id=self.cast.alice.user_id, created_at=NOW, **values))

    def walk_in(self) -> int:
        """A new patient who waits today."""
        patient_id = self.cast.add(models.Patient(name="Wendy Walker", created_at=NOW))
        return self.cast.database.write(walk_ins.join, self.cast.fiona, patient_id, Queue(), now=NOW)

    def identity(self) -> int:
        """An account of Alice at an identity provider."""
        self.registered += 1
        values = {"provider": "hospital", "issuer": f"https://{self.registered}.example", "subject": "1", "email": ""}
        user_id = self.cast.alice.user_id
        return self.cast.add(models.LinkedIdentity(user_id=user_id, created_at=NOW, last_used_at=NOW, **values))

    def other_admin(self) -> int:
        """A new account of another admin."""
        self.registered += 1
        email = f"admin{self.registered}@docket.example"
        user = models.User(email=email, name="Somebody", role="admin", password_hash="", created_at=NOW)
        return self.cast.add(user)

    def token(self, path: str) -> str:
        """A token for a page that opens without signing in."""
        if path.startswith("/calendar/"):
            return self.feed()
        if path.startswith("/visit/"):
            return sign([SECRET_KEY], LINK_PURPOSE, [self.appointment(), self.cast.alice.email])
        if path.startswith("/email/confirm"):
            dave = self.cast.dave
            return sign([SECRET_KEY], confirmation.PURPOSE, [dave.user_id, dave.email])
        return self.link()

    def notification_list(self) -> int:
        """A new notification list of a day on which Bob is away."""
        bob = self.cast.doctor_ids["bob"]
        day = date(2026, 3, 2)
        return self.cast.add(models.NotificationList(kind="away", doctor_id=bob, day=day, words="Away", made_at=NOW))

    def dead_message(self) -> int:
        """A new message about an appointment that could not be delivered."""
        start, alice = next(self.free_times), self.cast.patient_ids["alice"]
        # An earlier request may have saved the clinic's rules with their greatest number.
        self.cast.change(sa.update(models.ClinicSettings).values(max_active_visits=1000))
        wanted = Booking(doctor="bob", visit_type_id=self.cast.short, starts_at=start, patient_id=alice)
        self.cast.database.write(service.book, self.cast.carol, wanted, now=NOW)
        with self.cast.database.reading() as session:
            number = session.scalars(sa.select(sa.func.max(models.OutboxMessage.id))).one()
        dead = sa.update(models.OutboxMessage).where(models.OutboxMessage.id == number)
        self.cast.change(dead.values(status="dead", finished_at=NOW))
        return number

    def feed(self) -> str:
        """The token of Dave's calendar feed; every user has one, even if earlier requests removed it."""
        self.cast.change(sa.update(models.User).values(calendar_secret="a-secret"))
        return sign([SECRET_KEY], feeds.PURPOSE, [self.cast.dave.user_id, "a-secret"])

    def link(self) -> str:
        """The token of a new link that sets Dave's password."""
        week = timedelta(days=7)
        return self.cast.database.write(create_password_link, self.cast.dave.user_id, now=NOW, lifetime=week)

    def hours(self) -> str:
        """The address part of new hours that both doctors have on one day far ahead, with extra hours."""
        self.registered += 1
        day = date(2090, 1, 1) + timedelta(days=self.registered)
        for doctor_id in self.cast.doctor_ids.values():
            span = {"doctor_id": doctor_id, "start_minute": 540, "end_minute": 720}
            self.cast.add(models.WorkingHours(**span, weekday=0, valid_from=day, valid_until=day))
            self.cast.add(models.ExtraHours(**span, day=date(2026, 3, 3)))
        return f"{day}..{day}"

    def time_off(self) -> int:
        """New time off of Bob, next year."""
        start = NOW + timedelta(days=400)
        end = start + timedelta(hours=1)
        return self.cast.add(models.TimeOff(doctor_id=self.cast.doctor_ids["bob"], starts_at=start, ends_at=end))

    def hours_forms(self, path: str) -> dict[str, dict[str, Any]]:
        """The data that the forms of hours and time off send to this path."""
        self.registered += 1
        day = date(2080, 1, 1) + timedelta(days=self.registered)
        forms = {
            "/hours/new": {"valid_from": str(day), "valid_until": str(day), "monday": "9-12"},
            "/hours/{period}": {"valid_from": str(day), "valid_until": str(day), "monday": "9-12"},
            "/hours/extra": {"day": "2026-03-07", "spans": "9-12"},
            "/time-off/new": {"from_date": str(day), "whole_days": "y"},
        }
        return next(({path: form} for ending, form in forms.items() if path.endswith(ending)), {})

    def appointment(self) -> str:
        """A new appointment of Alice with Bob, in a month without other bookings."""
        self.appointments += 1
        reference = f"AAAA-{self.appointments:04d}"
        day, hour = divmod(self.appointments, 8)
        starts = local("2026-05-01 09:00") + timedelta(days=day, hours=hour)
        ends = starts + timedelta(minutes=15)
        self.cast.add(
            models.Appointment(
                reference=reference,
                doctor_id=self.cast.doctor_ids["bob"],
                patient_id=self.cast.patient_ids["alice"],
                visit_type_id=self.cast.short,
                starts_at=starts,
                ends_at=ends,
                promised_minute=promised(starts),
                busy_from=starts,
                busy_until=ends,
                reason=REASON,
                private_note=NOTE,
                # A change of status that can be undone.
                previous_status="confirmed",
                created_at=NOW,
                updated_at=NOW,
                flagged_why="time_off",
            )
        )
        return reference


def _free_times() -> Iterator[datetime]:
    """Bob's free times from March to May, one after another, so that requests do not affect each other."""
    for number in range(7, 88):
        day = NOW + timedelta(days=number)
        if day.weekday() < 5:
            for hour in (9, 10, 11, 13, 14, 15, 16):
                for minute in (0, 15, 30, 45):
                    yield local(f"{day:%Y-%m-%d} {hour:02d}:{minute:02d}")


@pytest.fixture(scope="module")
def clinic(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, open_database: Callable[[str], Database]
) -> Iterator[AccessClinic]:
    path = tmp_path_factory.mktemp("access") / "docket.db"
    shutil.copyfile(sqlite_template, path)
    database = open_database(f"sqlite:///{path}")
    yield AccessClinic(assemble(database))
    database.dispose()


def test_every_route_has_a_row_and_every_row_a_route(clinic: AccessClinic) -> None:
    app: Any = clinic.clients["guest"].app
    # The API has its own table.
    pages = {(method, path) for method, path in routes_of(app.routes) if not path.startswith(API_PREFIX)}
    assert pages == set(TABLE)
    assert set(TABLE) >= AT_THE_DESK


@pytest.mark.parametrize(("method", "path"), TABLE)
def test_the_route_answers_every_role_as_the_table_says(clinic: AccessClinic, method: str, path: str) -> None:
    assert clinic.answers(method, path) == {role: answer_to(role, method, path) for role in ROLES}


@pytest.fixture(scope="module")
def postgresql_clinic(postgres_url: str, postgres_template: str) -> Iterator[AccessClinic]:
    with new_database(postgres_url, template=postgres_template) as url:
        database = wired_database(url)
        yield AccessClinic(assemble(database))
        database.dispose()


@pytest.mark.parametrize(("method", "path"), TABLE)
def test_the_route_answers_on_postgresql_too(postgresql_clinic: AccessClinic, method: str, path: str) -> None:
    """Who may use it is decided above; here one role that may does, because most tests of pages run on SQLite alone."""
    may = [role for role in ("carol", "bob", "alice") if answer_to(role, method, path) in {200, 204, 303, 422}]
    role = (may or ["guest"])[0]
    made = postgresql_clinic.request_for(role, method, path)
    postgresql_clinic.settled.clear()
    assert postgresql_clinic.ask(role, method, path, made) == answer_to(role, method, path)


# These are not sent by users who have to sign in first, or keep their typed text themselves.
WITHOUT_SESSION = {
    *("/login", "/login/code", "/login/code/again", "/logout", "/register", "/register/details"),
    # In the last one nothing is typed, and a redirect to the page for the code looks like one to sign in.
    *("/password/forgot", "/book/draft", "/account/code"),
}


@pytest.mark.parametrize(
    "path",
    [path for method, path in TABLE if method == "POST" and "{token}" not in path and path not in WITHOUT_SESSION],
)
def test_a_form_that_is_shown_again_after_signing_in_changes_nothing(clinic: AccessClinic, path: str) -> None:
    """What was typed before the session ended is shown, and sent only when its writer sends it."""
    roles = dict(zip(COLUMNS, TABLE["POST", path], strict=True))
    role = next((role for role, status in roles.items() if status in {200, 303, 422}), None)
    if role is None or path in NEVER_KEPT:
        return
    client = clinic.client(role)
    address, form = clinic.request_for(role, "POST", path)
    if form is None or not drafts.is_worth_keeping(list(form.items())):
        # Nothing is kept of a button.
        return
    before = lasting_rows(clinic.cast.database)
    answer = client.post(address, data=form | {"unsent": "1"})
    assert answer.status_code in {200, 422}, answer.headers.get("location")
    assert read(answer).all("form", action=address), read(answer).text
    assert lasting_rows(clinic.cast.database) == before


@pytest.mark.parametrize("path", [path for method, path in TABLE if method == "POST"])
def test_a_form_that_cannot_be_saved_says_when_to_try_again(clinic: AccessClinic, path: str) -> None:
    """On the page that shows the form again as on error pages, and also if HTMX asks."""
    roles = {role: answer_to(role, "POST", path) for role in COLUMNS}
    role = next((role for role, status in roles.items() if status in {200, 303, 409, 422, LOGIN}), None)
    if role is None:
        return
    address, form = clinic.complete_request(role, "POST", path)
    client = clinic.client(role)
    clinic.settled.clear()
    for headers in ({}, {"hx-request": "true"}):
        with read_only(clinic.cast.database):
            answer = client.post(address, data=form, headers=headers)
        # A few save nothing with this request.
        assert answer.status_code in {204, 303, 409, 422, 503}, answer.text
        assert answer.headers.get("retry-after") == ("30" if answer.status_code == 503 else None)


def test_a_strangers_appointment_and_one_that_does_not_exist_look_the_same(clinic: AccessClinic) -> None:
    reference = clinic.appointment()
    dave = clinic.client("dave")
    for path in ("", "/cancellation", "/reschedule"):
        theirs, none = (dave.get(f"/appointments/{each}{path}") for each in (reference, "ZZZZ-ZZZZ"))
        assert theirs.status_code == none.status_code == 404
        assert theirs.text == none.text


def test_public_pages_show_no_names_or_references_of_patients(clinic: AccessClinic) -> None:
    reference = clinic.appointment()
    for role in ("guest", "dave"):
        client = clinic.client(role)
        for path in ("/", "/doctors/bob?week=2026-W18", "/doctors/bob/calendar"):
            text = client.get(path).text
            assert "Alice" not in text
            assert reference not in text
