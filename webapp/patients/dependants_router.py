"""The people a patient books for, on that patient's own pages."""

from __future__ import annotations

from starlette.responses import Response

from webapp.auth.dependencies import signed_in
from webapp.core.errors import lead_back_to
from webapp.core.forms import Submission
from webapp.core.names import before_stop
from webapp.core.optimistic_lock import fingerprint
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, PathId, SentForm
from webapp.i18n import gettext as _
from webapp.patients import dependants
from webapp.patients.exceptions import HasRecord
from webapp.patients.forms import PersonForm
from webapp.patients.schemas import Person, UpdateProfile

router = Router()


@router.get("/account/people/new")
def show_new_person(page: CurrentPage) -> Response:
    """The form for a person whom the actor will book for; patients."""
    signed_in(page, "patient")
    return _person_page(page, PersonForm(), None)


@router.post("/account/people")
def add_person(page: CurrentPage, sent: SentForm) -> Response:
    """Add a person whom the actor will book for; patients."""
    lead_back_to(page.request, "/account/people/new")
    actor = signed_in(page, "patient")
    form = PersonForm(sent)
    with Submission(form) as submission:
        command = submission.read(form.command)
        page.write(dependants.add_person, actor, command, now=page.now)
        said = _("You can now book appointments for %(name)s.") % {"name": before_stop(command.name)}
        return page.redirect("/account", flash=said)
    return _person_page(page, form, None, status=submission.status)


@router.get("/account/people/{patient_id}")
def show_person(page: CurrentPage, patient_id: PathId) -> Response:
    """The data of a person whom the actor books for; patients. For other patients it is a 404."""
    actor = signed_in(page, "patient")
    person = dependants.get_person(page.session, actor, patient_id)
    return _person_page(page, _filled(dependants.profile_of(person)), person)


@router.post("/account/people/{patient_id}")
def change_person(page: CurrentPage, sent: SentForm, patient_id: PathId) -> Response:
    """Change the data of a person whom the actor books for; patients. For other patients it is a 404."""
    actor = signed_in(page, "patient")
    form = PersonForm(sent)
    person = dependants.get_person(page.session, actor, patient_id)
    with Submission(form, saved_form=_filled) as submission:
        command = submission.read(form.command)
        page.write(dependants.change_person, actor, patient_id, command, seen=form.seen.data or "", now=page.now)
        return page.redirect("/account", flash=_("%(name)s’s details are saved.") % {"name": command.name})
    return _person_page(page, form, person, status=submission.status)


@router.get("/account/people/{patient_id}/removal")
def ask_removal(page: CurrentPage, patient_id: PathId) -> Response:
    """Ask whether a person should really be removed; patients. For other patients it is a 404."""
    actor = signed_in(page, "patient")
    person = dependants.get_person(page.session, actor, patient_id)
    return page.render("patients/dependants/removal.html", person=person, problem="")


@router.post("/account/people/{patient_id}/removal")
def remove_person(page: CurrentPage, patient_id: PathId) -> Response:
    """Remove a person who has no appointments; patients. For other patients it is a 404."""
    actor = signed_in(page, "patient")
    person = dependants.get_person(page.session, actor, patient_id)
    try:
        page.write(dependants.remove_person, actor, patient_id, now=page.now)
    except HasRecord as error:
        return page.render(
            "patients/dependants/removal.html", status=error.status, person=person, problem=error.message
        )
    said = _("%(name)s has been removed. You can no longer book for them.") % {"name": person.name}
    return page.redirect("/account", flash=said, tone="info")


def _filled(saved: UpdateProfile) -> PersonForm:
    return PersonForm(data={**saved.model_dump(), "seen": fingerprint(saved)})


def _person_page(page: Page, form: PersonForm, person: Person | None, *, status: int = 200) -> Response:
    return page.render("patients/dependants/form.html", status=status, form=form, person=person)
