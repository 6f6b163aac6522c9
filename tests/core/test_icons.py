"""Icons are the same as the package's own, and its archive is listed once in a process."""

from __future__ import annotations

import re

import pytest
from heroicons import jinja as theirs

from webapp.config import resource_folder
from webapp.core import icons

USED = re.compile(r"""(heroicon_\w+)\(["']([\w-]+)["']""")


def test_every_icon_of_our_pages_is_drawn_as_the_package_draws_it() -> None:
    sources = [path.read_text() for path in resource_folder("templates").rglob("*.html")]
    used = sorted({found for source in sources for found in USED.findall(source)})
    assert len(used) > 30
    for style, name in used:
        ours, other = getattr(icons, style), getattr(theirs, style)
        assert ours(name, aria_hidden="true") == other(name, aria_hidden="true"), (style, name)
    assert icons.heroicon_mini("check", size=16, **{"class": "<a>"}) == theirs.heroicon_mini(
        "check", size=16, **{"class": "<a>"}
    )


def test_the_archive_is_listed_once_whatever_the_number_of_icons() -> None:
    icons._archive.cache_clear()
    for name in ("check", "flag", "pencil"):
        icons.heroicon_mini(name, size=17)
    assert icons._archive.cache_info().misses == 1


def test_an_icon_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError):
        icons.heroicon_solid("no-such-icon")
