"""The clinic's privacy notice and imprint, for everyone, and the confirmation that the notice was read."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

from starlette.responses import Response

from webapp.auth.dependencies import signed_in
from webapp.clinic import documents
from webapp.clinic.documents import DocumentKind
from webapp.core.parsing import whole_number
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, local_path
from webapp.i18n import gettext as _

router = Router()


class Paragraph(NamedTuple):
    """A heading, or a paragraph with its line breaks."""

    is_heading: bool
    text: str


@router.get("/privacy")
def show_privacy_notice(page: CurrentPage) -> Response:
    """The privacy notice, the newest or `?version=`; everyone."""
    return _document_page(page, "privacy", _("Privacy notice"))


@router.get("/imprint")
def show_imprint(page: CurrentPage) -> Response:
    """The imprint, the newest or `?version=`; everyone."""
    return _document_page(page, "imprint", _("Imprint"))


@router.post("/privacy/read")
def note_read(page: CurrentPage) -> Response:
    """Record that the reader has read the newest privacy notice; everyone who is signed in."""
    actor = signed_in(page)
    page.write(documents.note_consent, actor.user_id, now=page.now)
    back = local_path(page.request.query_params.get("next", ""), default="/account")
    return page.redirect(back, flash=_("Thank you. We’ve noted that you’ve read it."))


def _document_page(page: Page, kind: DocumentKind, title: str) -> Response:
    document = documents.get_document(page.session, kind, whole_number(page.request.query_params.get("version")))
    return page.render(
        "clinic/document.html",
        public=True,
        title=title,
        document=document,
        paragraphs=paragraphs_of(document.text),
    )


def paragraphs_of(text: str) -> list[Paragraph]:
    """The text in paragraphs, which empty lines separate. A line that begins with '# ' is a heading."""
    found: list[Paragraph] = []
    for is_empty, lines in groupby(text.splitlines(), key=lambda line: not line.strip()):
        if is_empty:
            continue
        for is_heading, some in groupby(lines, key=lambda line: line.startswith("# ")):
            if is_heading:
                found.extend(Paragraph(True, line.removeprefix("# ").strip()) for line in some)
            else:
                found.append(Paragraph(False, "\n".join(some)))
    return found
