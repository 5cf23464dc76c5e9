"""The control bodies: exact JSON out, and nothing in that is not bounded and checked."""

from __future__ import annotations

import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig.constants import CONTROL_MAX_DEPTH
from sig.errors import LocalProtocolError, Overloaded, RemoteProtocolError, SigError, UnknownEvent, to_wire
from sig.messages import (
    AddSender,
    Bye,
    Call,
    Close,
    Error,
    Flush,
    Hello,
    Interest,
    Last,
    Listen,
    Message,
    OpenRequests,
    Presence,
    RemoveSender,
    Result,
    Route,
    RouteGone,
    Schema,
    Senders,
    Stats,
    Welcome,
    decode_call,
    decode_control,
    decode_error,
    encode_control,
    in_a_line,
)

CALLS: list[tuple[Call, str]] = [
    (
        AddSender("thermo", ["changed"], ["read", None]),
        '"add_sender","name":"thermo","events":["changed"],"requests":["read",null]',
    ),
    (AddSender("thermo"), '"add_sender","name":"thermo"'),
    (
        AddSender("thermo", schema=Schema({"changed": msgspec.Raw(b"true")})),
        '"add_sender","name":"thermo","schema":{"events":{"changed":true}}',
    ),
    (
        AddSender("thermo", ["changed"], lost={"changed": None}, absence=2),
        '"add_sender","name":"thermo","events":["changed"],"lost":{"changed":null},"absence":2',
    ),
    (
        AddSender("thermo", ["changed"], retain=["changed"]),
        '"add_sender","name":"thermo","events":["changed"],"retain":["changed"]',
    ),
    (RemoveSender("thermo"), '"remove_sender","name":"thermo"'),
    (Listen(7, "lab/*", "changed"), '"listen","id":7,"sender":"lab/*","event":"changed"'),
    (Listen(7), '"listen","id":7'),
    (Listen(7, initial=True), '"listen","id":7,"initial":true'),
    (Close(7), '"close","id":7'),
    (Senders(), '"senders"'),
    (Senders("lab/**"), '"senders","pattern":"lab/**"'),
    (Last("thermo", "changed"), '"last","sender":"thermo","event":"changed"'),
    (Stats(), '"stats"'),
    (Stats(5), '"stats","limit":5'),
    (OpenRequests("thermo"), '"open_requests","sender":"thermo"'),
    (Flush(), '"flush"'),
]

BODIES: list[tuple[Message, str]] = [
    (Hello([1], ["json"]), '{"versions":[1],"codecs":["json"]}'),
    (
        Hello([1], ["mine", "json"], "router", "hall 2", 2**64 - 1, "token", 12, 7, 5.0, 12.5, ["reliable"], 1024),
        (
            '{"versions":[1],"codecs":["mine","json"],"role":"router","name":"hall 2","producer":18446744073709551615,'
            '"session":"token","received":12,"gone":7,"heartbeat_s":5.0,"heartbeat_timeout_s":12.5,"features":["reliable"],'
            '"max_frame_bytes":1024}'
        ),
    ),
    (
        Welcome(1, ["json"], "n1", 3, 9, "token", 16777216, 1048576, 10.0, 25.0, ["reliable"], 4, "memory"),
        (
            '{"version":1,"codecs":["json"],"node":"n1","epoch":3,"client":9,"session":"token",'
            '"max_frame_bytes":16777216,"window_bytes":1048576,"heartbeat_s":10.0,"heartbeat_timeout_s":25.0,'
            '"features":["reliable"],"received":4,"fresh":"memory"}'
        ),
    ),
    (Bye("shutdown", "the server stops", 2.5), '{"code":"shutdown","message":"the server stops","retry_after_s":2.5}'),
    (Bye("closed"), '{"code":"closed"}'),
    (Error("too_large", "no", True), '{"code":"too_large","message":"no","fatal":true}'),
    (Route("thermo"), '{"sender":"thermo"}'),
    (Route("thermo", first_seq=3, unsure_seq=4), '{"sender":"thermo","first_seq":3,"unsure_seq":4}'),
    (
        Route("thermo", "changed", "mine", "n1", 5, 6, 7, True, True, True, 3, 4),
        (
            '{"sender":"thermo","event":"changed","codec":"mine","node":"n1","incarnation":5,"next_seq":6,"since_us":7,'
            '"owner":true,"retained":true,"durable":true,"base":3,"listener":4}'
        ),
    ),
    (RouteGone("closed"), '{"reason":"closed"}'),
    (Interest("grouped"), '{"state":"grouped"}'),
    (
        Presence("thermo", 5, "#connect", {"events": ["changed"], "requests": None}, 7),
        '{"sender":"thermo","incarnation":5,"event":"#connect","data":{"events":["changed"],"requests":null},"time_us":7}',
    ),
    *[(call, f'{{"call":{text}}}') for call, text in CALLS],
]


@pytest.mark.parametrize(("message", "text"), BODIES, ids=lambda value: value if isinstance(value, str) else None)
def test_each_message_has_one_text_and_is_read_back_from_it(message: Message, text: str) -> None:
    assert encode_control(message) == text.encode()
    assert decode_control(type(message), text.encode()) == message


@pytest.mark.parametrize(("call", "text"), CALLS)
def test_calls_are_told_apart_by_their_key(call: Call, text: str) -> None:
    assert decode_call(f'{{"call":{text}}}'.encode()) == call


@pytest.mark.parametrize(("message", "text"), BODIES, ids=lambda value: value if isinstance(value, str) else None)
def test_unknown_attributes_are_ignored(message: Message, text: str) -> None:
    later = json.dumps({"colour": {"of": ["the", "bikeshed"]}, **json.loads(text), "more": 2**64 - 1})
    assert decode_control(type(message), later.encode()) == message


def test_messages_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        Bye("closed").code = "open"  # type: ignore[misc]  # that is the point


def test_a_result_is_of_the_type_that_is_asked_for() -> None:
    assert encode_control(Result(None)) == b'{"ok":null}'
    assert decode_control(Result[None], b'{"ok":null}') == Result(None)
    assert decode_control(Result[list[int]], encode_control(Result([1, 2]))).ok == [1, 2]
    for wrong in (b"{}", b'{"ok":"1"}', b'{"ok":["1"]}'):
        with pytest.raises(RemoteProtocolError, match="malformed Result"):
            decode_control(Result[list[int]], wrong)


def test_an_error_result_is_the_error_that_was_raised() -> None:
    body = encode_control(to_wire(UnknownEvent("thermo", "boiled")))
    error = decode_error(body)
    assert isinstance(error, UnknownEvent)
    assert (error.sender, error.event) == ("thermo", "boiled")
    assert isinstance(decode_error(encode_control(to_wire(Overloaded("full")))), Overloaded)


def test_an_error_result_that_says_nothing_is_still_an_error() -> None:
    assert type(decode_error(b"[1]")) is SigError
    with pytest.raises(RemoteProtocolError, match="malformed error"):
        decode_error(b"{")


def test_what_an_error_says_is_cut() -> None:
    body = encode_control({"code": "remote_error", "message": "x" * 10_000, "type": "y" * 10_000, "more": [1]})
    assert str(decode_error(body)) == "y" * 4000 + ": " + "x" * 4000


def test_what_a_peer_says_is_one_line() -> None:
    assert in_a_line("a\nb\x1b[2Jc\u2028d ü", 50) == "a b [2Jc d ü"
    assert in_a_line("x" * 100, 10) == "x" * 10
    with pytest.raises(RemoteProtocolError) as caught:
        decode_call(b'{"call":"forged\\nline\\u001b"}')
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "message", [Result(object()), Result("\ud800"), {"code": 5j}, Result(10**5000), Result({(1, 2): 3})]
)
def test_what_has_no_place_in_control_is_our_own_mistake(message: msgspec.Struct | dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError, match="cannot say"):
        encode_control(message)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"hello"',
        b"{}",
        b'{"versions":[1]}',
        b'{"versions":1,"codecs":[]}',
        b'{"versions":[-1],"codecs":[]}',
        b'{"versions":[65536],"codecs":[]}',
        b'{"versions":[1.5],"codecs":[]}',
        b'{"versions":[true],"codecs":[]}',
        b'{"versions":[1],"codecs":[],"producer":-1}',
        b'{"versions":[1],"codecs":[],"role":"king"}',
        b'{"versions":[1],"codecs":[],"heartbeat_s":-1}',
        b'{"versions":[1],"codecs":[],"heartbeat_s":NaN}',
        b'{"versions":[1],"codecs":[],"heartbeat_s":1e400}',
        b'{"versions":[1],"codecs":["\\ud800"]}',
        b'{"versions":[1],"codecs":["\xff"]}',
        b'{"versions":[1],"codecs":[]} x',
        b'{"versions":[1],"codecs":[],"max_frame_bytes":4294967296}',
    ],
)
def test_a_malformed_hello_is_the_peers_mistake(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="the peer sent a malformed Hello: "):
        decode_control(Hello, body)


@pytest.mark.parametrize("body", [b'{"call":"dance"}', b'{"name":"thermo"}', b'{"call":"close"}', b'{"call":5}'])
def test_a_malformed_call_is_the_peers_mistake(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="the peer sent a malformed call: "):
        decode_call(body)


def test_the_sentence_is_short_however_long_the_mistake() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_call(b'{"call":"' + b"x" * 100_000 + b'"}')
    assert len(str(caught.value)) < 300


def test_of_duplicate_keys_the_last_wins() -> None:
    assert decode_control(Bye, b'{"code":"first","code":"last"}') == Bye("last")


# -- bounds --------------------------------------------------------------------------------------


def nested(depth: int) -> bytes:
    """`depth` levels in all, the outermost being the object of the result itself."""
    inner = depth - 1
    return b'{"ok":' + b'{"a":[' * (inner // 2) + b"[" * (inner % 2) + b"]" * (inner % 2) + b"]}" * (inner // 2) + b"}"


def test_nesting_is_allowed_up_to_the_limit() -> None:
    for depth in (1, 2, CONTROL_MAX_DEPTH - 1, CONTROL_MAX_DEPTH):
        decode_control(Result[object], nested(depth).replace(b'{"ok":}', b'{"ok":0}'))
    for depth in (CONTROL_MAX_DEPTH + 1, CONTROL_MAX_DEPTH + 2, 1_000, 1_000_000):
        with pytest.raises(RemoteProtocolError, match=f"deeper than {CONTROL_MAX_DEPTH} levels"):
            decode_control(Result[object], nested(depth))


def test_many_brackets_side_by_side_are_not_deep() -> None:
    body = encode_control(Result([[{}]] * 100))
    assert decode_control(Result[object], body).ok == [[{}]] * 100


def test_brackets_and_digits_in_strings_do_not_count() -> None:
    text = "[" * 100 + '"\\' + "9" * 30 + "}" * 3 + "\\"
    assert decode_control(Result[str], encode_control(Result(text))).ok == text
    assert decode_control(Bye, encode_control(Bye(text))) == Bye(text)


def test_depth_is_bounded_in_attributes_that_are_ignored() -> None:
    with pytest.raises(RemoteProtocolError, match="deeper"):
        decode_control(Bye, b'{"code":"x","later":' + b"[" * 65 + b"]" * 65 + b"}")


@pytest.mark.parametrize(
    "body", [b"[" * 65, b"]" * 65 + b"[" * 65, b'"' + b"[" * 99, b'["' + b'\\"[' * 99, b'{"ok":[' + b"[[]" * 99]
)
def test_brackets_left_open_are_refused(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_control(Result[object], body)


@pytest.mark.parametrize("value", [2**64 - 1, -(2**63), 0.1234567890123456789012, 1e300, 1234567890123456789])
def test_numbers_of_64_bits_pass(value: float) -> None:
    assert decode_control(Result[object], b'{"ok":[%s]}' % repr(value).encode()).ok == [value]


@pytest.mark.parametrize(
    "digits",
    [
        b"0.0000000000000000000000000123",
        b"12345678901234567890123.5",
        b"1e0000000000000000000001",
        b"1e-0000000000000000000001",
    ],
)
def test_a_float_may_have_many_digits(digits: bytes) -> None:
    assert decode_control(Result[float], b'{"ok":%s}' % digits).ok == float(digits)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**20, 10**40, -(10**20)])
def test_integers_beyond_64_bits_are_refused_wherever_they_stand(value: int) -> None:
    for body in (b'{"ok":%d}', b'{"ok":null,"later":[%d]}', b'{"ok":{"a":1.5,"b":%d}}', b"%d"):
        with pytest.raises(RemoteProtocolError, match="beyond 64 bits"):
            decode_control(Result[object], body % value)


def test_an_integer_of_a_million_digits_is_refused_by_its_length() -> None:
    with pytest.raises(RemoteProtocolError, match="beyond 64 bits"):
        decode_control(Result[object], b'{"ok":' + b"9" * 1_000_000 + b"}")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


@given(json_values)
def test_whatever_is_bounded_passes(value: object) -> None:
    assert decode_control(Result[object], encode_control(Result(value))).ok == value


@given(st.binary() | st.text(alphabet='[]{}",:\\0123456789-.e tru').map(str.encode))
def test_garbage_raises_nothing_but_a_protocol_error(body: bytes) -> None:
    for kind in (Hello, Result[object]):
        with contextlib.suppress(RemoteProtocolError):
            decode_control(kind, body)
    with contextlib.suppress(RemoteProtocolError):
        decode_call(body)


@given(st.text(alphabet='[]{}",:\\0123456789-.e ', max_size=200).map(str.encode))
def test_no_depth_gets_past_the_check(body: bytes) -> None:
    """The same text repeated, so that brackets add up: what is decoded was never deeper than allowed."""
    with contextlib.suppress(RemoteProtocolError):
        value = decode_control(Result[object], b'{"ok":' + body * 70 + b"}").ok
        depth = 1
        level: list[object] = [value]
        while level := [
            inner
            for outer in level
            for inner in (outer if isinstance(outer, list) else outer.values() if isinstance(outer, dict) else [])
        ]:
            depth += 1
        assert depth <= CONTROL_MAX_DEPTH
