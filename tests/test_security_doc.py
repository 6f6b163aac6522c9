"""docs/security.md is true: each requirement has a row, each test exists. Also rules about the code that no other test
checks.
"""

from __future__ import annotations

import ast
import logging
import re
import ssl
from collections import Counter
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from starlette.testclient import TestClient

from tests.cast import NOW, Cast, log_in
from tests.reading import read
from webapp.auth.passwords.password_links import create_password_link
from webapp.core.logging import configure_logging
from webapp.core.tls import cached_context, modern

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "security.md"
# How many requirements of levels 1 and 2 each section of ASVS 5.0 has; they are numbered from 1 on.
REQUIREMENTS = """
    1.1 2  1.2 9  1.3 11  1.4 3  1.5 2  2.1 3  2.2 3  2.3 4  2.4 1  3.2 2  3.3 4  3.4 6  3.5 5  3.7 2  4.1 3  4.2 1
    4.3 2  4.4 4  5.1 1  5.2 3  5.3 2  5.4 3  6.1 3  6.2 12  6.3 4  6.4 4  6.5 5  6.6 3  6.8 4  7.1 3  7.2 4  7.3 2
    7.4 5  7.5 2  7.6 2  8.1 2  8.2 3  8.3 1  8.4 1  9.1 3  9.2 4  10.1 2  10.2 2  10.3 4  10.4 11  10.5 5  10.6 2
    10.7 3  11.1 2  11.2 3  11.3 3  11.4 4  11.5 1  11.6 1  12.1 3  12.2 2  12.3 4  13.1 1  13.2 5  13.3 2  13.4 5
    14.1 2  14.2 4  14.3 3  15.1 3  15.2 3  15.3 7  16.1 1  16.2 5  16.3 4  16.4 3  16.5 3  17.1 1  17.2 4  17.3 2
"""
STATES = ("met", "partly", "not", "does not apply")
NAMED_TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")
# Functions that the application must not use anywhere: they run text as code, or read objects from bytes.
RUNS_TEXT = {"eval", "exec", "compile", "__import__"}
READS_OBJECTS = {"pickle", "marshal", "shelve", "dill", "yaml"}
STARTS_PROGRAMS = {"subprocess", "os.system", "os.popen", "pty"}
OPENS_CONNECTIONS = {"httpx2", "smtplib", "ftplib", "telnetlib", "imaplib", "urllib.request", "http.client", "requests"}


class Row(NamedTuple):
    """One requirement in the document."""

    number: str
    asks: str
    state: str
    where: str


@cache
def rows() -> list[Row]:
    """The rows of all tables of requirements."""
    found = re.findall(r"^\| (\d+\.\d+\.\d+) \| (.+?) \| (.+?) \| (.+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    return [Row(*each) for each in found]


class Module(NamedTuple):
    """What a module of the application imports and calls; `late` calls are inside functions."""

    text: str
    imports: set[str]
    calls: list[tuple[str, ast.Call]]
    late: list[tuple[str, ast.Call]]


@cache
def modules() -> dict[str, Module]:
    """The application's modules by their paths."""
    paths = sorted((ROOT / "webapp").rglob("*.py"))
    return {str(path.relative_to(ROOT)): _read(path.read_text()) for path in paths}


def _read(text: str) -> Module:
    module = Module(text, set(), [], [])
    waiting: list[tuple[ast.AST, bool]] = [(ast.parse(text), False)]
    while waiting:
        node, late = waiting.pop()
        if isinstance(node, ast.Import):
            module.imports.update(each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            module.imports.update({node.module, *(f"{node.module}.{each.name}" for each in node.names)})
        elif isinstance(node, ast.Call):
            (module.late if late else module.calls).append((_name(node.func), node))
        late = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        waiting.extend((each, late) for each in ast.iter_child_nodes(node))
    return module


def _name(node: ast.expr) -> str:
    """A dotted name, or its end where it begins with something else: `.starttls`."""
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def who_imports(wanted: set[str]) -> set[str]:
    """The modules that import one of these."""
    return {path for path, module in modules().items() if wanted & module.imports}


def test_each_requirement_has_one_row() -> None:
    words = REQUIREMENTS.split()
    wanted = [
        f"{section}.{number}"
        for section, count in zip(words[::2], words[1::2], strict=True)
        for number in range(1, int(count) + 1)
    ]
    assert len(wanted) == 253
    assert [row.number for row in rows()] == wanted


def test_each_row_has_a_state_and_each_met_one_has_a_test() -> None:
    for row in rows():
        assert row.state in STATES, row
        if row.state == "met":
            assert NAMED_TEST.search(row.where), f"{row.number}: which test?"
        else:
            assert len(re.sub(r"`[^`]*`", "", row.where)) > 5, f"{row.number}: why?"


def test_every_test_and_file_that_is_named_is_there() -> None:
    text = DOCUMENT.read_text()
    for file, name in set(NAMED_TEST.findall(text)):
        source = (ROOT / "tests" / file).read_text()
        assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE), f"{file}::{name}"
    for path in set(re.findall(r"`((?:webapp|templates|tests|deploy|scripts)/[\w/.-]*)`", text)):
        assert (ROOT / path).exists(), path
    headings = {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    for link in set(re.findall(r"\]\((?!https:)([^)]+)\)", text)):
        place, _hash, anchor = link.partition("#")
        assert place or anchor in headings, link
        assert not place or (DOCUMENT.parent / place).exists(), link


def test_the_counts_at_the_head_are_right() -> None:
    counts = Counter(row.state for row in rows())
    head = re.search(
        r"\*\*(\d+) met, (\d+) partly, (\d+) not\*\* of (\d+) that apply; (\d+) do not apply", DOCUMENT.read_text()
    )
    assert head is not None
    met, partly, missing, apply, other = map(int, head.groups())
    assert [met, partly, missing, other] == [counts[state] for state in STATES]
    assert met + partly + missing == apply


# ------------------------------------------------------------------------ what no other test looks at


def test_requests_start_no_program_and_evaluate_no_code() -> None:
    # The commands of an operator may: a backup of PostgreSQL is made by its own program.
    starting = who_imports(STARTS_PROGRAMS)
    assert {path for path in starting if not path.startswith("webapp/backups/")} == set()
    # Jinja's compiled templates are beside Python's own compiled modules: only a person who can change the code can
    # write there.
    assert who_imports(READS_OBJECTS) == {"webapp/core/compiled_templates.py"}
    for path, module in modules().items():
        for name, call in (*module.calls, *module.late):
            assert name not in RUNS_TEXT | STARTS_PROGRAMS, f"{path}:{call.lineno}"
        # A pattern that is made while a request is answered could be made of what was sent.
        for name, call in module.late:
            if name.startswith("re.") and name != "re.escape":
                constant = isinstance(call.args[0], ast.Constant)
                assert constant or path == "webapp/core/routing.py", f"{path}:{call.lineno}"


def test_no_sql_is_built_from_input() -> None:
    sql = {"sa.text", "text", "sa.literal_column", "sa.DDL"}
    built = {
        path
        for path, module in modules().items()
        for name, call in module.late
        if name in sql or name.endswith(".exec_driver_sql")
        if call.args and not isinstance(call.args[0], ast.Constant)
    }
    # Names of tables, conditions, triggers, kinds of rows, time-outs and the months of a report: our names and numbers.
    ours = (
        "clinic/schedule_versions",
        "dashboard/report_queries",
        "database",
        "engines",
        "integrity/declared_values",
        "scheduling/facts_queries",
        "sql_functions",
    )
    assert {path for path in built if not path.endswith("/models.py")} == {f"webapp/{name}.py" for name in ours}


def test_no_weak_algorithm_is_used() -> None:
    weak = {"md5", "sha1", "sha", "md4", "new"}
    for path, module in modules().items():
        for name, call in (*module.calls, *module.late):
            assert name not in {f"hashlib.{each}" for each in weak}, f"{path}:{call.lineno}"
    # Random numbers that can be guessed are only for demo data; encryption is the library's recipe, never assembled by
    # hand.
    assert {path for path in who_imports({"random"}) if not path.startswith("webapp/demo/")} == set()
    assert all("hazmat" not in name for module in modules().values() for name in module.imports)
    assert who_imports({"cryptography.fernet"}) == {"webapp/core/sealing.py"}


def test_outgoing_connections_check_certificates() -> None:
    # Debian's Python and OpenSSL's settings would also allow older versions.
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    assert cached_context(httpx2.create_ssl_context) is cached_context(httpx2.create_ssl_context)
    for each in (modern(context), cached_context(httpx2.create_ssl_context)):
        assert (each.verify_mode, each.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert each.minimum_version >= ssl.TLSVersion.TLSv1_2
    encrypted = 0
    for path, module in modules().items():
        for careless in ("verify=False", "CERT_NONE", "check_hostname = False", "_create_unverified_context"):
            assert careless not in module.text, f"{path}: {careless}"
        for name, call in module.late:
            if name.endswith((".SMTP_SSL", ".starttls")):
                # Without a context, smtplib checks nothing.
                given = {each.arg: ast.unparse(each.value) for each in call.keywords}
                assert given.get("context") == "modern(ssl.create_default_context())", f"{path}:{call.lineno}"
                encrypted += 1
            if name.endswith(("httpx2.Client", "httpx2.post")):
                given = {each.arg: ast.unparse(each.value) for each in call.keywords}
                assert given.get("verify") == "cached_context(httpx2.create_ssl_context)", f"{path}:{call.lineno}"
                encrypted += 1
    assert encrypted == 4


def test_connections_are_opened_in_these_modules_alone() -> None:
    named = set(re.findall(r"^\| `(webapp/[\w/]+\.py)` \|", DOCUMENT.read_text(), re.MULTILINE))
    assert who_imports(OPENS_CONNECTIONS) | {"webapp/engines.py"} == named


def test_scripts_write_no_html_and_store_no_data() -> None:
    dangerous = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|postMessage|JSON\.parse"
    storing = r"sessionStorage|indexedDB|document\.cookie|localStorage\.setItem"
    scripts = sorted((ROOT / "static" / "js").glob("*.js"))
    assert len(scripts) > 8
    found = [(path.name, each) for path in scripts for each in re.findall(f"{dangerous}|{storing}", path.read_text())]
    # The name of a kind of swap, whether letter keys are on, and what the tabs of one browser tell each other: numbers
    # of versions, from our own server, which are compared and never shown.
    assert set(found) == {
        ("board.js", "innerHTML"),
        ("staff-keys.js", "localStorage.setItem"),
        ("live.js", "JSON.parse"),
        ("live.js", "postMessage"),
    }


def test_logs_go_to_standard_error_alone() -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    configure_logging("json")
    ours = [each for each in root.handlers if each not in before]
    try:
        assert [type(each) for each in ours] == [logging.StreamHandler]
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    assert who_imports({"logging.handlers"}) == set()
    assert all("FileHandler" not in module.text for module in modules().values())


def test_every_package_is_locked_with_its_hash() -> None:
    for name in ("base.txt", "build.txt", "test.txt"):
        text = (ROOT / "requirements" / name).read_text()
        packages = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE | re.IGNORECASE)[1:]
        assert packages, name
        for package in packages:
            assert re.match(r"[\w.\[\],-]+==\S+", package), package
            assert "--hash=sha256:" in package, package
        # From the index of the one who installs, never from an address in the file.
        assert "://" not in re.sub(r"#.*", "", text), name


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Pages look the same on both databases."""
    return sqlite_url


@pytest.mark.parametrize("name", ["alice", "bob", "carol"])
def test_signing_out_is_on_every_page(name: str, client: TestClient) -> None:
    log_in(client, name)
    places = {"alice": ["/appointments"], "bob": ["/schedule", "/schedule/hours"], "carol": ["/admin", "/admin/audit"]}
    for path in ["/", "/doctors", "/account", "/nowhere", *places[name]]:
        page = read(client.get(path))
        assert page.all("form", action="/logout"), path


def test_fields_of_passwords_are_masked_and_open_to_password_managers(client: TestClient, cast: Cast) -> None:
    token = cast.database.write(create_password_link, cast.carol.user_id, now=NOW, lifetime=timedelta(days=1))
    pages: dict[str, Any] = {path: read(client.get(path)) for path in ("/login", "/register")}
    pages["reset"] = read(client.get(f"/password/reset/{token}"))
    log_in(client, "alice")
    pages |= {path: read(client.get(path)) for path in ("/account", "/account/data", "/confirm")}
    seen = Counter[str]()
    for path, page in pages.items():
        for field in page.all("input"):
            if "password" in (field.get("name") or "") or field.get("name") in {"current", "new"}:
                seen[path] += 1
                assert field["type"] == "password", path
                assert field["autocomplete"] in {"current-password", "new-password"}, path
                assert not {"readonly", "maxlength"} & set(field.attributes), path
    assert set(seen) >= {"/login", "/register", "reset", "/account"}
