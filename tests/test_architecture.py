"""The fences of Docket, applied to its own modules and to made-up ones that break them."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path

import jinja2
import pytest

from tests.fences import (
    CORE_SUFFIXES,
    FLOOR_OF,
    FLOORS,
    GUARDED,
    LIBRARIES,
    MAY_IMPORT,
    NAMED,
    ROOMS,
    SUFFIXES,
    Codebase,
    role_of,
)
from webapp.notifications import rendering

ROOT = Path(__file__).resolve().parent.parent
WEBAPP, TEMPLATES = ROOT / "webapp", ROOT / "templates"


def modules() -> list[Path]:
    """Every module of Docket."""
    return sorted(path for path in WEBAPP.rglob("*.py") if path.stat().st_size)


@lru_cache
def docket() -> Codebase:
    """All of Docket, read once."""
    return Codebase(
        {
            ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path.read_text("utf-8")
            for path in modules()
        }
    )


def test_every_module_has_a_role() -> None:
    assert list(docket().without_role()) == []


def test_each_role_imports_what_it_may() -> None:
    assert list(docket().wrong_roles()) == []


def test_each_role_uses_the_libraries_that_it_may() -> None:
    assert list(docket().wrong_libraries()) == []


def test_imports_point_down() -> None:
    assert list(docket().pointing_up()) == []


def test_no_folders_or_modules_import_each_other_in_a_circle() -> None:
    assert list(docket().circles()) == []


def test_modules_that_serve_no_page_load_nothing_of_the_web() -> None:
    assert list(docket().reaching_the_web()) == []


def test_commands_load_the_web_for_the_description_of_the_api_alone() -> None:
    """`docket serve` passes only the name of the application to its processes."""
    commands = [name for name in docket().trees if role_of(name) == "command"]
    found = {name: docket().functions_reaching_the_web(name) for name in commands}
    assert {name: functions for name, functions in found.items() if functions} == {"webapp.cli": {"openapi"}}


def test_only_the_database_module_commits() -> None:
    assert list(docket().committing()) == []


def test_only_models_have_tables() -> None:
    assert list(docket().tables_elsewhere()) == []


def test_the_tables_of_the_fences_fit_each_other_and_the_modules() -> None:
    """Exceptions for names that no longer exist are removed."""
    assert {f"webapp.{name}" for name in NAMED} <= set(docket().trees)
    named = {*NAMED.values(), *SUFFIXES.values(), *CORE_SUFFIXES.values(), *LIBRARIES}
    assert named.union(*MAY_IMPORT.values()) <= set(MAY_IMPORT)
    assert all(libraries <= GUARDED for libraries in LIBRARIES.values())


def test_the_drawing_shows_the_floors_as_they_are() -> None:
    """docs/architecture.md draws the floors as a chain of boxes, from the top to the bottom."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawings = re.findall(r"```mermaid\n(.*?)```", text, re.DOTALL)
    drawing = next(each for each in drawings if "%% the floors" in each)
    boxes = dict(re.findall(r'(\w+)\["([^"]+)"\]', drawing))
    arrows = re.findall(r"(\w+) --> (\w+)", drawing)
    assert arrows == list(zip(boxes, list(boxes)[1:], strict=False))
    assert [set(names.split(" · ")) for names in boxes.values()] == FLOORS


# ------------------------------------------------------------------------------------------ made-up packages

# Small packages that break no fence.
SOUND = {
    "webapp.exceptions": "",
    "webapp.i18n": "",
    "webapp.database": "from webapp.i18n import gettext\nfrom webapp import exceptions\nsession.commit()",
    "webapp.core.web": "from fastapi import Request\nfrom webapp.database import Database",
    "webapp.core.text": "import re",
    "webapp.audit.service": "from sqlalchemy.orm import Session\nfrom webapp.core.text import plain",
    "webapp.clinic.models": "import sqlalchemy as sa\nfrom webapp.database import Base",
    "webapp.clinic.service": "from webapp.clinic.models import Clinic\nfrom webapp.audit import service",
    "webapp.clinic.forms": "from wtforms import StringField",
    "webapp.clinic.dependencies": "from webapp.core.web import Page\nfrom webapp.clinic.service import get_clinic",
    "webapp.clinic.presenters": "from webapp.clinic import service\nfrom webapp.core.web import Page",
    "webapp.clinic.router": "from fastapi import APIRouter\nfrom webapp.clinic import forms, presenters",
    "webapp.doctors.service": "from webapp.clinic.service import Clinic",
    "webapp.staff.doctors.hours_router": "from sqlalchemy.orm import Session\nfrom webapp.doctors import service",
    "webapp.routes": "from webapp.clinic.router import router",
    "webapp.worker": "from webapp.doctors import service",
}
BREAKS = {
    "a module without a role": ("webapp.helpers", "", "webapp.helpers has no role"),
    "a room without a floor": ("webapp.waitlist.service", "", "webapp.waitlist.service has no role"),
    "code in the folder itself": ("webapp.clinic", "VALUE = 1", "webapp.clinic has no role"),
    "a relative import": ("webapp.audit.service", "from . import models", "imports ..models relatively"),
    "a service and FastAPI": ("webapp.clinic.service", "from fastapi import Request", "imports fastapi.Request"),
    "a service with an unusual name": ("webapp.clinic.closures", "import starlette.requests", "(service) imports"),
    "a late import": ("webapp.clinic.service", "def f():\n    import jinja2", "(service) imports jinja2"),
    "a service and a page": ("webapp.clinic.service", "from webapp.core.web import Page", "imports webapp.core.web"),
    "a model and a library": ("webapp.clinic.models", "import pydantic", "(models) imports pydantic"),
    "a model and a service": ("webapp.clinic.models", "from webapp.audit import service", "(models) imports"),
    "a pure module and a library": ("webapp.scheduling.slots", "import babel", "(pure) imports babel"),
    "a router and a query": ("webapp.clinic.router", "from sqlalchemy import select", "imports sqlalchemy.select"),
    "a router and a model": ("webapp.clinic.router", "from webapp.clinic.models import Clinic", "(router) imports"),
    "a router with its own form": ("webapp.clinic.router", "from wtforms import Form", "imports wtforms.Form"),
    "a presenter and a model": ("webapp.clinic.presenters", "from webapp.clinic import models", "imports webapp.cl"),
    "a form and a page": ("webapp.clinic.forms", "from webapp.core.web import Page", "(forms) imports"),
    "a router and a router": (
        "webapp.staff.doctors.hours_router",
        "from webapp.clinic.router import home_of",
        "imports webapp.clinic.router (router)",
    ),
    "core and a room": (
        "webapp.core.formats",
        "from webapp.audit import service",
        "core.formats imports webapp.audit.",
    ),
    "core and the database": ("webapp.core.formats", "import webapp.database", "(core) imports webapp.database"),
    "the database and core": (
        "webapp.database",
        "import webapp.core.text\ns.commit()",
        "(database) imports webapp.core",
    ),
    "an import that points up": ("webapp.audit.service", "import webapp.clinic.service", "which is no floor below"),
    "rooms on one floor": ("webapp.patients.service", "from webapp.doctors import service", "which is no floor below"),
    "a table in a presenter's module": (
        "webapp.clinic.views",
        "from webapp.database import Base\nclass Room(Base): ...",
        "webapp.clinic.views has the table Room",
    ),
    "a table whose base has another name": (
        "webapp.clinic.views",
        "from webapp.clinic.models import Clinic as Base2\nclass Room(Base2):\n    __tablename__ = 'rooms'",
        "webapp.clinic.views has the table Room",
    ),
    "a table without a class": (
        "webapp.clinic.service",
        "import sqlalchemy as sa\nROOMS = sa.Table('rooms', sa.MetaData())",
        "webapp.clinic.service has a table: sa.Table('rooms', sa.MetaData())",
    ),
    "an import by a text": (
        "webapp.clinic.service",
        "from importlib import import_module\nimport_module('fastapi')",
        "(service) imports fastapi",
    ),
    "an import by a text that is put together": (
        "webapp.clinic.service",
        "import importlib\nimportlib.import_module(f'jinja2.{part}')",
        "(service) imports jinja2",
    ),
    "an import that no text names": ("webapp.clinic.service", "__import__(name)", "imports . relatively"),
    "a commit elsewhere": ("webapp.clinic.service", "session.commit()", "webapp.clinic.service has 1 commits"),
    "a block that ends with a commit": (
        "webapp.clinic.service",
        "with engine.begin() as connection: ...",
        "webapp.clinic.service has 1 commits",
    ),
    "a database that does not commit": ("webapp.database", "", "webapp.database has 0 commits"),
}


def test_sound_packages_have_no_problems() -> None:
    assert Codebase(SOUND).problems() == []


@pytest.mark.parametrize(("name", "text", "problem"), BREAKS.values(), ids=BREAKS.keys())
def test_each_fence_holds(name: str, text: str, problem: str) -> None:
    found = Codebase(SOUND | {name: text}).problems()
    assert any(problem in each for each in found), found


def test_an_indirect_import_of_the_web_is_found() -> None:
    """Each step breaks a fence; the worker at the end of the path breaks none itself."""
    far = {"webapp.doctors.service": "from webapp.clinic import closures", "webapp.clinic.closures": "import fastapi"}
    problem = "webapp.worker reaches fastapi through webapp.doctors.service, webapp.clinic.closures"
    assert problem in Codebase(SOUND | far).problems()


def test_folders_beside_each_other_import_in_one_direction() -> None:
    circle = {
        "webapp.appointments.booking.service": "from webapp.appointments.impact import flags",
        "webapp.appointments.impact.flags": "from webapp.appointments.impact import plans",
        "webapp.appointments.impact.plans": "from webapp.appointments.booking import limits",
        "webapp.appointments.booking.limits": "",
    }
    (problem,) = Codebase(circle).problems()
    assert problem.startswith("in webapp.appointments, a circle: ")


def test_a_command_is_checked_by_function() -> None:
    text = "def serve():\n    from webapp import routes\ndef check():\n    from webapp import worker"
    codebase = Codebase(SOUND | {"webapp.cli": text})
    assert codebase.problems() == []
    assert codebase.functions_reaching_the_web("webapp.cli") == {"serve"}


# --------------------------------------------------------------------------------- other conventions


def test_a_submission_puts_errors_into_a_form() -> None:
    """Others show them beside a time, an appointment or a list that may have changed meanwhile."""
    found = {
        path.relative_to(WEBAPP).as_posix()
        for path in modules()
        if ".add_error(" in path.read_text("utf-8") and not path.stem.endswith("forms")
    }
    booking = ("booking_router", "staff_booking", "reschedule_router", "appointment_link_router")
    assert found == {
        *(f"appointments/pages/{name}.py" for name in booking),
        *("staff/desk/booking_page.py", "staff/audit/router.py", "staff/messages/router.py"),
    }


def test_there_is_one_clock() -> None:
    """All code below the edges receives the time as an argument, so that tests can choose it."""
    clocks = re.compile(r"\b(datetime\.(now|utcnow|today)|date\.today|time\.time)\(")
    found = [str(path.relative_to(WEBAPP)) for path in modules() if clocks.search(path.read_text(encoding="utf-8"))]
    assert found == ["core/clock.py"]


def test_the_command_starts_fast_because_it_imports_late() -> None:
    commands = {name: tree for name, tree in docket().trees.items() if role_of(name) == "command"}
    early = {
        node.module
        for tree in commands.values()
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("webapp")
    }
    assert early - commands.keys() <= {f"webapp.{name}" for name in ("config", "exceptions", "core.clock")}


# ------------------------------------------------------------------------------------------------- templates

INLINE = re.compile(r"<style\b|\sstyle\s*=|\son[a-z]+\s*=|\shx-on|javascript:|\shx-vals\s*=\s*[\"']js:", re.IGNORECASE)


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*")), ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_templates_are_escaped_and_carry_no_inline_style_or_script(path: Path) -> None:
    if path.is_dir():
        return
    # Messages are not HTML; the environment that leaves them unescaped reads only plain-text templates.
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


# -------------------------------------------------------------------------------- the folders of templates

NAME = re.compile(r"(?:\w+/)*\w+\.html")


def misplaced(module: str, template: str) -> bool:
    """Whether a module renders a template of another folder than its own, or than the one named like the module.

    A fragment may also be a partial file of a floor below: the module's own page includes it.
    """
    *folders, name = module.split(".")[1:]
    place = template.split("/")[:-1]
    if place == folders or (place[:-1] == folders and name.startswith(place[-1])):
        return False
    partial = template.rpartition("/")[2].startswith("_")
    return not (partial and folders and place and FLOOR_OF[place[0]] < FLOOR_OF[folders[0]])


def test_templates_are_in_the_folder_of_the_module_that_renders_them() -> None:
    found = {
        (module, node.value)
        for module, tree in docket().trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value)
    }
    assert len(found) > 100
    # The answer of an overloaded process is written before there is a request.
    found.remove(("webapp.main", "core/errors/busy.html"))
    assert sorted(each for each in found if misplaced(*each)) == []


def test_templates_include_only_what_is_on_their_own_floor_or_below() -> None:
    """The frame of every page and the macros belong to no room."""
    for path in TEMPLATES.rglob("*.html"):
        folder = path.relative_to(TEMPLATES).parts[0]
        for name in NAME.findall(
            " ".join(re.findall(r"{%-? *(?:include|extends|from|import) [^%]*%}", path.read_text()))
        ):
            other = name.split("/")[0]
            if folder in ROOMS and other != "macros" and "/" in name:
                assert other == folder or FLOOR_OF[other] < FLOOR_OF[folder], f"{path} uses {name}"


def test_no_folder_shadows_alembic() -> None:
    assert not (ROOT / "alembic" / "__init__.py").exists()
