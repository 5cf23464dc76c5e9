"""What is the same in every WebSocket, whoever speaks it: `websocket`, or a web application's server.

Under the subprotocol `pysig.v1` a message is binary and holds one frame of ours or several, each of them whole. There
is no preface: the subprotocol says what that would.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sig.constants import Limits
from sig.errors import InvalidArgument
from sig.messages import in_a_line
from sig.protocol.frames import HEADER

SUBPROTOCOL: Final = "pysig.v1"

# What a peer sends at once is one message, up to this; above, frames share a message while they fit. So no message is
# larger than this or than one frame, whichever is more: servers and proxies have limits.
MESSAGE_BYTES: Final = 64 * 1024


def message_limit(limits: Limits) -> int:
    """The largest message that a peer with these limits needs to take."""
    return max(MESSAGE_BYTES, limits.max_frame_bytes + HEADER.size)


def frames_in(data: bytes) -> Iterator[tuple[int, int]]:
    """Where whole frames begin and end."""
    start = 0
    while start < len(data):
        end = start + HEADER.size + HEADER.unpack_from(data, start)[0]
        yield start, end
        start = end


def messages_of(data: bytes) -> Iterator[bytes | memoryview]:
    """Whole frames as messages, not copied."""
    if len(data) <= MESSAGE_BYTES:
        yield data
        return
    view = memoryview(data)
    first = 0
    for start, end in frames_in(data):
        if start > first and end - first > MESSAGE_BYTES:
            yield view[first:start]
            first = start
    yield view[first:]


# Of what a stranger sends, so much is told again.
_LONGEST_HOST: Final = 200


def check_origins(origins: Sequence[str]) -> None:
    """Raise `InvalidArgument` for what no browser would send as the origin of a page."""
    if isinstance(origins, str):
        raise InvalidArgument(f"origins={origins!r} is one text: give a list of them")
    for origin in origins:
        scheme, separator, host = origin.partition("://")
        if not (scheme and separator and host) or "/" in host or origin != origin.lower():
            raise InvalidArgument(f"no page has the origin {origin!r}: write it like 'https://lab.example'")


def check_hosts(hosts: Sequence[str]) -> None:
    """Raise `InvalidArgument` for what no client would ask for as a host."""
    if isinstance(hosts, str):
        raise InvalidArgument(f"hosts={hosts!r} is one text: give a list of them")
    for host in hosts:
        if not host or host != host_of(host):
            raise InvalidArgument(f"{host!r} is no host: write it like 'lab.example', without scheme and port")


def misdirected(asked: Sequence[str], hosts: Sequence[str]) -> str | None:
    """Why a request with these headers `Host` is not for a server of those names; `None` if it is. None are any."""
    strange = [host for host in asked or [""] if host_of(host) not in hosts] if hosts else []
    if not strange:
        return None
    return f"this server is not {in_a_line(strange[0], _LONGEST_HOST)!r}: its `hosts` do not list that"


def host_of(header: str) -> str:
    """The host in the header `Host` of a request, without its port (RFC 9110, 7.2)."""
    host = header.strip().lower()
    end = host.find("]") + 1 if host.startswith("[") else host.find(":")
    host = host if end <= 0 else host[:end]
    return "" if "/" in host else host
