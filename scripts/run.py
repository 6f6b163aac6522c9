"""Runs the three commands of `make run` in one process, which starts twice as fast as three."""

from __future__ import annotations

import sys

from webapp.cli import run


def main() -> None:
    """Migrate, make demo data in an empty database, and serve; stop at the first command that fails."""
    for arguments in (
        ["db", "upgrade"],
        ["demo", "--if-empty"],
        ["serve", "--host", "127.0.0.1", "--port", sys.argv[1]],
    ):
        code = run(arguments)
        if code:
            sys.exit(code)


if __name__ == "__main__":
    main()
