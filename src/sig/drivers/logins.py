"""Asking an authenticator of the user's, off the server's loop where it may block."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeAlias

from sig.drivers.aio import ServerDriver
from sig.errors import Denied, InvalidArgument
from sig.log import logger
from sig.protocol.access import Refusal
from sig.protocol.connection import Connection
from sig.security.identity import ANONYMOUS_NAME, INSIDE, Identity, Login

# What it may return: who that is, or just a name; `None` refuses, and so does raising `Denied`, with its reason.
Found: TypeAlias = Identity | str | None
Authenticator: TypeAlias = Callable[[Login], Found | Awaitable[Found]]

# More at once would take the machine away from everybody who is in.
_AT_ONCE: Final = 4
# More that wait are not let in: they would be too late anyway.
_WAITING: Final = 256
_NO: Final = "what you gave as auth= was not accepted"


class Logins:
    """Everything here runs on the driver's loop, but for a plain function, which runs in one of four threads."""

    def __init__(self, driver: ServerDriver, authenticator: Authenticator) -> None:
        self._driver = driver
        self._ask = authenticator
        self._awaits = inspect.iscoroutinefunction(authenticator) or inspect.iscoroutinefunction(
            getattr(authenticator, "__call__", None)  # noqa: B004  # an object with `async def __call__`
        )
        self._threads = None if self._awaits else ThreadPoolExecutor(_AT_ONCE, "sig-login")
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, connection: Connection, login: Login) -> None:
        """Ask; the core is told in its time."""
        if len(self._tasks) >= _WAITING:
            self._driver.loop.call_soon(self._say, connection, Refusal("too many log in now: try again", 1.0))
            return
        task = self._driver.loop.create_task(self._run(connection, login))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Nobody is asked any more; may be called again."""
        for task in tuple(self._tasks):
            task.cancel()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, connection: Connection, login: Login) -> None:
        found: Identity | Refusal
        try:
            async with self._turns:
                found = _identity(await self._answer(login))
        except Denied as denied:
            found = Refusal(str(denied) or _NO)
        except Exception as error:  # of the user's
            logger.error(f"the authenticator failed for {login.address}: {type(error).__name__}: {error}")
            found = Refusal("the server could not find out whether to let you in: its log says why")
        self._say(connection, found)

    async def _answer(self, login: Login) -> Found:
        if self._threads is None:
            answer = self._ask(login)
        else:
            answer = await self._driver.loop.run_in_executor(self._threads, partial(self._ask, login))
        return await answer if inspect.isawaitable(answer) else answer

    def _say(self, connection: Connection, found: Identity | Refusal) -> None:
        self._driver.core.logged_in(connection, found, time.monotonic())
        self._driver.schedule()


def _identity(found: Found) -> Identity:
    if found is None:
        raise Denied(_NO)
    identity = Identity(found) if isinstance(found, str) else found
    if not isinstance(identity, Identity) or not identity.name:
        raise InvalidArgument(f"it must return an Identity, a name, or None, not {found!r}")
    if identity.name == ANONYMOUS_NAME or identity is INSIDE:
        raise InvalidArgument(f"nobody who logs in can be called {identity.name!r}")
    return identity
