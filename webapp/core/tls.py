"""TLS for the connections that Docket opens."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import cache


def modern(context: ssl.SSLContext) -> ssl.SSLContext:
    """The context, with TLS 1.2 and 1.3 only.

    The Python of some systems, such as Debian's, leaves the oldest version to the settings of OpenSSL.
    """
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@cache
def cached_context(make: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """The context that `make` makes, as `modern` has it, once in a process: reading the certificates takes 20 ms."""
    return modern(make())
