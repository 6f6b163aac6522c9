"""The clinic's own settings, as programs change them; `clinic/api.py` lets everyone read them."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session
from starlette.responses import Response

from webapp.appointments.impact import promised_hours
from webapp.appointments.impact.schemas import ImpactResult
from webapp.auth.programs.api_access import WritingCaller, require_role
from webapp.clinic import settings
from webapp.clinic.api import ClinicOut, OpeningHoursOut, clinic_out, opening_hours_out
from webapp.clinic.settings import BookingRules, ClinicDetails, ClinicZone, NewPatientRules, OpeningWeek
from webapp.core.api import ApiRouter
from webapp.core.api_hours import HoursOfWeek, week_of
from webapp.core.entity_tags import IfMatch
from webapp.core.optimistic_lock import fingerprint, merged
from webapp.core.web import CurrentPage
from webapp.staff import impact_api
from webapp.staff.impact_api import Change, Plan, Preview, changed, members_optional, seen_by

router = ApiRouter(prefix="/clinic", tags=["Clinic"])


class SaveOpeningHours(Change):
    """The weekly opening hours."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"opening_hours": [{"weekday": "monday", "start": "09:00", "end": "17:00"}]}]}
    )

    opening_hours: HoursOfWeek


class KeptAppointments(BaseModel):
    """The part of upcoming appointments that stays when the time zone changes."""

    appointments: Annotated[
        promised_hours.Keeps | None,
        Field(
            description="With a new time zone, appointments keep their clock times (`clock`, the default): their "
            "instants move, and patients are not told. Or they keep their instants (`instant`): their clock times "
            "change, and patients are told."
        ),
    ]


@members_optional
class ChangeClinic(ClinicDetails, BookingRules, NewPatientRules, ClinicZone, KeptAppointments, Change):
    """Changes of the clinic. With a new time zone, hours and time off keep their clock times."""


@router.put("/opening-hours", summary="Replace the opening hours", responses=changed(OpeningHoursOut))
def replace_opening_hours(
    page: CurrentPage,
    actor: WritingCaller,
    body: SaveOpeningHours,
    preview: Preview = False,
    _if_match: IfMatch = None,
) -> Response:
    """Replace the weekly opening hours. An empty list closes the clinic. Access: admins."""
    require_role(actor, "admin")
    seen = seen_by(page, opening_hours_out(page.session), settings.get_opening_hours(page.session))
    command = OpeningWeek(days=week_of(body.opening_hours))

    def work(session: Session) -> OpeningHoursOut:
        settings.change_opening_hours(session, actor, command, seen=seen, now=page.now)
        return opening_hours_out(session)

    return impact_api.make(page, Plan(actor, work, None, body.decisions), preview=preview)


@router.patch("", summary="Change the clinic", responses=changed(ClinicOut))
def change_clinic(
    page: CurrentPage,
    actor: WritingCaller,
    body: ChangeClinic,
    preview: Preview = False,
    _if_match: IfMatch = None,
) -> Response:
    """Change the clinic: name, address, phone number, rules, time zone, questions to new patients. Access: admins."""
    require_role(actor, "admin")
    details, rules = settings.get(page.session, ClinicDetails), settings.get(page.session, BookingRules)
    place, asked = settings.get(page.session, ClinicZone), settings.get(page.session, NewPatientRules)
    seen_details = seen_by(page, clinic_out(page.session), details)
    new_details, new_rules, new_place = merged(details, body), merged(rules, body), merged(place, body)
    new_asked = merged(asked, body)
    keeps = body.appointments or "clock"

    def work(session: Session) -> ClinicOut:
        settings.change_details(session, actor, new_details, seen=seen_details, now=page.now)
        settings.change_rules(session, actor, new_rules, seen=fingerprint(rules), now=page.now)
        settings.change(session, actor, new_asked, seen=fingerprint(asked), now=page.now)
        if body.time_zone is not None:
            promised_hours.correct_zone(session, actor, new_place, keeps=keeps, seen=fingerprint(place), now=page.now)
        return clinic_out(session)

    # A change of the clinic's name, address or questions alone affects no appointments.
    doctor_ids: list[int] | None = [] if (new_rules, new_place) == (rules, place) else None
    tell = partial(promised_hours.tell_hours, actor=actor, now=page.now, impact=ImpactResult())
    settled = tell if keeps == "instant" and new_place != place else None
    return impact_api.make(page, Plan(actor, work, doctor_ids, body.decisions, settled), preview=preview)
