"""The image and the services around it, as far as they can be tested without a container engine: see `tests.image`."""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import httpx2
import psycopg
import pytest
import sqlalchemy as sa
import yaml
from sqlalchemy.engine import make_url

from tests.image import BUILD, FINAL, ROOT, Image, make_image
from tests.mail_server import mail_server
from tests.postgres import libpq, new_database
from tests.processes import PATIENCE
from tests.servers import SECRET_KEY, free_port
from webapp import cli
from webapp.config import Settings
from webapp.database import Database
from webapp.integrity.guard_trial import guard_is_in_place
from webapp.migrations import upgrade
from webapp.serving.processes import SECONDS_TO_FINISH

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"] == "docket"]


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The image, built once."""
    with make_image() as image:
        yield image


# ----------------------------------------------------------------------------------------------------- the image


def test_the_wheel_holds_what_docket_needs_and_nothing_else(image: Image) -> None:
    with zipfile.ZipFile(image.wheel) as wheel:
        names = set(wheel.namelist())
    for name in ("main.py", "templates/base.html", "static/css/base.css", "alembic/env.py", "alembic.ini"):
        assert f"webapp/{name}" in names
    for folder in ("templates", "static", "alembic/versions"):
        ours = {path.name for path in (ROOT / folder).iterdir() if path.is_file() and path.suffix != ".pyc"}
        assert ours <= {Path(name).name for name in names if name.startswith(f"webapp/{folder}/")}
    assert {f"webapp/static/vendor/{name}" for name in ("htmx.min.js", "swagger-ui.css")} <= names
    tops = {name.partition("/")[0] for name in names}
    assert {top.partition("-")[0] for top in tops} == {"webapp", "docket"}
    assert not [name for name in names if name.endswith((".pyc", ".db", ".env"))]


def test_the_image_alone_serves_from_its_own_file(image: Image) -> None:
    port = free_port()
    env = image.settings({
        "DOCKET_ENVIRONMENT": "production",
        "DOCKET_SECRET_KEY": SECRET_KEY,
        "DOCKET_BASE_URL": f"http://localhost:{port}",
        "DOCKET_SMTP_URL": "none",
    })  # fmt: skip
    compiled = image.compiled_templates()
    assert len(compiled) > 100
    docket = FINAL.words("ENTRYPOINT")
    # Docket is found where it was installed, not in the checkout.
    where = image.run(["python", "-c", "import webapp; print(webapp.__file__)"], env)
    assert where.stdout.startswith(str(image.environment)), where.stderr

    serve = [*docket, *FINAL.words("CMD"), "--host", "127.0.0.1", "--port", str(port)]
    unprepared = image.run(serve, env)
    assert (unprepared.returncode, "`docket db upgrade` creates a new one" in unprepared.stderr) == (2, True)
    upgraded = image.run([*docket, "db", "upgrade"], env)
    assert upgraded.stdout == "The database is upgraded to the newest schema.\n", upgraded.stderr
    with image.start(serve, env) as server:
        server.wait_until(lambda: fetch(port, "/health/live")[0] == 200)
        assert image.is_healthy(port, env)
        status, page = fetch(port, "/login")
        assert (status, "<!doctype html>" in page.lower()) == (200, True)
        for file in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
            assert fetch(port, file)[0] == 200, file
        assert fetch(port, "/docs")[0] == 200
    assert not image.is_healthy(port, env)
    assert image.run([*docket, "check"], env).returncode == 0
    assert {path.name.partition("-")[0] for path in image.data.iterdir()} == {"docket.db"}
    # Nothing is compiled again.
    assert image.compiled_templates() == compiled
    assert list(image.nowhere.iterdir()) == []


def fetch(port: int, path: str) -> tuple[int, str]:
    """The status and text of an answer on this machine; (0, "") if there is no server."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def test_nothing_is_built_or_run_as_root_in_the_final_stage() -> None:
    assert FINAL.all("USER") == ["10001:10001"]
    assert [instruction for instruction, _rest in FINAL.lines].index("USER") > max(
        index for index, (instruction, _rest) in enumerate(FINAL.lines) if instruction in {"RUN", "COPY"}
    )
    (command,) = FINAL.all("RUN")
    assert command.startswith("useradd --uid 10001 ")
    assert FINAL.all("COPY") == ["--from=build /opt/docket /opt/docket"]


def test_only_what_the_dockerfile_copies_reaches_the_build() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert let_in == {Path(source).parts[0] for source in BUILD.copied()}


# ---------------------------------------------------------------------------------------------------- the services


def filled_in(value: object, given: Mapping[str, str]) -> object:
    """A value of compose.yaml with its variables replaced by the given ones or their defaults."""
    if isinstance(value, dict):
        return {key: filled_in(item, given) for key, item in value.items()}
    if isinstance(value, list):
        return [filled_in(item, given) for item in value]
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        name, otherwise, default = match.groups()
        assert name in given or otherwise == ":-", f"{name} has to be given: {default}"
        return given.get(name, default)

    return re.sub(r"\$\{(\w+)(:[-?])((?:[^}])*)\}", variable, value)


@pytest.mark.parametrize("name", [*OURS, "the image"])
def test_every_command_is_one_of_dockets(name: str) -> None:
    words: list[str] = FINAL.words("CMD") if name == "the image" else list(SERVICES[name]["command"])
    command: click.Command | None = cli.docket
    context = click.Context(cli.docket, **cli.docket.context_settings)
    while isinstance(command, click.Group):
        command = command.get_command(context, words.pop(0))
    assert command is not None
    # Unknown options are an error here. A command keeps the help option of its first context: this one has docket's.
    command.make_context(name, words, parent=context)


def test_compose_passes_every_setting_and_no_other() -> None:
    known = {f"DOCKET_{name.upper()}" for name in Settings.model_fields}
    for name in OURS:
        assert set(SERVICES[name]["environment"]) == known
    assert {name for name in FINAL.environment() if name.startswith("DOCKET_")} <= known


def test_secrets_are_required_and_not_committed() -> None:
    for missing in ("DOCKET_SECRET_KEY", "POSTGRES_PASSWORD"):
        given = {"DOCKET_SECRET_KEY": SECRET_KEY, "POSTGRES_PASSWORD": "secret"}
        filled_in(COMPOSE, given)
        del given[missing]
        with pytest.raises(AssertionError, match=missing):
            filled_in(COMPOSE, given)


def test_the_services_have_few_privileges() -> None:
    for name, service in SERVICES.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "network_mode", "pid", "ipc"} & set(service), name
        # Docket's own image names its user.
        assert name in OURS or service["user"] not in {"", "root", "0", "0:0"}, name
        assert name in OURS or re.search(r":v?\d", service["image"]), f"{name}: which version?"
    assert {name: service["cap_add"] for name, service in SERVICES.items() if "cap_add" in service} == {
        "proxy": ["NET_BIND_SERVICE"]
    }


def test_the_database_is_used_by_a_plain_owner(postgres_url: str) -> None:
    assert "./deploy/database.sql:/docker-entrypoint-initdb.d/database.sql:ro" in SERVICES["database"]["volumes"]
    assert set(SERVICES["database"]["environment"]) == {"POSTGRES_PASSWORD"}
    user = make_url(
        str(SERVICES["web-1"]["environment"]["DOCKET_DATABASE_URL"]).partition("${")[0] + "x@host/x"
    ).username
    assert user == "docket"
    # The same statements, for a unique name on this server, and without the one about the server's user.
    text = re.sub(r"^(--|\\).*$", "", (ROOT / "deploy" / "database.sql").read_text(), flags=re.MULTILINE)
    name, password = f"owner_{os.getpid()}", "secret"
    *ours, last, _end = [
        each.strip() for each in text.replace("docket", name).replace(":'password'", "'secret'").split(";")
    ]
    assert last == "ALTER ROLE postgres PASSWORD NULL"
    with psycopg.connect(libpq(postgres_url), autocommit=True) as server:
        for statement in ours:
            server.execute(statement.encode())
        try:
            database = Database(
                make_url(postgres_url)
                .set(username=name, password=password, database=name)
                .render_as_string(hide_password=False)
            )
            upgrade(database)
            assert guard_is_in_place(database)
            with database.reading() as session:
                rights = "rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls"
                mine = f"SELECT {rights} FROM pg_roles WHERE rolname = current_user"
                assert session.scalar(sa.text(mine)) is False
            database.dispose()
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
            server.execute(f"DROP ROLE {name}".encode())


def test_two_services_answer_at_one_address_and_little_else_is_reached() -> None:
    given = {"DOCKET_SECRET_KEY": SECRET_KEY, "POSTGRES_PASSWORD": "secret"}
    compose: Any = filled_in(COMPOSE, given)
    services = compose["services"]
    assert {name: service["ports"] for name, service in services.items() if "ports" in service} == {
        "proxy": ["127.0.0.1:8000:8000"],
        "mail": ["127.0.0.1:8025:8025"],
    }
    members = {
        network: {name for name, service in services.items() if network in service["networks"]}
        for network in compose["networks"]
    }
    assert members == {
        "front": {"proxy", "web-1", "web-2"},
        "data": {"web-1", "web-2", "worker", "migrate", "database"},
        "mail": {"worker", "mail"},
    }
    assert compose["networks"]["data"] == {"internal": True}
    # The services that the proxy asks, and the network that is trusted about clients' addresses.
    assert services["proxy"]["environment"]["WEB_SERVICES"] == "web-1:8000 web-2:8000"
    assert set(services["proxy"]["depends_on"]) == {"web-1", "web-2"}
    caddy = (ROOT / "deploy" / "Caddyfile").read_text()
    assert "reverse_proxy {$WEB_SERVICES} {" in caddy
    assert "trusted_proxies {$FRONT_NETWORK}" in caddy
    front = compose["networks"]["front"]["ipam"]["config"][0]["subnet"]
    assert services["proxy"]["environment"]["FRONT_NETWORK"] == front
    for name in ("web-1", "web-2"):
        assert services[name]["environment"]["DOCKET_TRUSTED_PROXIES"] == front
        # The proxy notices within a second, and Docker waits until what was taken is answered.
        assert 1 < float(services[name]["environment"]["DOCKET_SHUTDOWN_DELAY"]) < 20 - SECONDS_TO_FINISH
        assert services[name]["stop_grace_period"] == "20s"


def test_the_services_run_together(image: Image, postgres_url: str) -> None:
    docket, ports = FINAL.words("ENTRYPOINT"), [free_port(), free_port()]
    email, password = "anna@clinic.example", "three unrelated garden words"
    with new_database(postgres_url) as url, mail_server() as post, ExitStack() as services:
        settings: Any = filled_in(
            SERVICES["web-1"]["environment"], {"DOCKET_SECRET_KEY": SECRET_KEY, "POSTGRES_PASSWORD": "secret"}
        )
        # Names on Docker's networks, which have other addresses here.
        settings |= {"DOCKET_DATABASE_URL": url, "DOCKET_SMTP_URL": post.url}
        env = image.settings({name: value for name, value in settings.items() if value is not None})
        assert image.run([*docket, *SERVICES["migrate"]["command"]], env).returncode == 0
        create = [*docket, "user", "create", "--role=admin", f"--email={email}", "--name=Anna", "--password-stdin"]
        assert image.run(create, env, typed=f"{password}\n").returncode == 0

        web = [*docket, *SERVICES["web-1"]["command"], "--host", "127.0.0.1", "--port"]
        servers = [services.enter_context(image.start([*web, str(port)], env)) for port in ports]
        worker = services.enter_context(image.start([*docket, *SERVICES["worker"]["command"]], env))
        for server, port in zip(servers, ports, strict=True):
            server.wait_until(lambda port=port: fetch(port, "/health/live")[0] == 200)  # type: ignore[misc]
            assert image.is_healthy(port, env)

        # A session is valid at both web services, and the worker sends what a web service was asked to send.
        with httpx2.Client(
            timeout=PATIENCE, headers={"host": "localhost:8000", "origin": settings["DOCKET_BASE_URL"]}
        ) as browser:
            first, second = (f"http://127.0.0.1:{port}" for port in ports)
            browser.post(f"{first}/login", data={"email": email, "password": password})
            # A new clinic requires the second factor, which the admin has not set up yet.
            assert browser.get(f"{second}/account/factor/new").status_code == 200
            browser.post(f"{second}/password/forgot", data={"email": email})
        worker.wait_until(lambda: len(post.mails) == 2)
        assert {mail["To"] for mail in post.mails} == {email}
        # The other one tells of the sign-in on a new browser.
        assert any(f"{settings['DOCKET_BASE_URL']}/password/reset/" in mail.as_string() for mail in post.mails)
        assert list(image.nowhere.iterdir()) == []
