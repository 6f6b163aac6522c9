"""The software bill of materials: every locked package, and the browser files that Docket brings, as CycloneDX 1.6.

    python -m scripts.sbom > docket.cdx.json

Names, versions and hashes come from the locks, licences from the installed packages, so it needs no network, and the
same checkout gives the same bytes. Packages that Docket does not need when it runs have the scope "excluded".
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tomllib
import uuid
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
# The first lock that names a package decides its scope.
LOCKS = {"base": "required", "build": "excluded", "test": "excluded", "dev": "excluded"}
# The licences of packages whose metadata names none; their wheels hold the text.
LICENCES = {"axe-playwright-python": "MIT", "pysqlite3": "Zlib"}
# Browser files from other projects: name, licence, and what their version stands behind.
BROWSER_FILES = {
    "htmx.min.js": ("htmx.org", "0BSD", r'version:"([\d.]+)"'),
    "swagger-ui-bundle.js": ("swagger-ui-dist", "Apache-2.0", r'PACKAGE_VERSION:"([\d.]+)"'),
    "swagger-ui.css": ("swagger-ui-dist", "Apache-2.0", ""),
    "redoc.standalone.js": ("redoc", "MIT", r'" ReDoc Version: ","([\d.]+)"'),
}

_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_NEEDED_BY = re.compile(r"^    # (?:via |  )(?!-c)([^\s\[]+)", re.MULTILINE)


class Locked(NamedTuple):
    """A package in a lock: its files' hashes, and the packages that need it."""

    name: str
    version: str
    hashes: list[str]
    needed_by: list[str]

    @property
    def purl(self) -> str:
        """Its package URL, by which scanners know it."""
        return f"pkg:pypi/{self.name}@{self.version}"


def read_lock(name: str) -> Iterator[Locked]:
    """The packages of one lock, in its order."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    for block in re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE):
        if pin := _PIN.match(block):
            yield Locked(normal(pin["name"]), pin["version"], _HASH.findall(block), _NEEDED_BY.findall(block))


def normal(name: str) -> str:
    """A package's name as package URLs spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licences_of(name: str) -> list[dict[str, Any]]:
    """The licence of an installed package; none if it is for another system, and so not installed."""
    try:
        found = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return []
    expression = (found.get_all("License-Expression") or [LICENCES.get(name, "")])[0]
    if expression:
        return [{"expression": expression}]
    named = [each.rpartition(" :: ")[2] for each in found.get_all("Classifier") or [] if each.startswith("License :: ")]
    # Some metadata has the whole text here.
    first_lines = [str(each).partition("\n")[0].strip() for each in found.get_all("License") or []]
    said = [each for each in named if each != "OSI Approved"] or first_lines
    return [{"license": {"name": each}} for each in said if each]


def component(package: Locked, scope: str) -> dict[str, Any]:
    """A package as CycloneDX describes it."""
    return {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "scope": scope,
        "purl": package.purl,
        "licenses": licences_of(package.name),
        # One for each file that may be installed: a package has several, for several systems.
        "hashes": [{"alg": "SHA-256", "content": each} for each in package.hashes],
    }


def browser_components(folder: Path) -> Iterator[dict[str, Any]]:
    """The browser files of other projects, which `make install` puts into static/vendor."""
    versions: dict[str, str] = {}
    for file, (name, licence, pattern) in BROWSER_FILES.items():
        content = (folder / file).read_bytes()
        if pattern and (found := re.search(pattern, content.decode("utf-8"))):
            versions[name] = found[1]
        yield {
            "type": "file",
            "bom-ref": f"static/vendor/{file}",
            "name": file,
            "version": versions[name],
            "scope": "required",
            "purl": f"pkg:npm/{name}@{versions[name]}",
            "licenses": [{"expression": licence}],
            "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}],
        }


def bill_of_materials() -> dict[str, Any]:
    """The whole document."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    packages: dict[str, tuple[Locked, str]] = {}
    for lock, scope in LOCKS.items():
        for package in read_lock(lock):
            packages.setdefault(package.name, (package, scope))
    files = list(browser_components(ROOT / "static" / "vendor"))
    components = sorted([component(*each) for each in packages.values()] + files, key=lambda each: each["bom-ref"])
    own = {
        "type": "application",
        "bom-ref": "docket",
        "name": project["name"],
        "version": project["version"],
        "licenses": [{"expression": project["license"]}],
    }
    content = {"components": components, "dependencies": dependencies(packages, [each["bom-ref"] for each in files])}
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([own, content]))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{number}",
        "version": 1,
        "metadata": {"lifecycles": [{"phase": "build"}], "component": own},
        **content,
    }


def dependencies(packages: dict[str, tuple[Locked, str]], files: list[str]) -> list[dict[str, Any]]:
    """What needs what, from the locks' comments; "docket" is Docket itself."""
    needs: dict[str, set[str]] = {"docket": set(files)} | {each.purl: set() for each, _scope in packages.values()}
    for package, _scope in packages.values():
        for by in package.needed_by:
            # The second is the list of what the build needs.
            ref = "docket" if by in {"docket", "-r"} else packages[normal(by)][0].purl
            needs[ref].add(package.purl)
    return [{"ref": ref, "dependsOn": sorted(needed)} for ref, needed in sorted(needs.items())]


def main() -> int:
    """Print the document."""
    json.dump(bill_of_materials(), sys.stdout, indent=2)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
