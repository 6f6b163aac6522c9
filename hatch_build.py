"""Build steps beyond hatchling's configuration, for the wheel, the sdist and the editable install.

htmx and the two viewers of the API's description are taken from wheels that are build requirements only: no third-party
file is committed, and neither Django nor its packages are installed. The files land in `static/vendor/`, which git
ignores.
"""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# The files to copy, by package: the end of the file's path in the package, and its name here.
# django-htmx carries htmx 4 too; htmx 2 is maintained "in perpetuity".
VENDORED = {
    "django-htmx": {"htmx-2.min.js": "htmx.min.js"},
    "drf-spectacular-sidecar": {
        "swagger-ui-dist/swagger-ui-bundle.js": "swagger-ui-bundle.js",
        "swagger-ui-dist/swagger-ui.css": "swagger-ui.css",
        "bundles/redoc.standalone.js": "redoc.standalone.js",
    },
}

# These lie beside the package in a checkout and inside it in a wheel; webapp looks in both places.
INSIDE_THE_WHEEL = ("templates", "static", "alembic", "alembic.ini")


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        vendor(root / "static" / "vendor")
        # An editable install reads the checkout itself: copies would become outdated.
        if self.target_name == "wheel" and version == "standard":
            for name in INSIDE_THE_WHEEL:
                build_data["force_include"][str(root / name)] = f"webapp/{name}"


def vendor(target: Path) -> None:
    """Copy the vendored browser files from their installed packages, which are never imported.

    Raises:
            SystemExit: a package is not installed, or lacks a file.
    """
    target.mkdir(parents=True, exist_ok=True)
    for carrier, wanted in VENDORED.items():
        try:
            files = metadata.files(carrier) or []
        except metadata.PackageNotFoundError:
            raise SystemExit(f"{carrier} is not installed: install requirements/build.txt first.") from None
        for ending, ours in wanted.items():
            found = [file for file in files if file.as_posix().endswith(f"/{ending}")]
            if len(found) != 1:
                raise SystemExit(f"{carrier} {metadata.version(carrier)} holds {len(found)} files {ending}, not one.")
            shutil.copyfile(str(found[0].locate()), target / ours)


if __name__ == "__main__":
    vendor(Path(__file__).parent / "static" / "vendor")
