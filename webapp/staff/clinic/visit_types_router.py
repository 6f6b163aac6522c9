"""Visit types, for admins: what they are, who offers them, and whether they can be booked."""

from __future__ import annotations

from functools import partial

from starlette.responses import Response

from webapp.auth.dependencies import signed_in
from webapp.clinic import visit_types
from webapp.clinic.visit_types import SavedVisitType
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, PathId, SentForm
from webapp.doctors import offers
from webapp.doctors.offers import VisitTypeOffer
from webapp.i18n import gettext as _
from webapp.staff.clinic.visit_types_forms import ActivityForm, VisitTypeForm, visit_type_form
from webapp.staff.impact_pages import NOTHING_ASKED, ChangeSubmission, ChangeView

router = Router()


@router.get("/admin/visit-types")
def list_visit_types(page: CurrentPage) -> Response:
    """Every visit type; admins."""
    signed_in(page, "admin")
    return page.render(
        "staff/clinic/visit_types/list.html",
        visit_types=visit_types.list_visit_types(page.session),
        offering=offers.count_offering(page.session),
    )


@router.get("/admin/visit-types/new")
def show_new_visit_type(page: CurrentPage) -> Response:
    """The form for a visit type; admins."""
    signed_in(page, "admin")
    return _form_page(page, VisitTypeForm(), None)


@router.post("/admin/visit-types")
def create_visit_type(page: CurrentPage, sent: SentForm) -> Response:
    """Add a visit type; admins."""
    actor = signed_in(page, "admin")
    form = VisitTypeForm(sent)
    form.offer(offers.doctors_to_choose(page.session))
    with ChangeSubmission(page, actor, sent, form) as submission:
        command = submission.read(form.command)
        work = partial(offers.create, actor=actor, command=command, now=page.now)
        submission.make(work, doctor_ids=command.doctor_ids)
        return page.redirect(submission.next_page("/admin/visit-types"), flash=_("The visit type is saved."))
    return _form_page(page, form, None, change=submission.change, status=submission.status)


@router.get("/admin/visit-types/{visit_type_id}")
def show_visit_type(page: CurrentPage, visit_type_id: PathId) -> Response:
    """One visit type, to be changed; admins."""
    signed_in(page, "admin")
    saved, offer = offers.get_offer(page.session, visit_type_id)
    return _form_page(page, visit_type_form(offer), saved)


@router.post("/admin/visit-types/{visit_type_id}")
def change_visit_type(page: CurrentPage, sent: SentForm, visit_type_id: PathId) -> Response:
    """Change a visit type and who offers it; admins."""
    actor = signed_in(page, "admin")
    form = VisitTypeForm(sent)
    saved, offer = offers.get_offer(page.session, visit_type_id)
    form.offer(offers.doctors_to_choose(page.session))
    with ChangeSubmission(page, actor, sent, form, saved_form=partial(_form_of, page)) as submission:
        command = submission.read(form.command)
        touched = sorted({*offer.doctor_ids, *command.doctor_ids})
        work = partial(
            offers.change,
            actor=actor,
            visit_type_id=visit_type_id,
            command=command,
            locked=touched,
            seen=form.seen.data or "",
            now=page.now,
        )
        submission.make(work, doctor_ids=touched)
        return page.redirect(submission.next_page("/admin/visit-types"), flash=_("The visit type is saved."))
    return _form_page(page, form, saved, change=submission.change, status=submission.status)


@router.get("/admin/visit-types/{visit_type_id}/activity")
def ask_activity(page: CurrentPage, visit_type_id: PathId) -> Response:
    """Describe the effect of making a visit type bookable, or no longer bookable; admins."""
    signed_in(page, "admin")
    saved = visit_types.get_visit_type(page.session, visit_type_id)
    return _activity_page(page, saved, ActivityForm(data={"active": "no" if saved.active else "yes"}))


@router.post("/admin/visit-types/{visit_type_id}/activity")
def change_activity(page: CurrentPage, sent: SentForm, visit_type_id: PathId) -> Response:
    """Make a visit type bookable, or no longer bookable; admins."""
    actor = signed_in(page, "admin")
    saved, offer = offers.get_offer(page.session, visit_type_id)
    form = ActivityForm(sent)
    active = form.active.is_yes
    work = partial(
        offers.set_active,
        actor=actor,
        visit_type_id=visit_type_id,
        active=active,
        locked=offer.doctor_ids,
        now=page.now,
    )
    with ChangeSubmission(page, actor, sent, form) as submission:
        submission.make(work, doctor_ids=offer.doctor_ids)
        done = _("%(name)s can be booked again.") if active else _("%(name)s can no longer be booked.")
        return page.redirect(submission.next_page("/admin/visit-types"), flash=done % {"name": saved.details.name})
    return _activity_page(page, saved, form, change=submission.change, status=submission.status)


def _form_of(page: Page, saved: VisitTypeOffer) -> VisitTypeForm:
    form = visit_type_form(saved)
    form.offer(offers.doctors_to_choose(page.session))
    return form


def _form_page(
    page: Page,
    form: VisitTypeForm,
    saved: SavedVisitType | None,
    *,
    change: ChangeView = NOTHING_ASKED,
    status: int = 200,
) -> Response:
    form.offer(offers.doctors_to_choose(page.session))
    return page.render("staff/clinic/visit_types/visit_type.html", status=status, form=form, saved=saved, change=change)


def _activity_page(
    page: Page,
    saved: SavedVisitType,
    form: ActivityForm,
    *,
    change: ChangeView = NOTHING_ASKED,
    status: int = 200,
) -> Response:
    return page.render("staff/clinic/visit_types/activity.html", status=status, form=form, saved=saved, change=change)
