"""Static files: compressed once, and cached by browsers for a year under the address of their version."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
from mimetypes import guess_type
from pathlib import Path
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

from webapp.core.compression_middleware import accepts_gzip
from webapp.core.templates import asset

# Pictures and fonts are compressed already.
COMPRESSIBLE = {".css", ".js", ".svg", ".json", ".txt", ".html"}
LEVEL = 9


class Packed(NamedTuple):
    """A compressed file, and the state of the file that it was made from."""

    state: tuple[int, int]
    body: bytes
    etag: str


class VersionedStatic(StaticFiles):
    """Static files. An address with its file's own version never changes its content, so it may be cached for a year.

    Any other version may belong to a newer file, as when two releases run side by side. Each process compresses a file
    when it is first asked for, all of them in a tenth of a second, and keeps it: less than 1 MB, and no thread is
    needed to send it. A file that is edited is compressed again.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory)
        self._packed: dict[str, Packed] = {}

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, compressed if the client takes that and asks for all of it."""
        compressible = Path(path).suffix in COMPRESSIBLE
        response = await self._compressed(path, scope) if compressible else None
        response = response or await super().get_response(path, scope)
        found = response.status_code in {200, 304}
        fixed = found and scope["query_string"].decode("latin-1") == asset(path).partition("?")[2]
        response.headers["cache-control"] = "public, max-age=31536000, immutable" if fixed else "no-cache"
        if compressible:
            response.headers["vary"] = "Accept-Encoding"
        return response

    async def _compressed(self, path: str, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if scope["method"] not in {"GET", "HEAD"} or "range" in headers or not accepts_gzip(headers):
            return None
        try:
            full_path, found = self.lookup_path(path)
        except (OSError, ValueError):
            return None
        if found is None or not stat.S_ISREG(found.st_mode):
            return None
        packed = self._packed.get(full_path)
        if packed is None or packed.state != (found.st_mtime_ns, found.st_size):
            packed = self._packed[full_path] = await run_in_threadpool(_pack, full_path, found)
        response = Response(packed.body, media_type=guess_type(path)[0])
        response.headers["content-encoding"] = "gzip"
        response.headers["etag"] = packed.etag
        if packed.etag in headers.get("if-none-match", ""):
            return NotModifiedResponse(response.headers)
        return response


def _pack(path: str, found: os.stat_result) -> Packed:
    content = Path(path).read_bytes()
    # Each coding of a file has its own ETag.
    etag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}-gzip"'
    return Packed((found.st_mtime_ns, found.st_size), gzip.compress(content, LEVEL, mtime=0), etag)
