"""Templates keep what their macros and scripts expect of them: this is read from their text."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent / "templates"
TEMPLATES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in sorted(ROOT.rglob("*.html"))}


def test_a_cell_has_the_label_of_its_column() -> None:
    """On a phone, where a table has no head, its cells carry the labels."""
    tables = {
        (name, table)
        for name, text in TEMPLATES.items()
        for table in (
            *re.findall(r"call\([^)]*\) list_table\(.*?endcall", text, re.DOTALL),
            *re.findall(r"<table.*?</table>", text, re.DOTALL),
        )
    }
    assert len(tables) > 20
    wrong = [
        (name, label)
        for name, table in tables
        for label in re.findall(r"data-label=\"\{\{ _\('([^']*)'\) \}\}\"", table)
        if label not in re.findall(r"_\('([^']*)'\)", re.sub(r"data-label=\"[^\"]*\"", "", table))
    ]
    assert wrong == []


def test_no_sentence_goes_on_with_a_capital_today() -> None:
    """`moment` says 'Today, 10:44', which may only begin a text or follow a colon."""
    moments = [
        (name, value, sentence)
        for name, text in TEMPLATES.items()
        for values, sentence in re.findall(r"\{% trans ([^%]*)%\}(.*?)\{% endtrans", text)
        for value in re.findall(r"(\w+)=[\w.]+ \| moment\b", values)
    ]
    assert moments
    assert [each for each in moments if not re.search(rf"(^|: )\{{\{{ {each[1]} \}}\}}", each[2])] == []


def parts_of(name: str) -> set[str]:
    """A template, and all that it includes or imports from."""
    found, waiting = set[str](), [name]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += re.findall(r"\{%-? (?:include|from) \"([^\"]+)\"", TEMPLATES[name])
    return found


def test_a_page_whose_fields_count_characters_has_the_script_that_counts() -> None:
    """Without it the place of the counter is an empty line."""
    pages = [name for name, text in TEMPLATES.items() if "{% extends" in text]
    counting = [
        page for page in pages if any(re.search(r"\{\{ field\(.*count=\d", TEMPLATES[part]) for part in parts_of(page))
    ]
    assert len(counting) > 5
    assert [page for page in counting if "js/character-count.js" not in TEMPLATES[page]] == []


def test_only_appointments_are_cancelled() -> None:
    """Forms are discarded, and other pages lead back: a button with that word must not be taken for another."""
    cancelling = [text for text in TEMPLATES.values() if "_('Cancel')" in text]
    assert len(cancelling) > 5
    for text in cancelling:
        assert all(
            re.search("cancellation|['\"]cancel['\"]", line) for line in text.splitlines() if "_('Cancel')" in line
        )
