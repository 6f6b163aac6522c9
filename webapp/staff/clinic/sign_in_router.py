"""How staff sign in, for admins: how long their sessions last, and who needs a second factor."""

from __future__ import annotations

from starlette.responses import Response

from webapp.auth import sign_in_rules
from webapp.auth.dependencies import confirmed, signed_in
from webapp.core.forms import Submission
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, SentForm
from webapp.i18n import gettext as _
from webapp.staff.clinic.sign_in_forms import SignInRulesForm, sign_in_rules_form

router = Router()


@router.get("/admin/clinic/sign-in")
def show_sign_in_rules(page: CurrentPage) -> Response:
    """How staff sign in, to be changed; admins."""
    signed_in(page, "admin")
    return _rules_page(page, sign_in_rules_form(sign_in_rules.get_rules(page.session)))


@router.post("/admin/clinic/sign-in")
def change_sign_in_rules(page: CurrentPage, sent: SentForm) -> Response:
    """Change how staff sign in; admins who confirm who they are."""
    actor = confirmed(page, "admin")
    form = SignInRulesForm(sent)
    with Submission(form, saved_form=sign_in_rules_form) as submission:
        command = submission.read(form.command)
        page.write(sign_in_rules.change_rules, actor, command, seen=form.seen.data or "", now=page.now)
        return page.redirect("/admin/clinic", flash=_("The sign-in rules are saved."))
    return _rules_page(page, form, status=submission.status)


def _rules_page(page: Page, form: SignInRulesForm, *, status: int = 200) -> Response:
    return page.render("staff/clinic/sign_in.html", status=status, form=form)
