"""What Chromium tells a screen reader: its accessibility tree, in the order in which it is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from playwright.sync_api import Page

# Boxes of texts and lines, which a screen reader does not read.
SILENT = {"InlineTextBox", "StaticText", "LineBreak", "generic", "none", "LayoutTable", "SvgRoot", "image"}


class Heard(NamedTuple):
    """One entry that is read: its depth, its role, its name, and its states."""

    depth: int
    role: str
    name: str
    states: dict[str, Any]


def read_aloud(page: Page) -> list[Heard]:
    """Everything that has a role, from the page's beginning to its end."""
    browser = page.context.new_cdp_session(page)
    nodes = browser.send("Accessibility.getFullAXTree")["nodes"]
    browser.detach()
    by_id = {node["nodeId"]: node for node in nodes}
    return list(_walk(nodes[0], by_id, 0))


def inside(heard: list[Heard], role: str, name: str) -> list[Heard]:
    """The entries inside the only one with this role and name."""
    [at] = [place for place, each in enumerate(heard) if (each.role, each.name) == (role, name)]
    depth = heard[at].depth
    end = next((place for place in range(at + 1, len(heard)) if heard[place].depth <= depth), len(heard))
    return heard[at + 1 : end]


def _walk(node: dict[str, Any], by_id: dict[str, dict[str, Any]], depth: int) -> Iterator[Heard]:
    role = str(node.get("role", {}).get("value", ""))
    told = not node["ignored"] and role not in SILENT
    if told:
        states = {each["name"]: each["value"].get("value") for each in node.get("properties", [])}
        yield Heard(depth, role, str(node.get("name", {}).get("value", "")), states)
    for child in node.get("childIds", []):
        if child in by_id:
            yield from _walk(by_id[child], by_id, depth + told)
