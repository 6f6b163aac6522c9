"""Sentences for people use the words that a clinic speaks, and one word for one thing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from babel.messages.extract import extract_from_dir

# Programs read the columns of the export, so these keep their names.
COLUMNS = {("webapp/staff/appointments/presenters.py", name) for name in ("Telephone", "Visit")}
ROOT = Path(__file__).parent.parent
# Words that are old or odd in comments and documents, too.
OLD = re.compile(
    r"\b(whoever|whomever|somebody|anybody|nobody|need not|anew|in vain|in silence|thereof|for ever|clerks?|"
    r"(an?|no|\w+s)\s+(\w+\s+)?of\s+(its|their|his|her|one's)\s+own)\b",
    re.IGNORECASE,
)
# A docstring or a comment begins with a noun or a verb: "The fields of a form", not "What a form holds".
CLAUSE = re.compile(r"(\"\"\"|^ *# )(What|Who|Whom|Whose) [a-z]", re.MULTILINE)
# A docstring is read alone: it names its thing instead of pointing to the function above it.
POINTER = re.compile(r'"""(The same(?:[,.;]| (?:for|in|as|by|one)\b)|Such\b|Both together)')
# Things start and are created; they do not begin, and are not made.
SECOND = re.compile(
    r"\b(begins?|beginning|began|begun|(tokens?|links?|lists?|accounts?) (was |were |is |are )?made|"
    r"(make|makes|made|making) an? (new )?(API token|token|password link|link|list|account|one|version))\b",
    re.IGNORECASE,
)
KEYWORDS = {"_": None, "_l": None, "gettext": None, "ngettext": (1, 2)}
# An appointment is never a visit, except in "visit type"; the other words are stiff.
STIFF = re.compile(
    r"\b(visits?(?! types?\b)|e-mails?|telephone|nobody|whoever|whom|somebody|everybody|need not|is none|"
    r"log (in|out)|register|cannot|all the same|what becomes|set aside)\b",
    re.IGNORECASE,
)
# A name of code, except members of the API, which programs read, and names between %( and ).
NAME_OF_CODE = re.compile(r"(?<!%\()\b([A-Z][a-z]+[A-Z][A-Za-z]+|[a-z]+_[a-z_]+)\b")
MEMBERS = {"JavaScript", "mfa_code", "starts_at", "ends_at", "starts_on", "ends_on"}


@cache
def sentences() -> tuple[tuple[str, str], ...]:
    """Every marked sentence, and its file."""
    return tuple(_extract())


def _extract() -> Iterator[tuple[str, str]]:
    for folder, methods in (
        ("webapp", [("**.py", "python")]),
        ("templates", [("**.html", "jinja2"), ("**.txt", "jinja2")]),
    ):
        found = extract_from_dir(ROOT / folder, methods, keywords=KEYWORDS, options_map={"**": {"silent": "false"}})
        for file, _line, message, _comments, _context in found:
            for each in (message,) if isinstance(message, str) else message:
                yield f"{folder}/{file}", each


def test_no_sentence_uses_a_stiff_word_or_a_second_name_for_a_thing() -> None:
    found = sentences()
    assert len(found) > 1500
    assert [each for each in found if each not in COLUMNS and STIFF.search(each[1])] == []
    assert [each for each in found if SECOND.search(each[1])] == []


def test_no_sentence_contains_a_name_of_the_code() -> None:
    """A word that people read can be changed by mistake, when something of the same name is renamed."""
    found = [(file, name[0]) for file, sentence in sentences() for name in NAME_OF_CODE.finditer(sentence)]
    assert {name for _file, name in found} == MEMBERS
    # Errors of the API name its fields; pages and messages have no names of fields.
    assert {name for file, name in found if file.startswith("templates")} <= {"JavaScript"}


def test_neither_does_the_description_of_the_api() -> None:
    lines = (ROOT / "docs" / "openapi.json").read_text("utf-8").splitlines()
    assert [line for line in lines if '"description"' in line and SECOND.search(line)] == []


def test_no_comment_and_no_document_uses_an_old_word() -> None:
    files = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "SECURITY.md",
        ROOT / "Makefile",
        ROOT / "compose.yaml",
        ROOT / ".env.example",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "webapp").rglob("*.py"),
        *(ROOT / "bench").glob("*.*"),
        *(ROOT / "templates").rglob("*.html"),
        *(ROOT / "static").glob("[cj]s*/*.*"),
    ]
    texts = {path: path.read_text("utf-8") for path in files}
    assert [(path.name, found[0]) for path, text in texts.items() for found in OLD.finditer(text)] == []
    # The outline of a privacy notice has headings that look like comments.
    del texts[ROOT / "webapp" / "clinic" / "documents.py"]
    assert [(path.name, found[0]) for path, text in texts.items() for found in CLAUSE.finditer(text)] == []
    assert [(path.name, found[0]) for path, text in texts.items() for found in POINTER.finditer(text)] == []
