"""The fences of Docket: the floors, the role of each module, and what a module of each role may import.

Everything here works on the text of modules, `{"webapp.auth.service": "import …"}`: those of Docket, and small made-up
packages that prove that each fence works.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

# Imports point down. Packages on one floor do not import each other, except on the top floor, where all is connected.
# docs/architecture.md draws these floors.
ROOF = {
    *("main", "page_context", "metrics", "routes", "api_routes", "health", "openapi", "cli", "commands", "worker"),
    *("integrity", "accounts", "demo", "migrations", "models", "event_handlers", "serving", "backups"),
}
# Packages whose modules have roles by file name.
ROOM_FLOORS: list[set[str]] = [
    {"dashboard"},
    {"privacy"},
    {"staff"},
    {"appointments"},
    {"scheduling"},
    {"doctors", "patients", "live"},
    {"clinic", "idempotency"},
    {"auth"},
    {"audit", "heartbeats", "notifications"},
]
# Below these packages each name is a module or a folder with its own place.
GROUND_FLOORS: list[set[str]] = [
    {"core"},
    {"database"},
    {"sql_functions"},
    {"engines"},
    {"troubles"},
    {"config", "deadlines", "causes", "events", "exceptions"},
    {"i18n", "identity_providers"},
]
FLOORS = [ROOF, *ROOM_FLOORS, *GROUND_FLOORS]
ROOMS = set().union(*ROOM_FLOORS)
FLOOR_OF = {name: len(FLOORS) - number for number, names in enumerate(FLOORS) for name in names}

# Roles go by file name: `forms` is the role of forms.py and of anything_forms.py.
SUFFIXES = {
    "models": "models",
    "schemas": "schemas",
    "exceptions": "exceptions",
    "forms": "forms",
    "form": "forms",
    "fields": "forms",
    "presenters": "presenters",
    "dependencies": "dependencies",
    "access": "dependencies",
    "page": "page",
    "pages": "page",
    "router": "router",
    "api": "api",
}
# In core the same names contain what those roles are made of.
CORE_SUFFIXES = {"forms": "form parts", "fields": "form parts", "api": "web", "middleware": "web"}
# All other modules are services, the narrowest role of all that may read the database: a module with an unknown name
# has the strictest rules. These names say too little:
NAMED = {
    # Arithmetic of time and the clinic's booking rules: all tests and proofs depend on their importing nothing.
    "scheduling.slots": "pure",
    "scheduling.rules": "pure",
    # Models keep a text by which names are sorted.
    "core.names": "pure",
    "core.text": "pure",
    # The table with the guard: a model with its data definition.
    "scheduling.busy_times": "models",
    # They answer requests within core, or are a part of that.
    "core.web": "web",
    "core.errors": "web",
    "core.api_cursors": "web",
    "core.api_problems": "web",
    "core.entity_tags": "web",
    "core.rate_limit": "web",
    "core.routing": "web",
    "core.security": "web",
    "core.static_files": "web",
    # Jinja without a request: it also writes messages, and the processes that send them serve no page.
    "core.compiled_templates": "templates",
    "core.templates": "templates",
    "notifications.rendering": "templates",
    # A type that services receive.
    "scheduling.viewer": "schemas",
    "scheduling.booking_preview": "presenters",
}
SINGLE = {
    "exceptions": "ground",
    "config": "ground",
    "events": "ground",
    "i18n": "ground",
    "identity_providers": "ground",
    "causes": "ground",
    "deadlines": "ground",
    "troubles": "ground",
    "database": "database",
    "sql_functions": "database",
    "engines": "database",
    "core": "core",
    **dict.fromkeys(ROOF, "program"),
    **dict.fromkeys(
        ("main", "page_context", "routes", "api_routes", "health", "openapi"),
        "application",
    ),
    **dict.fromkeys(("cli", "commands"), "command"),
}

_BASE = {"ground", "pure", "core"}
_WORK = _BASE | {"database", "models", "schemas", "exceptions", "service", "templates"}
_KNOWN = _BASE | {"schemas", "exceptions", "service"}
_PAGES = _KNOWN | {"templates", "web", "forms", "form parts", "dependencies", "presenters", "page"}
# The roles that a module of each role may import.
MAY_IMPORT: dict[str, set[str]] = {
    "pure": {"pure"},
    "ground": {"ground"},
    "database": {"ground", "database"},
    "core": {"ground", "core", "pure"},
    "models": {"database", "models", "pure"},
    "exceptions": _BASE | {"exceptions"},
    "schemas": _KNOWN | {"models"},
    "templates": {"ground", "core", "pure", "templates", "service"},
    "service": _WORK,
    "form parts": {"ground", "core", "pure", "form parts"},
    "web": {"ground", "core", "pure", "templates", "database", "web"},
    "forms": _KNOWN | {"form parts", "forms"},
    "dependencies": _KNOWN | {"web", "dependencies"},
    "presenters": _PAGES - {"page", "form parts"},
    "page": _PAGES,
    "router": _PAGES,
    "api": _KNOWN | {"web", "dependencies", "api"},
    "program": _WORK | {"program"},
}
MAY_IMPORT["application"] = set(MAY_IMPORT) | {"application"}
MAY_IMPORT["command"] = set(MAY_IMPORT) | {"command"}

# The roles that may import each of these libraries; a role that is not listed may import none of them.
GUARDED = {"fastapi", "starlette", "wtforms", "jinja2", "sqlalchemy"}
LIBRARIES: dict[str, set[str]] = {
    "ground": {"sqlalchemy"},
    "database": {"sqlalchemy"},
    "models": {"sqlalchemy"},
    "service": {"sqlalchemy"},
    "program": {"sqlalchemy"},
    "command": {"sqlalchemy"},
    "templates": {"jinja2"},
    "form parts": {"wtforms"},
    "forms": {"wtforms"},
    "web": {"fastapi", "starlette"},
    "dependencies": {"fastapi", "starlette"},
    "page": {"starlette"},
    "router": {"fastapi", "starlette"},
    "api": {"fastapi", "starlette"},
    "application": GUARDED,
}
# These roles import only the standard library and what is listed here.
LIBRARIES_ALONE: dict[str, set[str]] = {"pure": set(), "models": {"sqlalchemy"}, "exceptions": set()}
# A type is no query and no form: these may be named where they are only passed on.
TYPES = {"sqlalchemy.orm.Session", "wtforms.Field", "wtforms.SelectChoice"}
HANDING_ON = {"web", "dependencies", "presenters", "page", "router", "api"}

# These serve no page, so they must not load what only pages need, not even indirectly.
WITHOUT_WEB = {*MAY_IMPORT} - {
    *("web", "form parts", "forms", "dependencies", "presenters", "page", "router", "api", "application", "command"),
}
WEB = {"fastapi", "starlette", "wtforms"}
# These functions import a module that a text names.
IMPORTERS = {"import_module", "__import__"}
# A class with one of these bases is a table.
TABLE_BASES = {"Base", "database.Base"}


class Import(NamedTuple):
    """One imported name: its module and the whole name. `function` is the outermost function around the import."""

    module: str
    full: str
    function: str

    @property
    def library(self) -> str:
        """The first part of the name: webapp, sqlalchemy, …"""
        return self.module.partition(".")[0]


class Codebase:
    """Modules, given by their text. Nothing is imported or run."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self.trees = {name: ast.parse(text) for name, text in sources.items()}
        self.imports = {name: list(self._imports_of(tree)) for name, tree in self.trees.items()}

    def _imports_of(self, tree: ast.Module) -> Iterator[Import]:
        for statement in tree.body:
            function = statement.name if isinstance(statement, ast.FunctionDef) else ""
            for node in ast.walk(statement):
                if isinstance(node, ast.Import):
                    yield from (Import(alias.name, alias.name, function) for alias in node.names)
                elif isinstance(node, ast.ImportFrom):
                    # A relative import has no first part, and so no place and no role.
                    module = "." * node.level + (node.module or "")
                    for alias in node.names:
                        full = f"{module}.{alias.name}"
                        yield Import(full if full in self.trees else module, full, function)
                elif isinstance(node, ast.Call) and _name_of(node.func) in IMPORTERS:
                    module = _beginning(node.args[0]) if node.args else ""
                    # A computed name does not say what it imports, so it is refused like a relative import.
                    yield Import(module or ".", module or ".", function)

    def problems(self) -> list[str]:
        """Every violation of a fence, in words; none if all fences hold."""
        return [
            *self.without_role(),
            *self.wrong_roles(),
            *self.wrong_libraries(),
            *self.pointing_up(),
            *self.circles(),
            *self.reaching_the_web(),
            *self.committing(),
            *self.tables_elsewhere(),
        ]

    def own_imports(self, name: str) -> Iterator[Import]:
        """What a module imports from Docket itself."""
        return (each for each in self.imports[name] if each.library == "webapp")

    def without_role(self) -> Iterator[str]:
        """Modules without a role, to which no fence would apply."""
        for name, imports in self.imports.items():
            if role_of(name) is None:
                yield f"{name} has no role"
            yield from (f"{name} imports {each.full} relatively" for each in imports if not each.library)

    def wrong_roles(self) -> Iterator[str]:
        """Imports from Docket that the module's role forbids. Only the application may import routers."""
        for name in self.trees:
            role = role_of(name)
            for each in self.own_imports(name):
                other = role_of(each.module)
                if role is None or other is None:
                    continue
                if other not in MAY_IMPORT[role]:
                    yield f"{name} ({role}) imports {each.module} ({other})"
                elif each.full.endswith(".router") and each.full != each.module and role != "application":
                    yield f"{name} ({role}) imports {each.full}"

    def wrong_libraries(self) -> Iterator[str]:
        """Imports of libraries that the module's role forbids."""
        for name, imports in self.imports.items():
            role = role_of(name) or ""
            for each in imports:
                if each.library == "webapp" or (each.full in TYPES and role in HANDING_ON):
                    continue
                alone = LIBRARIES_ALONE.get(role)
                foreign = alone is not None and each.library not in {*sys.stdlib_module_names, *alone}
                if foreign or each.library in GUARDED - LIBRARIES.get(role, set()):
                    yield f"{name} ({role}) imports {each.full}"

    def pointing_up(self) -> Iterator[str]:
        """Imports from the same floor or from one above."""
        for name in self.trees:
            own = place_of(name)
            for each in self.own_imports(name):
                other = place_of(each.module)
                if own == other or {own, other} <= ROOF or not {own, other} <= FLOOR_OF.keys():
                    continue
                if FLOOR_OF[other] >= FLOOR_OF[own]:
                    yield f"{name} imports {each.module}, which is no floor below"

    def circles(self) -> Iterator[str]:
        """Neighbouring folders or modules that import each other in a circle, in every folder."""
        graphs: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for name in self.trees:
            for each in self.own_imports(name):
                folder, own, other = _part(name, each.module)
                if own and other:
                    graphs[folder][own].add(other)
        for folder, graph in graphs.items():
            try:
                TopologicalSorter(graph).prepare()
            except CycleError as error:
                yield f"in {folder}, a circle: {' imports '.join(reversed(error.args[1]))}"

    def reaching_the_web(self) -> Iterator[str]:
        """Modules that serve no page, but load what pages need, directly or indirectly."""
        for name in self.trees:
            if role_of(name) in WITHOUT_WEB:
                way = self.way_to_the_web(each.module for each in self.own_imports(name))
                if way:
                    yield f"{name} reaches {way[-1]} through {', '.join(way[:-1])}"

    def way_to_the_web(self, modules: Iterator[str]) -> list[str]:
        """The shortest import path from one of these modules to a library of the web; [] if there is none."""
        ways = deque([module] for module in sorted(set(modules)))
        seen = {way[0] for way in ways}
        while ways:
            way = ways.popleft()
            for each in self.imports.get(way[-1], ()):
                if each.library in WEB:
                    return [*way, each.library]
                if each.library == "webapp" and each.module not in seen:
                    seen.add(each.module)
                    ways.append([*way, each.module])
        return []

    def functions_reaching_the_web(self, name: str) -> set[str]:
        """The functions of a module that load what pages need; '' for the module itself."""
        by_function: dict[str, set[str]] = defaultdict(set)
        for each in self.own_imports(name):
            by_function[each.function].add(each.module)
        return {function for function, modules in by_function.items() if self.way_to_the_web(iter(modules))}

    def committing(self) -> Iterator[str]:
        """Commits anywhere but in the one module that may commit. The end of `with engine.begin()` commits, too."""
        for name, tree in self.trees.items():
            nodes = list(ast.walk(tree))
            commits = sum(isinstance(node, ast.Attribute) and node.attr == "commit" for node in nodes)
            commits += sum(isinstance(node, ast.withitem) and _called(node.context_expr) == "begin" for node in nodes)
            if commits != (1 if name == "webapp.database" else 0):
                yield f"{name} has {commits} commits"

    def tables_elsewhere(self) -> Iterator[str]:
        """Tables in a module that is no model. Services may import what a table needs, so imports do not show it."""
        for name, tree in self.trees.items():
            if role_of(name) == "models":
                continue
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef) and _is_table(node):
                    yield f"{name} has the table {node.name}"
                elif _called(node) == "Table":
                    yield f"{name} has a table: {ast.unparse(node)}"


def _name_of(node: ast.AST) -> str:
    """'f' of `f` and of `module.f`; '' of anything else."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _called(node: ast.AST) -> str:
    """The name of the function that an expression calls; '' if it is no call."""
    return _name_of(node.func) if isinstance(node, ast.Call) else ""


def _beginning(node: ast.expr) -> str:
    """A text, or the beginning of a text that is put together; '' of anything else."""
    if isinstance(node, ast.JoinedStr) and node.values:
        return _beginning(node.values[0])
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _is_table(node: ast.ClassDef) -> bool:
    """Whether a class is a table: by its base, or because it names one."""
    named = {_name_of(target) for each in node.body if isinstance(each, ast.Assign) for target in each.targets}
    return bool(named & {"__tablename__", "__table__"}) or any(ast.unparse(base) in TABLE_BASES for base in node.bases)


def place_of(name: str) -> str:
    """The folder or single module that webapp.something belongs to."""
    return name.split(".")[1] if "." in name else ""


def role_of(name: str) -> str | None:
    """The role of a module; None if it has none."""
    _webapp, *folders, last = name.split(".") if "." in name else ("webapp", "")
    if not last:
        return "ground"
    if named := NAMED.get(".".join([*folders, last])):
        return named
    suffix = last.rpartition("_")[2]
    if folders[:1] == ["core"]:
        return CORE_SUFFIXES.get(suffix, "core")
    if not folders or folders[0] in SINGLE:
        return SINGLE.get(folders[0] if folders else last)
    if folders[0] not in ROOMS:
        return None
    return SUFFIXES.get(suffix) or ("page" if "pages" in folders else "service")


def _part(name: str, other: str) -> tuple[str, str, str]:
    """The folder where the paths of two modules part, and its two children that contain them."""
    own, its = name.split("."), other.split(".")
    depth = 0
    while depth < min(len(own), len(its)) and own[depth] == its[depth]:
        depth += 1
    folder = ".".join(own[:depth])
    return folder, own[depth] if depth < len(own) else "", its[depth] if depth < len(its) else ""
