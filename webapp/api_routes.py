"""All routers of the API, under `/api/v1`: imported at the first request for one of its addresses."""

from __future__ import annotations

from fastapi import APIRouter

from webapp.appointments.api import router as appointments_api
from webapp.appointments.registration_api import router as registration_api
from webapp.auth.programs.api import router as auth_api
from webapp.clinic.api import router as clinic_api
from webapp.doctors.api import router as doctors_api
from webapp.doctors.offers_api import router as offers_api
from webapp.patients.api import router as patients_api
from webapp.scheduling.api import router as free_times_api
from webapp.staff.clinic.api import router as clinic_changes_api
from webapp.staff.clinic.closures_api import router as closures_api
from webapp.staff.clinic.visit_types_api import router as visit_types_api
from webapp.staff.doctors.api import router as doctors_changes_api
from webapp.staff.doctors.hours_api import router as hours_api
from webapp.staff.doctors.time_off_api import router as time_off_api

API_ROUTERS: tuple[APIRouter, ...] = (
    auth_api,
    clinic_api,
    clinic_changes_api,
    closures_api,
    offers_api,
    visit_types_api,
    doctors_api,
    free_times_api,
    appointments_api,
    patients_api,
    registration_api,
    doctors_changes_api,
    hours_api,
    time_off_api,
)
