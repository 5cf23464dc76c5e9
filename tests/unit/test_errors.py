"""The tree of errors: what old `except` clauses catch, what is said, what survives a copy and a wire."""

from __future__ import annotations

import copy
import json
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig import errors
from sig.errors import (
    Closed,
    ConnectFailed,
    ConnectionLost,
    Denied,
    HandshakeRefused,
    InvalidArgument,
    InvalidData,
    InvalidName,
    LocalProtocolError,
    LoopDetected,
    MessageTooBig,
    MethodNotFound,
    Overloaded,
    ProtocolError,
    RemoteError,
    RemoteProtocolError,
    RequestCancelled,
    RequestFailed,
    RequestsNotSupported,
    RequestTimeout,
    SenderAlreadyConnected,
    SenderNotConnected,
    SigError,
    UnknownEvent,
    WouldDeadlock,
    from_wire,
    to_wire,
)

# One of each, with the bases that its `except` clauses rely on, and its code. The codes never change.
EXAMPLES: list[tuple[SigError, tuple[type[BaseException], ...], str]] = [
    (SigError("no"), (Exception,), "error"),
    (InvalidArgument("no"), (SigError, ValueError), "invalid_argument"),
    (InvalidName("no"), (InvalidArgument,), "invalid_name"),
    (InvalidData("no"), (InvalidArgument,), "invalid_data"),
    (MessageTooBig("no"), (InvalidArgument,), "message_too_big"),
    (UnknownEvent("thermo", "changed"), (SigError, LookupError), "unknown_event"),
    (SenderAlreadyConnected("thermo"), (SigError, NameError), "sender_already_connected"),
    (SenderNotConnected("thermo"), (SigError, NameError), "sender_not_connected"),
    (MethodNotFound("thermo", "read"), (SigError, LookupError), "method_not_found"),
    (RequestsNotSupported("thermo"), (SigError, LookupError), "requests_not_supported"),
    (RequestFailed("door open", code="interlock", data=[1]), (SigError,), "request_failed"),
    (RemoteError("'x'", type="KeyError", traceback="…", code="c", data={"a": 1}), (RequestFailed,), "remote_error"),
    (RequestTimeout("thermo", "read", 2.5), (SigError, TimeoutError), "request_timeout"),
    (RequestCancelled("no"), (SigError,), "request_cancelled"),
    (LoopDetected("no"), (SigError,), "loop_detected"),
    (Overloaded("no"), (SigError,), "overloaded"),
    (Denied("no"), (SigError, PermissionError), "denied"),
    (WouldDeadlock("no"), (SigError,), "would_deadlock"),
    (Closed("no"), (SigError, RuntimeError), "closed"),
    (ConnectionLost("no"), (SigError, ConnectionError), "connection_lost"),
    (ConnectFailed("no"), (SigError, ConnectionError), "connect_failed"),
    (HandshakeRefused("no"), (ConnectFailed,), "handshake_refused"),
    (ProtocolError("no"), (SigError,), "protocol_error"),
    (LocalProtocolError("no"), (ProtocolError,), "local_protocol_error"),
    (RemoteProtocolError("no"), (ProtocolError,), "remote_protocol_error"),
]

each = pytest.mark.parametrize(("error", "bases", "code"), EXAMPLES, ids=[code for _, _, code in EXAMPLES])


def same(one: SigError, other: SigError) -> bool:
    return type(one) is type(other) and str(one) == str(other) and vars(one) == vars(other)


# -- the tree ------------------------------------------------------------------------------------


def test_the_examples_are_the_whole_tree() -> None:
    ours = {cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, SigError)}
    assert ours == {type(error) for error, _, _ in EXAMPLES}
    assert sorted(errors.__all__) == sorted(cls.__name__ for cls in ours)


def test_the_docstring_draws_the_tree() -> None:
    drawn = re.findall(r"^ {4}( *)(\w+)(?: \((\w+)\))?$", errors.__doc__ or "", re.MULTILINE)
    above = ["Exception"]
    for indent, name, second in drawn:
        del above[1 + len(indent) // 2 :]
        bases = [base.__name__ for base in getattr(errors, name).__bases__]
        assert bases == ([above[-1], second] if second else [above[-1]])
        above.append(name)
    assert sorted(name for _, name, _ in drawn) == sorted(type(error).__name__ for error, _, _ in EXAMPLES)


@each
def test_old_except_clauses_hold(error: SigError, bases: tuple[type[BaseException], ...], code: str) -> None:
    for base in bases:
        assert isinstance(error, base)
    assert error.wire_code == code


@pytest.mark.parametrize(
    ("error", "sentence", "fields"),
    [
        (
            UnknownEvent("thermo", "changed"),
            "sender 'thermo' has no event 'changed'",
            {"sender": "thermo", "event": "changed"},
        ),
        (SenderAlreadyConnected("thermo"), "sender 'thermo' is already connected", {"sender": "thermo"}),
        (SenderNotConnected("thermo"), "sender 'thermo' is not connected", {"sender": "thermo"}),
        (
            MethodNotFound("thermo", "read"),
            "sender 'thermo' has no request 'read'",
            {"sender": "thermo", "method": "read"},
        ),
        (RequestsNotSupported("thermo"), "sender 'thermo' answers no requests", {"sender": "thermo"}),
        (
            RequestTimeout("thermo", "read", 2.5),
            "sender 'thermo' has not answered 'read' within 2.5 s",
            {"sender": "thermo", "method": "read", "timeout": 2.5},
        ),
        (RequestFailed("door open"), "door open", {"code": "", "data": None}),
        (
            RequestFailed("door open", code="interlock", data=3),
            "door open",
            {"code": "interlock", "data": 3},
        ),
        (
            RemoteError("'x'", type="KeyError"),
            "KeyError: 'x'",
            {"type": "KeyError", "traceback": None, "code": "", "data": None},
        ),
        (
            RemoteError("", type="AssertionError"),
            "AssertionError",
            {"type": "AssertionError", "traceback": None, "code": "", "data": None},
        ),
    ],
)
def test_sentences_name_the_object_and_fields_are_for_programs(
    error: SigError, sentence: str, fields: dict[str, object]
) -> None:
    assert str(error) == sentence
    assert vars(error) == fields


# -- copies --------------------------------------------------------------------------------------


@each
def test_copies_are_the_same(error: SigError, bases: object, code: str) -> None:
    assert same(copy.copy(error), error)
    assert same(copy.deepcopy(error), error)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert same(pickle.loads(pickle.dumps(error, protocol)), error)


def test_a_deep_copy_shares_nothing() -> None:
    error = RequestFailed("no", data=[1])
    twin = copy.deepcopy(error)
    error.data.append(2)  # type: ignore[attr-defined]  # it is the list above
    assert twin.data == [1]


# -- over the wire -------------------------------------------------------------------------------


@each
def test_an_error_arrives_as_itself(error: SigError, bases: object, code: str) -> None:
    told = json.loads(json.dumps(to_wire(error)))
    assert told["code"] == code
    assert same(from_wire(told), error)
    assert same(from_wire(to_wire(from_wire(told))), error)  # another hop adds nothing


def test_the_words_on_the_wire() -> None:
    assert to_wire(MethodNotFound("thermo", "read")) == {
        "code": "method_not_found",
        "message": "sender 'thermo' has no request 'read'",
        "sender": "thermo",
        "method": "read",
    }
    assert to_wire(RequestFailed("door open", code="interlock", data=3)) == {
        "code": "request_failed",
        "message": "door open",
        "failure": {"code": "interlock", "data": 3},
    }


def test_a_foreign_exception_becomes_a_remote_error() -> None:
    told = to_wire(KeyError("x"), traceback="line 1")
    assert told == {
        "code": "remote_error",
        "message": "'x'",
        "failure": {"code": "", "data": None},
        "type": "KeyError",
        "traceback": "line 1",
    }
    error = from_wire(told)
    assert isinstance(error, RemoteError)
    assert str(error) == "KeyError: 'x'"
    assert (error.type, error.traceback) == ("KeyError", "line 1")


def test_without_leave_no_traceback_travels() -> None:
    assert to_wire(KeyError("x"))["traceback"] is None


def test_an_exception_whose_text_fails_is_told_all_the_same() -> None:
    class Sulky(Exception):
        def __str__(self) -> str:
            raise ValueError("I will not")

    told = to_wire(Sulky())
    assert told["type"] == "Sulky"
    assert told["message"] == "<Sulky without a text: ValueError>"


def test_half_a_surrogate_pair_can_be_encoded() -> None:
    told = to_wire(RequestFailed("bad \ud800 text"))
    assert told["message"] == "bad \\ud800 text"
    assert to_wire(SenderNotConnected("\ud800"))["sender"] == "\\ud800"
    assert to_wire(RequestFailed("", code="\udfff"))["failure"] == {"code": "\\udfff", "data": None}


def test_a_users_subclass_arrives_as_the_class_it_extends() -> None:
    class DoorOpen(RequestFailed):
        def __init__(self) -> None:
            super().__init__("door open", code="interlock")

    class Forgetful(RequestFailed, RuntimeError):
        def __init__(self) -> None:
            Exception.__init__(self, "constructor not called")

    class Stranger(MethodNotFound):
        def __init__(self) -> None:
            Exception.__init__(self, "constructor not called")

    arrived = from_wire(to_wire(DoorOpen()))
    assert same(arrived, RequestFailed("door open", code="interlock"))
    assert same(from_wire(to_wire(Forgetful())), RequestFailed("constructor not called"))
    assert same(from_wire(to_wire(Stranger())), SigError("constructor not called"))


def test_a_remote_error_without_arguments_can_be_told() -> None:
    class Bare(RemoteError):
        def __init__(self) -> None:
            Exception.__init__(self)

    assert to_wire(Bare())["code"] == "remote_error"
    assert from_wire(to_wire(Bare())).wire_code == "remote_error"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"code": "from_the_future", "message": "new"}, SigError("new")),
        ({"code": ["unhashable"], "message": "odd"}, SigError("odd")),
        ({"message": "no code"}, SigError("no code")),
        ({"code": "unknown_event", "message": "half", "sender": "thermo"}, SigError("half")),
        ({"code": "unknown_event", "message": "wrong", "sender": "thermo", "event": 5}, SigError("wrong")),
        ({"code": "request_failed", "message": "wrong", "failure": 5}, SigError("wrong")),
        ({"code": "request_failed", "message": "bare"}, RequestFailed("bare")),
        ({"code": "request_failed", "message": "odd", "failure": {"code": 5}}, RequestFailed("odd")),
        ({"code": "remote_error", "message": "m"}, RemoteError("m", type="Exception")),
        ({"code": "remote_error", "message": "m", "type": 5, "traceback": 5}, RemoteError("m", type="Exception")),
        ({"code": "closed", "message": 5}, Closed("{'code': 'closed', 'message': 5}")),
        ("only a text", SigError("only a text")),
        (None, SigError("None")),
        ("long" * 1000, SigError("long" * 50)),
        ({"code": "closed", "more": "x" * 1000}, Closed("{'code': 'closed', 'more': '" + "x" * 172)),
    ],
)
def test_garbage_becomes_what_can_be_made_of_it(told: object, expected: SigError) -> None:
    assert same(from_wire(told), expected)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
codes = st.sampled_from([code for _, _, code in EXAMPLES])
fields = st.sampled_from(["message", "sender", "event", "method", "timeout", "failure", "type", "traceback"])


@given(st.dictionaries(fields, json_values), codes | json_values)
def test_no_message_makes_from_wire_raise(told: dict[str, object], code: object) -> None:
    error = from_wire({**told, "code": code})
    assert isinstance(error, SigError)
    assert isinstance(str(error), str)
    assert same(pickle.loads(pickle.dumps(error)), error) or "nan" in repr(vars(error))
    assert to_wire(error)["code"] == error.wire_code
