"""The API's description: the document for programs, and two viewers for people that load nothing from other hosts.

The viewers create styles at run time, so their pages have their own security policy. It allows what each viewer needs
and is otherwise the same as that of all other pages.
"""

from __future__ import annotations

import hashlib
import json

from fastapi import FastAPI, Request
from starlette.responses import Response

from webapp.core.routing import Router
from webapp.core.security import CONTENT_SECURITY_POLICY
from webapp.core.web import CurrentPage, Page

router = Router()

# Both viewers draw their icons from data: URLs.
_WITH_ICONS = CONTENT_SECURITY_POLICY.replace("img-src 'self'", "img-src 'self' data:")
# The contents of ReDoc's style elements: the empty string, because rules are added later, and its scroll bars.
_REDOC_STYLES = (
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
    "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='",
)
POLICIES = {
    "swagger": _WITH_ICONS,
    # ReDoc's search runs in a worker that it creates itself.
    "redoc": _WITH_ICONS.replace("style-src 'self'", " ".join(("style-src 'self'", *_REDOC_STYLES)))
    + "; worker-src blob:",
}


def document_text(app: FastAPI) -> str:
    """The OpenAPI document as it is printed and stored. The text is the same as long as the API is the same."""
    return json.dumps(app.openapi(), ensure_ascii=False, indent=2) + "\n"


@router.get("/openapi.json")
def openapi_document(request: Request) -> Response:
    """The OpenAPI document; everyone."""
    state = request.app.state
    kept: tuple[bytes, str] | None = getattr(state, "openapi_document", None)
    if kept is None:
        body = json.dumps(request.app.openapi(), ensure_ascii=False, separators=(",", ":")).encode()
        kept = state.openapi_document = body, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    body, tag = kept
    headers = {"etag": tag, "cache-control": "no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


@router.get("/docs")
def try_the_api(page: CurrentPage) -> Response:
    """The description in Swagger UI, where requests can be tried out; everyone."""
    return _viewer(page, "swagger")


@router.get("/redoc")
def read_about_the_api(page: CurrentPage) -> Response:
    """The description in ReDoc; everyone."""
    return _viewer(page, "redoc")


def _viewer(page: Page, viewer: str) -> Response:
    return page.render("openapi/viewer.html", headers={"content-security-policy": POLICIES[viewer]}, viewer=viewer)
