"""Texts are marked in the code and translated when they are read, so none is translated at import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from threading import Thread
from zoneinfo import ZoneInfo

import jinja2
import pytest
from jinja2 import nodes
from markupsafe import escape

from tests.languages import PSEUDO, wide
from webapp.clinic import holidays
from webapp.config import resource_folder
from webapp.core import formats
from webapp.core.codes import REASONS, stored
from webapp.core.templates import template_environment
from webapp.i18n import ENGLISH, Sentence, gettext, language_tag, lazy_gettext, ngettext, speaking
from webapp.notifications.exceptions import TROUBLES
from webapp.notifications.rendering import text_environment

ROOT = Path(__file__).parents[2]
TRANSLATING = {"_", "gettext", "ngettext"}


def test_a_sentence_is_translated_each_time_that_it_is_read() -> None:
    sentence = lazy_gettext("Only %(n)d <left>")
    for language in (ENGLISH, PSEUDO, ENGLISH):
        with speaking(language):
            said = gettext("Only %(n)d <left>")
            assert str(sentence) == f"{sentence}" == said
            assert sentence % {"n": 3} == said % {"n": 3}
            assert escape(sentence) == escape(said)
            assert jinja2.Template("{{ each }}", autoescape=True).render(each=sentence) == escape(said)


def test_a_lazy_text_is_no_str_where_it_would_lose_its_language() -> None:
    sentence = lazy_gettext("Closed")
    with pytest.raises(TypeError):
        ", ".join([sentence])  # type: ignore[list-item]
    assert {sentence: 1}[Sentence("Closed")] == 1
    assert sentence != "Closed"


def test_a_new_thread_uses_english_by_default() -> None:
    said: list[str] = []
    with speaking(PSEUDO):
        thread = Thread(target=lambda: said.append(language_tag()))
        thread.start()
        thread.join()
        assert (language_tag(), said) == ("xx", ["en"])
    assert language_tag() == "en"


def test_dates_numbers_and_names_of_countries_are_in_the_readers_language() -> None:
    day, zone = date(2026, 3, 11), ZoneInfo("Europe/Amsterdam")
    for _again in range(2):
        assert formats.day_full(day, zone) == "Wednesday 11 March 2026"
        assert holidays.countries()["NL"] == "Netherlands"
        with speaking(PSEUDO):
            assert formats.day_full(day, zone) == "Τετάρτη 11 Μαρτίου 2026"
            assert formats.minutes(90) == f"1 {wide('hour')} 30 {wide('minutes')}"
            assert ngettext("%(n)d day", "%(n)d days", 2) == wide("%(n)d days")
            assert holidays.countries()["NL"] == "Κάτω Χώρες"


@pytest.mark.parametrize("code", sorted(REASONS.sentences))
def test_a_reason_is_stored_as_its_code_with_the_typed_text(code: str) -> None:
    sentence = REASONS[code]
    for language in (ENGLISH, PSEUDO):
        with speaking(language):
            assert REASONS.words(stored(code)) == str(sentence)
            assert REASONS.words(stored(code, "Back: on Monday.")) == f"{sentence} Back: on Monday."


def test_a_text_that_is_no_code_is_shown_unchanged() -> None:
    assert REASONS.words("") == ""
    assert REASONS.words("note:Erin is away") == "Erin is away"
    assert REASONS.words("Erin: is away") == "Erin: is away"


def test_the_value_of_a_problem_is_in_its_text() -> None:
    assert TROUBLES.words("mail_answered:550 5.1.1: 100% full") == "The mail server answered: 550 5.1.1: 100% full"
    assert TROUBLES.words("not_written_out:KeyError") == "The message could not be created: KeyError."
    with speaking(PSEUDO):
        said = TROUBLES.words("sms_answered:500")
        assert said == wide("The text message gateway answered with status %(value)s.") % {"value": 500}


# ------------------------------------------------------------------------------------------- nothing at import


def calls_at_import(tree: ast.AST, names: set[str], *, inside: bool = False) -> Iterator[int]:
    """The lines on which a module calls one of these functions while it is imported."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names and not inside:
            yield node.lineno
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            # Decorators and default values of arguments are evaluated at import.
            for early in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)):
                yield from calls_at_import(ast.Expression(early), names, inside=inside)
            yield from calls_at_import(ast.Module(node.body, []), names, inside=True)
        elif isinstance(node, ast.Lambda):
            yield from calls_at_import(ast.Expression(node.body), names, inside=True)
        else:
            yield from calls_at_import(node, names, inside=inside)


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("X = _('a')", [1]),
        ("class A:\n    x = f(_('a'))", [2]),
        ("def f(x=_('a')):\n    return _('b')", [1]),
        ("@d(_('a'))\ndef f():\n    pass", [1]),
        ("X = [ngettext('a', 'b', n) for n in (1, 2)]", [1]),
        ("X = lambda: _('a')\nY = _l('a')", []),
        ("class A:\n    def f(self):\n        return _('a')", []),
    ],
)
def test_calls_at_import_are_seen(code: str, lines: list[int]) -> None:
    assert list(calls_at_import(ast.parse(code), TRANSLATING)) == lines


def test_no_module_translates_at_import() -> None:
    """Such a text would keep the language in which the process started: mark it with `lazy_gettext as _l`."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / "webapp").rglob("*.py"))
        for line in calls_at_import(ast.parse(path.read_text(encoding="utf-8")), TRANSLATING)
    ]
    assert found == []


def early_translations(tree: nodes.Node) -> Iterator[int]:
    """The lines on which an imported template translates outside of its macros: Jinja keeps the result."""
    for node in tree.iter_child_nodes():
        if isinstance(node, nodes.Macro):
            continue
        if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name in TRANSLATING:
            yield node.lineno
        yield from early_translations(node)


def test_early_translations_are_seen() -> None:
    parse = template_environment().parse
    assert list(early_translations(parse("{% set x = _('a') %}{% macro m() %}{{ _('b') }}{% endmacro %}"))) == [1]


def test_no_imported_template_translates_outside_its_macros() -> None:
    folder = Path(resource_folder("templates"))
    trees = {}
    for path in sorted(folder.rglob("*.*")):
        environment = text_environment() if path.suffix == ".txt" else template_environment()
        trees[path] = environment.parse(path.read_text(encoding="utf-8"))
    sources = [node.template for tree in trees.values() for node in tree.find_all(nodes.Import)]
    sources += [node.template for tree in trees.values() for node in tree.find_all(nodes.FromImport)]
    imported = {source.value for source in sources if isinstance(source, nodes.Const)}
    files = {path: tree for path, tree in trees.items() if any(str(path).endswith(f"/{name}") for name in imported)}
    assert len(imported) > 5
    assert all(any(str(path).endswith(f"/{name}") for path in files) for name in imported)
    assert [f"{path}:{line}" for path, tree in files.items() for line in early_translations(tree)] == []
