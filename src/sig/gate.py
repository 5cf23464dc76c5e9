"""What `auth=` and `acl=` of a server say, put to work: read, watched, and changed under way."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from sig.drivers.aio import ServerDriver
from sig.drivers.logins import Authenticator, Logins
from sig.errors import InvalidArgument, SigError
from sig.log import logger
from sig.protocol.access import Access
from sig.security.credentials import Credential
from sig.security.files import Credentials, Place, load_policy, stamp
from sig.security.identity import Anonymous
from sig.security.policy import Policy

# A change holds within a second: it is seen after one look, and taken after the next that finds nothing new, so that
# nobody reads what somebody is still writing.
_LOOK_S: Final = 0.2
_NONCE_BYTES: Final = 32


Way: TypeAlias = Credentials | Authenticator | Anonymous | Place


class Gate:
    """What one server lets in.

    Args:
        auth: ways to log in: a file of credentials (`Credentials`, or its path), a function of one's own, `Anonymous`.
        acl: a `Policy`, or the path of one.

    Raises:
        InvalidArgument: what is none of these.
    """

    def __init__(self, auth: object, acl: object) -> None:
        self._files: list[Credentials] = []
        self._own: Authenticator | None = None
        self._anonymous = False
        for way in auth if isinstance(auth, Sequence) and not isinstance(auth, str | bytes) else [auth]:
            self._take(way)
        self._acl = _checked(acl)
        self._held: list[tuple[int, ...]] = []  # of the files whose content holds
        self._logins: Logins | None = None
        self._watching: asyncio.Task[None] | None = None

    def _take(self, way: object) -> None:
        if isinstance(way, Anonymous):
            self._anonymous = True
        elif isinstance(way, Credentials):
            self._files.append(way)
        elif isinstance(way, str | Path):
            self._files.append(Credentials(way))
        elif callable(way):
            if self._own is not None:
                raise InvalidArgument("auth= has two functions: make one of them that asks the other")
            self._own = cast(Authenticator, way)
        elif way is not None:
            raise InvalidArgument(
                f"auth= of a server is the path of a file of credentials, sig.security.Anonymous() or a function, "
                f"not a {type(way).__name__}"
            )

    @property
    def authenticates(self) -> bool:
        """Whether nobody is let in who has not proved who that is."""
        return bool(self._files or self._own is not None) and not self._anonymous

    def access(self) -> Access:
        """What the server is to begin with. Raises `InvalidArgument` for a file that cannot be read or is wrong."""
        self._held = self._stamps()
        policy = self._policy()
        self._warn(policy)
        return Access(
            partial(secrets.token_bytes, _NONCE_BYTES),
            policy=policy,
            credentials=self._credentials() if self._files else None,
            own=self._begin if self._own is not None else None,
            anonymous=self._anonymous,
        )

    async def start(self, driver: ServerDriver) -> None:
        """Begin to watch the files. On the driver's loop."""
        if self._own is not None:
            self._logins = Logins(driver, self._own)
        if self._watched():
            self._watching = driver.loop.create_task(self._watch(driver))

    async def stop(self) -> None:
        """Watch no more; on the driver's loop. May be called again."""
        if self._watching is not None:
            self._watching.cancel()
        if self._logins is not None:
            self._logins.close()

    async def change(self, driver: ServerDriver, acl: object) -> None:
        """Let another policy hold from here on. On the driver's loop. Raises as `access`, and changes nothing then."""
        acl = _checked(acl)
        before, self._acl, self._held = (self._acl, self._held), acl, self._stamps()
        try:
            policy = self._policy()
        except BaseException:
            self._acl, self._held = before
            raise
        self._warn(policy)
        driver.core.govern(policy, driver.core.access.credentials, time.monotonic())
        driver.schedule()
        if self._watched() and (self._watching is None or self._watching.done()):
            self._watching = driver.loop.create_task(self._watch(driver))

    def _warn(self, policy: Policy | None) -> None:
        if policy is not None and not policy.rules:
            logger.warning("the policy has no rules: everything is denied to everybody")

    def _begin(self, *what: Any) -> None:
        assert self._logins is not None  # the server runs
        self._logins.begin(*what)

    def _policy(self) -> Policy | None:
        return self._acl if self._acl is None or isinstance(self._acl, Policy) else load_policy(self._acl)

    def _credentials(self) -> Mapping[str, Credential]:
        found: dict[str, Credential] = {}
        for file in self._files:
            found |= file.load()
        return found

    def _watched(self) -> list[Path]:
        files = [file.path for file in self._files]
        return files if self._acl is None or isinstance(self._acl, Policy) else [*files, Path(self._acl)]

    def _stamps(self) -> list[tuple[int, ...]]:
        return [stamp(path) for path in self._watched()]

    async def _watch(self, driver: ServerDriver) -> None:
        loop = driver.loop
        seen = self._held
        while True:
            await asyncio.sleep(_LOOK_S)
            now = await loop.run_in_executor(None, self._stamps)
            if now == seen and now != self._held:
                self._held = now
                acl = self._acl
                policy, credentials, wrong = await loop.run_in_executor(None, self._read, driver.core.access)
                for error in wrong:
                    logger.error(f"{error}; what held before still holds")
                    driver.core.access.note("reload refused", reason=str(error))
                if self._acl is acl:  # else `change` was faster
                    self._warn(policy)
                    driver.core.govern(policy, credentials, time.monotonic())
                    if not wrong:
                        logger.info("the credentials and the policy have been read again, and hold")
                driver.schedule()
            seen = now

    def _read(self, access: Access) -> tuple[Policy | None, Mapping[str, Credential] | None, list[SigError]]:
        """What holds from here on. Of a file that is wrong, what held before; a mistake in one is none in the other."""
        policy, credentials, wrong = access.policy, access.credentials, list[SigError]()
        try:
            policy = self._policy()
        except SigError as error:
            wrong.append(error)
        try:
            credentials = self._credentials() if self._files else None
        except SigError as error:
            wrong.append(error)
        return policy, credentials, wrong


def _checked(acl: object) -> Policy | Place | None:
    if acl is None or isinstance(acl, Policy | str | Path):
        return acl
    raise InvalidArgument(f"acl= is a sig.security.Policy or the path of one, not a {type(acl).__name__}")
