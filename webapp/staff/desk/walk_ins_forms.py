"""The form for a walk-in's queue; it checks the shape only."""

from __future__ import annotations

from collections.abc import Sequence

from wtforms import BooleanField, SelectChoice, StringField  # type: ignore[attr-defined]
from wtforms.validators import Length

from webapp.appointments.pages.forms import TOO_LONG
from webapp.appointments.walk_ins import ANY, MOST_LETTERS, OF, Queue, WalkInView
from webapp.core.fields import SeenField, SelectField
from webapp.core.forms import DocketForm
from webapp.core.optimistic_lock import fingerprint
from webapp.doctors.service import DoctorRow
from webapp.i18n import gettext as _
from webapp.i18n import lazy_form_text as _l


class QueueForm(DocketForm):
    """A walk-in's queue: a doctor, a specialty or any doctor; and whether it is urgent."""

    doctor = SelectField(_l("Waiting for"), choices=[], validate_choice=False)
    urgent = BooleanField(_l("Urgent"))
    note = StringField(_l("Note for staff"), [Length(max=MOST_LETTERS, message=TOO_LONG)])
    seen = SeenField()

    def offer(self, listed: Sequence[DoctorRow]) -> None:
        """Set the choices of doctors and specialties."""
        words = _("Any doctor, %(specialty)s")
        self.doctor.choices = [
            SelectChoice(ANY, _("Any doctor")),
            *(SelectChoice(OF + name, words % {"specialty": name}) for name in sorted({d.specialty for d in listed})),
            *(SelectChoice(doctor.slug, doctor.name) for doctor in listed),
        ]

    def command(self) -> Queue | None:
        """The command for the service."""
        chosen = self.doctor.data or ANY
        return self.parse(
            Queue,
            doctor="" if chosen == ANY or chosen.startswith(OF) else chosen,
            specialty=chosen.removeprefix(OF) if chosen.startswith(OF) else "",
            urgent=bool(self.urgent.data),
            note=self.note.data or "",
        )


def queue_form(saved: Queue) -> QueueForm:
    """The form, filled with what is saved."""
    seen = fingerprint(saved)
    return QueueForm(data={"doctor": saved.waits_for, "urgent": saved.urgent, "note": saved.note, "seen": seen})


def waits_in_words(view: WalkInView) -> str:
    """'Mia Bos is waiting for Dr. Okafor.'"""
    if view.doctor_name:
        return _("%(name)s is waiting for %(doctor)s.") % {"name": view.patient_name, "doctor": view.doctor_name}
    if view.specialty:
        words = _("%(name)s is waiting for any doctor (%(specialty)s).")
        return words % {"name": view.patient_name, "specialty": view.specialty}
    return _("%(name)s is waiting for any doctor.") % {"name": view.patient_name}
