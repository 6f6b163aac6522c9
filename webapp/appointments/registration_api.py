"""Confirms a registration with the code from the mail, for programs."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints
from starlette.responses import Response

from webapp.appointments import code_sign_in
from webapp.appointments.code_sign_in import EnteredCode
from webapp.audit.security_events import ObservedEvent
from webapp.auth import login_throttle
from webapp.auth.exceptions import TooManyLogins, TooManyWrongCodes, WrongCode
from webapp.auth.schemas import Email
from webapp.auth.sign_in import sign_in_codes
from webapp.core.api import API_PREFIX, LOCATION_HEADER, ApiRouter, answer
from webapp.core.api_problems import problems
from webapp.core.networks import network_of
from webapp.core.web import CurrentPage, Page
from webapp.patients import service as patients
from webapp.patients.api import RegisteredOut
from webapp.patients.schemas import Origin

router = ApiRouter()


class ConfirmRegistration(BaseModel):
    """The code from the mail, for a registration that waits for it."""

    registration: Annotated[
        str,
        StringConstraints(min_length=1, max_length=200, pattern="^[A-Za-z0-9_-]+$"),
        Field(examples=["9fJx1m3Qv0o"]),
    ]
    email: Annotated[Email, Field(examples=["alice@docket.example"])]
    code: Annotated[str, StringConstraints(pattern="^[0-9]{6}$"), Field(examples=["481516"])]


@router.post(
    "/auth/register/confirmation",
    tags=["Signing in"],
    summary="Confirm a registration",
    status_code=201,
    responses={
        201: {"model": RegisteredOut, "headers": LOCATION_HEADER},
        **problems(403, s409="An account with this email address already exists."),
    },
)
def confirm_registration(page: CurrentPage, body: ConfirmRegistration) -> Response:
    """Create the account of a registration that was answered with 202. Its address is confirmed by this.

    Access: everyone who has the code; attempts are limited.
    """
    page.close()
    typed = EnteredCode(body.registration, body.email, body.code, known=False)
    made = page.write(
        code_sign_in.confirm_registration,
        typed,
        Origin(page.address),
        attempt_id=_admit(page, body.email),
        keys=page.settings.secret_keys,
        now=page.now,
    )
    if not made.user_id:
        raise WrongCode("expired" if made.verdict == "right" else made.verdict)
    patient_id = patients.patient_of_user(page.session, made.user_id)
    shown = RegisteredOut(id=made.user_id, patient_id=patient_id, name=made.name, email=body.email, role="patient")
    return answer(page, RegisteredOut, shown, status=201, headers={"location": f"{API_PREFIX}/patients/{patient_id}"})


def _admit(page: Page, email: str) -> int:
    """Admit the attempt as one of those that a network and an account have.

    Raises:
        TooManyWrongCodes, AttemptsUnderWay.
    """
    seen = ObservedEvent("sign_in_throttled", about=sign_in_codes.ENTERING, network=network_of(page.address))
    admit = partial(sign_in_codes.admit, email=email, device="", address=page.address, now=page.now)
    try:
        return login_throttle.admitted(page.database, admit, seen, page.now)
    except TooManyLogins as error:
        raise TooManyWrongCodes(retry_after=error.retry_after or 1) from error
