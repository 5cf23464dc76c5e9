"""A client whose session outlives its links: what it does when one is lost, and when the next goes on with it, or not.

Sans-I/O: no socket, no thread, no clock. While there is no link all is as if the link took nothing: what is said waits,
and so does whoever triggers more than there is room for. Only when a server lets the client in and has not kept the
session is the loss a loss; then all goes the way it goes for clients without a session.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from sig.errors import ConnectionLost, RemoteProtocolError, SigError
from sig.messages import RELIABLE, Welcome
from sig.protocol.bodies import pack_ack
from sig.protocol.session import Session

if TYPE_CHECKING:
    from sig.protocol.client import ClientCore


def outlives(core: ClientCore, session: Session) -> bool:
    """Whether the session may go on, now that the link has gone."""
    if core._left or core.sent_away or core.away:
        return False
    if session.parted:
        return True  # whatever became of the attempt
    if core.finishing or core.farewell is not None:
        return False
    return core.error is None or isinstance(core.error, ConnectionLost)


def parts(core: ClientCore, error: SigError) -> bool:
    """The link is lost, or an attempt to have another has failed; false if the session has ended with it."""
    session = core.resumes
    if session is None or not outlives(core, session):
        core.resumes = None
        return False
    core.error = core.error or error
    core.closed = False
    core.challenge = None
    core._first.clear()
    core._beat_due = None
    core.down = True
    session.part()
    if core.outgoing.record is None:
        # Should it not go on, what is triggered from here on has not been lost.
        core.outgoing.record = []
        core._nothing_on_its_way = session.acknowledged == session.sent and not core.outgoing.size
    return True


def end(core: ClientCore) -> None:
    """The session will not go on, whatever becomes of links."""
    core.resumes = None


def renew(core: ClientCore, session: Session) -> None:
    """Begin on another link, to go on as if nothing had been."""
    replies, size = core._replies, core._reply_bytes
    core._begin()
    core._replies, core._reply_bytes = replies, size
    assert core.welcome is not None  # there was a link
    core._greet(core.welcome.session, session.received)


def welcomed(core: ClientCore, welcome: Welcome) -> None:
    """The server has let this client in, which wants a reliable link.

    Raises:
        RemoteProtocolError: the server cannot have that, or says what cannot be.
    """
    session = core.resumes
    if RELIABLE not in welcome.features:
        raise RemoteProtocolError(
            "the server does not keep what a link with reliable=True needs: update it, or leave reliable=True out"
        )
    if session is None or not session.parted:
        core.resumes = Session(core.limits.resend_bytes)
    elif welcome.received is None:
        # What has arrived there was routed, unless that was the end of the server.
        same = welcome.epoch == core.welcome.epoch if core.welcome is not None else False
        routed = same and core._nothing_on_its_way
        _begin_anew(core, f"the server has not kept the session ({welcome.fresh or 'unknown'})", routed=routed)
    else:
        try:
            session.go_on(welcome.received)
        except RemoteProtocolError as error:
            _begin_anew(core, f"the session could not go on: {error}")
            core.resumes = None
            raise
        core.resumed = True
        core.outgoing.record = None
        core._first += pack_ack(session.received)  # with which the server knows that its new token has come


def _begin_anew(core: ClientCore, why: str, *, routed: bool = False) -> None:
    core.resumes = Session(core.limits.resend_bytes)
    core._replies, core._reply_bytes = deque(), 0
    core.error = ConnectionLost(why)
    core.lapsed()
    core._lose()
    core._forget_link(core.owning.sent if routed else core._flushed)
    core.error = None
