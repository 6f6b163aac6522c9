"""Templates are compiled once, and again when anything has changed that the compiled ones were made from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

import jinja2
import pytest

from webapp import page_context
from webapp.core.compiled_templates import CompiledTemplates

GREETING = "Hello {{ name }}{{ '!' * 3 }}"


@pytest.fixture(autouse=True)
def _python_keeps_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "compiled" / "templates"


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A module that sets up the environment."""
    file = tmp_path / "environment.py"
    file.write_text("trim_blocks = True")
    return file


class NotCompiling(jinja2.Environment):
    """An environment whose templates must all be compiled already."""

    def _generate(self, source: object, name: object, filename: object, defer_init: bool = False) -> NoReturn:
        raise AssertionError(f"{name} was compiled again.")


def greet(folder: Path, module: Path, kind: type[jinja2.Environment] = jinja2.Environment, text: str = GREETING) -> str:
    """The greeting as a new process would render it."""
    environment = kind(loader=jinja2.DictLoader({"greeting": text}), autoescape=True)
    environment.bytecode_cache = CompiledTemplates([str(module)], folder)
    return environment.get_template("greeting").render(name="Ann")


def test_the_next_process_does_not_compile_again(folder: Path, module: Path) -> None:
    assert greet(folder, module) == "Hello Ann!!!"
    assert greet(folder, module, NotCompiling) == "Hello Ann!!!"
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o077 == (module.stat().st_mode & 0o077), "Others may read it, like modules."


def test_a_changed_template_or_module_is_seen(folder: Path, module: Path) -> None:
    greet(folder, module)
    assert greet(folder, module, text="Bye {{ name }}") == "Bye Ann"
    module.write_text("trim_blocks = False")
    with pytest.raises(AssertionError, match="compiled again"):
        greet(folder, module, NotCompiling, text="Bye {{ name }}")


def test_a_damaged_file_is_replaced(folder: Path, module: Path) -> None:
    greet(folder, module)
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    for length in range(0, len(whole), 7):
        for damaged in (whole[:length], whole[:length] + bytes(len(whole) - length)):
            file.write_bytes(damaged)
            assert greet(folder, module) == "Hello Ann!!!"
    assert file.read_bytes() == whole


def test_without_a_folder_to_write_in_pages_are_the_same(tmp_path: Path, module: Path) -> None:
    (tmp_path / "file").write_text("")
    assert greet(tmp_path / "file" / "folder", module) == "Hello Ann!!!"


def test_nothing_is_kept_where_python_keeps_no_modules(
    folder: Path, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert greet(folder, module) == "Hello Ann!!!"
    assert not folder.exists()


def test_all_templates_of_pages_can_be_compiled_ahead() -> None:
    page_context.compile_templates()
