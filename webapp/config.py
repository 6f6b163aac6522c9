"""Settings, read once from the environment (prefix DOCKET_), from a `.env` file, and from files of a secret store."""

from __future__ import annotations

import json
import os
import re
import secrets
from functools import cached_property
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from webapp.identity_providers import OWN_MACHINE, OidcProvider, read_providers

MINIMUM_SECRET_LENGTH = 32
PORTS = {"http": 80, "https": 443}
# Bodies in which a text can be escaped so that it cannot end its field; JSON unless the headers say otherwise.
SMS_MEDIA_TYPES = ("application/json", "application/x-www-form-urlencoded", "application/xml", "text/xml")

# Where Docker, Kubernetes and systemd put secrets: one file each, named like its setting (docket_secret_key).
SECRETS_FOLDER = Path("/run/secrets")

# In production the setting for the mail server may only be left out explicitly.
NO_MAIL = "none"
# Words that mark a key as an example, in this project's documents and in others.
PLACEHOLDERS = ("change", "replace", "placeholder", "example", "insecure", "secret", "password", "your-", "your_")


def resource_folder(name: str) -> Path:
    """The path of `templates`, `static` or `alembic`: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / name
    return inside if inside.exists() else package.parent / name


_CONTACT = re.compile(r"mailto:[^\s@:]+@[^\s@:]+|tel:\+?[0-9-]+|https://\S+")


class Rate(NamedTuple):
    """A number of requests in a number of seconds."""

    amount: int
    seconds: int


_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "month": 30 * 86400, "year": 360 * 86400}
_RATE = re.compile(
    r"(\d{1,9})\s*(?:/|per)\s*(\d{1,5})?\s*(second|minute|hour|day|month|year)s?", re.ASCII | re.IGNORECASE
)


def parse_rate(text: str) -> Rate:
    """Read '600/minute' or '100 per 5 minutes'.

    Raises:
        ValueError: the text has another form, or allows nothing.
    """
    found = _RATE.fullmatch(text.strip())
    rate = Rate(int(found[1]), int(found[2] or 1) * _SECONDS[found[3].lower()]) if found else Rate(0, 0)
    if not all(rate):
        raise ValueError("A rate is like 600/minute.")
    return rate


class Settings(BaseSettings):
    """Everything that differs between two installations. `.env.example` documents each setting."""

    model_config = SettingsConfigDict(
        env_prefix="DOCKET_",
        env_file=".env",
        extra="ignore",
        hide_input_in_errors=True,  # Otherwise the error would show all settings, including keys and passwords.
    )

    database_url: str = "sqlite:///var/docket.db"
    secret_key: str = Field(default="", repr=False)
    environment: Literal["development", "production"] = "development"
    base_url: str = ""
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    log_format: Literal["text", "json"] = "text"
    metrics_port: str = ""
    metrics_token: str = Field(default="", repr=False)
    smtp_url: str = Field(default="", repr=False)
    mail_from: str = ""
    sms_url: str = Field(default="", repr=False)
    sms_headers: Annotated[dict[str, str], NoDecode] = Field(default={}, repr=False)
    sms_body: str = '{"to": "{to}", "text": "{text}"}'
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    security_contact: Annotated[tuple[str, ...], NoDecode] = ()
    security_policy: str = ""
    oidc_providers: Annotated[tuple[OidcProvider, ...], NoDecode] = Field(default=(), repr=False)
    live_streams: int = Field(default=300, ge=0, le=900)
    shutdown_delay: float = Field(default=0, ge=0, le=60)
    api_rate_limit: str = "1200/minute"
    neutral_registration: bool = False
    api_rate_limit_anonymous: str = "600/minute"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment takes precedence over `.env`, and both over the files of a secret store."""
        if SECRETS_FOLDER.is_dir():
            file_secret_settings = SecretsSettingsSource(settings_cls, secrets_dir=SECRETS_FOLDER)
        return init_settings, env_settings, dotenv_settings, file_secret_settings

    @property
    def sends_texts(self) -> bool:
        """Whether patients can get text messages. In development they are kept as files, where they can be read."""
        return bool(self.sms_url) or self.environment == "development"

    @field_validator("trusted_proxies", "cors_origins", "security_contact", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("metrics_port")
    @classmethod
    def _a_port(cls, value: str) -> str:
        _host, _colon, port = value.rpartition(":")
        if value and not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
            raise ValueError("must be like 9100, or 10.0.0.5:9100 to listen for other machines")
        return value

    @field_validator("metrics_token")
    @classmethod
    def _a_long_token(cls, value: str) -> str:
        if value and len(value) < 20:
            raise ValueError("needs at least 20 characters")
        return value

    @field_validator("security_contact")
    @classmethod
    def _only_contacts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Addresses as `security.txt` has them; an e-mail address alone becomes one."""
        contacts = tuple(f"mailto:{each}" if "@" in each and ":" not in each else each for each in value)
        for contact in contacts:
            if not _CONTACT.fullmatch(contact):
                raise ValueError(
                    "must be email addresses, or start with mailto:, tel: or https://, like security@clinic.example; "
                    f"{contact} is not one of these"
                )
        return contacts

    @field_validator("security_policy")
    @classmethod
    def _only_a_page(cls, value: str) -> str:
        if value and not re.fullmatch(r"https://[^\s/]+(/\S*)?", value):
            raise ValueError("must be the address of a page, like https://www.clinic.example/security")
        return value

    @field_validator("smtp_url")
    @classmethod
    def _a_mail_server(cls, value: str) -> str:
        parts = urlsplit(value)
        extra = parts.path.strip("/") or parts.query or parts.fragment
        if value == NO_MAIL:
            return value
        if value and (parts.scheme not in {"smtp", "smtp+starttls", "smtps"} or not _is_place(parts) or extra):
            raise ValueError(
                "must be like smtp://user:password@mail.example.org:587, or start with smtp+starttls:// or smtps://"
            )
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _only_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse unreadable networks: they would never match, so that everyone behind the proxy would share its
        address.
        """
        if value != ("*",):
            for place in value:
                try:
                    ip_network(place) if "/" in place else ip_address(place)
                except ValueError:
                    raise ValueError(
                        f"must be addresses or networks, like 127.0.0.1, 10.0.0.0/8; {place} is neither"
                    ) from None
        return value

    @field_validator("mail_from")
    @classmethod
    def _one_address(cls, value: str) -> str:
        local, _at, domain = value.rpartition("@")
        if value and (not local or not domain or any(letter in value for letter in ' <>,;"') or not value.isascii()):
            raise ValueError("must be one address, like booking@clinic.example.org")
        return value

    @field_validator("sms_headers", mode="before")
    @classmethod
    def _headers_of_json(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            headers = json.loads(value or "{}")
        except ValueError:
            headers = None
        if not isinstance(headers, dict) or not all(isinstance(each, str) for each in headers.values()):
            raise ValueError('must be names and values in JSON, like {"Authorization": "Bearer 123"}')
        return headers

    @field_validator("oidc_providers", mode="before")
    @classmethod
    def _providers_of_json(cls, value: object) -> object:
        return read_providers(value) if isinstance(value, str) else value

    @field_validator("api_rate_limit", "api_rate_limit_anonymous")
    @classmethod
    def _a_rate(cls, value: str) -> str:
        try:
            parse_rate(value)
        except ValueError:
            raise ValueError("must be like 600/minute or 20/second") from None
        return value

    @field_validator("cors_origins")
    @classmethod
    def _only_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value == ("*",):
            return value
        return tuple(cls._only_an_origin(origin) for origin in value)

    @field_validator("base_url")
    @classmethod
    def _only_an_origin(cls, value: str) -> str:
        """The address as browsers write it in Origin: in lower case, without the default port of its scheme."""
        value = value.strip()
        if not value:
            return ""
        try:
            parts = urlsplit(value)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        extra = host is None or parts.path.strip("/") or "?" in value or "#" in value or "@" in value
        if extra or parts.scheme not in PORTS:
            raise ValueError("must be like https://booking.example.org, without a path, a query or a user name")
        place = f"[{host}]" if ":" in str(host) else host
        return f"{parts.scheme}://{place}" + (f":{port}" if port not in {None, PORTS[parts.scheme]} else "")

    @field_validator("database_url")
    @classmethod
    def _a_database_we_know(cls, value: str) -> str:
        try:
            url = make_url(value)
            backend = url.get_backend_name()
        except (ArgumentError, ValueError):
            backend = ""
        if backend not in {"sqlite", "postgresql"}:
            raise ValueError("must start with sqlite:/// or postgresql://")
        if backend == "sqlite" and (not url.database or ":memory:" in value or "mode=memory" in value):
            raise ValueError("must name a file, as in sqlite:///var/docket.db: data in memory would be lost")
        return value

    @model_validator(mode="after")
    def _a_gateway(self) -> Self:
        if not self.sms_url:
            return self
        parts = urlsplit(self.sms_url)
        if parts.scheme not in PORTS or not _is_place(parts):
            raise ValueError("DOCKET_SMS_URL must be like https://gateway.example.org/messages")
        if self.sms_media_type not in SMS_MEDIA_TYPES:
            raise ValueError(f"The content type in DOCKET_SMS_HEADERS must be one of: {', '.join(SMS_MEDIA_TYPES)}")
        if "{to}" not in self.sms_body or "{text}" not in self.sms_body:
            raise ValueError("DOCKET_SMS_BODY must contain {to} and {text}")
        return self

    @model_validator(mode="after")
    def _refuse_weak_production(self) -> Self:
        no_mail = self.smtp_url == NO_MAIL
        if no_mail:
            self.smtp_url = ""
        if self.environment != "production":
            return self
        keys = [part.strip() for part in self.secret_key.split(",")]
        if any(len(key) < MINIMUM_SECRET_LENGTH or len(set(key)) < 10 for key in keys):
            raise ValueError(
                f"In production every key in DOCKET_SECRET_KEY needs at least {MINIMUM_SECRET_LENGTH} "
                'random characters; make one with: python3 -c "import secrets; print(secrets.token_urlsafe(48))"'
            )
        if any(word in key.lower() for key in keys for word in PLACEHOLDERS):
            raise ValueError("DOCKET_SECRET_KEY is an example that others know; make a random one")
        if self.trusted_proxies == ("*",):
            raise ValueError(
                "In production DOCKET_TRUSTED_PROXIES must name the proxies: with * every client could pretend to have "
                "another address, and guess passwords without end"
            )
        if not self.smtp_url and not no_mail:
            raise ValueError(
                "In production DOCKET_SMTP_URL must name a mail server, or say none: then no one gets an email, and "
                "they are kept as files"
            )
        if not self.base_url:
            raise ValueError("In production DOCKET_BASE_URL must be set, for example https://booking.example.org")
        if not self.secure_cookies and urlsplit(self.base_url).hostname not in OWN_MACHINE:
            raise ValueError(
                "In production DOCKET_BASE_URL must start with https://, because others can read http traffic"
            )
        return self

    @property
    def known_hosts(self) -> frozenset[str]:
        """The names by which patients reach us in production; empty if any name will do."""
        if self.environment != "production":
            return frozenset()
        host = str(urlsplit(self.base_url).hostname)
        return frozenset(OWN_MACHINE) if host in OWN_MACHINE else frozenset({host})

    @property
    def metrics_place(self) -> tuple[str, int] | None:
        """The address and port at which figures are served; None for no such port. By default for this machine only."""
        if not self.metrics_port:
            return None
        host, _colon, port = self.metrics_port.rpartition(":")
        return host.strip("[]") or "127.0.0.1", int(port)

    @property
    def sms_media_type(self) -> str:
        """The media type that the text message gateway accepts: JSON if the headers name none."""
        named = next((value for name, value in self.sms_headers.items() if name.lower() == "content-type"), "")
        return named.partition(";")[0].strip().lower() or SMS_MEDIA_TYPES[0]

    @property
    def sender(self) -> str:
        """The sender's address of our emails."""
        return self.mail_from or f"docket@{urlsplit(self.base_url).hostname or 'localhost'}"

    @property
    def secure_cookies(self) -> bool:
        """Cookies are `Secure` and have the `__Host-` prefix if and only if patients reach us over https."""
        return self.base_url.startswith("https://")

    @cached_property
    def secret_keys(self) -> list[str]:
        """All keys with the signing key last, in the order that itsdangerous expects."""
        keys = [part.strip() for part in self.secret_key.split(",") if part.strip()]
        return list(reversed(keys)) if keys else [_development_key(Path("var/secret_key"))]


def _is_place(parts: SplitResult) -> bool:
    """Whether an address has a host and a possible port. Reading an impossible port raises ValueError."""
    try:
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _development_key(path: Path) -> str:
    """The key of a developer's machine: created once, readable by its owner only.

    Several worker processes may start at once, so the file is written completely under another name and then linked
    into place. The first link wins, and no process reads half a key.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text(encoding="ascii").strip()
