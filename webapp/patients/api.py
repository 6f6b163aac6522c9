"""Patients, as programs register, read and change them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy.orm import Session
from starlette.responses import Response

from webapp.auth.dependencies import require_confirmed
from webapp.auth.programs.api import Me
from webapp.auth.programs.api_access import Caller, WritingCaller, require_role
from webapp.auth.schemas import Actor, Email, PersonName
from webapp.auth.sign_in.sign_in_codes import AskingBrowser
from webapp.auth.tokens import new_secret
from webapp.clinic.service import get_clinic
from webapp.core.api import API_PREFIX, LIST_HEADERS, LOCATION_HEADER, ApiRouter, Moment, answer, storable
from webapp.core.api_cursors import AskedCursorPaging, answer_part, invalid_cursor
from webapp.core.api_problems import problem_listing, problems
from webapp.core.entity_tags import (
    ETAG_HEADER,
    NOT_MODIFIED,
    IfMatch,
    answer_unless_known,
    expected_version,
    precondition_of,
    tag_of,
)
from webapp.core.optimistic_lock import fingerprint, merged
from webapp.core.parsing import whole_number
from webapp.core.strict_types import AS_WRITTEN, YesNo
from webapp.core.web import CurrentPage, Page, PathId
from webapp.idempotency.api import Key, create
from webapp.patients import dependants, message_preferences, queries, records, registration, service
from webapp.patients.exceptions import NoSuchPatient
from webapp.patients.queries import PatientView
from webapp.patients.schemas import MessagePreferences, PatientDetails, Phone, Register, UpdateProfile

router = ApiRouter()

BORN = Field(description="The date of birth.", examples=["1984-03-27"])
REACHED = Field(
    description="In any way of writing it; without a country code it is of the clinic's country.",
    examples=["+31201234567"],
)


class PatientOut(BaseModel):
    """A patient."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: Annotated[str, Field(examples=["Alice Adams"])]
    birth_date: date | None
    phone: Annotated[str, Field(description="In E.164; older text that is no number stays as it was written.")]
    email: Annotated[str, Field(description="For messages; empty if unknown or not visible to you.")]
    has_account: Annotated[bool, Field(description="Whether they can sign in themselves.")]
    managed_by_id: Annotated[int | None, Field(description="The patient who books for them.")]
    wants_email: bool
    wants_sms: bool
    created_at: Moment


class RegisterAccount(BaseModel):
    """A new account for a patient."""

    name: Annotated[PersonName, Field(examples=["Alice Adams"])]
    email: Annotated[Email, Field(examples=["alice@docket.example"])]
    password: Annotated[
        str,
        StringConstraints(max_length=1000),
        AfterValidator(storable),
        Field(
            description="Three or four unrelated words make a good password.",
            examples=["three or four unrelated words"],
        ),
    ]
    phone: Annotated[Phone | None, REACHED] = ""
    birth_date: Annotated[date | None, AS_WRITTEN, BORN] = None


class RegisteredOut(Me):
    """A new account, and the patient's record that belongs to it."""

    patient_id: int


class RegistrationKept(BaseModel):
    """A registration that waits for the code from the mail. It says the same for every address."""

    status: Annotated[Literal["confirmation_sent"], Field(examples=["confirmation_sent"])] = "confirmation_sent"
    registration: Annotated[
        str, Field(description="Its secret id, to be sent with the code.", examples=["9fJx1m3Qv0o"])
    ]


class AddPatient(BaseModel):
    """A patient without an account."""

    name: Annotated[PersonName, Field(examples=["Robin Adams"])]
    birth_date: Annotated[date | None, AS_WRITTEN, BORN] = None
    phone: Annotated[Phone | None, REACHED] = ""
    email: Annotated[Email | None, Field(description="For messages. Only staff can set it.")] = None
    anyway: Annotated[
        YesNo, Field(description="Staff only: add the patient despite the 409 about a possible duplicate.")
    ] = False


class ChangePatient(BaseModel):
    """Changes to a patient. Missing or null members stay unchanged."""

    name: PersonName | None = None
    phone: Annotated[Phone | None, REACHED] = None
    birth_date: Annotated[date | None, AS_WRITTEN, BORN] = None
    email: Annotated[
        Email | Literal[""] | None,
        Field(description="For messages. Only staff can set it. A patient with an account signs in with it."),
    ] = None


class ChangeMe(BaseModel):
    """Changes to your own record. Missing or null members stay unchanged."""

    name: PersonName | None = None
    phone: Annotated[Phone | None, REACHED] = None
    birth_date: Annotated[date | None, AS_WRITTEN, BORN] = None
    wants_email: Annotated[YesNo | None, Field(description="Whether to send messages about appointments by email.")] = (
        None
    )
    wants_sms: Annotated[
        YesNo | None, Field(description="Whether to send them as text messages; needs a phone number.")
    ] = None


SHOWN: dict[int | str, dict[str, Any]] = {200: {"model": PatientOut, "headers": ETAG_HEADER}, **NOT_MODIFIED}
CHANGED: dict[int | str, dict[str, Any]] = {
    200: {"model": PatientOut, "headers": ETAG_HEADER},
    **problems(
        401,
        403,
        s409="Someone else saved it at the same time.",
        s412="The resource has changed since the `ETag` in `If-Match`.",
    ),
}
LIKELY = problem_listing(
    409,
    "The patient may already have a record, one of `ids`; or the patient cannot book for any more people.",
    ids={"type": "integer"},
)


@router.post(
    "/auth/register",
    tags=["Signing in"],
    summary="Register",
    status_code=201,
    responses={
        201: {"model": RegisteredOut, "headers": LOCATION_HEADER},
        202: {"model": RegistrationKept, "description": "A code was sent to the address."},
        **problems(403, s409="An account with this email address already exists."),
    },
)
def register(page: CurrentPage, body: RegisterAccount) -> Response:
    """Create a patient's account. The patient signs in afterwards. Access: everyone; limited per network.

    Where the operator has chosen that no one may learn who has an account, the answer is 202 for every address, and
    the account is created with the code from the mail: see `POST /auth/register/confirmation`.
    """
    command = Register(**body.model_dump(exclude={"phone"}), phone=body.phone or "")
    if page.settings.neutral_registration:
        return _keep_registration(page, command)
    page.close()
    user_id = registration.register(
        page.database, command, service.register_and_count, address=page.address, now=page.now
    )
    patient_id = service.patient_of_user(page.session, user_id)
    made = RegisteredOut(id=user_id, patient_id=patient_id, name=command.name, email=command.email, role="patient")
    return answer(
        page, RegisteredOut, made, status=201, headers={"location": f"{API_PREFIX}/patients/{made.patient_id}"}
    )


def _keep_registration(page: Page, command: Register) -> Response:
    """Store the registration until its code is entered; the answer is the same for every address."""
    asked, letterhead = AskingBrowser(new_secret(), page.address), get_clinic(page.session).letterhead
    page.close()
    more = (asked, letterhead, page.settings.secret_keys)
    registration.register(page.database, command, registration.ask_for_code, *more, address=page.address, now=page.now)
    return answer(page, RegistrationKept, RegistrationKept(registration=asked.browser), status=202)


@router.get(
    "/patients",
    tags=["Patients"],
    summary="List patients",
    responses={200: {"model": list[PatientOut], "headers": LIST_HEADERS}, **problems(401)},
)
def list_patients(
    page: CurrentPage,
    actor: Caller,
    paging: AskedCursorPaging,
    q: Annotated[
        str,
        Query(max_length=200, description="A name, date of birth, phone number or email address, or a part of one."),
        AfterValidator(storable),
    ] = "",
) -> Response:
    """Patients by name. Access: the front desk and admins for all, doctors for those they search for (`q`), which is
    recorded with the patients' ids; patients for themselves and those they book for.

    If nothing matches `q`, the closest matches are listed, best first.
    """
    after = whole_number(paging.place)
    if paging.place and after is None:
        raise invalid_cursor()
    try:
        found = queries.list_patients(page.session, actor, q.strip(), after=after, skip=paging.skip, limit=paging.limit)
    except NoSuchPatient as error:
        raise invalid_cursor() from error
    if actor.is_staff:
        ids = [view.id for view in found.views]
        page.trace(records.note_listing, actor, ids, searched=bool(q.strip()), now=page.now)
    shown = [patient_out(view) for view in found.views]
    return answer_part(page, PatientOut, shown, total=found.total, paging=paging, after=found.after)


@router.post(
    "/patients",
    tags=["Patients"],
    summary="Add a patient",
    status_code=201,
    responses={201: {"model": PatientOut, "headers": {**LOCATION_HEADER, **ETAG_HEADER}}, **problems(401), **LIKELY},
)
def add_patient(page: CurrentPage, actor: WritingCaller, body: AddPatient, key: Key = None) -> Response:
    """Add a patient without an account. Access: staff; patients for a person they book for, such as a child."""

    def work(session: Session) -> tuple[PatientOut, dict[str, str]]:
        if actor.is_staff:
            details = PatientDetails(**body.model_dump(exclude={"phone", "anyway"}), phone=body.phone or "")
            number = records.create_patient(session, actor, details, anyway=body.anyway, now=page.now)
        else:
            person = UpdateProfile(name=body.name, phone=body.phone or "", birth_date=body.birth_date)
            number = dependants.add_person(session, actor, person, now=page.now)
        made = patient_out(queries.get_patient(session, actor, number))
        return made, {"location": f"{API_PREFIX}/patients/{number}", "etag": tag_of(made)}

    return create(page, actor, key, body, PatientOut, work)


@router.get("/patients/me", tags=["Patients"], summary="Read my record", responses={**SHOWN, **problems(401, 403)})
def read_my_patient(page: CurrentPage, actor: Caller) -> Response:
    """The signed-in patient's own record. Access: patients."""
    require_role(actor, "patient")
    return answer_unless_known(page, patient_out(queries.get_own(page.session, actor)))


@router.patch("/patients/me", tags=["Patients"], summary="Change my record", responses=CHANGED)
def change_my_patient(page: CurrentPage, actor: WritingCaller, body: ChangeMe, _if_match: IfMatch = None) -> Response:
    """Change your own name, phone number, date of birth and message settings. Access: patients."""
    require_role(actor, "patient")
    return _change_me(page, actor, body)


@router.get(
    "/patients/{patient_id}", tags=["Patients"], summary="Read a patient", responses={**SHOWN, **problems(401, 404)}
)
def read_patient(page: CurrentPage, actor: Caller, patient_id: PathId) -> Response:
    """A patient. Access: the patient, the person who books for them, and staff, whose reading is recorded."""
    shown = patient_out(queries.get_patient(page.session, actor, patient_id))
    if actor.is_staff:
        page.trace(records.note_reading, actor, patient_id, now=page.now)
    return answer_unless_known(page, shown)


@router.patch(
    "/patients/{patient_id}", tags=["Patients"], summary="Change a patient", responses={**CHANGED, **problems(404)}
)
def change_patient(
    page: CurrentPage, actor: WritingCaller, patient_id: PathId, body: ChangePatient, _if_match: IfMatch = None
) -> Response:
    """Change a patient's record. Access: the front desk, admins; patients for themselves and those they book for.

    The address with which a patient signs in is changed only by staff who signed in within the last ten minutes;
    later, and for programs, the answer is 403 `not_confirmed`.
    """
    require_role(actor, "receptionist", "patient")
    view = queries.get_patient(page.session, actor, patient_id)
    if actor.sees_all:
        return _change_by_staff(page, actor, view, body)
    if patient_id == queries.get_own(page.session, actor).id:
        return _change_me(page, actor, ChangeMe(name=body.name, phone=body.phone, birth_date=body.birth_date))
    return _change_person(page, actor, view, body)


def patient_out(view: PatientView) -> PatientOut:
    """A patient, as the API shows them."""
    return PatientOut.model_validate(view)


def _change_by_staff(page: Page, actor: Actor, view: PatientView, body: ChangePatient) -> Response:
    saved = records.saved_details(view.name, view.birth_date, view.phone, view.email)
    details = merged(saved, body)
    if details.email != saved.email and records.get_record(page.session, view.id).account is not None:
        # From then on the owner of another mailbox can sign in to the account.
        require_confirmed(page)
    if not details.email:
        details = details.model_copy(update={"email": None})

    def work(session: Session) -> None:
        records.change_patient(session, actor, view.id, details, seen=fingerprint(saved), now=page.now)

    return _make(page, actor, view, work)


def _change_person(page: Page, actor: Actor, view: PatientView, body: ChangePatient) -> Response:
    saved = _profile_of(view)

    def work(session: Session) -> None:
        dependants.change_person(session, actor, view.id, merged(saved, body), seen=fingerprint(saved), now=page.now)

    return _make(page, actor, view, work)


def _change_me(page: Page, actor: Actor, body: ChangeMe) -> Response:
    view = queries.get_own(page.session, actor)
    profile = _profile_of(view)
    wishes = MessagePreferences(wants_email=view.wants_email, wants_sms=view.wants_sms)
    wanted, wished = merged(profile, body), merged(wishes, body)

    def work(session: Session) -> None:
        if wanted != profile:
            service.update_profile(session, actor, wanted, now=page.now)
        if wished != wishes:
            message_preferences.change_message_preferences(session, actor, wished, now=page.now)

    return _make(page, actor, view, work)


def _make(page: Page, actor: Actor, view: PatientView, work: Callable[[Session], None]) -> Response:
    """Change a patient and answer with the new state.

    Raises:
        PreconditionFailed: `If-Match` names another state. Also the errors of `work`.
    """
    expected_version(page.request, fingerprint(patient_out(view)))
    page.close()

    def changed(session: Session) -> PatientOut:
        work(session)
        return patient_out(queries.get_patient(session, actor, view.id))

    with precondition_of(page.request):
        shown = page.database.write(changed)
    return answer(page, PatientOut, shown, headers={"etag": tag_of(shown)})


def _profile_of(view: PatientView) -> UpdateProfile:
    return UpdateProfile.model_construct(name=view.name, phone=view.phone, birth_date=view.birth_date)
