"""Signing in and out of the API."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal, cast

from fastapi import Form
from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from starlette.responses import Response

from webapp.auth import sessions
from webapp.auth.exceptions import RefreshTokenNotValid
from webapp.auth.programs import api_sessions
from webapp.auth.programs.access_tokens import ACCESS_LIFETIME, make_access_token
from webapp.auth.programs.api_access import Caller, WritingCaller
from webapp.auth.programs.api_sessions import GrantedTokens
from webapp.auth.schemas import LogIn, Role
from webapp.auth.sign_in.signing_in import sign_in
from webapp.core.api import ApiRouter, answer, storable
from webapp.core.api_problems import problems
from webapp.core.web import CurrentPage, Page
from webapp.exceptions import AppError
from webapp.i18n import gettext as _

router = ApiRouter(prefix="/auth", tags=["Signing in"])

SECONDS = int(ACCESS_LIFETIME.total_seconds())


class Tokens(BaseModel):
    """Tokens for a password or a refresh token, as in OAuth 2 (RFC 6749, section 5.1)."""

    access_token: Annotated[str, Field(description="For the header `Authorization: Bearer …`.")]
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - OAuth's word for the kind of token.
    expires_in: Annotated[int, Field(description="Lifetime of the access token in seconds.", examples=[SECONDS])] = (
        SECONDS
    )
    refresh_token: Annotated[
        str, Field(description="Gets the next tokens; works once, until 30 days after you signed in.")
    ]


class Refresh(BaseModel):
    """A refresh token to exchange."""

    refresh_token: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Me(BaseModel):
    """The signed-in account."""

    id: int
    name: Annotated[str, Field(examples=["Alice Adams"])]
    email: Annotated[str, Field(examples=["alice@docket.example"])]
    role: Role


class Said(BaseModel):
    """A sentence that says what was done."""

    message: str


class PasswordGrant(BaseModel):
    """OAuth 2's form for a password (RFC 6749, section 4.3.2)."""

    grant_type: Literal["password"] = "password"
    username: Annotated[str, Field(max_length=254, description="The email address."), AfterValidator(storable)]
    password: Annotated[str, Field(max_length=1000), AfterValidator(storable)]
    mfa_code: Annotated[
        str,
        Field(
            max_length=40,
            description="For an account with two-step sign-in: a code of the authenticator app, or a recovery code.",
        ),
        AfterValidator(storable),
    ] = ""


@router.post(
    "/token",
    summary="Sign in",
    responses={200: {"model": Tokens}, **problems(403, s401="The email address, the password or the code is wrong.")},
)
def sign_in_for_tokens(page: CurrentPage, form: Annotated[PasswordGrant, Form()]) -> Response:
    """Get tokens for an email address and a password. Access: everyone; attempts are limited.

    Pages of sites that the clinic does not list in its settings get 403, as for the next two routes.

    An account with two-step sign-in also sends `mfa_code`. Without it the answer is 401 `second_factor_needed`, with a
    wrong one 401 `wrong_code`. Where the clinic requires two-step sign-in and the account has not set it up, it is 403
    `second_factor_missing`.
    """
    command = LogIn(
        email=form.username,
        password=form.password,
        address=page.address,
        user_agent=page.request.headers.get("user-agent", ""),
        by_api=True,
    )
    more = {"code": form.mfa_code, "letterhead": page.request.app.state.letterhead(page)}
    page.close()
    finish = partial(api_sessions.finish_login, keys=page.settings.secret_keys, **more)
    _verified, granted = sign_in(page.database, command, finish, now=page.now)
    if isinstance(granted, AppError):
        raise granted
    return _tokens(page, granted)


@router.post(
    "/refresh",
    summary="Get the next pair of tokens",
    responses={200: {"model": Tokens}, **problems(403, s401="The refresh token is invalid or has been used.")},
)
def refresh_tokens(page: CurrentPage, command: Refresh) -> Response:
    """Get new tokens. A refresh token works once: using it again ends the session. Access: anyone who has one."""
    page.close()
    granted = page.database.write(api_sessions.rotate, command.refresh_token, address=page.address, now=page.now)
    if granted is None:
        # That was recorded, with the session that it ended.
        page.request.state.refusal = ""
        raise RefreshTokenNotValid
    return _tokens(page, granted)


@router.post("/logout", summary="Sign out", responses={200: {"model": Said}, **problems(401)})
def sign_out(page: CurrentPage, actor: WritingCaller) -> Response:
    """End the session, with its access token and refresh token. Access: everyone who is signed in."""
    page.close()
    page.database.write(sessions.end_session, actor, actor.session_id, now=page.now)
    return answer(page, Said, Said(message=_("You are signed out.")))


@router.get("/me", summary="Read my account", responses={200: {"model": Me}, **problems(401)})
def read_me(page: CurrentPage, actor: Caller) -> Response:
    """The signed-in account. Access: everyone who is signed in."""
    return answer(page, Me, Me(id=actor.user_id, name=actor.name, email=actor.email, role=cast(Role, actor.role)))


def _tokens(page: Page, granted: GrantedTokens) -> Response:
    token = make_access_token(page.settings.secret_keys, granted.user_id, granted.session_hash, now=page.now)
    made = Tokens(access_token=token, refresh_token=granted.refresh_token)
    return answer(page, Tokens, made, headers={"cache-control": "no-store"})
