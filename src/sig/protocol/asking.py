"""Requests of a client: what it waits for, under which numbers it asks whom, and the answers.

Sans-I/O: no socket, no thread, no clock; `now` is passed in. Answers are given to the function that was passed with the
request, while `receive_data` runs. The other half, what others ask of this client, is `answering`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from sig.codecs import Codec
from sig.errors import (
    ConnectionLost,
    InvalidData,
    ProtocolError,
    RemoteProtocolError,
    RequestTimeout,
    SenderNotConnected,
    SigError,
)
from sig.messages import OpenRequests, Route, decode_error
from sig.protocol.bodies import (
    NO_DEADLINE,
    REPLY_BYTES,
    Cancel,
    Credit,
    Unit,
    find_asker,
    pack_cancel,
    pack_credit,
    request_frame,
)
from sig.protocol.calls import Calls, Done, Waiting
from sig.protocol.frames import (
    FRAMING_ROOM_BYTES,
    REPLY_ERR,
    REPLY_MORE,
    REQUEST_PARTS,
    Found,
    Frame,
    check_payload,
)
from sig.protocol.parts import PartsIn

if TYPE_CHECKING:
    from sig.protocol.client import ClientCore

# What the time that a request has left is told within.
_MOMENT_S: Final = 0.001
_LONGEST_S: Final = (NO_DEADLINE - 1) / 1000

# Sender, method, and when it was asked.
_What: TypeAlias = tuple[str, str, float]

# The parameters of a request in each codec that may be asked for, by name; or why they cannot be had in it.
Payloads: TypeAlias = Mapping[str, bytes | InvalidData]

# A sender's name, or that and the incarnation of one of those that share it.
Whom: TypeAlias = str | tuple[str, int]


class Coded(NamedTuple):
    """An answer in another codec than this client's own."""

    codec: Codec
    payload: bytes


class Asking:
    """What one client asks of others."""

    def __init__(self, core: ClientCore) -> None:
        self._core = core
        self.calls: Calls[_What] = Calls(core.limits.requests_out, self._expired)
        self._numbers: dict[Whom, int] = {}  # of the routes on which senders are asked
        self._opening: dict[Whom, int] = {}  # how many requests of a sender wait for its route, or behind one that does
        self._foreign: dict[int, Codec] = {}  # by those of these routes that are in another codec than the client's

    def request(
        self,
        sender: str,
        method: str,
        payload: bytes | Payloads,
        *,
        now: float,
        deadline: float,
        hops: int,
        done: Done,
        parts: PartsIn | None = None,
        instance: int | None = None,
    ) -> int:
        """Ask a sender; `done` gets the payload of the answer, or the error. Returns its number, for `give_up`.

        The payload is in the codec that `codec_of` tells, the client's own if it is bytes; of a sender of which that is
        not known, in each that it may turn out to be. The answer is in the same one: bytes in our own, else `Coded`.
        With `parts` the answer may come in parts, which go there; `done` gets what is behind the last.
        Raises `Overloaded` when too many wait for their answers.

        `instance` is the incarnation of the one to ask, of several that share the name.
        """
        core = self._core
        if core.closed:
            core.check_alive()
        core.now = now
        whom = sender if instance is None else (sender, instance)
        route = self._numbers.get(whom)
        if isinstance(payload, bytes) and route not in self._foreign:
            fitting: bytes | None = payload
            if len(payload) > core.max_frame_bytes - FRAMING_ROOM_BYTES:
                check_payload(payload, core.max_frame_bytes)
        else:
            fitting = None if route is None else self._payload_on(route, sender, payload)
        if fitting is None or (self._opening and whom in self._opening):
            route = None  # not known, or behind others that have to find it out: it must not overtake those
        number = self.calls.open(done, deadline, (sender, method, now), route, parts)
        if route is not None:
            assert fitting is not None  # see above
            self._ask(number, route, deadline - now, hops, method, fitting, parts)
        else:
            self._open_requests(number, sender, instance, now, deadline, hops, method, payload)
        return number

    def _open_requests(
        self,
        number: int,
        sender: str,
        instance: int | None,
        now: float,
        deadline: float,
        hops: int,
        method: str,
        payload: bytes | Payloads,
    ) -> None:
        """Find out under which number a sender is asked, and ask it."""
        whom = sender if instance is None else (sender, instance)

        def opened(_: object, error: BaseException | None) -> None:
            if self._opening[whom] > 1:
                self._opening[whom] -= 1
            else:
                del self._opening[whom]
            call = self.calls.find(number)
            if call is None:
                return  # it was given up, or is over
            call.about = route = self._numbers.get(whom)
            if error is not None:
                self.calls.fail(number, error)
            elif route is None:
                self.calls.fail(number, RemoteProtocolError("the server answered OpenRequests without a ROUTE"))
            else:
                try:
                    found = self._payload_on(route, sender, payload)
                except SigError as unfit:
                    self.calls.fail(number, unfit)
                else:
                    self._ask(number, route, deadline - self._core.now, hops, method, found, call.parts)

        self._core.call(OpenRequests(sender, instance), now, deadline - now, opened)
        self._opening[whom] = self._opening.get(whom, 0) + 1

    def _payload_on(self, route: int, sender: str, payload: bytes | Payloads) -> bytes:
        """The parameters in the codec of that route."""
        codec = self._core.routes[route].codec
        payloads = {self._core.codec.name: payload} if isinstance(payload, bytes) else payload
        found = payloads.get(codec)
        if found is None:
            raise SenderNotConnected(sender)  # it has left since, and another came, in another codec
        if isinstance(found, InvalidData):
            raise found
        check_payload(found, self._core.max_frame_bytes)
        return found

    def codec_of(self, sender: Whom) -> Codec | None:
        """What that sender is asked in; `None` if that is not known yet. From any thread."""
        route = self._numbers.get(sender)
        return None if route is None else self._foreign.get(route, self._core.codec)

    def schema(self, sender: str) -> bytes | None:
        """What the server told of the types of a sender's requests: JSON; `None` where these are not known."""
        route = self._core.routes.get(self._numbers.get(sender, 0))
        return None if route is None else bytes(route.schema) or b"{}"

    def _ask(
        self, number: int, route: int, left_s: float, hops: int, method: str, payload: bytes, parts: PartsIn | None
    ) -> None:
        if _MOMENT_S <= left_s < _LONGEST_S:
            left_ms = int(left_s * 1000)
        elif left_s == math.inf:
            left_ms = NO_DEADLINE
        else:
            left_ms = 1 if left_s < _MOMENT_S else NO_DEADLINE - 1
        flags = 0 if parts is None else REQUEST_PARTS
        self._core.outgoing.put(request_frame(route, flags, number, left_ms, hops, method, payload))

    def give_back(self, number: int, parts: PartsIn) -> None:
        """Let the sender of a stream give more, if enough has been taken."""
        call = self.calls.find(number)
        if call is not None and (amount := parts.give_back()) and not self._core.closed:
            assert isinstance(call.about, int)  # it has given parts
            self._core._urge(pack_credit(Credit(amount, Unit.PARTS, 0, number), route=call.about))

    def give_up(self, number: int) -> None:
        """Nobody waits for the answer to this request any more: its `done` is not called, and the owner is told."""
        call = self.calls.forget(number)
        if call is not None:
            self._cancel(number, call)

    def _expired(self, number: int, call: Waiting[_What]) -> SigError:
        self._cancel(number, call)
        sender, method, asked = call.what
        return RequestTimeout(sender, method, round(call.deadline - asked, 3))

    def _cancel(self, number: int, call: Waiting[_What]) -> None:
        """Tell the owner, if it has been asked, that nobody waits any more."""
        if isinstance(call.about, int) and not self._core.ended:
            self._core._put(pack_cancel(Cancel(0, number), route=call.about))

    def reply(self, core: ClientCore, data: bytes, run: Sequence[Found]) -> None:
        """Some REPLYs have come, one behind the other."""
        calls, foreign = self.calls, self._foreign
        for _, flags, _, route, start, end in run:
            corr = find_asker(data, start, end)[1]
            if flags & REPLY_MORE:
                self._take_parts(corr, route, data[start:end])
            elif (call := calls.take(corr, route)) is not None:  # else it came too late
                payload = data[start + REPLY_BYTES : end]
                if flags & REPLY_ERR:
                    call.done(None, self._told(call, payload))
                elif foreign and route in foreign:
                    call.done(Coded(foreign[route], payload), None)
                else:
                    call.done(payload, None)
            if core.closed:
                return

    def _told(self, call: Waiting[_What], payload: bytes) -> SigError:
        """Why it was not answered."""
        error = read_error(payload, self._core.limits.max_control_frame_bytes)
        if isinstance(error, SenderNotConnected) and not error.sender:
            return SenderNotConnected(call.what[0])  # the server did not know any more whose route it was
        return error

    def _take_parts(self, corr: int, route: int, data: bytes) -> None:
        call = self.calls.find(corr)
        if call is None or call.about != route:
            return  # they came too late
        try:
            if call.parts is None:
                raise ProtocolError("the sender answers in parts, which were not asked for")
            call.parts.put(Frame.of(data), self._foreign.get(route, self._core.codec))
        except ProtocolError as error:
            self.calls.fail(corr, error)
            self._cancel(corr, call)

    # The link

    def opened(self, number: int, route: Route, codec: Codec) -> None:
        """The server has told on which route a sender is asked, and in which codec."""
        self._numbers[_key(route)] = number
        if codec is not self._core.codec:
            self._foreign[number] = codec

    def closed(self, number: int) -> None:
        """A route is no more, or another one's."""
        self._foreign.pop(number, None)

    def gone(self, number: int, route: Route, reason: str) -> None:
        """A sender is not asked on that route any more: who waits for its answers is told."""
        if self._numbers.get(_key(route)) == number:
            del self._numbers[_key(route)]
        self.calls.fail_about(
            number,
            ConnectionLost(
                f"sender {route.sender!r} left ({reason}) before it answered; "
                "whether the request was carried out is unknown"
            ),
        )

    def forget_link(self) -> None:
        """What was known of the last link holds no more."""
        self._numbers.clear()
        self._foreign.clear()


def _key(route: Route) -> Whom:
    """Who is asked on that route."""
    return (route.sender, route.incarnation) if route.replica else route.sender


def read_error(payload: bytes, limit: int) -> SigError:
    """The error that another client answers with. It passed through the server unseen: the link is not to blame."""
    if len(payload) > limit:
        return ProtocolError(f"the sender answered with an error of {len(payload)} bytes: the limit is {limit}")
    try:
        return decode_error(payload)
    except RemoteProtocolError as error:
        return ProtocolError(f"the sender answered with an error that cannot be read: {error}")
