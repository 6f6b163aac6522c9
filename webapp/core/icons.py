"""The icons of Heroicons as SVG, for pages.

The package's own functions list the archive's 1288 icons again for each icon that is read, which takes 4 ms. Pages use
some fifty icons, so this would take each process a fifth of a second.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.resources import files
from xml.etree import ElementTree
from zipfile import ZipFile

from markupsafe import Markup

_NAMESPACE = "http://www.w3.org/2000/svg"


def heroicon_mini(name: str, *, size: int = 20, **attributes: object) -> Markup:
    """A filled icon for small places."""
    return _icon("mini", name, size, **attributes)


def heroicon_outline(name: str, *, size: int = 24, **attributes: object) -> Markup:
    """An icon of lines."""
    return _icon("outline", name, size, **attributes)


def heroicon_solid(name: str, *, size: int = 24, **attributes: object) -> Markup:
    """A filled icon."""
    return _icon("solid", name, size, **attributes)


# Pages use the same few icons; without a cache each use would parse and write one again.
@lru_cache(maxsize=512)
def _icon(style: str, name: str, size: int, **attributes: object) -> Markup:
    """The icon as SVG with these attributes; `_` in their names becomes `-`. Raises KeyError for an unknown icon."""
    # The archive is a part of the package, and trusted.
    svg = ElementTree.fromstring(_archive().read(f"{style}/{name}.svg"))  # noqa: S314
    for part in svg.iter():
        part.tag = part.tag.removeprefix(f"{{{_NAMESPACE}}}")
    svg.attrib.update(width=str(size), height=str(size))
    svg.attrib.update({key.replace("_", "-"): str(value) for key, value in attributes.items()})
    return Markup(ElementTree.tostring(svg, encoding="unicode"))  # noqa: S704 - it is escaped.


@cache
def _archive() -> ZipFile:
    """The package's archive, which stays open."""
    return ZipFile(str(files("heroicons") / "heroicons.zip"))
