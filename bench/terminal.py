"""Text and tables for a terminal. Colours are used only on a terminal and never carry meaning alone."""

from __future__ import annotations

import os
import sys

BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"


def paint(text: str, *codes: str) -> str:
    """Text in colour, unless the output is not a terminal or NO_COLOR is set."""
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return text
    return f"\033[{';'.join(codes)}m{text}\033[0m"


def say(text: str) -> None:
    """Print one line immediately."""
    print(text, flush=True)


def progress(text: str) -> None:
    """Print a line that the next one replaces; nothing where the output is not a terminal."""
    if sys.stdout.isatty():
        print(f"\r\033[2K{text}", end="", flush=True)


def table(headings: list[str], rows: list[list[str]], *, title: str = "") -> str:
    """A plain table; columns of numbers are aligned to the right."""
    widths = [max(len(row[at]) for row in [headings, *rows]) for at in range(len(headings))]
    numeric = [all(not row[at] or row[at][0].isdigit() for row in rows) for at in range(len(headings))]

    def line(cells: list[str]) -> str:
        laid = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        ]
        return "  ".join(laid).rstrip()

    rule = "  ".join("-" * width for width in widths)
    lines = ["", paint(title, BOLD)] if title else [""]
    return "\n".join([*lines, line(headings), rule, *map(line, rows), ""])
