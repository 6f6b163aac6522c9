"""Accounts, for admins: the list, their roles, and whether they may sign in."""

from __future__ import annotations

from starlette.responses import Response

from webapp.auth import queries, roles
from webapp.auth.dependencies import confirmed, link_delivery_of, signed_in
from webapp.auth.pages.factor_dependencies import letterhead_of
from webapp.auth.passwords.password_links import FIRST_PASSWORD_LIFETIME
from webapp.auth.second_factor import service as second_factor
from webapp.core.errors import lead_back_to
from webapp.core.forms import Submission
from webapp.core.optimistic_lock import EditedMeanwhile, fingerprint
from webapp.core.pagination import cut_newest_first, newest_first
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, PathId, SentForm
from webapp.exceptions import AppError, Conflict, NotFound
from webapp.i18n import gettext as _
from webapp.i18n import ngettext
from webapp.staff.users import service as users
from webapp.staff.users.forms import ROLE_NAMES, AccessForm, InviteForm, RoleForm, UserFilterForm

router = Router()

PAGE_SIZE = 50


@router.get("/admin/users")
def list_users(page: CurrentPage) -> Response:
    """The accounts, the newest first; admins."""
    actor = signed_in(page, "admin")
    query = page.request.query_params
    form = UserFilterForm.of_address(query)
    wanted = form.wanted()
    cursor = newest_first(query)
    found = queries.list_users(page.session, wanted, cursor=cursor, limit=PAGE_SIZE + 1)
    shown, neighbours = cut_newest_first(
        found, cursor, PAGE_SIZE, "/admin/users", q=wanted.text, role=wanted.role, access=form.access.data
    )
    page.trace(users.note_listing, actor, [user.id for user in shown], now=page.now)
    return page.render(
        "staff/users/list.html",
        form=form,
        users=shown,
        neighbours=neighbours,
        filtered=wanted != queries.UserFilter(),
        role_names=ROLE_NAMES,
    )


@router.get("/admin/users/new")
def show_new_user(page: CurrentPage) -> Response:
    """The form for the account of a person who works here; admins."""
    signed_in(page, "admin")
    return _new_page(page, InviteForm())


@router.post("/admin/users")
def create_user(page: CurrentPage, sent: SentForm) -> Response:
    """Create an account, and send its owner the link to its first password; admins who confirm who they are."""
    actor = confirmed(page, "admin")
    form = InviteForm(sent)
    form.offer(users.doctors_without_account(page.session))
    with Submission(form) as submission:
        command = submission.read(form.command)
        user_id, token = page.write(users.invite, actor, command, link_delivery_of(page), now=page.now)
        return _after_link(page, user_id, token, created=True)
    return _new_page(page, form, status=submission.status)


@router.get("/admin/users/{user_id}")
def show_user(page: CurrentPage, user_id: PathId) -> Response:
    """One account and its possible changes; admins."""
    actor = signed_in(page, "admin")
    page.trace(users.note_reading, actor, user_id, now=page.now)
    return _user_page(page, users.get_user(page.session, user_id, now=page.now))


@router.post("/admin/users/{user_id}/role")
def change_role(page: CurrentPage, sent: SentForm, user_id: PathId) -> Response:
    """Change the role of an account; it counts from its next request; admins who confirm who they are."""
    actor = confirmed(page, "admin")
    view = users.get_user(page.session, user_id, now=page.now)
    form = RoleForm(sent)
    form.offer(_doctors_for(page, view))
    with Submission(form) as submission:
        command = submission.read(form.command)
        page.write(users.change_role, actor, user_id, command, seen=form.seen.data or "", now=page.now)
        # Admins who gave up their own rights cannot see that page any more.
        onward = "/" if user_id == actor.user_id and command.role != "admin" else f"/admin/users/{user_id}"
        return page.redirect(onward, flash=_("The role is saved and takes effect straight away."))
    if submission.error is not None:
        view = users.get_user(page.session, user_id, now=page.now)
        form.offer(_doctors_for(page, view))
    if isinstance(submission.error, EditedMeanwhile):
        form.compare_with(_role_form(page, view))
    return _user_page(page, view, form=form, status=submission.status)


@router.get("/admin/users/{user_id}/access")
def ask_access(page: CurrentPage, user_id: PathId) -> Response:
    """Describe the effect of disabling or enabling an account; admins."""
    signed_in(page, "admin")
    view = users.get_user(page.session, user_id, now=page.now)
    return _access_page(page, view, AccessForm(data={"access": "no" if view.facts.active else "yes"}))


@router.post("/admin/users/{user_id}/access")
def change_access(page: CurrentPage, sent: SentForm, user_id: PathId) -> Response:
    """Disable or enable an account; admins who confirm who they are."""
    actor = confirmed(page, "admin")
    form = AccessForm(sent)
    enable = form.access.is_yes
    with Submission(form) as submission:
        page.write(roles.enable_account if enable else roles.disable_account, actor, user_id, now=page.now)
        done = _("The account is enabled.") if enable else _("The account is disabled and signed out everywhere.")
        return page.redirect(f"/admin/users/{user_id}", flash=done)
    return _access_page(page, users.get_user(page.session, user_id, now=page.now), form, status=submission.status)


@router.post("/admin/users/{user_id}/password-link")
def renew_password_link(page: CurrentPage, user_id: PathId) -> Response:
    """Send the owner of an account a new link to choose a password with; admins who confirm who they are."""
    lead_back_to(page.request, f"/admin/users/{user_id}")
    actor = confirmed(page, "admin")
    try:
        token = page.write(roles.renew_password_link, actor, user_id, how=link_delivery_of(page), now=page.now)
    except NotFound:
        raise
    except AppError as error:
        return page.redirect(f"/admin/users/{user_id}", flash=error.message, tone="bad")
    return _after_link(page, user_id, token, created=False)


@router.post("/admin/users/{user_id}/factor/reset")
def reset_factor(page: CurrentPage, user_id: PathId) -> Response:
    """Remove the second factors of a person who lost their device; another admin who confirms who they are."""
    lead_back_to(page.request, f"/admin/users/{user_id}")
    actor = confirmed(page, "admin")
    try:
        page.write(roles.reset_factor, actor, user_id, letterhead_of(page), now=page.now)
    except Conflict as error:
        return page.redirect(f"/admin/users/{user_id}", flash=error.message, tone="bad")
    said = _("Two-step sign-in is reset, and the account is signed out everywhere. We’ve emailed the person.")
    return page.redirect(f"/admin/users/{user_id}", flash=said)


@router.post("/admin/users/{user_id}/sessions/end")
def end_sessions(page: CurrentPage, user_id: PathId) -> Response:
    """Sign an account out everywhere; admins."""
    actor = signed_in(page, "admin")
    ended = page.write(roles.end_sessions, actor, user_id, now=page.now)
    said = ngettext("Signed out on %(n)d device.", "Signed out on %(n)d devices.", ended) % {"n": ended}
    return page.redirect(f"/admin/users/{user_id}", flash=said)


def _new_page(page: Page, form: InviteForm, *, status: int = 200) -> Response:
    form.offer(users.doctors_without_account(page.session))
    return page.render("staff/users/new.html", status=status, form=form)


def _after_link(page: Page, user_id: int, token: str, *, created: bool) -> Response:
    """Redirect to the account after its owner was sent the link; show the link itself only if no mail is sent."""
    if token:
        return _link_page(page, user_id, token, created=created)
    email = queries.get_user(page.session, user_id, now=page.now).email
    said = _("We’ve emailed a link to choose a password to %(email)s.") % {"email": email}
    return page.redirect(f"/admin/users/{user_id}", flash=said)


def _link_page(page: Page, user_id: int, token: str, *, created: bool) -> Response:
    """The only page that shows the link; like all staff pages, it is not cached."""
    facts = queries.get_user(page.session, user_id, now=page.now)
    return page.render(
        "staff/users/link.html",
        headers={"referrer-policy": "strict-origin"},
        user=facts,
        secret=True,
        link=f"{page.base_url}/password/reset/{token}",
        until=page.now + FIRST_PASSWORD_LIFETIME,
        created=created,
    )


def _doctors_for(page: Page, view: users.UserView) -> list[tuple[int, str]]:
    """Doctors to whom an account can belong: those without one, and the doctor to whom it belongs already."""
    own = [view.doctor] if view.doctor else []
    return own + users.doctors_without_account(page.session)


def _role_form(page: Page, view: users.UserView) -> RoleForm:
    state = view.state
    form = RoleForm(data={"role": state.role, "doctor": str(state.doctor_id or ""), "seen": fingerprint(state)})
    form.offer(_doctors_for(page, view))
    return form


def _user_page(page: Page, view: users.UserView, *, form: RoleForm | None = None, status: int = 200) -> Response:
    return page.render(
        "staff/users/user.html",
        status=status,
        form=form or _role_form(page, view),
        view=view,
        factors=second_factor.get_factors(page.session, view.facts.id),
        role_names=ROLE_NAMES,
    )


def _access_page(page: Page, view: users.UserView, form: AccessForm, *, status: int = 200) -> Response:
    return page.render("staff/users/access.html", status=status, form=form, view=view)
