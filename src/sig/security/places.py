"""Where somebody is, from the address of a link: what counts as one place for whoever bounds what comes from it."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

# Addresses of these are of the machine they come from, and one machine has many of them.
_WITH_HOSTS: Final = ("tcp", "tls", "ws", "wss")


def place_of(address: str) -> str:
    """Where somebody is, without what changes with each link: the port, the process, and the end of an IPv6 address."""
    if address.startswith("unix"):
        return "unix"
    _, scheme, rest = address.partition("://")
    if not scheme:
        return address
    place = rest.partition("/")[0]
    if not place:
        return rest  # a path
    host = place.rpartition(":")[0].strip("[]")
    try:
        address6 = IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if address6.ipv4_mapped is not None:
        return str(address6.ipv4_mapped)
    if address6.is_loopback:
        return str(address6)
    # Whoever has one address of IPv6 has all of its /64.
    return str(IPv6Network((address6, 64), strict=False))


def other_machine(address: str) -> str:
    """The place of another machine; empty for this one, and for what is no machine: these are trusted not to flood."""
    if address.partition("://")[0] not in _WITH_HOSTS:
        return ""
    place = place_of(address)
    try:
        return "" if ip_address(place).is_loopback else place
    except ValueError:  # a network, or a name
        return place
