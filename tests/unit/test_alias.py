"""Two names, one method: whichever of them a subclass overrides, both call the override, and `super()` works."""

from __future__ import annotations

import inspect

import pytest

from sig.alias import OldNames, alias, follow_overrides


class Router(OldNames):
    def add_sender(self, sender: str, shared: bool = False) -> str:
        """Register."""
        return f"Router:{sender}"

    @property
    def connected(self) -> bool:
        return True

    @classmethod
    def make(cls) -> str:
        return cls.__name__

    addSender = alias(add_sender)
    isConnected = alias(connected)
    create = alias(make)


class Client(Router):
    """Our own classes may add old names of their own."""

    addRemoteSender = alias(Router.add_sender)


def both(router: Router) -> list[str]:
    return [router.add_sender("a"), router.addSender("a")]


def test_the_alias_is_the_method() -> None:
    assert both(Router()) == ["Router:a"] * 2
    assert both(Client()) == ["Router:a"] * 2
    assert Client().addRemoteSender("a") == "Router:a"
    assert Router.addSender(Router(), "a") == "Router:a"
    assert Router().isConnected is True
    assert Router.create() == "Router"
    assert Client().create() == "Client"


def test_signature_and_documentation_are_those_of_the_method() -> None:
    assert inspect.signature(Router.addSender) == inspect.signature(Router.add_sender)
    assert inspect.signature(Router().addSender) == inspect.signature(Router().add_sender)
    assert Router.addSender.__doc__ == "Register."


def test_an_override_of_the_new_name_is_followed() -> None:
    class Mine(Client):
        def add_sender(self, sender: str, shared: bool = False) -> str:
            return f"Mine>{super().add_sender(sender)}"

    assert both(Mine()) == ["Mine>Router:a"] * 2
    assert Mine().addRemoteSender("a") == "Mine>Router:a"
    assert Mine.addSender(Mine(), "a") == "Mine>Router:a"


def test_an_override_of_the_old_name_is_followed() -> None:
    class Mine(Client):
        def addSender(self, sender: str, shared: bool = False) -> str:
            return f"Mine>{super().addSender(sender)}"

    assert both(Mine()) == ["Mine>Router:a"] * 2
    assert Mine().addRemoteSender("a") == "Mine>Router:a"


def test_either_of_two_old_names_may_be_overridden() -> None:
    class Mine(Client):
        def addRemoteSender(self, sender: str, shared: bool = False) -> str:
            return f"Mine>{super().addRemoteSender(sender)}"

    assert both(Mine()) == ["Mine>Router:a"] * 2
    assert Mine().addRemoteSender("a") == "Mine>Router:a"


def test_overrides_by_either_name_chain() -> None:
    class New(Client):
        def add_sender(self, sender: str, shared: bool = False) -> str:
            return f"New>{super().add_sender(sender)}"

    class Old(New):
        def addSender(self, sender: str, shared: bool = False) -> str:
            return f"Old>{super().addSender(sender)}"

    class Newest(Old):
        def add_sender(self, sender: str, shared: bool = False) -> str:
            return f"Newest>{super().add_sender(sender)}"

    assert both(Old()) == ["Old>New>Router:a"] * 2
    assert both(Newest()) == ["Newest>Old>New>Router:a"] * 2


def test_an_override_of_one_name_may_call_the_other_of_its_base() -> None:
    class New(Router):
        def add_sender(self, sender: str, shared: bool = False) -> str:
            return f"New>{super().addSender(sender)}"

    class Old(Router):
        def addSender(self, sender: str, shared: bool = False) -> str:
            return f"Old>{super().add_sender(sender)}"

    assert both(New()) == ["New>Router:a"] * 2
    assert both(Old()) == ["Old>Router:a"] * 2


def test_who_overrides_both_means_both() -> None:
    class Mine(Router):
        def add_sender(self, sender: str, shared: bool = False) -> str:
            return "new"

        def addSender(self, sender: str, shared: bool = False) -> str:
            return "old"

    assert both(Mine()) == ["new", "old"]


def test_a_mixin_beside_the_base_counts() -> None:
    class Mixin:
        def addSender(self, sender: str, shared: bool = False) -> str:
            return f"Mixin>{super().addSender(sender)}"  # type: ignore[misc]  # the other base has it

    class Mine(Mixin, Router):
        pass

    assert both(Mine()) == ["Mixin>Router:a"] * 2


def test_classmethods_and_properties_are_reached_through_super() -> None:
    class Mine(Router):
        @classmethod
        def create(cls) -> str:
            return f"Mine>{super().create()}"

        @property
        def isConnected(self) -> bool:
            return not super().isConnected

    assert (Mine.make(), Mine.create(), Mine().create()) == ("Mine>Mine",) * 3
    assert (Mine().connected, Mine().isConnected) == (False, False)


def test_what_is_set_on_the_instance_or_the_class_afterwards_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    router = Router()
    router.add_sender = lambda sender, shared=False: f"instance:{sender}"  # type: ignore[method-assign]
    assert both(router) == ["instance:a"] * 2
    monkeypatch.setattr(Router, "add_sender", lambda self, sender: f"patched:{sender}")
    assert both(Router()) == ["patched:a"] * 2


def test_a_class_that_is_no_old_names_can_be_told_to_follow() -> None:
    class Plain:
        limit = 5

        def get_name(self) -> str:
            return "plain"

        getName = alias(get_name)

    class Mine(Plain):
        def getName(self) -> str:
            return f"mine>{super().getName()}"

    assert Mine().get_name() == "plain"
    follow_overrides(Mine)
    assert Mine().get_name() == "mine>plain"


def test_keywords_of_the_class_pass_through() -> None:
    class Named:
        def __init_subclass__(cls, *, name: str) -> None:
            cls.name = name

    class Mine(Router, Named, name="x"):
        pass

    assert Mine.name == "x"  # type: ignore[attr-defined]


def test_a_primary_that_is_gone_is_missed_like_any_attribute() -> None:
    class Base(OldNames):
        def get_name(self) -> str:
            return "base"

        getName = alias(get_name)

    class Mine(Base):
        def getName(self) -> str:
            return super().getName()

    del Base.get_name
    with pytest.raises(AttributeError, match="get_name"):
        Mine().getName()
    with pytest.raises(AttributeError, match="get_name"):
        Base().getName()
