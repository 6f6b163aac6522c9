"""`python -m bench.sso`: staff sign in to a served Docket with a real OpenID Connect provider, in a real browser.

It needs Node 22 or later, and a folder in which `npm install oidc-provider@9` was run; and the browser of the tests.
The provider refuses a wrong verifier and a used code, so this tests the real protocol.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import sqlalchemy as sa
from playwright.sync_api import Page, sync_playwright

from bench.servers import empty_database
from bench.terminal import say
from tests.browser_path import browser_path
from tests.cast import NOW, assemble
from tests.postgres import postgres_server
from tests.servers import free_port, live_server
from webapp.event_handlers import wired_database
from webapp.identity_providers import OidcProvider
from webapp.migrations import upgrade
from webapp.models import LinkedIdentity, SecurityEvent, User

SCRIPT = Path(__file__).with_name("sso_provider.mjs")
WITHIN = 20


def main() -> int:
    """Run it; 0 when all went as promised."""
    parser = argparse.ArgumentParser(prog="python -m bench.sso", description=__doc__)
    parser.add_argument("--modules", type=Path, required=True, help="the folder where npm installed oidc-provider")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    options = parser.parse_args()
    node = shutil.which("node")
    if node is None or not (options.modules / "node_modules" / "oidc-provider").is_dir():
        say("This needs node, and --modules with a folder in which `npm install oidc-provider@9` was run.")
        return 2
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="docket-sso-")))
        server = stack.enter_context(postgres_server()) if options.database == "postgresql" else None
        url = stack.enter_context(empty_database(options.database, server, folder))
        return _run(stack, node, options.modules.resolve(), url)


def _run(stack: ExitStack, node: str, modules: Path, url: str) -> int:
    database = wired_database(url)
    stack.callback(database.dispose)
    upgrade(database)
    cast = assemble(database)
    cast.change(sa.update(User).values(email_confirmed_at=NOW))
    issuer = f"http://127.0.0.1:{free_port()}"
    mapped = {"role_claim": "groups", "role_values": {"bobs": "doctor", "carols": "admin"}}
    named = {"name": "hospital", "label": "St. Mary’s", "issuer": issuer}
    secret = {"client_id": "docket", "client_secret": "made-for-the-bench"}
    provider = OidcProvider.model_validate({**named, **secret, **mapped})
    settings = {"DOCKET_OIDC_PROVIDERS": f"[{provider.model_dump_json()}]"}
    live = stack.enter_context(live_server(url, env=settings))
    back = f"{live.url}/login/sso/hospital/callback"
    stack.enter_context(_provider(node, modules, issuer, back))
    browser = stack.enter_context(sync_playwright()).chromium.launch(executable_path=str(browser_path()))
    stack.callback(browser.close)
    ends: dict[str, str] = {}
    for name in ("bob", "bob", "carol", "dave"):
        context = browser.new_context(java_script_enabled=False)
        began = time.monotonic()
        ends[name] = _sign_in(context.new_page(), live.url, issuer, name)
        say(f"{name}: {ends[name]} after {time.monotonic() - began:.1f} s")
        context.close()
    with database.reading() as session:
        links = session.scalars(sa.select(LinkedIdentity.subject).order_by(LinkedIdentity.subject)).all()
        events = session.scalar(sa.select(sa.func.sum(SecurityEvent.count)).where(SecurityEvent.about == "hospital"))
    say(f"linked: {', '.join(links)}; {events} sign-ins in the security events")
    right = {"bob": "/schedule", "carol": "/admin", "dave": "/login"}
    secret_is_logged = "made-for-the-bench" in live.output()
    return 0 if ends == right and links == ["bob", "carol"] and events == 3 and not secret_is_logged else 1


def _sign_in(page: Page, url: str, issuer: str, name: str) -> str:
    """Sign in as this person, by keyboard and forms alone, and return the path where that leads."""
    page.goto(f"{url}/login")
    page.get_by_role("link", name="Sign in with St. Mary’s").click()
    assert page.url.startswith(issuer), page.url
    page.locator("input[name=login]").fill(name)
    page.locator("input[name=password]").fill("any")
    page.locator("button[type=submit]").click()
    # The provider asks whether Docket may know who it is.
    page.locator("button[type=submit]").click()
    page.wait_for_url(f"{url}/**")
    return page.url.removeprefix(url).partition("?")[0]


@contextmanager
def _provider(node: str, modules: Path, issuer: str, back: str) -> Iterator[None]:
    port = issuer.rpartition(":")[2]
    process = subprocess.Popen([node, str(SCRIPT), port, str(modules), back], stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + WITHIN
        while not _answers(f"{issuer}/.well-known/openid-configuration"):
            assert process.poll() is None, "The provider has ended."
            assert time.monotonic() < until, "The provider does not answer."
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    sys.exit(main())
