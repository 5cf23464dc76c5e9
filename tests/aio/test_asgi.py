"""A router mounted in a web application, under a real server, with real clients."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from aio.served import mounted, served
from examples.programs import EXAMPLES
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_raw
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

import sig.aio
from sig.aio.asgi import ASGIWire
from sig.messages import Hello, encode_control
from sig.protocol.frames import Frame, FrameReader, Kind, pack
from sig.protocol.subprotocol import MESSAGE_BYTES
from sig.testing import Fault, Faults
from sig.testing.aio import settle

pytestmark = pytest.mark.asyncio

HERE = "http://here.example"
HELLO = pack(Kind.HELLO, encode_control(Hello([1], ["json"])))


async def until(condition: Callable[[], object]) -> None:
    """Wait for what other tasks will bring about."""
    while not condition():  # noqa: ASYNC110  # they tell nobody
        await asyncio.sleep(0)


async def get(place: str, path: str, method: str = "GET", body: str = "") -> str:
    """The answer to a plain request."""
    reader, writer = await asyncio.open_connection(*place.split(":"))
    head = f"{method} {path} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode()


# -- clients -------------------------------------------------------------------------------------


async def test_clients_of_ours_come_by_the_application() -> None:
    server = sig.aio.ServerRouter()
    heard: list[object] = []
    async with served(mounted(server)) as place, server:
        oven = await server.add_sender("oven", events=["changed"], requests={"double": lambda params: 2 * params})
        async with sig.aio.connect(f"ws://{place}/sig/") as one, sig.aio.connect(f"ws://{place}/sig/") as two:
            await one.listen(lambda info, data: heard.append((info.sender, data)), event="changed")
            page = await two.add_sender("page", events=["changed"], requests={"echo": lambda params: params})
            oven.trigger("changed", 1)
            page.trigger("changed", "ä" * 1000)
            await settle(two, one)
            assert sorted(heard) == [("oven", 1), ("page", "ä" * 1000)]
            assert await one.request("oven", "double", 21) == 42
            assert await server.request("page", "echo", [1, {"x": None}]) == [1, {"x": None}]
            assert (await get(place, "/senders")).endswith("oven page")
        await until(lambda: len(server._server._wires) == 1)


async def test_the_blocking_face_comes_too() -> None:
    server = sig.aio.ServerRouter()

    def ask(url: str) -> object:
        with sig.connect(url) as client:
            return client.request("oven", "read")

    async with served(mounted(server)) as place, server:
        await server.add_sender("oven", requests={"read": lambda params: 21.5})
        assert await asyncio.to_thread(ask, f"ws://{place}/sig/") == 21.5


async def test_a_reliable_link_that_is_cut_goes_on() -> None:
    server = sig.aio.ServerRouter()
    heard: list[object] = []
    async with served(mounted(server)) as place, server:
        await server.listen(lambda info, data: heard.append(data), "s", "e")
        # The first is cut where the server knows it, the second where it does not: what is sent to it stalls.
        for fault in ({"sent": Fault(cut_at=700)}, {"received": Fault(stall_at=700)}):
            heard.clear()
            faults = Faults(**fault)
            options = {"reconnect_first_s": 0.01, "heartbeat_s": 0.4, "heartbeat_timeout_s": 1.0}
            async with sig.aio.connect(faults.upon(f"ws://{place}/sig/"), reliable=True, **options) as client:
                sender = await client.add_sender("s", "e", {"echo": lambda params: params})
                for number in range(50):
                    sender.trigger("e", number)
                    assert await client.request("s", "echo", number) == number
                await client.flush()
            await until(lambda: len(heard) == 50)
            assert heard == list(range(50))
            assert faults.opened == 2


async def test_much_passes_both_ways() -> None:
    server = sig.aio.ServerRouter()
    down: list[int] = []
    up: list[int] = []
    async with served(mounted(server)) as place, server:
        ours = await server.add_sender("ours", events=["n", "large"])
        async with sig.aio.connect(f"ws://{place}/sig/") as client:
            await client.listen(lambda info, data: down.append(data), "ours", "n")
            theirs = await client.add_sender("theirs", events=["n"])
            await server.listen(lambda info, data: up.append(data), "theirs", "n")
            for n in range(20_000):
                ours.trigger("n", n)
                theirs.trigger("n", n)
                if n % 1000 == 0:
                    await client.flush()
            await client.flush()
            await server.flush()
            await until(lambda: len(down) == 20_000)
            lengths: list[int] = []
            await client.listen(lambda info, data: lengths.append(len(data)), "ours", "large")
            for size in (3 * MESSAGE_BYTES, 10, 16 * MESSAGE_BYTES - 600):
                ours.trigger("large", "x" * size)
            await until(lambda: len(lengths) == 3)
    assert down == up == list(range(20_000))
    assert lengths == [3 * MESSAGE_BYTES, 10, 16 * MESSAGE_BYTES - 600]


async def test_who_leaves_has_left() -> None:
    server = sig.aio.ServerRouter()
    reasons: list[object] = []
    async with served(mounted(server)) as place, server:
        await server.listen(lambda info, data: reasons.append(data["reason"]), None, sig.EVENT_DISCONNECT)
        async with sig.aio.connect(f"ws://{place}/sig/") as client:
            await client.add_sender("orderly", events=["e"])
        await until(lambda: reasons == ["closed"])
        raw = await raw_client(place)
        await raw.send(pack(Kind.CALL, b'{"call":"add_sender","name":"sudden","events":["e"]}', route=1))
        while all(frame.kind != Kind.RESULT for frame in await frames(raw)):
            pass
        raw.transport.abort()
        await until(lambda: reasons == ["closed", "lost"])


async def test_the_example_of_the_how_to_works() -> None:
    spec = importlib.util.spec_from_file_location("web_application", EXAMPLES / "web_application.py")
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    async with served(example.app) as place, sig.aio.connect(f"ws://{place}/sig/") as client:
        assert await client.request("oven", "read") == 20
        async with client.events("oven", "changed") as events:
            assert (await get(place, "/oven", "PUT", "180")).endswith('{"celsius":180}')
            assert (await anext(events))[1] == {"celsius": 180}
        assert f"/page/index.html?router=ws://{place}/sig/" in await get(place, "/")
        assert "<title>sig in a web page</title>" in await get(place, "/page/index.html")


# -- starting and ending -------------------------------------------------------------------------


async def test_the_first_client_starts_it_and_several_may_be_the_first() -> None:
    server = sig.aio.ServerRouter()
    async with served(mounted(server)) as place:
        assert server._server is None
        clients = await asyncio.gather(*(sig.aio.ClientRouter(f"ws://{place}/sig/").__aenter__() for _ in range(5)))
        assert [await client.senders() for client in clients] == [[]] * 5
        await asyncio.gather(*(client.close() for client in clients))
        await server.close()


async def test_by_itself_it_lives_as_long_as_its_server() -> None:
    server = sig.aio.ServerRouter()
    async with served(server.asgi()) as place:
        assert server._server is not None
        client = await sig.aio.connect(f"ws://{place}/")
        assert (await get(place, "/")).startswith("HTTP/1.1 426 ")
    assert await client.wait_connected(0) is False
    await client.close()
    assert await server.wait(0)


async def test_what_cannot_start_is_told_to_the_server() -> None:
    application = sig.aio.ServerRouter(codec="nonsense").asgi()
    (failed,) = await spoken(application, {"type": "lifespan"}, {"type": "lifespan.startup"})
    assert failed["type"] == "lifespan.startup.failed"
    assert "nonsense" in failed["message"]
    scope = {**SCOPE, "extensions": {"websocket.http.response": {}}}
    start, body = await spoken(application, scope, {"type": "websocket.connect"})
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 503)
    assert b"nonsense" in body["body"]


async def test_a_router_that_closes_says_goodbye() -> None:
    server = sig.aio.ServerRouter()
    async with served(mounted(server)) as place:
        raw = await raw_client(place)
        await server.close()
        assert await last_words(raw) == (Kind.BYE, "the server is closing", 1000)
        late = await raw_client(place, shake=False)
        assert await last_words(late) == (Kind.BYE, "the server is closing: come back later", 1000)


# -- who is let in -------------------------------------------------------------------------------


async def raw_client(place: str, *, origin: str | None = None, shake: bool = True, **options: Any) -> ClientConnection:
    """A WebSocket of another make, after HELLO and WELCOME."""
    client = await connect_raw(
        f"ws://{place}/sig/",
        origin=None if origin is None else Origin(origin),
        subprotocols=options.pop("subprotocols", [Subprotocol("pysig.v1")]),
        compression=None,
        max_size=None,
        **options,
    )
    if shake:
        await client.send(HELLO)
        assert [frame.kind for frame in await frames(client)] == [Kind.WELCOME]
    return client


async def frames(client: ClientConnection) -> list[Frame]:
    """Those of the next message: there is no preface."""
    message = await client.recv()
    assert isinstance(message, bytes)
    reader = FrameReader(1 << 25)
    return reader.feed(message)


async def refused(place: str, **options: Any) -> tuple[int, str]:
    """Status and text of the answer."""
    with pytest.raises(InvalidStatus) as caught:
        await raw_client(place, **options)
    response = caught.value.response
    return response.status_code, bytes(response.body).decode()


async def test_a_page_of_an_origin_that_is_not_listed_is_refused() -> None:
    server = sig.aio.ServerRouter()
    async with served(mounted(server, origins=[HERE])) as place, server:
        await (await raw_client(place, origin=HERE)).close()
        await (await raw_client(place)).close()
        status, text = await refused(place, origin="http://there.example")
        assert status == 403
        assert "pages of 'http://there.example' may not connect: `origins` does not list them" in text


async def test_another_subprotocol_is_refused() -> None:
    async with served(mounted(sig.aio.ServerRouter())) as place:
        for subprotocols in (None, [Subprotocol("chat")]):
            status, text = await refused(place, subprotocols=subprotocols)
            assert (status, "the subprotocol is missing" in text) == (400, True)


async def test_a_server_that_cannot_answer_by_http_just_closes() -> None:
    application = sig.aio.ServerRouter().asgi()
    scope = {"type": "websocket", "headers": [(b"origin", b"http://there.example")]}
    assert await spoken(application, scope, {"type": "websocket.connect"}) == [{"type": "websocket.close"}]


async def test_the_application_is_asked_for_by_its_own_names_only() -> None:
    server = sig.aio.ServerRouter()
    async with served(mounted(server, hosts=["127.0.0.1"])) as place, server:
        await (await raw_client(place)).close()
    server = sig.aio.ServerRouter()
    async with served(mounted(server, hosts=["lab.example"])) as place, server:
        status, text = await refused(place)
        assert status == 421
        assert "this server is not '127.0.0.1:" in text
    with pytest.raises(sig.InvalidArgument, match="'http://x' is no host"):
        server.asgi(hosts=["http://x"])


async def test_what_is_no_origin_is_refused_at_once() -> None:
    with pytest.raises(sig.InvalidArgument, match="no page has the origin 'here'"):
        sig.aio.ServerRouter().asgi(origins=["here"])


async def test_a_plain_request_is_told_what_this_is() -> None:
    async with served(mounted(sig.aio.ServerRouter())) as place:
        answer = await get(place, "/sig/")
    assert answer.startswith("HTTP/1.1 426 ")
    assert "This is a router of sig (pysig). It speaks WebSocket" in answer


async def test_strangers_are_bounded_as_everywhere() -> None:
    server = sig.aio.ServerRouter(max_connections=2, max_frame_before_login_bytes=1000)
    async with served(mounted(server)) as place, server:
        large = await raw_client(place, shake=False)
        await large.send(pack(Kind.HELLO, bytes(1001)))
        kind, text, code = await last_words(large)
        assert (kind, code) == (Kind.ERROR, 1002)
        assert "1001 bytes, over the limit of 1000" in text
        first = await raw_client(place)
        second = await raw_client(place, shake=False)
        told = "this server has its 2 connections (max_connections): come back later"
        assert await last_words(second) == (Kind.BYE, told, 1000)
        await first.close()


async def test_text_is_refused() -> None:
    server = sig.aio.ServerRouter()
    async with served(mounted(server)) as place, server:
        raw = await raw_client(place)
        await raw.send("{}")
        assert await last_words(raw) == (Kind.ERROR, "the peer sent a text message, where all are binary", 1003)


async def last_words(client: ClientConnection) -> tuple[int, str, int]:
    """Kind and text of the last frame, and the close code."""
    last: list[Frame] = []
    with suppress(ConnectionClosed):
        while True:
            last = await frames(client)
    assert client.close_code is not None
    return last[-1].kind, json.loads(last[-1].body)["message"], client.close_code


# -- servers of the strange kind -----------------------------------------------------------------

SCOPE = {"type": "websocket", "headers": [], "subprotocols": ["pysig.v1"]}
CONNECT = {"type": "websocket.connect"}


async def spoken(application: Any, scope: Any, *messages: Any) -> list[Any]:
    """What an application answers to these messages."""
    said: list[Any] = []
    await application(scope, told(*messages), collected(said))
    return said


def told(*messages: Any) -> Callable[[], Awaitable[Any]]:
    """A `receive` that says these, and then nothing."""
    left = list(messages)

    async def receive() -> Any:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return receive


def collected(said: list[Any]) -> Callable[[Any], Awaitable[None]]:
    """A `send` that keeps everything."""

    async def send(message: Any) -> None:
        said.append(message)

    return send


def received(data: bytes) -> Any:
    return {"type": "websocket.receive", "bytes": data}


LISTEN = pack(Kind.CALL, b'{"call":"listen","id":1}', route=1)


async def test_a_client_that_reads_slowly_loses_events_and_is_told_how_many() -> None:
    server = sig.aio.ServerRouter(link_drop_bytes=100_000)
    async with server:
        ours = await server.add_sender("ours", events=["n"])
        slow, gone = asyncio.Event(), asyncio.Event()
        said: list[Frame] = []

        async def send(message: Any) -> None:
            if message["type"] == "websocket.send":
                said.extend(FrameReader(1 << 20).feed(message["bytes"]))
                if said[-1].kind == Kind.EVENT:
                    await slow.wait()

        left = [CONNECT, received(HELLO), received(LISTEN)]

        async def receive() -> Any:
            if not left:
                await gone.wait()
                return {"type": "websocket.disconnect"}
            return left.pop(0)

        client = asyncio.create_task(server.asgi()(SCOPE, receive, send))
        await until(lambda: any(frame.kind == Kind.RESULT for frame in said))
        for _ in range(100):
            ours.trigger("n", "x" * 5_000)
            await server.flush()
        slow.set()
        await until(lambda: sum(counted(frame) for frame in said) == 100)
        assert 0 < sum(counted(frame) for frame in said if frame.kind == Kind.LOST) < 90
        gone.set()
        await client


def counted(frame: Frame) -> int:
    """How many events a frame stands for."""
    return int.from_bytes(frame.body[:8], "little") if frame.kind == Kind.LOST else frame.count


@pytest.mark.parametrize("hangs", [True, False])
async def test_a_client_that_never_reads_is_given_up(hangs: bool, caplog: pytest.LogCaptureFixture) -> None:
    server = sig.aio.ServerRouter(write_stall_s=0.05)

    async def send(message: Any) -> None:
        if message["type"] == "websocket.send":
            if hangs:
                await asyncio.Event().wait()
            raise OSError("gone")

    async with server:
        await asyncio.wait_for(server.asgi()(SCOPE, told(CONNECT, received(HELLO)), send), 60)
        await until(lambda: len(server._server._wires) == 1)
    assert ("it has not read anything for 0.05 s" in caplog.text) is hangs


async def test_a_client_that_does_not_leave_is_dropped() -> None:
    server = sig.aio.ServerRouter()

    async def send(message: Any) -> None:
        if message["type"] == "websocket.close":
            await asyncio.Event().wait()

    await server.start()
    client = asyncio.create_task(server.asgi()(SCOPE, told(CONNECT, received(HELLO)), send))
    await until(lambda: len(server._server._wires) == 2)
    await server.close(0.1)
    await asyncio.wait_for(client, 60)


async def test_what_a_server_raises_is_the_servers_to_know() -> None:
    async def send(message: Any) -> None:
        if message["type"] == "websocket.send":
            raise RuntimeError("no sending here")

    async def receive() -> Any:
        if left:
            return left.pop(0)
        raise LookupError("no receiving here")

    async with sig.aio.ServerRouter() as server:
        await server.asgi()(SCOPE, told(CONNECT, received(HELLO)), send)
        left: list[Any] = [CONNECT]
        with pytest.raises(LookupError, match="no receiving here"):
            await server.asgi()(SCOPE, receive, send)
        await until(lambda: len(server._server._wires) == 1)


async def test_much_at_once_is_sent_in_messages_of_whole_frames() -> None:
    async with sig.aio.ServerRouter() as server:
        sizes: list[int] = []

        async def send(message: Any) -> None:
            if message["type"] == "websocket.send":
                sizes.append(len(message["bytes"]))

        wire = ASGIWire(server._server, send, "nowhere")
        running = asyncio.create_task(wire.run(told()))
        await until(lambda: wire._begun)
        wire.write(pack(Kind.LOST, bytes(MESSAGE_BYTES)) + pack(Kind.LOST, b"12345678"))
        assert (wire.full, wire.unwritten) == (True, MESSAGE_BYTES + 32)
        await until(lambda: not wire.full)
        assert (sizes, wire.unwritten) == ([MESSAGE_BYTES + 12, 20], 0)
        wire.close()
        wire.close()
        wire.write(b"too late")
        await running
        assert len(sizes) == 2
