"""The software bill of materials names everything that is locked, and what it says is true."""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hatch_build import VENDORED
from scripts.sbom import BROWSER_FILES, bill_of_materials, main

ROOT = Path(__file__).resolve().parent.parent


@cache
def bill() -> dict[str, Any]:
    """The document, made once."""
    return bill_of_materials()


def components() -> dict[str, dict[str, Any]]:
    """Its components by package URL; browser files by path."""
    return {each["bom-ref"]: each for each in bill()["components"]}


def test_each_locked_package_is_in_it_with_version_licence_and_hashes() -> None:
    listed = components()
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        pins = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, re.MULTILINE)
        for name, version in pins:
            found = listed[f"pkg:pypi/{name}@{version}"]
            assert all(re.fullmatch("[0-9a-f]{64}", each["content"]) for each in found["hashes"])
            assert found["hashes"], name
    hashes = {each["content"] for found in listed.values() for each in found["hashes"]}
    for path in (ROOT / "requirements").glob("*.txt"):
        assert set(re.findall(r"sha256:([0-9a-f]{64})", path.read_text(encoding="utf-8"))) <= hashes


def test_packages_for_running_docket_are_distinguished_from_those_for_building_and_testing() -> None:
    base = (ROOT / "requirements" / "base.txt").read_text(encoding="utf-8")
    needed = set(re.findall(r"^([A-Za-z0-9._-]+)==", base, re.MULTILINE))
    for found in components().values():
        if found["purl"].startswith("pkg:pypi/"):
            assert (found["scope"] == "required") == (found["name"] in needed), found["name"]
    # Only a package for another system, which is not installed, may be without a licence.
    without = {each["name"] for each in components().values() if each["scope"] == "required" and not each["licenses"]}
    assert without <= {"httpx2-jsfetch", "pysqlite3"}


def test_the_browser_files_of_others_are_in_it_as_they_are_served() -> None:
    assert set(BROWSER_FILES) == {ours for files in VENDORED.values() for ours in files.values()}
    for name in BROWSER_FILES:
        found = components()[f"static/vendor/{name}"]
        content = (ROOT / "static" / "vendor" / name).read_bytes()
        assert found["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}]
        assert re.fullmatch(r"\d+\.\d+\.\d+", found["version"])


def test_it_is_a_whole_cyclonedx_document_and_the_same_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert (bill()["bomFormat"], bill()["specVersion"]) == ("CycloneDX", "1.6")
    references = {"docket", *components()}
    assert {each["ref"] for each in bill()["dependencies"]} <= references
    assert {needed for each in bill()["dependencies"] for needed in each["dependsOn"]} <= references
    # Everything is there because something needs it.
    needed = {needed for each in bill()["dependencies"] for needed in each["dependsOn"]}
    assert references - needed == {"docket"}
    assert main() == 0
    assert json.loads(capsys.readouterr().out) == bill()
