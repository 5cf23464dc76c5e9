"""Listeners that are marked where they are written, and registered together."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from functools import partial, wraps
from types import ModuleType
from typing import Any

import pytest

import sig
from sig.marks import Several, marked

Heard = list[tuple[object, ...]]


class Panel:
    """What most programs will write."""

    def __init__(self) -> None:
        self.heard: Heard = []

    @sig.on("pump", "state")
    def on_state(self, info: sig.Info, data: object) -> None:
        self.heard.append(("state", data))

    @sig.on("pump", "alarm")
    @sig.on(event="#alarm")
    def on_alarm(self, info: sig.Info, data: object) -> None:
        self.heard.append(("alarm", info.event, data))

    @property
    def glass(self) -> object:
        raise AssertionError("looking for marks runs nothing")

    def not_marked(self, info: sig.Info, data: object) -> None:
        self.heard.append(("not marked", data))


def selectors(thing: object) -> list[tuple[str | None, str | None]]:
    return [(sender, event) for _, sender, event, _ in marked(thing, {})]


def names(thing: object) -> list[str]:
    return [callback.__name__ for callback, *_ in marked(thing, {})]


def source(text: str, name: str = "a_plugin") -> ModuleType:
    """A module with this text."""
    module = ModuleType(name)
    module.__dict__["sig"] = sig
    exec("heard = []\n" + text, module.__dict__)
    return module


# -- marks ---------------------------------------------------------------------------------------


def test_a_mark_changes_nothing_about_the_function() -> None:
    def listener(info: sig.Info, data: object) -> object:
        return data

    assert sig.on("s", "e", queue=5)(listener) is listener
    assert listener(None, 7) == 7  # type: ignore[arg-type]  # called by hand, as tests do


def test_several_marks_are_read_from_above() -> None:
    assert selectors(Panel()) == [("pump", "state"), ("pump", "alarm"), (None, "#alarm")]


def test_a_view_is_as_good_as_its_name(router: sig.Router) -> None:
    @sig.on(router.sender("pump"), "state")
    def listener(info: sig.Info, data: object) -> None: ...

    assert selectors(listener) == [("pump", "state")]


@pytest.mark.parametrize(
    ("mark", "error", "sentence"),
    [
        (lambda: sig.on("#alarm"), sig.InvalidName, "#alarm"),
        (lambda: sig.on("s", "a*"), sig.InvalidName, "a\\*"),
        (lambda: sig.on("s", when_ful="latest"), TypeError, r"on\(\) has no option 'when_ful': choose among type, "),
        (lambda: sig.on(print), sig.InvalidArgument, r"write @sig.on\(...\) with parentheses above builtins.print"),
        (lambda: sig.on("s")(Panel), sig.InvalidArgument, r"Panel is a class: put @sig.on\(...\) above its methods"),
        (lambda: sig.on("s")(print), sig.InvalidArgument, "builtins.print can bear no mark: mark a function or method"),
        (lambda: sig.on("s")(Panel().not_marked), sig.InvalidArgument, "Panel.not_marked can bear no mark"),
    ],
)
def test_a_mark_that_makes_no_sense_is_refused_where_it_stands(
    mark: Callable[[], object], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        mark()


# -- where they are found ------------------------------------------------------------------------


def test_the_methods_of_an_object_are_registered_and_closed_together(router: sig.Router) -> None:
    panel = Panel()
    handle = router.listen_all(panel)
    pump = router.add_sender("pump", ["state", "alarm", "#alarm"])
    for number, event in enumerate(("state", "alarm", "#alarm")):
        pump.trigger(event, number)
    assert panel.heard == [("state", 0), ("alarm", "alarm", 1), ("alarm", "#alarm", 2)]
    assert repr(handle) == "<3 listeners: open>"
    handle.close()
    for event in ("state", "alarm", "#alarm"):
        pump.trigger(event)
    assert len(panel.heard) == 3
    assert repr(handle) == "<3 listeners: closed>"


def test_what_a_class_inherits_comes_first_and_what_it_overrides_counts_as_it_is_there() -> None:
    class Other(Panel):
        @sig.on("other")
        def more(self, info: sig.Info, data: object) -> None: ...

        def on_alarm(self, info: sig.Info, data: object) -> None: ...

    assert names(Other()) == ["on_state", "more"]


def test_static_methods_and_class_methods_are_found_from_object_and_class() -> None:
    class Kinds:
        @sig.on("s")
        @staticmethod
        def static(info: sig.Info, data: object) -> None: ...

        @classmethod
        @sig.on("s")
        def of_class(cls, info: sig.Info, data: object) -> None: ...

    for thing in (Kinds, Kinds()):
        assert names(thing) == ["static", "of_class"]
        with sig.Router() as router:
            router.listen_all(thing)


def test_a_method_of_a_class_that_wants_an_object_is_refused_and_nothing_stays(router: sig.Router) -> None:
    class Mixed:
        @sig.on("s")
        @staticmethod
        def fits(info: sig.Info, data: object) -> None: ...

        @sig.on("s")
        def wants_self(self, info: sig.Info, data: object) -> None: ...

    with pytest.raises(TypeError, match=r"wants_self.* cannot be called with \(info, data\)"):
        router.listen_all(Mixed)
    assert not router._index.count


def test_an_object_that_is_called_and_a_function_of_its_own() -> None:
    class Called:
        @sig.on("s")
        def __call__(self, info: sig.Info, data: object) -> None: ...

    called: Any = Called()
    called.own = sig.on("own")(lambda info, data: None)
    assert selectors(called) == [("s", None), ("own", None)]
    assert marked(called, {})[0][0] == called.__call__


def test_an_object_without_a_dict_of_its_own() -> None:
    class Slim:
        __slots__ = ()

        @sig.on("s")
        def hear(self, info: sig.Info, data: object) -> None: ...

    assert names(Slim()) == ["hear"]


def test_one_function_one_method_and_what_is_partly_called() -> None:
    @sig.on("s")
    def listener(info: sig.Info, data: object) -> None: ...

    def three(where: str, info: sig.Info, data: object) -> None: ...

    assert names(listener) == ["listener"]
    assert names(Panel().on_state) == ["on_state"]
    assert selectors(sig.on("t")(partial(three, "here"))) == [("t", None)]


def test_a_function_that_wraps_a_marked_one_is_marked_too_and_can_be_marked_more() -> None:
    @sig.on("inner")
    def inner(info: sig.Info, data: object) -> None: ...

    @sig.on("outer")
    @wraps(inner)
    def outer(info: sig.Info, data: object) -> None: ...

    assert selectors(outer) == [("outer", None), ("inner", None)]
    assert selectors(inner) == [("inner", None)]


def test_of_a_module_the_functions_that_it_defines_are_registered(router: sig.Router) -> None:
    elsewhere = source("@sig.on('s')\ndef imported(info, data): ...", "elsewhere")
    module = source(
        "@sig.on('s', 'e')\ndef first(info, data): heard.append(('first', data))\n"
        "@sig.on('s')\ndef second(info, data): heard.append(('second', data))\n"
        "alias = first\n"
        "class Inside:\n  @sig.on('s')\n  def method(self, info, data): ...\n"
    )
    module.__dict__["imported"] = elsewhere.__dict__["imported"]
    with router.listen_all(module):
        router.add_sender("s", "e").trigger("e", 1)
    assert module.__dict__["heard"] == [("second", {"events": ["e"], "requests": None}), ("second", 1), ("first", 1)]


def test_what_lies_about_in_a_module_is_not_touched() -> None:
    class Proxy:
        """Such as the request of a web framework, outside of any."""

        def __getattribute__(self, name: str) -> object:
            raise RuntimeError(f"nobody may ask for {name}")

    module = source("@sig.on('s')\ndef listener(info, data): ...")
    module.__dict__["proxy"] = Proxy()
    assert names(module) == ["listener"]


@pytest.mark.parametrize(
    ("thing", "shown"),
    [
        (source("def f(info, data): ..."), "module 'a_plugin'"),
        (object(), "this object"),
        (Iterator, "Iterator"),
        (Panel().not_marked, "Panel.not_marked"),
    ],
)
def test_where_nothing_is_marked_it_says_so(router: sig.Router, thing: object, shown: str) -> None:
    with pytest.raises(sig.InvalidArgument, match=rf"nothing in .*{shown} is marked as a listener: put @sig.on\("):
        router.listen_all(thing)


# -- options -------------------------------------------------------------------------------------


def test_options_of_listen_all_are_for_marks_that_do_not_say() -> None:
    class Thing:
        @sig.on("s", queue=3, when_full="latest")
        def says(self, info: sig.Info, data: object) -> None: ...

        @sig.on("s")
        def does_not(self, info: sig.Info, data: object) -> None: ...

    options = [options for *_, options in marked(Thing(), {"queue": 8, "once": True})]
    assert [(o.queue, o.when_full, o.once) for o in options] == [(3, "latest", True), (8, "drop_oldest", True)]


def test_an_option_that_does_not_exist_is_refused(router: sig.Router) -> None:
    with pytest.raises(TypeError, match=r"listen_all\(\) has no option 'qeue': choose among type, group, "):
        router.listen_all(Panel(), qeue=5)


def test_all_or_nothing(router: sig.Router) -> None:
    class Thing(Panel):
        @sig.on("s", queue=0)
        def no_room(self, info: sig.Info, data: object) -> None: ...

    with pytest.raises(sig.InvalidArgument, match="queue=0 has no room"):
        router.listen_all(Thing())
    assert not router._index.count


def test_weak_ones_go_with_the_object_and_so_does_the_handle(router: sig.Router) -> None:
    panel = Panel()
    handle = router.listen_all(panel, weak=True)
    pump = router.add_sender("pump", "state")
    pump.trigger("state", 1)
    heard = panel.heard
    assert not handle.closed
    del panel
    gc.collect()
    assert handle.closed
    pump.trigger("state", 2)
    assert heard == [("state", 1)]


# -- the handle ----------------------------------------------------------------------------------


def test_the_numbers_of_the_handle_are_sums(router: sig.Router) -> None:
    work: list[Callable[[], object]] = []
    handle = router.listen_all(Panel(), queue=1, executor=work.append)
    assert isinstance(handle, Several)
    pump = router.add_sender("pump", ["state", "alarm"])
    for number in range(3):
        pump.trigger("state", number)
        pump.trigger("alarm", number)
    assert (handle.received, handle.missed, handle.pending) == (0, 4, 2)
    handle.parts[0].close()
    assert not handle.closed
    while work:
        work.pop()()
    assert (handle.received, handle.pending) == (1, 0)


def test_what_is_called_directly_is_not_counted(router: sig.Router) -> None:
    assert router.listen_all(Panel()).received is None
