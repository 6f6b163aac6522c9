"""The target of a move: staff may also choose another doctor and another visit type."""

from __future__ import annotations

from typing import NamedTuple

from webapp.appointments.booking import service
from webapp.appointments.pages.forms import AnotherForm
from webapp.appointments.schemas import AppointmentView
from webapp.auth.schemas import Actor
from webapp.core.parsing import whole_number
from webapp.core.urls import with_query
from webapp.core.web import Page
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow
from webapp.scheduling import checks
from webapp.scheduling.dependencies import current_viewer
from webapp.scheduling.facts import BookingRequest
from webapp.scheduling.viewer import Viewer


class MoveTarget(NamedTuple):
    """The doctor and the visit type, and the viewer for whom times are looked up.

    `here` is the address of the page, and `keep` are the values with which it keeps another doctor or visit type.
    """

    request: BookingRequest
    viewer: Viewer
    here: str
    keep: dict[str, object]

    @property
    def is_changed(self) -> bool:
        """Whether it is another doctor or visit type than the appointment has."""
        return self.viewer.changing

    @property
    def address(self) -> str:
        """The address of the page with this doctor and visit type."""
        return with_query(self.here, **self.keep)

    @property
    def slots(self) -> str:
        """The beginning of the address of a time; the start in ISO 8601 completes it."""
        return f"{self.address}{'&' if self.keep else '?'}starts_at="


def target_of(
    page: Page, actor: Actor, view: AppointmentView, here: str, *, doctor: str | None = None, kind: str | None = None
) -> MoveTarget:
    """The target that the ids in an address or a form name; for patients, doctor and visit type stay the same.

    Where another doctor does not offer the visit type, the doctor's default type is proposed.

    Raises:
        OtherDoctorsAppointment: a doctor chose another doctor. NotFound: there is no such doctor or visit type.
    """
    viewer = current_viewer(page, view.patient_id, moving=view.id)
    doctor_id, kind_id = (whole_number(doctor), whole_number(kind)) if actor.is_staff else (None, None)
    request = service.request_of_move(page.session, actor, view, doctor_id, kind_id)
    if not request.offered and request.doctor.id != view.doctor_id:
        request = checks.find_booking_request(page.session, request.doctor, None, by_staff=True)
    if not service.is_changed(view, request):
        return MoveTarget(request, viewer, here, {})
    keep: dict[str, object] = {"doctor": request.doctor.id, "visit_type": request.visit_type.id}
    return MoveTarget(request, viewer._replace(changing=True), here, keep)


def offer_targets(page: Page, actor: Actor, form: AnotherForm, target: MoveTarget) -> None:
    """Fill the choices of doctor and visit type: those who take bookings, and what the chosen one offers."""
    chosen, kind = target.request.doctor, target.request.visit_type
    listed = [chosen] if actor.role == "doctor" else _with(chosen, doctors.list_doctors(page.session))
    kinds = chosen.visit_types if target.request.offered else [*chosen.visit_types, kind]
    form.offer(listed, kinds)
    form.doctor.data, form.visit_type.data = str(chosen.id), str(kind.id)


def _with(chosen: DoctorRow, listed: list[DoctorRow]) -> list[DoctorRow]:
    return listed if any(each.id == chosen.id for each in listed) else [chosen, *listed]
