"""Templates that are compiled once and used by all processes, as Python does with modules.

Compiling the templates of one page takes up to 0.1 s and leaves holes in the memory of the process. The compiled ones
lie beside the compiled modules, where only those can write who can change the code itself.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from importlib.util import cache_from_source
from pathlib import Path
from threading import get_ident

import jinja2
from jinja2.bccache import Bucket


class CompiledTemplates(jinja2.BytecodeCache):
    """The compiled templates of one environment. Without a folder to write in, each process compiles its own.

    A template is compiled again when it has changed, or Jinja, or the icons, or one of the modules that set up the
    environment.
    """

    def __init__(self, modules: Sequence[str], folder: Path | None = None) -> None:
        """`modules` are the files of the modules that set up the environment."""
        self._folder = folder or Path(cache_from_source(__file__)).with_suffix("")
        packages = (metadata.version(package) for package in ("jinja2", "heroicons"))
        self._version = "\n".join((*packages, *(Path(file).read_text("utf-8") for file in modules)))

    def get_source_checksum(self, source: str) -> str:
        """A checksum of all that the compiled template was made from."""
        return super().get_source_checksum(self._version + source)

    def load_bytecode(self, bucket: Bucket) -> None:
        """Read a template, unless it is missing, older, or damaged."""
        with suppress(OSError, EOFError, pickle.UnpicklingError):
            bucket.bytecode_from_string((self._folder / bucket.key).read_bytes())

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a template, if that is possible and Python keeps modules."""
        if sys.dont_write_bytecode:
            return
        # Others may read or write the same template at this moment.
        unfinished = self._folder / f"{bucket.key}.{os.getpid()}.{get_ident()}"
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(bucket.bytecode_to_string())
            unfinished.replace(self._folder / bucket.key)
