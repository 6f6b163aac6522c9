"""QR codes, as templates draw them: a square and one path, without styles, under our content security policy."""

from __future__ import annotations

from typing import NamedTuple

# Readers of QR codes need four light modules around the dark ones.
QUIET = 4


class QrCode(NamedTuple):
    """The length of a side in modules, and an SVG path of all dark modules."""

    size: int
    path: str


def draw_qr_code(text: str) -> QrCode:
    """The QR code of a text."""
    import segno

    rows = [list(row) for row in segno.make(text, error="m", micro=False).matrix_iter(border=QUIET)]
    dark = (f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, module in enumerate(row) if module)
    return QrCode(len(rows), "".join(dark))
