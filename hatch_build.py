"""What hatchling does beyond its configuration, for the wheel, the sdist and the editable install.

htmx comes out of the django-htmx wheel, which is a build requirement and nothing more: no third-party file is
committed, and Django is not installed. The file lands in `static/vendor/`, which git ignores.
"""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CARRIER = "django-htmx"
# The file's name in the carrier, and ours. The carrier holds htmx 4 too; htmx 2 is maintained "in perpetuity".
VENDORED = {"htmx-2.min.js": "htmx.min.js"}

# These live beside the package in a checkout and inside it in a wheel; webapp looks in both places.
INSIDE_THE_WHEEL = ("templates", "static", "alembic", "alembic.ini")


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        vendor(root / "static" / "vendor")
        # An editable install reads the checkout itself: copies would only grow stale.
        if self.target_name == "wheel" and version == "standard":
            for name in INSIDE_THE_WHEEL:
                build_data["force_include"][str(root / name)] = f"webapp/{name}"


def vendor(target: Path) -> None:
    """Copy the vendored browser files out of the installed carrier, which is never imported."""
    try:
        files = metadata.files(CARRIER) or []
    except metadata.PackageNotFoundError:
        raise SystemExit(f"{CARRIER} is not installed: install requirements/build.txt first.") from None
    found = {file.name: file for file in files if file.name in VENDORED}
    if missing := VENDORED.keys() - found.keys():
        raise SystemExit(f"{CARRIER} {metadata.version(CARRIER)} does not hold {', '.join(sorted(missing))}.")
    target.mkdir(parents=True, exist_ok=True)
    for name, ours in VENDORED.items():
        shutil.copyfile(str(found[name].locate()), target / ours)


if __name__ == "__main__":
    vendor(Path(__file__).parent / "static" / "vendor")
