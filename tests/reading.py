"""Reading a page as a person or a browser does: its headings, links, buttons, and the data of its forms."""

from __future__ import annotations

import html
import re

import httpx2

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
# Boxes are apart on the screen, so their texts are separated here, too.
BOXES = {"p", "li", "div", "section", "h1", "h2", "h3", "h4", "dt", "dd", "br", "td", "label", "legend", "small"}


class Element:
    """One element of a page."""

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[Element | str] = []
        # Every element of its page in their order, of which those between these numbers are inside this one.
        self._page: list[Element] = []
        self._first = self._last = 0

    def __bool__(self) -> bool:
        """An element that was found is true."""
        return True

    def __getitem__(self, attribute: str) -> str:
        return self.attributes[attribute]

    def get(self, attribute: str) -> str | None:
        """An attribute's value; '' if it has none, None if it is missing."""
        return self.attributes.get(attribute)

    @property
    def text(self) -> str:
        """The text, with single spaces."""
        found: list[str] = []
        self._collect(found)
        return " ".join("".join(found).split())

    @property
    def raw(self) -> str:
        """The text without changes."""
        return "".join(child if isinstance(child, str) else child.raw for child in self.children)

    def _collect(self, found: list[str]) -> None:
        for child in self.children:
            if isinstance(child, str):
                found.append(child)
            elif child.name in BOXES:
                found.append(" ")
                child._collect(found)
                found.append(" ")
            else:
                child._collect(found)

    def all(self, tag: str | None = None, /, **attributes: str) -> list[Element]:
        """Every element inside with this name and these attributes; `class_` is one of its classes."""
        inside = self._page[self._first : self._last]
        if tag is not None:
            inside = [each for each in inside if each.name == tag]
        for key, value in attributes.items():
            if key == "class_":
                inside = [each for each in inside if value in each.attributes.get("class", "").split()]
            else:
                name = key.rstrip("_").replace("_", "-")
                inside = [each for each in inside if each.attributes.get(name) == value]
        return inside

    def one(self, tag: str | None = None, /, **attributes: str) -> Element:
        """The only such element."""
        found = self.all(tag, **attributes)
        assert len(found) == 1, f"{len(found)} × <{tag} {attributes}> in: {self.text[:2000]}"
        return found[0]

    def form(self, action: str, method: str = "post") -> dict[str, str]:
        """The data that a browser would send with the unchanged form that goes to `action`."""
        return self.one("form", action=action, method=method).values()

    def values(self) -> dict[str, str]:
        """The values of the fields inside, except buttons."""
        values = {}
        for field in self.all():
            name = field.get("name")
            if not name or field.get("disabled") is not None:
                continue
            if field.name == "input" and field.get("type") in {"radio", "checkbox"}:
                if field.get("checked") is not None:
                    values[name] = field.get("value") or "on"
            elif field.name == "input":
                values[name] = field.get("value") or ""
            elif field.name == "textarea":
                # A browser drops a line break directly after the tag.
                values[name] = re.sub(r"^\r?\n", "", field.raw)
            elif field.name == "select":
                chosen = [option for option in field.all("option") if option.get("selected") is not None]
                values[name] = (chosen or field.all("option"))[0]["value"]
        return values

    @property
    def h1(self) -> str:
        """The page's main heading."""
        return self.one("h1").text

    @property
    def links(self) -> list[str]:
        """The addresses of its links."""
        return [each["href"] for each in self.all("a") if "href" in each.attributes]


# A tag as our templates write it, or a comment or the document's type. Tests read thousands of pages, and Python's own
# parser takes three times as long.
_TAG = re.compile(
    r"""<(?:!--.*?-->|!doctype[^>]*>|/(?P<end>[a-z][\w-]*)\s*>"""
    r"""|(?P<start>[a-z][\w-]*)(?P<attributes>(?:\s+[^\s"'<>/=]+(?:=(?:"[^"]*"|'[^']*'|[^\s"'<>=`]+))?)*)\s*(?P<whole>/?)>)""",
    re.DOTALL | re.IGNORECASE,
)
_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]+)(?:=(?:"([^"]*)"|'([^']*)'|([^\s"'<>=`]+)))?""")
_END_OF_RAW = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in ("script", "style")}


class _Builder:
    def __init__(self) -> None:
        self.root = Element("#page", {})
        self.open = [self.root]
        self.page: list[Element] = []
        self.root._page = self.page

    def read(self, text: str) -> None:
        place = 0
        while (tag := _TAG.search(text, place)) is not None:
            self._add_text(text[place : tag.start()])
            place = tag.end()
            if tag["end"]:
                self._close(tag["end"].lower())
            elif tag["start"]:
                name = tag["start"].lower()
                self._begin(name, _attributes(tag["attributes"]), whole=bool(tag["whole"]))
                if name in _END_OF_RAW and not tag["whole"]:
                    end = _END_OF_RAW[name].search(text, place)
                    assert end is not None, f"<{name}> is never closed"
                    if end.start() > place:
                        self.open[-1].children.append(text[place : end.start()])
                    place = end.start()
        self._add_text(text[place:])
        self.root._last = len(self.page)

    def _add_text(self, text: str) -> None:
        if text:
            assert "<" not in text, f"Not a tag: {text[text.index('<') :][:200]}"
            self.open[-1].children.append(html.unescape(text) if "&" in text else text)

    def _begin(self, name: str, attributes: dict[str, str], *, whole: bool) -> None:
        element = Element(name, attributes)
        self.open[-1].children.append(element)
        self.page.append(element)
        element._page = self.page
        element._first = element._last = len(self.page)
        if name not in VOID and not whole:
            self.open.append(element)

    def _close(self, name: str) -> None:
        if name in VOID:
            return
        assert self.open[-1].name == name, f"</{name}> closes <{self.open[-1].name}>"
        self.open.pop()._last = len(self.page)


def _attributes(text: str) -> dict[str, str]:
    if not text:
        return {}
    if "&" in text:
        return {
            name.lower(): html.unescape(quoted or single or bare)
            for name, quoted, single, bare in _ATTRIBUTE.findall(text)
        }
    return {name.lower(): quoted or single or bare for name, quoted, single, bare in _ATTRIBUTE.findall(text)}


def read(answer: httpx2.Response | str) -> Element:
    """The page in an answer; mismatched tags are an error."""
    builder = _Builder()
    builder.read(answer if isinstance(answer, str) else answer.text)
    assert builder.open == [builder.root], f"<{builder.open[-1].name}> is never closed"
    return builder.root


HTMX = {"hx-request": "true"}


def read_fragment(answer: httpx2.Response, root: str) -> Element:
    """The fragment in an answer to HTMX: its only root has the id `root`, and the answer varies by HX-Request."""
    page = read(answer)
    elements = [child for child in page.children if isinstance(child, Element)]
    assert [element.get("id") for element in elements] == [root]
    assert not page.all("html")
    assert "HX-Request" in answer.headers["vary"]
    return elements[0]
