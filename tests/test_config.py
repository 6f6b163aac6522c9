"""Settings: what the environment may contain, and what production refuses."""

from __future__ import annotations

import json
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from itsdangerous import Signer
from pydantic import ValidationError

from webapp import config
from webapp.config import Settings, parse_rate, resource_folder

STRONG = "fJ3kQ9vX2mWz7LrT5yBn8HcD4sGp6AeK"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A separate working directory, without a developer's `.env`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def why_not(**settings: str) -> str:
    """Why these settings are refused."""
    with pytest.raises(ValidationError) as caught:
        Settings(**{"smtp_url": "none"} | settings)  # type: ignore[arg-type]
    return str(caught.value)


def test_without_any_setting_docket_runs_on_sqlite_in_development() -> None:
    settings = Settings()
    assert (settings.database_url, settings.environment) == ("sqlite:///var/docket.db", "development")
    assert (settings.base_url, settings.trusted_proxies, settings.secure_cookies) == ("", (), False)


def test_settings_come_from_the_environment_and_from_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".env").write_text("DOCKET_DATABASE_URL=sqlite:///file.db\nDOCKET_LOG_FORMAT=json\nOTHER=1\n")
    monkeypatch.setenv("DOCKET_DATABASE_URL", "postgresql://host/docket")
    monkeypatch.setenv("DOCKET_TRUSTED_PROXIES", " 10.0.0.1, 10.0.0.2 ,")
    settings = Settings()
    assert settings.database_url == "postgresql://host/docket"
    assert settings.log_format == "json"
    assert settings.trusted_proxies == ("10.0.0.1", "10.0.0.2")


def test_secrets_come_from_the_files_of_a_secret_store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "docket_secret_key").write_text(f"{STRONG}\n")
    (folder / "docket_smtp_url").write_text("smtps://docket:password@mail.example")
    monkeypatch.setattr(config, "SECRETS_FOLDER", folder)
    settings = Settings()
    assert (settings.secret_keys, settings.smtp_url) == ([STRONG], "smtps://docket:password@mail.example")
    monkeypatch.setenv("DOCKET_SMTP_URL", "none")
    assert Settings().smtp_url == ""


@pytest.mark.parametrize(
    "key", ["", "short", "a" * 64, "abc" * 20, f"{STRONG},short", f"short,{STRONG}", "0123456789" * 3 + "0"]
)
def test_production_refuses_a_weak_secret(key: str) -> None:
    text = why_not(environment="production", base_url="https://clinic.example", secret_key=key)
    assert "at least 32" in text
    assert "token_urlsafe" in text
    assert not key or key not in text
    assert "clinic.example" not in text.replace("booking.example.org", "")


def test_production_needs_to_know_its_address() -> None:
    assert "DOCKET_BASE_URL must be set" in why_not(environment="production", secret_key=STRONG)


def test_production_starts_with_a_strong_secret_and_an_address() -> None:
    settings = Settings(
        environment="production", secret_key=f"{STRONG}, {STRONG[::-1]}", base_url="https://c.example/", smtp_url="none"
    )
    assert settings.base_url == "https://c.example"
    assert settings.secure_cookies


@pytest.mark.parametrize("url", [
    "http://clinic.example", "http://localhost.clinic.example", "http://127.0.0.1.clinic.example",
])  # fmt: skip
def test_production_is_reached_over_https(url: str) -> None:
    assert "must start with https://" in why_not(environment="production", secret_key=STRONG, base_url=url)


@pytest.mark.parametrize("url", ["http://localhost:8000", "http://127.0.0.1"])
def test_production_may_be_tried_out_on_localhost(url: str) -> None:
    settings = Settings(environment="production", secret_key=STRONG, base_url=url, smtp_url="none")
    assert settings.base_url == url
    assert settings.known_hosts == {"localhost", "127.0.0.1"}


@pytest.mark.parametrize("word", ["change-me", "YOUR_SECRET_KEY", "example", "Insecure"])
def test_production_refuses_a_key_from_an_example(word: str) -> None:
    key = f"{word}-0123456789-abcdefghijklmnopqrstuvwxyz"
    assert "an example that others know" in why_not(
        environment="production", base_url="https://c.example", secret_key=key
    )


def test_production_without_a_mail_server_is_meant_to_be_so() -> None:
    production: dict[str, Any] = {"environment": "production", "base_url": "https://c.example", "secret_key": STRONG}
    assert "DOCKET_SMTP_URL must name a mail server, or say none" in why_not(**production, smtp_url="")
    assert Settings(**production, smtp_url="none").smtp_url == ""
    assert Settings(smtp_url="none").smtp_url == ""


def test_production_trusts_named_proxies_only() -> None:
    production = {"environment": "production", "base_url": "https://c.example", "secret_key": STRONG}
    assert "must name the proxies" in why_not(**production, trusted_proxies="*")
    assert Settings(trusted_proxies="*").trusted_proxies == ("*",)  # type: ignore[arg-type]


@pytest.mark.parametrize("place", ["10.0.0.0/33", "10.0.0.1/8", "proxy", "10.0.0", "*, 127.0.0.1", "::1/129"])
def test_a_proxy_is_an_address_or_a_network(place: str) -> None:
    assert "must be addresses or networks" in why_not(trusted_proxies=f"10.0.0.0/8, {place}")


def test_only_production_knows_its_hosts() -> None:
    assert Settings(base_url="https://c.example").known_hosts == frozenset()
    production: dict[str, Any] = {"environment": "production", "secret_key": STRONG, "smtp_url": "none"}
    assert Settings(**production, base_url="https://c.example:8443").known_hosts == {"c.example"}


@pytest.mark.parametrize(("written", "meant"), [
    ("HTTPS://Clinic.Example", "https://clinic.example"),
    (" https://clinic.example:443/ ", "https://clinic.example"),
    ("http://LOCALHOST:80", "http://localhost"),
    ("https://clinic.example:8443", "https://clinic.example:8443"),
    ("http://[::1]:8000", "http://[::1]:8000"),
    ("", ""),
])  # fmt: skip
def test_an_address_is_kept_as_browsers_write_it(written: str, meant: str) -> None:
    assert Settings(base_url=written).base_url == meant


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"])
def test_a_database_in_memory_is_refused(url: str) -> None:
    assert "must name a file" in why_not(database_url=url)


@pytest.mark.parametrize("url", [
    "clinic.example", "ftp://clinic.example", "https://", "//clinic.example", "https://c.example/path",
    "https://c.example?q", "https://c.example#f", "https://me@c.example", "https://c.example:x", "http://[",
])  # fmt: skip
def test_an_address_is_http_or_https(url: str) -> None:
    assert "must be like https://" in why_not(base_url=url)


@pytest.mark.parametrize(("name", "value"), [("environment", "staging"), ("log_format", "xml")])
def test_a_word_that_is_not_on_the_list_is_refused(name: str, value: str) -> None:
    assert name in why_not(**{name: value})


def test_cookies_are_secure_exactly_where_the_address_is_https() -> None:
    assert Settings(base_url="https://clinic.example").secure_cookies
    assert not Settings(base_url="http://localhost:8000").secure_cookies


def test_the_first_key_signs_and_all_verify() -> None:
    old, both = Settings(secret_key=STRONG), Settings(secret_key=f" new-key-of-this-month , {STRONG} ,")
    signed = Signer(old.secret_keys).sign("value")
    assert Signer(both.secret_keys).unsign(signed) == b"value"
    assert Signer(["new-key-of-this-month"]).unsign(Signer(both.secret_keys).sign("value")) == b"value"


def test_a_secret_is_not_shown() -> None:
    assert STRONG not in repr(Settings(secret_key=STRONG))


def test_in_development_a_key_is_made_once_for_its_owner_alone(folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _number: tuple(Settings().secret_keys), range(16)))
    path = folder / "var" / "secret_key"
    assert set(keys) == {(path.read_text(),)}
    assert len(path.read_text()) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in path.parent.iterdir()] == ["secret_key"]


@pytest.mark.parametrize("name", ["templates", "static", "alembic"])
def test_the_files_beside_the_code_are_found(name: str) -> None:
    assert resource_folder(name).is_dir()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("api_rate_limit", "often", "must be like 600/minute"),
        ("api_rate_limit_anonymous", "", "must be like 600/minute"),
        ("api_rate_limit", "0/minute", "must be like 600/minute"),
        ("api_rate_limit", "10/0 minutes", "must be like 600/minute"),
        ("cors_origins", "https://www.example.org/page", "without a path"),
        ("cors_origins", "example.org", "must be like https://"),
        (
            "security_contact",
            "security@clinic.example, http://clinic.example",
            "http://clinic.example is not one of these",
        ),
        ("security_contact", "a@clinic.example\nExpires: never", "is not one of these"),
        ("security_policy", "www.clinic.example", "must be the address of a page"),
    ],
)
def test_wrong_settings_of_the_api_are_explained(
    name: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"DOCKET_{name.upper()}", value)
    with pytest.raises(ValidationError, match=sentence):
        Settings()


def test_origins_of_other_sites_are_written_as_browsers_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKET_CORS_ORIGINS", "https://WWW.example.org:443/, http://localhost:3000")
    assert Settings().cors_origins == ("https://www.example.org", "http://localhost:3000")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"smtp_url": "mail.example.org"}, "must be like smtp://"),
        ({"smtp_url": "http://secret:secret@mail.example.org"}, "must be like smtp://"),
        ({"smtp_url": "smtp://secret@mail.example.org/path"}, "must be like smtp://"),
        ({"smtp_url": "smtp://secret@mail.example.org:mail"}, "must be like smtp://"),
        ({"smtp_url": "smtp://secret@mail.example.org:70000"}, "must be like smtp://"),
        ({"mail_from": "Clinic <booking@clinic.example>"}, "must be one address"),
        ({"mail_from": "booking"}, "must be one address"),
        ({"sms_url": "gateway.example.org/secret"}, "must be like https://"),
        ({"sms_url": "https://gateway.example.org:https/secret"}, "must be like https://"),
        ({"sms_url": "https://g.example", "sms_headers": "secret"}, "must be names and values in JSON"),
        ({"sms_url": "https://g.example", "sms_headers": '{"Content-Type": "text/plain"}'}, "must be one of"),
        ({"sms_url": "https://g.example", "sms_body": '{"to": "{to}"}'}, "must contain {to} and {text}"),
    ],
)
def test_messages_need_servers_that_can_be_reached(settings: dict[str, str], said: str) -> None:
    text = why_not(**settings)
    assert said in text
    assert "secret" not in text


def test_where_messages_come_from_and_how_they_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().sender == "docket@localhost"
    assert Settings(base_url="https://booking.clinic.example").sender == "docket@booking.clinic.example"
    monkeypatch.setenv("DOCKET_MAIL_FROM", "visits@clinic.example")
    monkeypatch.setenv("DOCKET_SMS_HEADERS", '{"Authorization": "Bearer 1", "content-type": "text/xml; charset=utf-8"}')
    settings = Settings()
    assert settings.sender == "visits@clinic.example"
    assert (settings.sms_headers["Authorization"], settings.sms_media_type) == ("Bearer 1", "text/xml")


PROVIDER = {"name": "hospital", "issuer": "https://id.example", "client_id": "docket", "client_secret": "hush hush"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"issuer": "http://id.example"}, "must start with https://"),
        ({"issuer": "https://id.example?x=1"}, "must start with https://"),
        ({"name": "St. Mary"}, "name: "),
        ({"role_claim": "groups"}, "role_claim and role_values belong together"),
        ({"role_claim": "groups", "role_values": {"it": "boss"}}, "role_values.it"),
        ({"roles": ["boss"]}, "roles.0"),
        ({"scopes": "email"}, "scopes must contain openid"),
        ({"secret": "hush hush"}, "secret: "),
        ({"client_id": ""}, "client_id: "),
    ],
)
def test_an_identity_provider_is_whole_and_its_secret_stays_out_of_errors(wrong: dict[str, object], said: str) -> None:
    text = why_not(oidc_providers=json.dumps([PROVIDER | wrong]))
    assert said in text
    assert "hush" not in text


def test_identity_providers_are_a_list_without_twins(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("{}x", "1", "[1]", json.dumps([PROVIDER, PROVIDER])):
        assert "DOCKET_OIDC_PROVIDERS" in why_not(oidc_providers=text) or "oidc_providers" in why_not(
            oidc_providers=text
        )
    monkeypatch.setenv(
        "DOCKET_OIDC_PROVIDERS", json.dumps([PROVIDER, PROVIDER | {"name": "b", "issuer": "http://localhost"}])
    )
    settings = Settings()
    assert [each.shown for each in settings.oidc_providers] == ["hospital", "b"]
    assert "hush" not in repr(settings)
    assert "hush" not in repr(settings.oidc_providers)
    assert settings.oidc_providers[0].roles == ("receptionist", "doctor", "admin")
    assert not settings.oidc_providers[0].creates_accounts


@pytest.mark.parametrize(
    ("text", "amount", "seconds"),
    [
        ("600/minute", 600, 60),
        ("20 / second", 20, 1),
        ("100 per 5 minutes", 100, 300),
        ("1/Day", 1, 86400),
        ("9/month", 9, 2592000),
    ],
)
def test_rates_are_read_as_people_write_them(text: str, amount: int, seconds: int) -> None:
    assert parse_rate(text) == (amount, seconds)


@pytest.mark.parametrize("file", [".env.example", "docs/running.md"])
def test_every_setting_is_described(file: str) -> None:
    text = (Path(__file__).parent.parent / file).read_text(encoding="utf-8")
    names = {f"DOCKET_{name.upper()}" for name in Settings.model_fields}
    assert sorted(name for name in names if not re.search(rf"\b{name}\b", text)) == []
