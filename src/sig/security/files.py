"""Credentials and policies in files: read when the server starts, and again whenever they change."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeAlias

from sig.errors import InvalidArgument
from sig.security.credentials import Credential, CredentialsError, format_credentials, parse_credentials
from sig.security.policy import Policy, PolicyError
from sig.security.policyfile import parse_policy

Place: TypeAlias = str | os.PathLike[str]
# Neither is ever so large; whoever can put such a file there should not stop the server.
_MAX_BYTES: Final = 16 * 1024 * 1024


class Credentials:
    """A file of credentials, as `sig token` writes it, for `auth=` of a server.

    Args:
        path: where it is. It is read again within a second of a change.
    """

    def __init__(self, path: Place) -> None:
        self.path: Path = Path(path)

    def load(self) -> dict[str, Credential]:
        """What stands there, by login. Raises `InvalidArgument` for what cannot be read or is wrong."""
        try:
            return parse_credentials(_read(self.path), str(self.path))
        except OSError as error:
            raise CredentialsError(
                f"the credentials cannot be read: {self.path}: {error.strerror or error}; sig token makes such a file"
            ) from None

    def save(self, credentials: Iterable[Credential]) -> None:
        """Write it anew, all at once, for this user alone. Raises `InvalidArgument` where that cannot be."""
        try:
            _replace(self.path, format_credentials(credentials))
        except OSError as error:
            raise InvalidArgument(
                f"the credentials cannot be written: {self.path}: {error.strerror or error}"
            ) from None


def load_policy(path: Place) -> Policy:
    """The policy in a file.

    Raises:
        PolicyError: it cannot be read, or is wrong; with line and column, and what would be right.
    """
    try:
        return parse_policy(_read(Path(path)), str(path))
    except OSError as error:
        raise PolicyError(f"the policy cannot be read: {path}: {error.strerror or error}") from None


def stamp(path: Path) -> tuple[int, ...]:
    """What changes when a file does; empty for one that is not there."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns


def _read(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise OSError(f"it has more than {_MAX_BYTES} bytes")
    try:
        return data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise OSError("it is not UTF-8") from None


def _replace(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # which is for this user alone
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
