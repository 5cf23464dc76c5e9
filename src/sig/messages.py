"""What peers say to each other besides events and requests: the JSON bodies of the control frames.

Each class is the body of one kind of frame, or of one call; the fields are the keys of a JSON object. A field
with its default value is left out, and an unknown key is ignored, so that a later version can add some.
Nothing here knows what the messages mean: `protocol` does.

Control is read from strangers, so `decode_control` is strict where payload codecs are not: depth and integers
are bounded before anything is built.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Final, Generic, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from sig.constants import CONTROL_MAX_DEPTH
from sig.errors import LocalProtocolError, RemoteProtocolError, SigError, from_wire

T = TypeVar("T")

U16: TypeAlias = Annotated[int, Meta(ge=0, le=2**16 - 1)]
U32: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1)]
# The upper bound is the one of all integers in control, see `_check_shape`.
U64: TypeAlias = Annotated[int, Meta(ge=0)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0)]


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of all control bodies."""


# -- the life of a link --------------------------------------------------------------------------


# A feature of HELLO: a client whose link is lost comes back.
RETURNS: Final = "returns"
# Of HELLO and WELCOME: a link that is lost loses nothing, if the client is back in time.
RELIABLE: Final = "reliable"


class Hello(Message, frozen=True, omit_defaults=True):
    """HELLO, client to server: who calls, and what it can do."""

    versions: list[U16]
    # In order of preference.
    codecs: list[str]
    role: Literal["client", "router"] = "client"
    # For logs and lists of clients; need not be unique.
    name: str = ""
    # Tells the events of one producer from those of another, for durable events; 0: has none.
    producer: U64 = 0
    # The token of the client's last session, and how many of its frames have arrived here; None: it shall not go on.
    session: str | None = None
    received: U64 | None = None
    # The number of the last route of whose end that client has heard in it.
    gone: U32 | None = None
    # How often each end shall say something, and the silence after which it is gone; None: as the server sees fit.
    heartbeat_s: Seconds | None = None
    heartbeat_timeout_s: Seconds | None = None
    features: list[str] = []
    # The largest frame body that the client accepts.
    max_frame_bytes: U32 | None = None
    # Who it can prove to be: the id of a token, or the name that goes with a password; empty: something of the server's
    # own kind. None: it has nothing to prove.
    login: str | None = None


class Challenge(Message, frozen=True, omit_defaults=True):
    """CHALLENGE, server to client: prove it. Answered by AUTH, once."""

    # `proof`: as `sig.security.proof` has it. `own`: a text that the server's own authenticator takes.
    method: Literal["proof", "own"]
    # New for each challenge, in hexadecimal.
    nonce: str = ""
    # Of a password, in hexadecimal, and what scrypt shall take; none for tokens.
    salt: str = ""
    cost: tuple[U32, U32, U32] = (0, 0, 0)


class Auth(Message, frozen=True, omit_defaults=True):
    """AUTH, client to server: the answer to a CHALLENGE."""

    # The client's nonce, and the proof, in hexadecimal.
    nonce: str = ""
    proof: str = ""
    text: str = ""


class Welcome(Message, frozen=True, omit_defaults=True):
    """WELCOME, server to client: the client is in; what holds on this link from here on."""

    version: U16
    # Those of HELLO which the server can read; it bridges to the others.
    codecs: list[str]
    node: str
    # A new one each time the server starts: numbers of an older epoch mean nothing.
    epoch: U64
    # The number of this client, which is also the `peer` of its requests; as long as its session.
    client: U32
    session: str
    # The largest frame body that the server accepts, and the bytes of events it grants at first.
    max_frame_bytes: U32
    window_bytes: U32
    # What holds of HELLO's two; zero: neither end need say anything.
    heartbeat_s: Seconds
    heartbeat_timeout_s: Seconds = 0.0
    features: list[str] = []
    # The session goes on, and so many of its frames have arrived at the server; None: it does not.
    received: U64 | None = None
    # Why the session asked for could not be resumed, and is a new one; None: it was, or none was asked for.
    fresh: str | None = None
    # Who the client is to the server, where that asks.
    identity: str = ""
    # Events that came on the last link of that session; None: nobody knows.
    events: U64 | None = None


class Bye(Message, frozen=True, omit_defaults=True):
    """BYE, either way: the last frame of a link, and why."""

    code: str
    message: str = ""
    # When to come back; None: whenever one likes.
    retry_after_s: Seconds | None = None


class Error(Message, frozen=True, omit_defaults=True):
    """ERROR, either way: a frame of the peer's was wrong. If `fatal`, the link is closed next."""

    code: str
    message: str = ""
    fatal: bool = False


# -- calls and their results ---------------------------------------------------------------------
#
# The body of CALL is one of these, told apart by the key `call`; the header's route is the call's number,
# which RESULT repeats.


class Schema(msgspec.Struct, frozen=True, omit_defaults=True):
    """What JSON Schema says of a sender's data, where it has types; nobody looks into that on the way."""

    # By event.
    events: dict[str, msgspec.Raw] = {}
    # By method: an object with the schemas of its `params` and its `result`.
    requests: dict[str, msgspec.Raw] = {}


NO_SCHEMA: Final = msgspec.Raw()


class AddSender(Message, frozen=True, omit_defaults=True, tag_field="call", tag="add_sender"):
    """Register a sender; the ROUTEs of its events and requests come before the result."""

    name: str
    events: list[str] = []
    # The methods; None among them is the default handler. No list: it answers no requests.
    requests: list[str | None] | None = None
    schema: Schema | None = None
    # Those of the events whose last value the server keeps.
    retain: list[str] = []
    # Others may register the name, too, if they say the same.
    shared: bool = False
    # Of a client that comes back: how many of its events never came, by event; None: it does not know.
    lost: dict[str, U64 | None] = {}
    # Which of its absences that was, by any number of its own: what it says again of the same one has been told.
    absence: U32 = 0


class RemoveSender(Message, frozen=True, omit_defaults=True, tag_field="call", tag="remove_sender"):
    """Take one of the client's own senders away."""

    name: str


class Listen(Message, frozen=True, omit_defaults=True, tag_field="call", tag="listen"):
    """Send the client what matches; names, patterns, or None for any."""

    # Chosen by the client, for `Close`.
    id: U32
    sender: str | None = None
    event: str | None = None
    # First tell what is there: a PRESENCE for each sender, and the last value of each event that retains.
    initial: bool = False
    # Each event is for one member of this group: it comes on a lane, and so does what is lost.
    group: str | None = None
    # Senders wait until it has been taken, for so long. It comes on a lane, too.
    max_wait_s: Seconds | None = None
    # On lanes: how many events may be here without having been begun; None: as the server sees fit.
    window: Annotated[int, Meta(ge=1, le=2**32 - 1)] | None = None
    # Of a client that comes back: tell at once the numbers of the events that match, so that it knows what it missed.
    again: bool = False
    # Answer with the server's time, in microseconds since 1970.
    when: bool = False


class Close(Message, frozen=True, omit_defaults=True, tag_field="call", tag="close"):
    """End what `Listen` with this id began."""

    id: U32
    # On lanes: how many events have been begun, or were missed, in all; the others go to other members. None: all.
    begun: U64 | None = None


class Senders(Message, frozen=True, omit_defaults=True, tag_field="call", tag="senders"):
    """List the connected senders whose names match."""

    pattern: str | None = None


class SenderRow(msgspec.Struct, frozen=True):
    """One of the list that answers `Senders`."""

    name: str
    events: list[str]
    requests: list[str | None] | None
    # Seconds since 1970, by the server's clock.
    since: float
    address: str
    # Its incarnation.
    instance: U64
    # As in `AddSender`, opened up.
    schema: dict[str, object] | None = None


class Last(Message, frozen=True, omit_defaults=True, tag_field="call", tag="last"):
    """Ask for the last value of an event; it comes before the result, which says whether there is one."""

    sender: str
    event: str


class Stats(Message, frozen=True, omit_defaults=True, tag_field="call", tag="stats"):
    """Tell what goes on: links, events of senders, and sums; see `sig.stats`."""

    # Rows of each list, at most: the largest.
    limit: U16 = 100


class Clients(Message, frozen=True, omit_defaults=True, tag_field="call", tag="clients"):
    """List who is connected; for who may `admin`."""


class ClientRow(msgspec.Struct, frozen=True):
    """One of the list that answers `Clients`."""

    client: int
    name: str
    address: str
    # Who it is, and how that was proved; see `sig.security.Identity`.
    identity: str
    source: str
    groups: list[str]
    # Seconds since 1970.
    expires: float | None
    senders: list[str]
    subscriptions: int


class Kick(Message, frozen=True, omit_defaults=True, tag_field="call", tag="kick"):
    """End the link of a client, or those of all that are of one identity; for who may `admin`."""

    client: U32 | None = None
    identity: str | None = None
    reason: str = ""


class OpenRequests(Message, frozen=True, omit_defaults=True, tag_field="call", tag="open_requests"):
    """Ask for the route of a sender's requests; the ROUTE comes before the result."""

    sender: str
    # Of several that share the name, the one with this incarnation; None: whoever is asked least.
    instance: U64 | None = None


class Flush(Message, frozen=True, omit_defaults=True, tag_field="call", tag="flush"):
    """Answer when all that was sent before this has been routed."""


Call: TypeAlias = (
    AddSender | RemoveSender | Listen | Close | Senders | Last | Stats | Clients | Kick | OpenRequests | Flush
)


class Result(Message, Generic[T], frozen=True, omit_defaults=True):
    """RESULT without the flag ERR; with it, the body is an error (`decode_error`)."""

    ok: T


# -- what the server tells -----------------------------------------------------------------------


class Route(Message, frozen=True, omit_defaults=True):
    """ROUTE: what the id in the header stands for, in this direction, from here on."""

    sender: str
    # None: the route of the sender's requests.
    event: str | None = None
    codec: str = "json"
    node: str = ""
    incarnation: U64 = 0
    # The number of the next event on this route. They are counted at both ends and not carried.
    next_seq: U64 = 1
    # When the sender registered, in microseconds since 1970.
    since_us: U64 = 0
    # Told to whoever registered the sender: may trigger on this route.
    owner: bool = False
    retained: bool = False
    durable: bool = False
    # Of a lane: the route that it is a part of, and the `listen` whose events come on it.
    base: U32 | None = None
    listener: U32 | None = None
    # The call to whose answer the one event on this lane belongs; `next_seq` is its number.
    call: U32 | None = None
    # Of requests: to this one alone, of those that share the name.
    replica: bool = False
    # Of the event, or of the requests by method, where the sender told that and it does not cost too much.
    schema: msgspec.Raw = NO_SCHEMA
    # To a client that is back within the grace: the number of the first event that it, as it was, was to hear. And when
    # an unknown number of events was last told as lost, the number that the next one had; 0: neither.
    first_seq: U64 = 0
    unsure_seq: U64 = 0


class RouteGone(Message, frozen=True, omit_defaults=True):
    """ROUTE_GONE: the id is free; whatever waits on it will not be answered."""

    reason: str = ""


class Interest(Message, frozen=True, omit_defaults=True):
    """INTEREST, to a route's owner: whether sending its events is worth the while.

    `grouped`: some listener shares them out, so batches must carry their lengths.
    """

    state: Literal["none", "some", "grouped", "denied"]
    # Of `denied`, for people.
    reason: str = ""
    # From an owner: since it was told that nobody listens there were events, and it has sent none of them.
    held: bool = False


class Presence(Message, frozen=True, omit_defaults=True):
    """PRESENCE: a sender has come or gone; or something has happened at the server's door (`#audit`)."""

    sender: str
    incarnation: U64
    event: Literal["#connect", "#disconnect", "#audit"]
    # What listeners get.
    data: dict[str, object] = {}
    time_us: U64 = 0
    # The `listen` to whose answer this belongs; nobody else is told.
    call: U32 | None = None
    # The listener that is told this, one of its group; nobody else is.
    listener: U32 | None = None


# -- to bytes and back ---------------------------------------------------------------------------

_LONGEST_REASON: Final = 200
_LONGEST_TEXT: Final = 4000
_encoder: Final = msgspec.json.Encoder()


def encode_control(message: msgspec.Struct | Mapping[str, object]) -> bytes:
    """The body for `message`: one of the classes above, or the dict of an error.

    Raises:
        LocalProtocolError: something in it has no place in control.
    """
    try:
        return _encoder.encode(message)
    except (TypeError, ValueError, RecursionError) as error:
        raise LocalProtocolError(f"cannot say {type(message).__name__} to a peer: {error}") from error


def decode_control(kind: type[T], body: bytes) -> T:
    """The `kind` of message that `body` says.

    Raises:
        RemoteProtocolError: it is no JSON, not such a message, nested deeper than `CONTROL_MAX_DEPTH`, or has
            an integer beyond 64 bits.
    """
    message: T = _decode(kind, getattr(kind, "__name__", "control"), body)
    return message


def decode_call(body: bytes) -> Call:
    """The call that `body` says; raises as `decode_control` does."""
    call: Call = _decode(Call, "call", body)
    return call


def decode_error(body: bytes) -> SigError:
    """The error that the body of a RESULT with the flag ERR tells of; raises as `decode_control` does.

    Texts in it are cut: a sentence that fills a frame would fill the log of whoever gets it.
    """
    told = _decode(object, "error", body)
    if isinstance(told, dict):
        told = {key: value[:_LONGEST_TEXT] if isinstance(value, str) else value for key, value in told.items()}
    return from_wire(told)


def in_a_line(text: str, longest: int) -> str:
    """What a peer says, cut, and without what would forge lines of a log or talk to a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:longest])


def _decode(kind: object, name: str, body: bytes) -> Any:
    _check_shape(body)
    try:
        return _decoder(kind).decode(body)
    except (msgspec.DecodeError, ValueError) as error:
        # It may quote what the peer sent.
        reason = in_a_line(str(error), _LONGEST_REASON)
        raise RemoteProtocolError(f"the peer sent a malformed {name}: {reason}") from error


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


# A string up to its quote, or to the end of the text: it matches at every quote, so that text with a quote too
# many is not searched again from each of the next ones. Possessive throughout, hence linear.
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_ONE_KIND_OF_BRACKET: Final = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"{}[]")
# From 19 digits on an integer may be too large. A fraction or an exponent makes it a float, whatever its digits.
_MANY_DIGITS: Final = re.compile(rb"\d{19}")
_LONG_INTEGER: Final = re.compile(rb"(?<![\d.eE+-])-?\d{19,}+(?![\d.eE])")


def _check_shape(body: bytes) -> None:
    """Refuse what must not reach the decoder: it recurses for each level, and takes integers of any size."""
    deep = body.count(b"{") + body.count(b"[") > CONTROL_MAX_DEPTH
    long = _MANY_DIGITS.search(body)
    if not (deep or long):
        return
    bare = _STRING.sub(b'""', body)
    if deep and not _is_shallow(bare):
        raise RemoteProtocolError(
            f"the peer sent control data nested deeper than {CONTROL_MAX_DEPTH} levels, or with brackets left open"
        )
    for match in _LONG_INTEGER.finditer(bare):
        # By its length first: converting digits costs their square.
        digits = match.group()
        if len(digits) > len(b"-9223372036854775808") or not -(2**63) <= int(digits) < 2**64:
            raise RemoteProtocolError("the peer sent control data with an integer beyond 64 bits")


def _is_shallow(bare: bytes) -> bool:
    """Whether the brackets of JSON without its strings close within `CONTROL_MAX_DEPTH` levels.

    Peels one level of the whole text at a time, at the speed of `bytes.replace`, where walking it in Python
    would give whoever sends megabytes of brackets seconds of our time.
    """
    brackets = bare.translate(_ONE_KIND_OF_BRACKET, _NOT_BRACKETS)
    # With runs longer than the limit one need not peel; without them each round takes a good part away.
    if b"[" * (CONTROL_MAX_DEPTH + 1) in brackets or b"]" * (CONTROL_MAX_DEPTH + 1) in brackets:
        return False
    for _ in range(CONTROL_MAX_DEPTH):
        if not brackets:
            break
        brackets = brackets.replace(b"[]", b"")
    return not brackets
