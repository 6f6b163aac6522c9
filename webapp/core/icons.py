"""The icons of Heroicons as SVG: filters of templates.

Templates apply them to constants only, so the icons are drawn when a template is compiled. A process with compiled
templates never opens the package's archive, and holds neither the list of its 1288 icons nor a parser of XML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any
from zipfile import ZipFile

from markupsafe import Markup

# One icon by its name, or several: in a list by their names, in a mapping by its keys.
Names = str | Sequence[str] | Mapping[Any, str]
Icons = Markup | dict[Any, Markup]

_NAMESPACE = "http://www.w3.org/2000/svg"


def heroicon_mini(names: Names, *, size: int = 20, **attributes: object) -> Icons:
    """Filled icons for small places. `_` in the names of attributes becomes `-`.

    Raises:
        KeyError: there is no such icon.
    """
    return _icons("mini", names, size, attributes)


def heroicon_outline(names: Names, *, size: int = 24, **attributes: object) -> Icons:
    """Icons of lines. `_` in the names of attributes becomes `-`.

    Raises:
        KeyError: there is no such icon.
    """
    return _icons("outline", names, size, attributes)


def _icons(style: str, names: Names, size: int, attributes: Mapping[str, object]) -> Icons:
    if isinstance(names, str):
        return _icon(style, names, size, attributes)
    by_key = names if isinstance(names, Mapping) else {name: name for name in names}
    return {key: _icon(style, name, size, attributes) for key, name in by_key.items()}


def _icon(style: str, name: str, size: int, attributes: Mapping[str, object]) -> Markup:
    from xml.etree import ElementTree

    # The archive is a part of the package, and trusted.
    svg = ElementTree.fromstring(_archive().read(f"{style}/{name}.svg"))  # noqa: S314
    for part in svg.iter():
        part.tag = part.tag.removeprefix(f"{{{_NAMESPACE}}}")
    svg.attrib.update(width=str(size), height=str(size))
    svg.attrib.update({key.replace("_", "-"): str(value) for key, value in attributes.items()})
    return Markup(ElementTree.tostring(svg, encoding="unicode"))  # noqa: S704 - it is escaped.


@cache
def _archive() -> ZipFile:
    """The package's archive, which stays open: listing its icons for each of them would take 4 ms."""
    return ZipFile(str(files("heroicons") / "heroicons.zip"))
