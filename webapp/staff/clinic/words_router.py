"""The clinic's words for its patients, for admins: privacy notice, imprint, and the line for emergencies."""

from __future__ import annotations

from starlette.responses import Response

from webapp.auth.dependencies import signed_in
from webapp.clinic import documents, settings
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.documents import KINDS, DocumentKind
from webapp.clinic.service import suggested_emergency_number
from webapp.clinic.settings import EmergencyLine
from webapp.core.forms import Submission
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, SentForm
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _
from webapp.i18n import lazy_gettext as _l
from webapp.staff.clinic.forms import DocumentForm, EmergencyForm, emergency_form

router = Router()

TITLES = {"privacy": _l("Privacy notice"), "imprint": _l("Imprint")}


@router.get("/admin/clinic/emergency")
def show_emergency(page: CurrentPage) -> Response:
    """The line for emergencies, to be changed; admins."""
    signed_in(page, "admin")
    return _emergency_page(page, emergency_form(settings.get(page.session, EmergencyLine)))


@router.post("/admin/clinic/emergency")
def change_emergency(page: CurrentPage, sent: SentForm) -> Response:
    """Change the line for emergencies; admins."""
    actor = signed_in(page, "admin")
    form = EmergencyForm(sent)
    with Submission(form, saved_form=emergency_form) as submission:
        command = submission.read(form.command)
        page.write(settings.change, actor, command, seen=form.seen.data or "", now=page.now)
        return page.redirect("/admin/clinic", flash=_("The emergency line is saved."))
    return _emergency_page(page, form, status=submission.status)


@router.get("/admin/clinic/documents/{kind}")
def show_document(page: CurrentPage, kind: str) -> Response:
    """The newest version, or an outline, to be published; admins."""
    signed_in(page, "admin")
    which = _kind(kind)
    versions = documents.list_versions(page.session, which)
    text = versions[0].text if versions else documents.outline(which, current_clinic(page))
    return _document_page(page, which, DocumentForm(data={"text": text}))


@router.post("/admin/clinic/documents/{kind}")
def publish_document(page: CurrentPage, sent: SentForm, kind: str) -> Response:
    """Publish a new version; admins."""
    actor = signed_in(page, "admin")
    which = _kind(kind)
    form = DocumentForm(sent)
    with Submission(form) as submission:
        page.write(documents.publish_document, actor, which, submission.read(form.command), now=page.now)
        return page.redirect("/admin/clinic", flash=_("The text is published. The footer of each page links to it."))
    return _document_page(page, which, form, status=submission.status)


def _kind(kind: str) -> DocumentKind:
    found = next((each for each in KINDS if each == kind), None)
    if found is None:
        raise NotFound(_("Page not found."))
    return found


def _emergency_page(page: Page, form: EmergencyForm, *, status: int = 200) -> Response:
    suggested = suggested_emergency_number(current_clinic(page).home_country)
    return page.render("staff/clinic/emergency.html", status=status, form=form, suggested=suggested)


def _document_page(page: Page, kind: DocumentKind, form: DocumentForm, *, status: int = 200) -> Response:
    versions = documents.list_versions(page.session, kind)
    return page.render(
        "staff/clinic/document.html", status=status, kind=kind, title=TITLES[kind], form=form, versions=versions
    )
