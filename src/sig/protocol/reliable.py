"""A link that loses nothing when it is cut: what `Peer` does for one, beside what it does for all.

Sans-I/O: no socket, no thread, no clock; `now` is passed in. `session` counts and keeps; here its frames are taken from
what waits, in the order in which they leave. All that a peer says is numbered, whatever overtakes what, but for what is
of one link alone: that leaves before the rest, whether or not there is a session to go on with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sig.protocol.bodies import pack_ack
from sig.protocol.frames import Found
from sig.protocol.session import Session, numbered

if TYPE_CHECKING:
    from sig.protocol.peer import Peer


def take(peer: Peer, session: Session, limit: int) -> bytes:
    """What leaves now, as `Peer.data_to_send`; it is kept until it is acknowledged.

    While there is no link on which the session goes on, that is what is of the link alone. Of a link that is closing
    nothing will be acknowledged any more: all leaves.
    """
    first = bytes(peer._first)
    peer._first.clear()
    if session.parted:
        peer.bytes_out += len(first)
        return first
    pieces = session.send_again(limit - len(first))
    size = len(first) + sum(map(len, pieces))
    room = limit - size if peer.closed else min(limit - size, session.room)
    before = peer.frames_out
    frames = peer._next(room) if room > 0 else []
    if frames:
        peer.frames_out += len(frames)
        piece = b"".join(frames)  # of one frame that is no copy
        session.keep(piece, peer.frames_out - before)
        peer._keeps()
        pieces.append(piece)
    if session.room <= 0:
        peer._hold_up()
    data = b"".join((first, *pieces)) if first or len(pieces) != 1 else pieces[0]
    peer.bytes_out += len(data)
    return data


def arrived(peer: Peer, session: Session, found: list[Found], now: float) -> None:
    """These frames have been taken; the other end is told, now or later."""
    frames = numbered(found)
    if frames:
        session.arrived(frames, found[-1][5] - found[0][4], now)
        acknowledge(peer, session, now)


def acknowledge(peer: Peer, session: Session, now: float) -> None:
    """Tell the other end what has arrived, if it is time to."""
    received = session.due(now)
    if received is not None and not peer.closed:
        peer._first += pack_ack(received)
        peer._touch()


def acknowledged(peer: Peer, session: Session, received: int) -> None:
    """The other end has told. Raises `RemoteProtocolError` where that cannot be."""
    session.acknowledge(received)
    peer._keeps()
    peer._touch()  # what had no room may leave now
