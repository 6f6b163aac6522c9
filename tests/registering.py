"""Registering on the page: the form, then the code from the mail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import SECRET_KEY, Cast
from webapp import models
from webapp.auth.sign_in.sign_in_codes import code_of

if TYPE_CHECKING:
    from httpx2 import Response


def send_form(client: TestClient, sent: dict[str, str]) -> None:
    """Send the form, whose answer is the same for every address."""
    answer = client.post("/register", data=sent)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login/code"), answer.text


def last_code(cast: Cast) -> str:
    """The code of the last mail."""
    with cast.database.reading() as session:
        newest = sa.select(models.SignInCode.nonce).order_by(models.SignInCode.id.desc()).limit(1)
        return code_of([SECRET_KEY], session.scalars(newest).one())


def register(client: TestClient, cast: Cast, sent: dict[str, str]) -> Response:
    """Register, and enter the code; the answer to that."""
    send_form(client, sent)
    return client.post("/login/code", data={"code": last_code(cast)})
