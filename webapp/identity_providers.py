"""Identity providers, such as the directory of a hospital, as the settings describe them."""

from __future__ import annotations

import json
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

# On these hosts nothing is sent over a network, so production can be tried out without https.
OWN_MACHINE = {"localhost", "127.0.0.1"}


class OidcProvider(BaseModel):
    """An OpenID Connect provider, such as the directory of a hospital, and what the clinic lets it do.

    `roles` are those that may sign in with it. With `role_claim`, the values of that claim give the role at each
    sign-in, by `role_values`, and a person without any of them is refused. `links_by_email`: a verified address finds
    the account at the first sign-in; otherwise people link it from their account. `trusts_second_factor`: when the
    provider says that it asked for two factors, ours is not asked for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,29}$")
    label: str = Field(default="", max_length=60)
    issuer: str
    client_id: str = Field(min_length=1)
    client_secret: str = Field(default="", repr=False)
    scopes: str = "openid email profile"
    roles: tuple[Literal["patient", "receptionist", "doctor", "admin"], ...] = ("receptionist", "doctor", "admin")
    role_claim: str = ""
    role_values: dict[str, Literal["patient", "receptionist", "doctor", "admin"]] = {}
    creates_accounts: bool = False
    links_by_email: bool = True
    trusts_second_factor: bool = False

    @field_validator("issuer")
    @classmethod
    def _a_safe_address(cls, value: str) -> str:
        if not is_safe_address(value) or "?" in value or "#" in value:
            raise ValueError("must start with https://")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.role_claim) != bool(self.role_values):
            raise ValueError("role_claim and role_values belong together")
        if "openid" not in self.scopes.split():
            raise ValueError("scopes must contain openid")
        return self

    @property
    def shown(self) -> str:
        """The name that people read."""
        return self.label or self.name


def is_safe_address(address: object) -> bool:
    """Whether requests to this address are encrypted, or do not leave the machine."""
    if not isinstance(address, str):
        return False
    try:
        parts = urlsplit(address)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in OWN_MACHINE))


def read_providers(text: str) -> tuple[OidcProvider, ...]:
    """Read a list of providers in JSON.

    Raises:
        ValueError: it says what is wrong, without repeating entered values, such as a secret.
    """
    try:
        found = json.loads(text or "[]")
        providers = tuple(OidcProvider.model_validate(each) for each in found)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'provider'}: {e['msg']}" for e in error.errors())
        raise ValueError(f"has a provider that is not complete: {wrong}") from None
    except (ValueError, TypeError):
        raise ValueError("must be a list of providers in JSON; see docs/running.md") from None
    names, issuers = {each.name for each in providers}, {each.issuer for each in providers}
    if len(names) < len(providers) or len(issuers) < len(providers):
        raise ValueError("must have another name and issuer for each provider")
    return providers
