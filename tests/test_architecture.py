"""Who may know whom: the layering of the house, read from its own imports."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import jinja2
import pytest

from webapp.notifications import rendering

ROOT = Path(__file__).resolve().parent.parent
WEBAPP, TEMPLATES = ROOT / "webapp", ROOT / "templates"

# Imports point down. Rooms on one floor do not know each other.
FLOORS = [
    {"dashboard"},
    {"staff"},
    {"appointments"},
    {"scheduling"},
    {"doctors", "patients"},
    {"clinic", "idempotency"},
    {"auth"},
    {"audit", "notifications"},
]
FLOOR_OF = {room: len(FLOORS) - number for number, rooms in enumerate(FLOORS) for room in rooms}
ROOMS = set(FLOOR_OF)
# What lies under all rooms; and what stands above them, which puts everything together.
GROUND = {"core", "config", "database", "exceptions"}
ROOF = {"main", "routes", "cli", "models", "migrations", "integrity", "health", "accounts", "demo"}
ROOF |= {"openapi", "openapi_examples", "api_docs", "worker"}

WEB = {"fastapi", "starlette", "wtforms", "jinja2"}


def modules() -> list[Path]:
    """Every module of Docket."""
    return sorted(path for path in WEBAPP.rglob("*.py") if path.stat().st_size)


def named(*names: str) -> list[Path]:
    """The modules with one of these file names, in any room; `_router.py` means those that end so, too."""
    return [path for path in modules() if any(path.name == name or path.name.endswith(f"_{name}") for name in names)]


def dotted(path: Path) -> str:
    """webapp/auth/service.py is webapp.auth.service."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """The full names of all that a module imports, wherever in it that happens."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def top(name: str) -> str:
    """The library that a name comes from."""
    return name.partition(".")[0]


def room_of(name: str) -> str:
    """The room or top-level module that webapp.something belongs to."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def ids(paths: list[Path]) -> list[str]:
    """How tests name the modules."""
    return [str(path.relative_to(WEBAPP)) for path in paths]


def test_every_room_and_module_has_its_place() -> None:
    found = {path.relative_to(WEBAPP).parts[0].removesuffix(".py") for path in modules()} - {"__init__"}
    assert found <= ROOMS | GROUND | ROOF


@pytest.mark.parametrize("path", modules(), ids=ids(modules()))
def test_imports_point_down(path: Path) -> None:
    own = room_of(dotted(path))
    if own in ROOF or not own:
        return
    known = {room_of(name) for name in imports(path) if top(name) == "webapp"} - {own, ""}
    if own in GROUND:
        assert known <= GROUND
    else:
        below = {room for room in ROOMS if FLOOR_OF[room] < FLOOR_OF[own]}
        assert known <= below | GROUND


@pytest.mark.parametrize("name", ["slots.py", "rules.py"])
def test_time_arithmetic_and_rules_know_python_alone(name: str) -> None:
    below = {"slots.py": set(), "rules.py": {"webapp.scheduling.slots"}}[name]
    foreign = [
        imported
        for imported in imports(WEBAPP / "scheduling" / name)
        if top(imported) not in sys.stdlib_module_names and imported.rpartition(".")[0] not in below
    ]
    assert foreign == []


@pytest.mark.parametrize("path", named("models.py"), ids=ids(named("models.py")))
def test_models_know_sqlalchemy_the_database_and_models_below(path: Path) -> None:
    for name in imports(path):
        if top(name) == "webapp":
            module = name.rpartition(".")[0]
            assert module == "webapp.database" or module.endswith(".models"), name
        else:
            assert top(name) == "sqlalchemy" or top(name) in sys.stdlib_module_names, name


WITHOUT_WEB = [
    *named("service.py", "queries.py", "availability.py", "models.py", "schemas.py", "exceptions.py", "explain.py"),
    *named("slots.py", "rules.py", "calendar.py", "passwords.py", "database.py", "migrations.py", "integrity.py"),
    *named("statuses.py", "diary.py", "frame.py", "schedule.py"),
]


@pytest.mark.parametrize("path", WITHOUT_WEB, ids=ids(WITHOUT_WEB))
def test_what_is_no_page_knows_no_web(path: Path) -> None:
    assert {top(name) for name in imports(path)}.isdisjoint(WEB)


FACES = named("router.py", "api.py", "forms.py", "dependencies.py")


@pytest.mark.parametrize("path", FACES, ids=ids(FACES))
def test_pages_ask_services_and_never_the_database(path: Path) -> None:
    for name in imports(path):
        assert top(name) != "sqlalchemy" or name == "sqlalchemy.orm.Session", name
        assert not name.rpartition(".")[0].endswith(".models"), name
        assert name != "webapp.models", name


@pytest.mark.parametrize("path", modules(), ids=ids(modules()))
def test_only_the_database_module_commits(path: Path) -> None:
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "commit"
    ]
    assert len(calls) == (1 if path == WEBAPP / "database.py" else 0)


def test_there_is_one_clock() -> None:
    """Everything below the edges is handed the time, so that tests can say what time it is."""
    clocks = re.compile(r"\b(datetime\.(now|utcnow|today)|date\.today|time\.time)\(")
    found = [str(path.relative_to(WEBAPP)) for path in modules() if clocks.search(path.read_text(encoding="utf-8"))]
    # The person who makes demo data means the today of their own calendar.
    assert sorted(set(found) - {"cli.py"}) == ["core/clock.py"]


def test_the_command_starts_fast_because_it_imports_late() -> None:
    tree = ast.parse((WEBAPP / "cli.py").read_text(encoding="utf-8"))
    early = {
        node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("webapp")
    }
    assert early <= {f"webapp.{name}" for name in ("config", "exceptions", "core.clock")}


# ------------------------------------------------------------------------------------------------- templates

INLINE = re.compile(r"<style\b|\sstyle\s*=|\son[a-z]+\s*=|\shx-on|javascript:|\shx-vals\s*=\s*[\"']js:", re.IGNORECASE)


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*")), ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_templates_are_escaped_and_carry_no_inline_style_or_script(path: Path) -> None:
    if path.is_dir():
        return
    # The words of messages are no HTML; only an environment that reads nothing else leaves them as they are.
    endings = {".html", ".txt"} if path.parent == TEMPLATES / "notifications" else {".html"}
    assert path.suffix in endings, "Jinja escapes by file ending."
    text = path.read_text(encoding="utf-8")
    assert INLINE.findall(text) == []
    assert re.findall(r"<script(?![^>]*\ssrc=)[^>]*>", text) == []
    assert not re.search(r"\|\s*safe\b|autoescape\s+false|\bMarkup\(", text)


def test_one_environment_alone_escapes_nothing_and_reads_plain_text_alone() -> None:
    found = {
        str(path.relative_to(WEBAPP))
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Environment")
        if "autoescape=True" not in ast.unparse(node)
    }
    assert found == {"notifications/rendering.py"}
    environment = rendering.text_environment()
    assert environment.get_template("password_reset.txt").name == "password_reset.txt"
    for name in ("password_reset.html", "notifications/password_reset.txt", "../base.html", "_layout.html"):
        with pytest.raises(jinja2.TemplateNotFound):
            environment.get_template(name)


def test_no_folder_shadows_alembic() -> None:
    assert not (ROOT / "alembic" / "__init__.py").exists()
