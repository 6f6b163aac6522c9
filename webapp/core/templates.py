"""Jinja for pages and messages, and the addresses of static files. This module knows nothing of requests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, MutableMapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2.nodes import EvalContext
from markupsafe import Markup

from webapp.config import resource_folder
from webapp.core import names, phones
from webapp.core.icons import heroicon_mini, heroicon_outline
from webapp.core.urls import with_query
from webapp.i18n import gettext, language_tag, ngettext


@lru_cache(maxsize=256)
def asset(name: str) -> str:
    """The address of a static file, with a version made from its content."""
    content = Path(resource_folder("static") / name).read_bytes()
    return f"/static/{name}?v={hashlib.blake2b(content, digest_size=6).hexdigest()}"


def cached_macro(macro: Callable[..., str], *values: Hashable) -> str:
    """The output of a macro for these values in the reader's language, rendered once.

    The macro must use nothing else, and no personal data.
    """
    return _cached_macro(language_tag(), macro, *values)


@lru_cache(maxsize=500)
def _cached_macro(_language: str, macro: Callable[..., str], *values: Hashable) -> str:
    return macro(*values)


# These replace the functions of Jinja's own extension, which look each other up by name and format every sentence, also
# those without values. A page calls them up to two hundred times.
@jinja2.pass_eval_context
def _translated(context: EvalContext, message: str, **values: object) -> str:
    """The message in the reader's language, with its values; as in all of Jinja's messages, `%%` stands for `%`."""
    text = gettext(message)
    if context.autoescape:
        text = Markup(text)  # noqa: S704 - sentences and their translations are ours.
    return text % values if "%" in text else text


@jinja2.pass_eval_context
def _translated_for_number(context: EvalContext, singular: str, plural: str, num: int, **values: object) -> str:
    """The message for this number, which is also the value `num`."""
    text = ngettext(singular, plural, num)
    if context.autoescape:
        text = Markup(text)  # noqa: S704 - sentences and their translations are ours.
    return text % {"num": num, **values} if "%" in text else text


class _Environment(jinja2.Environment):
    def make_globals(self, d: MutableMapping[str, Any] | None) -> dict[str, Any]:
        """The globals of a template that is loaded now. They must all be known by then.

        Jinja's own mapping also shows those that are added later, but is slow, and every page copies it repeatedly.
        """
        return {**self.globals, **(d or {})}


def template_environment() -> jinja2.Environment:
    """Jinja with autoescaping, strict undefined values, and gettext for translation."""
    environment = _Environment(
        loader=jinja2.FileSystemLoader(resource_folder("templates")),
        autoescape=True,
        # Checking each of a page's files for changes costs as much as a query.
        auto_reload=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.newstyle_gettext = True  # type: ignore[attr-defined]
    environment.globals.update(_=_translated, gettext=_translated, ngettext=_translated_for_number)
    environment.globals.update(asset=asset, with_query=with_query, cached_macro=cached_macro, language_tag=language_tag)
    # Jinja applies a filter to a constant when it compiles the template; it would call a function for each page.
    environment.filters.update(heroicon_mini=heroicon_mini, heroicon_outline=heroicon_outline)
    environment.filters.update(initials=names.initials, before_stop=names.before_stop)
    environment.filters.update(dialled=phones.dialled, doubt_about=phones.doubt_about)
    return environment
