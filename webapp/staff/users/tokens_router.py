"""API tokens, for admins: which programs may use the API, for what and until when."""

from __future__ import annotations

from starlette.responses import Response

from webapp.auth.dependencies import confirmed, link_delivery_of, signed_in
from webapp.auth.programs import api_tokens
from webapp.core.forms import Submission
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, PathId, SentForm
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _
from webapp.staff.users.tokens_forms import SCOPE_WORDS, TokenForm

router = Router()

LIST = "/admin/users/tokens"


@router.get("/admin/users/tokens")
def list_tokens(page: CurrentPage) -> Response:
    """The tokens that have not been revoked, the newest first; admins."""
    signed_in(page, "admin")
    tokens = api_tokens.list_tokens(page.session)
    return page.render("staff/users/tokens.html", tokens=tokens, scope_words=SCOPE_WORDS, now=page.now)


@router.get("/admin/users/tokens/new")
def show_new_token(page: CurrentPage) -> Response:
    """The form for a token; admins who have just confirmed who they are."""
    confirmed(page, "admin")
    return _new_page(page, TokenForm())


@router.post("/admin/users/tokens")
def make_token(page: CurrentPage, sent: SentForm) -> Response:
    """Create a token, and show it this once; admins who have just confirmed who they are."""
    actor = confirmed(page, "admin")
    form = TokenForm(sent)
    with Submission(form) as submission:
        command = submission.read(form.command)
        how = link_delivery_of(page)
        made = page.write(api_tokens.make_token, actor, command, how.keys, how.letterhead, now=page.now)
        return page.render("staff/users/token_made.html", secret=True, name=command.name, made=made)
    return _new_page(page, form, status=submission.status)


@router.get("/admin/users/tokens/{token_id}/revocation")
def ask_revocation(page: CurrentPage, token_id: PathId) -> Response:
    """Ask before a token is revoked; admins."""
    signed_in(page, "admin")
    return page.render("staff/users/token_revocation.html", token=api_tokens.get_token(page.session, token_id))


@router.post("/admin/users/tokens/{token_id}/revocation")
def revoke_token(page: CurrentPage, token_id: PathId) -> Response:
    """Revoke a token; admins. It needs no new proof, because a leak must be closed quickly."""
    actor = signed_in(page, "admin")
    try:
        page.write(api_tokens.revoke_token, actor, token_id, now=page.now)
    except NotFound as error:
        return page.redirect(LIST, flash=error.message, tone="bad")
    return page.redirect(LIST, flash=_("The token is revoked."))


def _new_page(page: Page, form: TokenForm, *, status: int = 200) -> Response:
    return page.render("staff/users/token_new.html", status=status, form=form)
