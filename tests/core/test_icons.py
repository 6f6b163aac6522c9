"""Icons are drawn when templates are compiled, from constants alone, and are the same as the package's own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from heroicons import jinja as theirs
from jinja2 import nodes

from webapp.core import icons
from webapp.page_context import templates
from webapp.staff import menu
from webapp.staff.desk import notification_lists_presenters
from webapp.staff.messages import log

PAGES = [name for name in templates().list_templates(extensions=["html"]) if not name.startswith("notifications/")]


@cache
def parsed(template: str) -> nodes.Template:
    loader = templates().loader
    assert loader is not None
    return templates().parse(loader.get_source(templates(), template)[0])


def drawn_in(template: str) -> Iterator[tuple[str, list[str], dict[str, Any]]]:
    """Each use of an icon: the filter, the names, and the attributes."""
    for use in parsed(template).find_all(nodes.Filter):
        if use.name.startswith("heroicon_"):
            assert use.node is not None
            # This raises `Impossible` for values that are only known when the page is rendered.
            names = use.node.as_const()
            names = [names] if isinstance(names, str) else list(names.values() if isinstance(names, dict) else names)
            yield use.name, names, dict(each.as_const() for each in use.kwargs)


def names_in(template: str) -> set[str]:
    return {name for _style, names, _attributes in drawn_in(template) for name in names}


def test_every_icon_is_a_constant_and_drawn_as_the_package_draws_it() -> None:
    used = {
        (style, name, tuple(attributes.items()))
        for page in PAGES
        for style, names, attributes in drawn_in(page)
        for name in names
    }
    assert len(used) > 80
    for style, name, attributes in used:
        given = dict(attributes)
        assert getattr(icons, style)(name, **given) == getattr(theirs, style)(name, **given), (style, name)


def test_the_value_of_an_attribute_is_escaped() -> None:
    given = {"class": '<a> "b"'}
    assert icons.heroicon_mini("check", size=16, **given) == theirs.heroicon_mini("check", size=16, **given)


def test_several_icons_are_drawn_at_once() -> None:
    check, flag = icons.heroicon_mini("check"), icons.heroicon_mini("flag")
    assert icons.heroicon_mini(["check", "flag"]) == {"check": check, "flag": flag}
    assert icons.heroicon_mini({True: "check", None: "flag"}) == {True: check, None: flag}


def test_compiled_templates_hold_their_icons() -> None:
    for text in ('{{ "check" | heroicon_mini(size=16) }}', '{% set icons = {1: "check"} | heroicon_outline %}'):
        assert "<path" in templates().compile(text, raw=True)


def test_an_icon_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError):
        icons.heroicon_mini("no-such-icon")


def test_icons_that_are_named_elsewhere_are_drawn() -> None:
    """Menus and states name their icons in Python, and templates name them for macros."""
    of_menus = {icon for role in ("doctor", "receptionist", "admin") for *_, icon, _now in menu.staff_places(role, "/")}
    lists = notification_lists_presenters
    badges = (*log.STATES.values(), log._FAILING, *lists.STATES.values(), lists.FAILING)
    assert of_menus <= names_in("macros/frame.html")
    assert {badge.icon for badge in badges} <= names_in("macros/messages.html")
    assert {badge.icon for badge in log.STATES.values()} <= names_in("staff/messages/message.html")
    for macro, place, home in (("empty", 0, "macros/lists.html"), ("place", 2, "macros/frame.html")):
        assert named_for(macro, place) <= names_in(home)


def named_for(macro: str, place: int) -> set[str]:
    """The icons that templates name for a macro, as its argument at this place."""
    found = set()
    for page in PAGES:
        for call in parsed(page).find_all(nodes.Call):
            called, arguments = call.node, call.args
            if isinstance(called, nodes.Name) and called.name == "cached_macro":
                called, arguments = arguments[0], arguments[1:]
            if isinstance(called, nodes.Name) and called.name == macro and len(arguments) > place:
                argument = arguments[place]
                found |= {argument.as_const()} if isinstance(argument, nodes.Const) else set()
    assert found
    return found
