"""Answers each request in its reader's language."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from webapp.i18n import Language, speaking


class LanguageMiddleware:
    """Sets the language that `language_of` finds for each request."""

    def __init__(self, app: ASGIApp, *, language_of: Callable[[Scope], Language]) -> None:
        self.app = app
        self.language_of = language_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        with speaking(self.language_of(scope)):
            await self.app(scope, receive, send)
