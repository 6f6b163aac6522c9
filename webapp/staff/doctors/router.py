"""Doctors, for admins: who they are, what they offer, whether they take bookings, and their accounts."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated

from fastapi import Path
from sqlalchemy.orm import Session
from starlette.responses import Response

from webapp.auth.dependencies import confirmed, link_delivery_of, require_confirmed, signed_in
from webapp.auth.passwords.link_delivery import LinkDelivery
from webapp.auth.passwords.password_links import FIRST_PASSWORD_LIFETIME
from webapp.auth.schemas import Actor
from webapp.clinic import visit_types
from webapp.clinic.dependencies import current_clinic
from webapp.core.forms import Submission
from webapp.core.local_time import first_instant
from webapp.core.optimistic_lock import fingerprint
from webapp.core.pagination import clamp, paginate
from webapp.core.parsing import whole_number
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, SentForm
from webapp.doctors import profiles
from webapp.doctors.profiles import DoctorProfile, DoctorState, SavedDoctor
from webapp.i18n import gettext as _
from webapp.staff import appointment_counts
from webapp.staff.doctors.forms import (
    AccountForm,
    DoctorActivityForm,
    DoctorFilterForm,
    DoctorForm,
    NewDoctorForm,
    doctor_data,
)
from webapp.staff.impact_pages import NOTHING_ASKED, ChangeSubmission, ChangeView
from webapp.staff.users import service as users
from webapp.staff.users.service import InviteUser

router = Router()

PAGE_SIZE = 50
Slug = Annotated[str, Path(max_length=80)]


@router.get("/admin/doctors")
def list_doctors(page: CurrentPage) -> Response:
    """The doctors with this week's appointments and their accounts; admins."""
    signed_in(page, "admin")
    query = page.request.query_params
    form = DoctorFilterForm.of_address(query)
    form.show.data = form.shown
    found = profiles.list_profiles(page.session, text=form.text, active=form.active, now=page.now)
    number = clamp(whole_number(query.get("page")) or 1, len(found), PAGE_SIZE)
    lines = found[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
    monday, sunday = _this_week(page)
    return page.render(
        "staff/doctors/list.html",
        form=form,
        doctors=lines,
        appointments=appointment_counts.count_by_doctor(page.session, [each.id for each in lines], monday, sunday),
        count=len(found),
        filtered=bool(form.text) or form.shown != "active",
        pages=paginate("/admin/doctors", number, len(found), PAGE_SIZE, q=form.text, show=form.shown),
    )


@router.get("/admin/doctors/new")
def show_new_doctor(page: CurrentPage) -> Response:
    """The form for a doctor; admins."""
    signed_in(page, "admin")
    return _form_page(page, NewDoctorForm(data={"position": profiles.next_position(page.session)}), None)


@router.post("/admin/doctors")
def create_doctor(page: CurrentPage, sent: SentForm) -> Response:
    """Add a doctor and, with an e-mail address, their account; admins, who confirm who they are for an account."""
    actor = signed_in(page, "admin")
    form = NewDoctorForm(sent)
    form.offer(_types_to_choose(page))
    command = form.command() if form.validate() else None
    email = form.address()
    if command is None or form.errors:
        return _form_page(page, form, None, status=422)
    if sent.get("step") == "preview":
        return _form_page(page, form, None, look=command)
    if email is not None:
        require_confirmed(page)
    with Submission(form) as submission:
        slug, token = page.write(_create, page, actor, command, email, link_delivery_of(page))
        if token:
            return _link_page(page, profiles.get_profile(page.session, slug, now=page.now), token, created=True)
        said = _("%(name)s is added. Now set their working hours.") % {"name": command.name}
        if email is not None:
            sentence = _("%(name)s is added, and gets an email to choose a password. Now set their working hours.")
            said = sentence % {"name": command.name}
        return page.redirect(f"/admin/doctors/{slug}/hours/new", flash=said)
    return _form_page(page, form, None, status=submission.status)


def _create(
    session: Session, page: Page, actor: Actor, command: DoctorProfile, email: str | None, how: LinkDelivery
) -> tuple[str, str]:
    """Create the doctor and their account, or neither: the slug, and the token of a link that was not mailed."""
    if email is None:
        known = profiles.find_just_added(session, actor, command, now=page.now)
        return known or profiles.create(session, actor, command, now=page.now)[1], ""
    # A second account for the address is refused, and the doctor with it.
    doctor_id, slug = profiles.create(session, actor, command, now=page.now)
    invitation = InviteUser(name=command.name, email=email, role="doctor", doctor_id=doctor_id)
    return slug, users.invite(session, actor, invitation, how, now=page.now)[1]


@router.get("/admin/doctors/{slug}")
def show_doctor(page: CurrentPage, slug: Slug) -> Response:
    """One doctor, to be changed; admins."""
    signed_in(page, "admin")
    saved = profiles.get_profile(page.session, slug, now=page.now)
    return _form_page(page, DoctorForm(data=doctor_data(saved.profile, saved.seen)), saved)


@router.post("/admin/doctors/{slug}")
def change_doctor(page: CurrentPage, sent: SentForm, slug: Slug) -> Response:
    """Change a doctor's profile and what they offer; admins."""
    actor = signed_in(page, "admin")
    form = DoctorForm(sent)
    saved = profiles.get_profile(page.session, slug, now=page.now)
    form.offer(_types_to_choose(page))
    look: DoctorProfile | None = None
    with ChangeSubmission(page, actor, sent, form, saved_form=partial(_form_of, page)) as submission:
        command, seen = submission.read(form.command), form.seen.data or ""
        look = command if sent.get("step") == "preview" else None
        work = partial(profiles.change, actor=actor, slug=slug, command=command, seen=seen, now=page.now)
        submission.make(work, doctor_ids=[saved.id])
        return page.redirect(submission.next_page(f"/admin/doctors/{slug}"), flash=_("The doctor is saved."))
    look = look if submission.is_asked else None
    return _form_page(page, form, saved, look=look, change=submission.change, status=submission.status)


@router.get("/admin/doctors/{slug}/activity")
def ask_activity(page: CurrentPage, slug: Slug) -> Response:
    """Describe the effect if a doctor takes bookings, or no longer does; admins."""
    signed_in(page, "admin")
    saved = profiles.get_profile(page.session, slug, now=page.now)
    return _activity_page(page, saved, DoctorActivityForm(data={"active": "no" if saved.active else "yes"}))


@router.post("/admin/doctors/{slug}/activity")
def change_activity(page: CurrentPage, sent: SentForm, slug: Slug) -> Response:
    """Let a doctor take bookings again, or no longer; admins."""
    actor = signed_in(page, "admin")
    saved = profiles.get_profile(page.session, slug, now=page.now)
    form = DoctorActivityForm(sent)
    active = form.active.is_yes
    work = partial(profiles.set_active, actor=actor, slug=slug, active=active, now=page.now)
    with ChangeSubmission(page, actor, sent, form) as submission:
        submission.make(work, doctor_ids=[saved.id])
        done = _("%(name)s is taking bookings again.") if active else _("%(name)s is no longer taking bookings.")
        return page.redirect(submission.next_page(f"/admin/doctors/{slug}"), flash=done % {"name": saved.profile.name})
    return _activity_page(page, saved, form, change=submission.change, status=submission.status)


@router.get("/admin/doctors/{slug}/account")
def show_account(page: CurrentPage, slug: Slug) -> Response:
    """A doctor's account, or the form to create it; admins."""
    signed_in(page, "admin")
    return _account_page(page, profiles.get_profile(page.session, slug, now=page.now), AccountForm())


@router.post("/admin/doctors/{slug}/account")
def create_account(page: CurrentPage, sent: SentForm, slug: Slug) -> Response:
    """Create a doctor's account, and send its owner the link to its first password; admins who confirm who they are."""
    actor = confirmed(page, "admin")
    saved = profiles.get_profile(page.session, slug, now=page.now)
    form = AccountForm(sent)
    with Submission(form) as submission:
        command = submission.read(form.command)
        invitation = InviteUser(name=saved.profile.name, email=command.email, role="doctor", doctor_id=saved.id)
        _user_id, token = page.write(users.invite, actor, invitation, link_delivery_of(page), now=page.now)
        if not token:
            said = _("We’ve emailed a link to choose a password to %(email)s.") % {"email": command.email}
            return page.redirect(f"/admin/doctors/{slug}", flash=said)
        return _link_page(page, profiles.get_profile(page.session, slug, now=page.now), token, created=False)
    return _account_page(page, profiles.get_profile(page.session, slug, now=page.now), form, status=submission.status)


# ------------------------------------------------------------------------------------------------------ pages


def _this_week(page: Page) -> tuple[datetime, datetime]:
    """The instants at which the clinic's current week begins and ends."""
    clinic = current_clinic(page)
    today = clinic.today(page.now)
    monday = today - timedelta(days=today.weekday())
    return first_instant(monday, clinic.zone), first_instant(monday + timedelta(days=7), clinic.zone)


def _form_of(page: Page, saved: DoctorState) -> DoctorForm:
    form = DoctorForm(data=doctor_data(saved.profile, fingerprint(saved)))
    form.offer(_types_to_choose(page))
    return form


def _types_to_choose(page: Page) -> list[tuple[int, str]]:
    """The visit types that can be offered, by name."""
    return [(each.id, each.details.name) for each in visit_types.list_visit_types(page.session) if each.active]


def _form_page(
    page: Page,
    form: DoctorForm,
    saved: SavedDoctor | None,
    *,
    look: DoctorProfile | None = None,
    change: ChangeView = NOTHING_ASKED,
    status: int = 200,
) -> Response:
    form.offer(_types_to_choose(page))
    return page.render(
        "staff/doctors/doctor.html",
        status=status,
        form=form,
        saved=saved,
        specialties=profiles.known_specialties(page.session),
        look=look,
        change=change,
    )


def _activity_page(
    page: Page,
    saved: SavedDoctor,
    form: DoctorActivityForm,
    *,
    change: ChangeView = NOTHING_ASKED,
    status: int = 200,
) -> Response:
    return page.render("staff/doctors/activity.html", status=status, form=form, saved=saved, change=change)


def _account_page(page: Page, saved: SavedDoctor, form: AccountForm, *, status: int = 200) -> Response:
    return page.render("staff/doctors/account.html", status=status, form=form, saved=saved)


def _link_page(page: Page, saved: SavedDoctor, token: str, *, created: bool) -> Response:
    """The only page that shows the link; like all staff pages, it is not cached."""
    return page.render(
        "staff/doctors/link.html",
        headers={"referrer-policy": "strict-origin"},
        saved=saved,
        secret=True,
        link=f"{page.base_url}/password/reset/{token}",
        until=page.now + FIRST_PASSWORD_LIFETIME,
        created=created,
    )
