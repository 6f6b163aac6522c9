"""How many squeeze-ins a doctor allows, for the doctor; admins find it on the doctor's profile."""

from __future__ import annotations

from starlette.responses import Response

from webapp.auth.dependencies import signed_in
from webapp.core.forms import Submission
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, SentForm
from webapp.doctors import profiles
from webapp.i18n import gettext as _
from webapp.staff.doctors.hours_access import HoursAccess, hours_access
from webapp.staff.doctors.squeeze_ins_forms import SqueezeInsForm

router = Router()


@router.get("/schedule/hours/squeeze-ins")
def show_squeeze_ins(page: CurrentPage) -> Response:
    """How many squeeze-ins they allow; the doctor."""
    signed_in(page, "doctor")
    owner = hours_access(page)
    return _squeeze_ins_page(page, owner, SqueezeInsForm(data={"squeeze_ins": str(owner.doctor.squeeze_ins)}))


@router.post("/schedule/hours/squeeze-ins")
def change_squeeze_ins(page: CurrentPage, sent: SentForm) -> Response:
    """Allow more or fewer squeeze-ins; the doctor."""
    actor = signed_in(page, "doctor")
    owner = hours_access(page)
    form = SqueezeInsForm(sent)
    with Submission(form) as submission:
        command = submission.read(form.command)
        page.write(profiles.change_squeeze_ins, actor, owner.doctor.slug, command, now=page.now)
        return page.redirect("/schedule/hours/squeeze-ins", flash=_("Your squeeze-ins are saved."))
    return _squeeze_ins_page(page, owner, form, status=submission.status)


def _squeeze_ins_page(page: Page, owner: HoursAccess, form: SqueezeInsForm, *, status: int = 200) -> Response:
    return page.render("staff/doctors/squeeze_ins.html", status=status, owner=owner, form=form)
