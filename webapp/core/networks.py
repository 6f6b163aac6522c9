"""The networks of a client's address, by which attempts are counted: a guesser often owns more than one address."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import NamedTuple

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Networks(NamedTuple):
    """The networks of an address, from the narrowest to the widest.

    `here` is an IPv4 address itself or the /64 of an IPv6 address, which one household or host owns. `site` is the /56
    that many providers give to a household, '' for IPv4. `region` is the /48 that others give, or the /24 of IPv4.
    """

    here: str
    site: str
    region: str


@lru_cache(maxsize=1000)
def networks_of(address: str) -> Networks:
    """The networks to count by. An IPv4 address that is written as IPv6 (mapped, or through NAT64) is that address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return Networks(address[:45], "", "")
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        elif parsed in NAT64:
            parsed = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
    if isinstance(parsed, ipaddress.IPv4Address):
        return Networks(str(parsed), "", str(ipaddress.ip_network((int(parsed), 24), strict=False)))
    site, region = (str(ipaddress.ip_network((int(parsed), size), strict=False)) for size in (56, 48))
    return Networks(str(ipaddress.ip_network((int(parsed), 64), strict=False).network_address), site, region)


def network_of(address: str) -> str:
    """The narrowest network of an address."""
    return networks_of(address).here
