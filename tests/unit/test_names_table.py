"""The names of pysig 0.7, one row each: they exist, take what the primary names take, and follow overrides."""

from __future__ import annotations

import importlib
import inspect
import threading
from collections.abc import Callable
from typing import Any

import pytest

import sig
from sig.carriers import TCPClient, TCPServer
from sig.protocol.calls import Calls
from sig.utils.replyqueue import ReplyQueue

# class, old name, primary name: the old one is an alias, and either may be overridden.
ALIASES: list[tuple[type, str, str]] = [
    (sig.Router, "addSender", "add_sender"),
    (sig.Router, "getSender", "get_sender"),
    (sig.Router, "removeSender", "remove_sender"),
    (sig.Router, "addListener", "add_listener"),
    (sig.Router, "removeListener", "remove_listener"),
    (sig.ClientRouter, "addRemoteSender", "add_sender"),
    (sig.ClientRouter, "removeRemoteSender", "remove_sender"),
    (sig.ClientRouter, "addRemoteListener", "add_listener"),
    (sig.ClientRouter, "removeRemoteListener", "remove_listener"),
    (sig.Sender, "getSignal", "get_signal"),
    (sig.Sender, "getEvent", "get_event"),
    (sig.Sender, "getEvents", "get_events"),
    (sig.Sender, "addListener", "add_listener"),
    (sig.Sender, "removeListener", "remove_listener"),
    (sig.Sender, "setRequests", "set_requests"),
    (sig.Sender, "hasListeners", "has_listeners"),
    (sig.Sender, "countListeners", "count_listeners"),
]

# class, old name (a method or an attribute), primary name (a property): the old one follows the primary.
READERS: list[tuple[type, str, str]] = [
    (sig.Sender, "getName", "name"),
    (sig.Sender, "getRouter", "router"),
    (sig.Sender, "objrouter", "router"),
    (sig.Sender, "isConnected", "connected"),
    (sig.Sender, "connected_sender", "connected"),
    (sig.Event, "getName", "name"),
    (sig.Event, "getSender", "sender"),
    (sig.Event, "getListeners", "listeners"),
    (sig.Event, "isChannel", "is_channel"),
    (TCPClient, "isConnected", "connected"),
]

# class, name, the parameters of 0.7 with their defaults: a call written for 0.7 fits.
REQUIRED = inspect.Parameter.empty
PARAMETERS: list[tuple[type, str, dict[str, object]]] = [
    (sig.Router, "addSender", {"sender": REQUIRED, "events": REQUIRED, "requests": None}),
    (sig.Router, "getSender", {"sender": REQUIRED, "create": False}),
    (sig.Router, "removeSender", {"sender": REQUIRED}),
    (sig.Router, "addListener", {"listener": REQUIRED, "sender": None, "event": None}),
    (sig.Router, "removeListener", {"listener": REQUIRED, "sender": None, "event": None}),
    (sig.Router, "request", {"sender": REQUIRED, "method": REQUIRED, "params": None}),
    (sig.ClientRouter, "addRemoteSender", {"sender": REQUIRED, "events": REQUIRED, "requests": None}),
    (sig.ClientRouter, "removeRemoteSender", {"sender": REQUIRED}),
    (sig.ClientRouter, "addRemoteListener", {"listener": REQUIRED, "sender": REQUIRED, "event": REQUIRED}),
    (sig.ClientRouter, "removeRemoteListener", {"listener": REQUIRED, "sender": REQUIRED, "event": REQUIRED}),
    (sig.ClientRouter, "remoteRequest", {"sender": REQUIRED, "method": REQUIRED, "params": None}),
    (sig.Sender, "getSignal", {"event": REQUIRED}),
    (sig.Sender, "getEvent", {"event": REQUIRED, "create": False}),
    (sig.Sender, "getEvents", {}),
    (sig.Sender, "addListener", {"listener": REQUIRED, "event": None}),
    (sig.Sender, "removeListener", {"listener": REQUIRED, "event": None}),
    (sig.Sender, "setRequests", {"requests": REQUIRED}),
    (sig.Sender, "request", {"method": REQUIRED, "params": None}),
    (sig.Sender, "remove", {}),
    (sig.Signal, "trigger", {"data": REQUIRED}),
    (sig.Carrier, "pack", {"obj": REQUIRED}),
    (sig.Carrier, "unpack", {"data": REQUIRED}),
    (TCPServer, "start", {"host": REQUIRED, "port": REQUIRED}),
    (TCPServer, "stop", {}),
    (TCPClient, "connect", {"host": REQUIRED, "port": REQUIRED}),
    (TCPClient, "disconnect", {}),
    (sig.SimpleLogger, "__init__", {"tag": "[sig]", "level": sig.LOG_LEVELS.LEVEL_INFO}),
    (ReplyQueue, "generate_message_id", {}),
    (ReplyQueue, "register_wait_reply", {"message_id": REQUIRED}),
    (ReplyQueue, "unregister_wait_reply", {"message_id": REQUIRED}),
    (ReplyQueue, "wait_for_reply", {"message_id": REQUIRED, "timeout": 10.0, "unregister": False}),
    (ReplyQueue, "notify_reply", {"message_id": REQUIRED, "reply": REQUIRED}),
]

# module, what it has, where that lives today.
PATHS: list[tuple[str, str, object]] = [
    ("sig.carrier.tcpserver", "CarrierTCPServer", TCPServer),
    ("sig.carrier.tcpclient", "CarrierTCPClient", TCPClient),
    ("sig.utils.replyqueue", "ReplyQueue", ReplyQueue),
]

TOP_LEVEL = [
    "VERSION",
    "EVENT_CONNECT",
    "EVENT_DISCONNECT",
    "CHANNEL_DECORATOR",
    "Router",
    "Sender",
    "Event",
    "Signal",
    "Listener",
    "Carrier",
    "ServerRouter",
    "ClientRouter",
    "hasChannelDecorator",
    "isBuiltinEvent",
    "setup_logger",
    "SimpleLogger",
    "NullLogger",
    "LOG_LEVELS",
    "logger",
    "stringify_object",
]


def row(entry: tuple[Any, ...]) -> str:
    return f"{entry[0].__name__}.{entry[1]}" if isinstance(entry[0], type) else f"{entry[0]}.{entry[1]}"


def overridden(cls: type, **members: object) -> Any:
    """An instance of a subclass with these members; nothing is constructed, since nothing else is used."""
    sub = type("Sub", (cls,), members)
    return sub.__new__(sub)


def answer(self: object, *arguments: object) -> object:
    return ("the override", *arguments)


# -- aliases -------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ALIASES, ids=row)
def test_the_old_name_has_the_parameters_of_the_primary_one(entry: tuple[type, str, str]) -> None:
    cls, old, new = entry
    assert inspect.signature(getattr(cls, old)) == inspect.signature(getattr(cls, new))


@pytest.mark.parametrize("entry", ALIASES, ids=row)
def test_the_old_name_follows_an_override_of_the_primary_one(entry: tuple[type, str, str]) -> None:
    cls, old, new = entry
    assert getattr(overridden(cls, **{new: answer}), old)(1) == ("the override", 1)


@pytest.mark.parametrize("entry", ALIASES, ids=row)
def test_the_primary_name_follows_an_override_of_the_old_one(entry: tuple[type, str, str]) -> None:
    cls, old, new = entry
    assert getattr(overridden(cls, **{old: answer}), new)(1) == ("the override", 1)


@pytest.mark.parametrize("entry", READERS, ids=row)
def test_what_was_read_by_a_method_follows_the_property(entry: tuple[type, str, str]) -> None:
    cls, old, new = entry
    got = getattr(overridden(cls, **{new: property(answer)}), old)
    assert (got() if callable(got) else got) == ("the override",)


# -- parameters ----------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", PARAMETERS, ids=row)
def test_a_call_written_for_0_7_fits(entry: tuple[type, str, dict[str, object]]) -> None:
    cls, name, wanted = entry
    found = dict(list(inspect.signature(getattr(cls, name)).parameters.items())[1:])  # without self
    assert list(found)[: len(wanted)] == list(wanted)
    for parameter, default in wanted.items():
        if default is not REQUIRED:
            assert found[parameter].default == default
    # What has been added since need not be given.
    added = [found[parameter] for parameter in list(found)[len(wanted) :]]
    assert all(p.default is not REQUIRED or p.kind is p.VAR_KEYWORD for p in added)


def test_the_classes_that_a_router_makes_can_be_given() -> None:
    class MySender(sig.Sender):
        pass

    class MyEvent(sig.Event):
        __slots__ = ()

    class MySignal(sig.Signal):
        pass

    with sig.Router(class_sender=MySender, class_event=MyEvent, class_signal=MySignal) as router:
        sender = router.addSender("thermostat", ["changed"])
        router.addListener(lambda info, data: None, "thermostat", "changed")
        assert type(sender) is MySender
        assert type(sender.getEvent("changed")) is MyEvent
        assert type(sender.getSignal("changed")) is MySignal


def test_a_sender_may_have_a_class_of_signals_of_its_own() -> None:
    class MySignal(sig.Signal):
        pass

    class MySender(sig.Sender):
        class_signal = MySignal

    with sig.Router(class_sender=MySender) as router:
        assert type(router.addSender("thermostat", ["changed"]).getSignal("changed")) is MySignal


def test_the_info_of_a_signal_is_a_dict_that_a_subclass_may_add_to() -> None:
    class Numbered(sig.Signal):
        def trigger(self, data: object = None) -> None:
            self.event_info["number"] = 7
            super().trigger(data)

    seen: list[tuple[object, ...]] = []
    with sig.Router(class_signal=Numbered) as router:
        router.addListener(lambda info, data: seen.append((info["sender"], info["event"], info["number"], data)))
        router.addSender("thermostat", ["changed"]).getSignal("changed").trigger(21.5)
    assert ("thermostat", "changed", 7, 21.5) in seen


# -- what the methods of 0.7 answered ------------------------------------------------------------


def test_a_sender_tells_what_it_told() -> None:
    def listener(info: object, data: object) -> None:
        pass

    with sig.Router() as router:
        assert router.getSender("thermostat") is None
        assert router.addListener(listener, "thermostat", "changed") is True
        sender = router.getSender("thermostat")
        assert sender is not None
        assert not sender.isConnected()

        sender = router.addSender("thermostat", ["changed"], {"read": lambda params: 21.5})
        assert (sender.getName(), sender.getRouter(), sender.objrouter) == ("thermostat", router, router)
        assert sender.isConnected()
        assert sender.connected_sender
        assert sender.hasListeners()
        assert sender.countListeners() == 1
        assert [event.getName() for event in sender.getEvents()] == ["changed"]
        event = sender.getEvent("changed")
        assert event is not None
        assert event.getListeners() == (listener,)
        assert event.getSender() is sender
        assert event.isChannel() is False
        assert sender.getEvent("other") is None
        assert sender.getSignal("other") is None
        assert sender.request("read") == 21.5
        sender.setRequests({"read": lambda params: 22.0})
        assert router.request("thermostat", "read", None) == 22.0

        assert router.addListener(listener, "thermostat", "other") is False
        assert sender.removeListener(listener, "changed") is True
        assert sender.removeListener(listener, "changed") is False
        assert router.removeSender("thermostat") is True
        assert router.removeSender("thermostat") is False
        assert sender.remove() is False


def test_the_senders_of_a_router_are_listed_by_a_method() -> None:
    with sig.Router() as router:
        router.addSender("thermostat", ["changed"])
        assert [found.name for found in router.senders()] == ["thermostat"]


def test_a_failed_remote_request_is_none_and_the_primary_name_raises() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        assert client.remoteRequest("nobody", "read") is None
        with pytest.raises(sig.SenderNotConnected):
            client.request("nobody", "read")
        client.addRemoteSender("thermostat", [], {"read": lambda params: params})
        assert client.remoteRequest("thermostat", "read", 21.5) == 21.5


def test_a_remote_request_follows_an_override() -> None:
    assert overridden(sig.ClientRouter, request=answer).remoteRequest("a", "b", 1) == ("the override", "a", "b", 1)


# -- modules -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TOP_LEVEL)
def test_the_name_is_in_the_package_and_comes_with_a_star(name: str) -> None:
    stars: dict[str, object] = {}
    exec("from sig import *", stars)
    assert stars[name] is getattr(sig, name)


@pytest.mark.parametrize("entry", PATHS, ids=row)
def test_the_old_path_leads_there(entry: tuple[str, str, object]) -> None:
    module, name, today = entry
    assert getattr(importlib.import_module(module), name) is today
    stars: dict[str, object] = {}
    exec(f"from {module} import *", stars)
    assert stars[name] is today


def test_the_constants_are_what_they_were() -> None:
    assert (sig.EVENT_CONNECT, sig.EVENT_DISCONNECT, sig.CHANNEL_DECORATOR) == ("#connect", "#disconnect", "#")
    assert sig.__version__ == sig.VERSION


def test_the_questions_about_names_are_the_primary_functions() -> None:
    assert sig.hasChannelDecorator is sig.is_channel_name
    assert sig.isBuiltinEvent is sig.is_builtin_event
    assert sig.hasChannelDecorator("#alarm")
    assert not sig.isBuiltinEvent("#alarm")


# -- carriers ------------------------------------------------------------------------------------


def test_a_program_of_0_7_runs_over_tcp() -> None:
    server_carrier, client_carrier = TCPServer(), TCPClient()
    server, client = sig.ServerRouter(server_carrier), sig.ClientRouter(client_carrier)
    try:
        assert server_carrier.start("127.0.0.1", 0) is True
        assert server_carrier.start("127.0.0.1", 0) is False
        assert server_carrier.address is not None
        assert str(server_carrier.address) == server.urls[0]
        assert client_carrier.isConnected() is False
        assert client_carrier.connect("127.0.0.1", server_carrier.address.port) is True
        assert client_carrier.connect("127.0.0.1", server_carrier.address.port) is False
        assert client_carrier.isConnected() is True

        heard: list[object] = []
        assert client.addRemoteListener(lambda info, data: heard.append(data), "thermostat", "changed") is True
        server.addSender("thermostat", ["changed"]).getSignal("changed").trigger(21.5)
        server.flush()
        client.flush()
    finally:
        client_carrier.disconnect()
        server_carrier.stop()
    assert heard == [21.5]
    assert client_carrier.isConnected() is False


def test_a_carrier_tells_when_its_link_comes_and_goes() -> None:
    told: list[str] = []
    gone = threading.Event()
    with sig.serve("tcp://127.0.0.1:0") as server:
        carrier = TCPClient(server.urls[0])
        carrier.auto_reconnect = False
        carrier.on_connected = lambda: told.append("connected")
        carrier.on_disconnected = gone.set
        client = sig.ClientRouter(carrier)
        client.on_connected = lambda: told.append("connected, says the router")
        client.on_disconnected = lambda: 1 / 0  # does not keep the carrier's from being called
        client.open()
    assert gone.wait(10)
    client.close()
    assert told == ["connected, says the router", "connected"]


def test_a_client_that_cannot_connect_is_told_false() -> None:
    carrier = TCPClient()
    with sig.ClientRouter(carrier):
        assert carrier.connect("127.0.0.1", 1) is False


def test_payloads_go_through_an_override_of_pack_and_unpack() -> None:
    class Reversed(TCPServer):
        def pack(self, obj: object) -> bytes:
            return str(obj)[::-1].encode()

        def unpack(self, data: bytes) -> object:
            return bytes(data).decode()[::-1]

    class ReversedClient(TCPClient):
        pack, unpack = Reversed.pack, Reversed.unpack  # type: ignore[assignment]  # of another class on purpose

    with sig.serve(Reversed("tcp://127.0.0.1:0")) as server, sig.connect(ReversedClient(server.urls[0])) as client:
        server.add_sender("echo", requests={"say": lambda params: f"<{params}>"})
        assert client.request("echo", "say", "abc") == "<abc>"


# -- replies -------------------------------------------------------------------------------------


def test_a_reply_finds_who_waits_once() -> None:
    replies = ReplyQueue()
    number = replies.generate_message_id()
    assert replies.notify_reply(number, "early") is False
    replies.register_wait_reply(number)
    assert replies.notify_reply(number, "reply") is True
    assert replies.notify_reply(number, "again") is False
    assert replies.wait_for_reply(number) == "reply"
    assert replies.wait_for_reply(number, unregister=True) == "reply"
    assert replies.wait_for_reply(number) is None
    assert replies.generate_message_id() != number


def test_a_reply_that_does_not_come_is_none() -> None:
    replies = ReplyQueue()
    replies.register_wait_reply(1)
    assert replies.wait_for_reply(1, timeout=0.001) is None
    assert replies.notify_reply(1, "late") is True
    replies.unregister_wait_reply(1)
    replies.unregister_wait_reply(1)
    assert replies.notify_reply(1, "later still") is False


def test_its_place_is_taken_by_the_calls_of_the_protocol() -> None:
    answers: list[object] = []
    calls = Calls[None](1, lambda number, call: sig.SigError("over"))
    number = calls.open(lambda value, error: answers.append(value), 1.0, None)
    assert calls.succeed(number, "reply") is True
    assert calls.succeed(number, "again") is False
    assert answers == ["reply"]


# -- logging -------------------------------------------------------------------------------------


def test_the_loggers_have_the_methods_they_had() -> None:
    for made in (sig.NullLogger(), sig.SimpleLogger(level=sig.LOG_LEVELS.LEVEL_CRITICAL + 1), sig.logger):
        methods: list[Callable[..., object]] = [
            getattr(made, name) for name in ("trace", "debug", "info", "warning", "error", "critical")
        ]
        for method in methods:
            method("text")


def test_the_levels_have_the_numbers_they_had() -> None:
    levels = sig.LOG_LEVELS
    assert [
        levels.LEVEL_TRACE,
        levels.LEVEL_DEBUG,
        levels.LEVEL_INFO,
        levels.LEVEL_WARNING,
        levels.LEVEL_ERROR,
        levels.LEVEL_CRITICAL,
        levels.LEVEL_NONE,
    ] == [0, 10, 20, 30, 40, 50, 100]
