"""Requests over a link: every outcome is the caller's, once, with its own class and sentence."""

from __future__ import annotations

import asyncio
import threading

import pytest

import sig

LIMIT_S = 30


def test_none_is_an_answer(owner: sig.ClientRouter, caller: sig.ClientRouter) -> None:
    owner.add_sender("s", requests={"m": lambda params: None})
    assert caller.request("s", "m") is None


def test_a_default_handler_gets_the_method(owner: sig.ClientRouter, caller: sig.ClientRouter) -> None:
    owner.add_sender("s", requests={None: lambda method, params: [method, params]})
    assert caller.request("s", "anything", 5) == ["anything", 5]


def test_an_answer_can_be_given_a_type(owner: sig.ClientRouter, caller: sig.ClientRouter) -> None:
    owner.add_sender("s", requests={"m": lambda params: [1, 2]})
    assert caller.request("s", "m", type=tuple[int, int]) == (1, 2)
    with pytest.raises(sig.InvalidData, match="'s' answered 'm'"):
        caller.request("s", "m", type=str)


def test_what_a_handler_raises_has_its_type_and_text(owner: sig.ClientRouter, caller: sig.ClientRouter) -> None:
    def fail(params: object) -> None:
        raise KeyError("oven")

    def refuse(params: object) -> None:
        raise sig.RequestFailed("door open", code="interlock", data={"door": 2})

    owner.add_sender("s", "e", {"fail": fail, "refuse": refuse, "odd": lambda params: object()})
    with pytest.raises(sig.RemoteError) as caught:
        caller.request("s", "fail")
    assert (caught.value.type, caught.value.args[0]) == ("KeyError", "'oven'")
    with pytest.raises(sig.RequestFailed) as refused:
        caller.request("s", "refuse")
    assert not isinstance(refused.value, sig.RemoteError)
    assert (str(refused.value), refused.value.code, refused.value.data) == ("door open", "interlock", {"door": 2})
    with pytest.raises(sig.InvalidData):
        caller.request("s", "odd")
    with pytest.raises(sig.MethodNotFound, match="'absent'"):
        caller.request("s", "absent")
    owner.add_sender("silent", "e")
    with pytest.raises(sig.RequestsNotSupported):
        caller.request("silent", "m")
    with pytest.raises(sig.SenderNotConnected):
        caller.request("nobody", "m")


def test_a_request_that_takes_too_long_ends_and_its_answer_is_dropped(
    owner: sig.ClientRouter, caller: sig.ClientRouter
) -> None:
    hold = threading.Event()
    owner.add_sender("s", requests={"wait": lambda params: hold.wait(LIMIT_S), "quick": lambda params: 1})
    with pytest.raises(sig.RequestTimeout) as caught:
        caller.request("s", "wait", timeout=0.1)
    assert (caught.value.sender, caught.value.method) == ("s", "wait")
    hold.set()
    assert caller.request("s", "quick") == 1


def test_requests_nest_both_ways(owner: sig.ClientRouter, caller: sig.ClientRouter) -> None:
    def down(params: int) -> int:
        return 0 if params == 0 else 1 + int(owner.request("b", "down", params - 1))

    def down_too(params: int) -> int:
        return 0 if params == 0 else 1 + int(caller.request("a", "down", params - 1))

    owner.add_sender("a", requests={"down": down})
    caller.add_sender("b", requests={"down": down_too})
    assert caller.request("a", "down", 6) == 6


def test_a_request_in_circles_is_found(owner: sig.ClientRouter, caller: sig.ClientRouter) -> None:
    owner.add_sender("a", requests={"round": lambda params: owner.request("b", "round")})
    caller.add_sender("b", requests={"round": lambda params: caller.request("a", "round")})
    with pytest.raises(sig.LoopDetected):
        caller.request("a", "round", timeout=10)


def test_a_listener_may_ask(owner: sig.ClientRouter, caller: sig.ClientRouter) -> None:
    answers: list[object] = []
    done = threading.Event()

    def ask(info: sig.Info, data: object) -> None:
        answers.append(caller.request("s", "m", data))
        if len(answers) == 10:
            done.set()

    sender = owner.add_sender("s", "e", {"m": lambda params: params * 2})
    caller.listen(ask, "s", "e")
    for number in range(10):
        sender.trigger("e", number)
    assert done.wait(LIMIT_S)
    assert answers == [2 * number for number in range(10)]


def test_many_threads_ask_at_once(owner: sig.ClientRouter, caller: sig.ClientRouter) -> None:
    owner.add_sender("s", requests={"m": lambda params: params})
    wrong: list[object] = []

    def ask(place: int) -> None:
        for number in range(50):
            value = [place, number]
            if caller.request("s", "m", value) != value:
                wrong.append(value)

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    assert wrong == []


def test_beyond_its_limit_an_owner_says_overloaded(server: sig.ServerRouter) -> None:
    hold, begun = threading.Event(), threading.Event()

    def wait(params: object) -> None:
        begun.set()
        hold.wait(LIMIT_S)

    with sig.connect(server.urls[0], requests_in=1) as owner, sig.connect(server.urls[0]) as caller:
        owner.add_sender("s", requests={"wait": wait})
        thread = threading.Thread(target=lambda: caller.request("s", "wait"))
        thread.start()
        assert begun.wait(LIMIT_S)
        with pytest.raises(sig.Overloaded):
            caller.request("s", "wait")
        hold.set()
        thread.join(LIMIT_S)


def test_what_cannot_be_encoded_is_told_before_anything_is_sent(
    owner: sig.ClientRouter, caller: sig.ClientRouter
) -> None:
    got: list[object] = []
    caller.listen(lambda info, data: got.append(data), "s", "e")
    sender = owner.add_sender("s", "e", {"m": lambda params: params})
    with pytest.raises(sig.InvalidData):
        sender.trigger("e", object())
    with pytest.raises(sig.InvalidData):
        caller.request("s", "m", object())
    with pytest.raises(sig.MessageTooBig, match="16777216"):
        sender.trigger("e", "x" * (16 * 1024 * 1024))
    sender.trigger("e", 1)
    owner.flush()
    caller.flush()
    caller.close()
    assert got == [1]


def test_async_handlers_and_listeners_run_on_the_loop_that_registered_them(server: sig.ServerRouter) -> None:
    async def main() -> None:
        loop_thread = threading.current_thread()
        got: list[object] = []
        heard = asyncio.Event()
        with sig.connect(server.urls[0]) as client:

            async def double(params: int) -> int:
                await asyncio.sleep(0)
                assert threading.current_thread() is loop_thread
                return params * 2

            async def hear(info: sig.Info, data: object) -> None:
                assert threading.current_thread() is loop_thread
                got.append(data)
                if len(got) == 100:
                    heard.set()

            sender = client.add_sender("s", "e", {"double": double})
            client.listen(hear, "s", "e")
            assert await asyncio.to_thread(server.request, "s", "double", 21) == 42
            for number in range(100):
                sender.trigger("e", number)
            await asyncio.wait_for(heard.wait(), LIMIT_S)
            assert got == list(range(100))

    asyncio.run(main())


def test_a_requester_that_goes_away_harms_nobody(server: sig.ServerRouter, owner: sig.ClientRouter) -> None:
    hold, begun = threading.Event(), threading.Event()

    def wait(params: object) -> str:
        begun.set()
        hold.wait(LIMIT_S)
        return "too late"

    owner.add_sender("s", requests={"wait": wait, "quick": lambda params: 1})
    client = sig.connect(server.urls[0])
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            client.request("s", "wait")
        except sig.SigError as error:
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert begun.wait(LIMIT_S)
    client.close()
    thread.join(LIMIT_S)
    assert len(failed) == 1
    hold.set()
    assert server.request("s", "quick") == 1


def test_a_name_is_held_once_over_any_link(
    server: sig.ServerRouter, owner: sig.ClientRouter, caller: sig.ClientRouter
) -> None:
    sender = owner.add_sender("s", "e")
    for router in (server, owner, caller):
        with pytest.raises(sig.SenderAlreadyConnected):
            router.add_sender("s", "e")
    with pytest.raises(sig.Denied):
        caller.remove_sender("s")
    assert sender.connected
    assert caller.sender("s").wait(LIMIT_S)
    assert owner.remove_sender("s")
    assert not owner.remove_sender("s")
    assert not sender.connected
    with pytest.raises(sig.SenderNotConnected):
        sender.trigger("e", 1)
    with caller.add_sender("s", "f") as taken:
        assert taken.connected
        with pytest.raises(sig.UnknownEvent):
            taken.trigger("e")


def test_add_listener_tells_whether_the_event_is_offered(owner: sig.ClientRouter, caller: sig.ClientRouter) -> None:
    owner.add_sender("s", "e")
    assert caller.add_listener(print, "s", "e")
    assert not caller.add_listener(print, "s", "other")
    assert caller.add_listener(print, "nobody", "e")
    assert caller.add_listener(print)
    assert caller.remove_listener(print, "s", "e")
    assert not caller.remove_listener(print, "s", "e")


def test_the_limits_of_a_router_are_its_own(server: sig.ServerRouter) -> None:
    hold = threading.Event()
    server.add_sender("s", requests={"wait": lambda params: hold.wait(LIMIT_S)})
    with sig.connect(server.urls[0], request_timeout_s=0.1, request_timeout_max_s=5) as client:
        assert client.wait_connected(LIMIT_S)
        with pytest.raises(sig.RequestTimeout):
            client.request("s", "wait")
        with pytest.raises(sig.InvalidArgument, match="at most 5 seconds"):
            client.request("s", "wait", timeout=6)
    hold.set()
    assert not client.wait_connected(0)
