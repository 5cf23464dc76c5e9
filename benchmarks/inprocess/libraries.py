"""The libraries, each used as its documentation recommends for speed, all behind the same few verbs.

A library has one class for each way of triggering that is worth a line of its own. Making one gives a fresh place to
register, or raises `ImportError` if the library is not installed. All that lies between a library and the clock is its
own `drive`, a loop around the call as a program would write it.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

import sig

Listener = Callable[..., object]

DATA = {"seq": 1, "name": "sensor-7", "values": [0.5, 1.5, 2.5]}


class Library:
    """One way of one library, with one event that has listeners."""

    name = ""
    way = ""
    distribution: str | None = None
    parameters = "data"  # of a listener
    alike = False  # registers as a class before it: only triggers are measured

    @classmethod
    def version(cls) -> str:
        """What is installed."""
        return importlib.metadata.version(cls.distribution) if cls.distribution else sig.__version__

    def add(self, listener: Listener) -> Any:
        """Register a listener; returns what `remove` takes."""
        raise NotImplementedError

    def remove(self, handle: Any) -> None:
        """Take a listener out."""
        raise NotImplementedError

    def drive(self, times: int) -> None:
        """Trigger the event so often."""
        raise NotImplementedError

    def bare(self, listeners: Sequence[Listener]) -> Callable[[int], None]:
        """A `drive` that calls these listeners in a bare loop, with the arguments that the library would pass."""

        def trigger(data: object) -> None:
            for listener in listeners:
                listener(data)

        return driven(trigger)

    def close(self) -> None:
        """End it."""


def driven(trigger: Callable[[object], object]) -> Callable[[int], None]:
    """What triggers so often as it is told."""

    def drive(times: int) -> None:
        for _ in repeat(None, times):
            trigger(DATA)

    return drive


def bare_with(info: sig.Info, listeners: Sequence[Listener]) -> Callable[[int], None]:
    """A bare loop with the arguments that listeners of `sig` get."""

    def trigger(data: object) -> None:
        for listener in listeners:
            listener(info, data)

    return driven(trigger)


class Sig(Library):
    """A signal, looked up once."""

    name, way = "sig", "signal.trigger"
    parameters = "info, data"

    def __init__(self) -> None:
        self._router = sig.Router()
        self._sender = self._router.add_sender("bench", events="event")
        self._signal = self._sender.signal("event")

    def add(self, listener: Listener) -> sig.Subscription:
        return self._router.listen(listener, "bench", "event")

    def remove(self, handle: sig.Subscription) -> None:
        handle.close()

    def drive(self, times: int) -> None:
        trigger = self._signal.trigger
        for _ in repeat(None, times):
            trigger(DATA)

    def bare(self, listeners: Sequence[Listener]) -> Callable[[int], None]:
        return bare_with(self._signal.info, listeners)

    def close(self) -> None:
        self._router.close()


class SigByName(Sig):
    """The event's name, each time."""

    way, alike = "sender.trigger", True

    def drive(self, times: int) -> None:
        trigger = self._sender.trigger
        for _ in repeat(None, times):
            trigger("event", DATA)


class InlineLoop(Library):
    """The bare loop written out where it is needed: what a program pays that does not even call a function for it."""

    name, way, alike = "bare loop", "written out", True
    parameters = "info, data"

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()
        self._info = sig.Info({"sender": "bench", "event": "event"})

    def add(self, listener: Listener) -> Listener:
        self._listeners += (listener,)
        return listener

    def drive(self, times: int) -> None:
        info, listeners = self._info, self._listeners
        for _ in repeat(None, times):
            for listener in listeners:
                listener(info, DATA)

    def bare(self, listeners: Sequence[Listener]) -> Callable[[int], None]:
        return bare_with(self._info, listeners)


class Blinker(Library):
    """Strong references: nothing to look up before a call."""

    name, way, distribution = "blinker", "send", "blinker"
    parameters = "sender, data"

    def __init__(self) -> None:
        import blinker

        self._signal = blinker.Signal()
        self._sender = object()

    def add(self, listener: Listener) -> Listener:
        self._signal.connect(listener, weak=False)
        return listener

    def remove(self, handle: Listener) -> None:
        self._signal.disconnect(handle)

    def drive(self, times: int) -> None:
        send, sender = self._signal.send, self._sender
        for _ in repeat(None, times):
            send(sender, data=DATA)

    def bare(self, listeners: Sequence[Listener]) -> Callable[[int], None]:
        sender = self._sender

        def trigger(data: object) -> None:
            for listener in listeners:
                listener(sender, data=data)

        return driven(trigger)


class Psygnal(Library):
    """The way its documentation calls fast, without locks; compiled; arguments are not counted for each call."""

    name, way, distribution = "psygnal", "emit_fast", "psygnal"

    def __init__(self) -> None:
        import psygnal

        self._signal = psygnal.SignalInstance((object,))

    @classmethod
    def version(cls) -> str:
        from psygnal import _signal

        source = str(_signal.__file__).endswith(".py")
        return f"{super().version()} ({'not ' if source else ''}compiled)"

    def add(self, listener: Listener) -> Listener:
        self._signal.connect(listener, check_nargs=False)
        return listener

    def remove(self, handle: Listener) -> None:
        self._signal.disconnect(handle)

    def drive(self, times: int) -> None:
        emit = getattr(self._signal, self.way)
        for _ in repeat(None, times):
            emit(DATA)


class PsygnalSafe(Psygnal):
    """The ordinary way, which may be used from several threads."""

    way, alike = "emit", True


class Pyee(Library):
    """The plain emitter: no loop, no executor."""

    name, way, distribution = "pyee", "emit", "pyee"

    def __init__(self) -> None:
        from pyee.base import EventEmitter

        self._emitter = EventEmitter()

    def add(self, listener: Listener) -> Listener:
        self._emitter.add_listener("event", listener)
        return listener

    def remove(self, handle: Listener) -> None:
        self._emitter.remove_listener("event", handle)

    def drive(self, times: int) -> None:
        emit = self._emitter.emit
        for _ in repeat(None, times):
            emit("event", DATA)


class PyDispatcher(Library):
    """Strong references. Its tables belong to the module, so we take our listeners out at the end."""

    name, way, distribution = "PyDispatcher", "send", "PyDispatcher"

    def __init__(self) -> None:
        from pydispatch import dispatcher

        self._dispatcher = dispatcher
        self._sender = object()

    def add(self, listener: Listener) -> Listener:
        self._dispatcher.connect(listener, "event", self._sender, weak=False)
        return listener

    def remove(self, handle: Listener) -> None:
        self._dispatcher.disconnect(handle, "event", self._sender, weak=False)

    def drive(self, times: int) -> None:
        send, sender = self._dispatcher.send, self._sender
        for _ in repeat(None, times):
            send("event", sender, DATA)

    def close(self) -> None:
        for listener in list(self._dispatcher.getReceivers(self._sender, "event")):
            self.remove(listener)


class PyPubSub(Library):
    """The topic, looked up once. It holds listeners weakly and knows no other way; whoever measures keeps them."""

    name, way, distribution = "PyPubSub", "topic.publish", "Pypubsub"

    def __init__(self) -> None:
        from pubsub import core

        publisher: Any = core.Publisher()  # type: ignore[attr-defined]  # of our own, with topics of its own
        self._publisher = publisher
        self._topic = publisher.getTopicMgr().getOrCreateTopic("event")

    def add(self, listener: Listener) -> Listener:
        self._topic.subscribe(listener)
        return listener

    def remove(self, handle: Listener) -> None:
        self._topic.unsubscribe(handle)

    def drive(self, times: int) -> None:
        publish = self._topic.publish
        for _ in repeat(None, times):
            publish(data=DATA)

    def bare(self, listeners: Sequence[Listener]) -> Callable[[int], None]:
        def trigger(data: object) -> None:
            for listener in listeners:
                listener(data=data)

        return driven(trigger)


class _Sender:
    """Django's cache of receivers wants a sender that can be referred to weakly."""


class Django(Library):
    """With its cache of receivers for each sender, and strong references."""

    name, way, distribution = "django.dispatch", "send", "Django"
    parameters = "signal, sender, data"

    def __init__(self) -> None:
        from django.dispatch import Signal

        self._signal = Signal(use_caching=True)
        self._sender = _Sender()

    def add(self, listener: Listener) -> Listener:
        self._signal.connect(listener, sender=self._sender, weak=False)
        return listener

    def remove(self, handle: Listener) -> None:
        self._signal.disconnect(handle, sender=self._sender)

    def drive(self, times: int) -> None:
        send, sender = getattr(self._signal, self.way), self._sender
        for _ in repeat(None, times):
            send(sender, data=DATA)

    def bare(self, listeners: Sequence[Listener]) -> Callable[[int], None]:
        signal, sender = self._signal, self._sender

        def trigger(data: object) -> None:
            for listener in listeners:
                listener(signal=signal, sender=sender, data=data)

        return driven(trigger)


class DjangoRobust(Django):
    """The way that goes on after a listener has raised."""

    way, alike = "send_robust", True


EVERYONE: tuple[type[Library], ...] = (
    Sig,
    SigByName,
    InlineLoop,
    Blinker,
    Psygnal,
    PsygnalSafe,
    Pyee,
    PyDispatcher,
    PyPubSub,
    Django,
    DjangoRobust,
)


def installed(library: type[Library]) -> bool:
    """Whether it can be used here."""
    try:
        library().close()
    except ImportError:
        return False
    return True
