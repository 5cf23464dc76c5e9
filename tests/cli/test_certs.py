"""`sig certs`: what it makes is taken by both ends, and by nobody who should not."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from cli.commands import LIMIT_S, at_terminal, environment, line_of, only_line, running
from cryptography import x509
from docs.pages import blocks
from protocol.certificates import CA, DAY, NOW, authority, connect, pem_of, settle

from sig.carriers.contexts import TLS, client_context, server_context
from sig.certs import make
from sig.cli import main
from sig.errors import InvalidArgument

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """The command, in this process; returns the JSON it prints."""

    def ran(*words: object) -> dict[str, Any]:
        assert main(["certs", *map(str, words)]) == 0
        printed, errors = capfd.readouterr()
        assert errors == ""
        found = json.loads(only_line(printed))
        assert isinstance(found, dict)
        return found

    return ran


def read(path: str | Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(Path(path).read_bytes())


def tls(files: dict[str, Any], ca: str | None = None) -> TLS:
    return TLS(cert=files["cert"], key=files["key"], ca=ca)


# -- what is made --------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "lab.example", "192.168.1.5", "::1", "a.dev.example", "bücher.example"])
def test_both_ends_take_them(run: Run, tmp_path: Path, host: str) -> None:
    hosts = ("localhost", "lab.example", "192.168.1.5", "::1", "*.dev.example", "bücher.example")
    made = run(tmp_path, *(f"--host={each}" for each in hosts), "--client", "lab-1", "--client", "ann@lab.example")
    ca = made["authority"]["cert"]
    server = server_context(tls(made["server"], ca=ca))
    for client in made["clients"]:
        ends = connect(client_context(tls(client, ca=ca)), server, host)
        assert settle(*ends) == {}
        assert (ends[0].identity, ends[1].identity) == (host, client["name"])
    errors = settle(*connect(client_context(TLS(ca=ca)), server, "elsewhere.example"))
    assert "is not for this name" in str(errors["client"])


def test_each_is_for_its_use_only(run: Run, tmp_path: Path) -> None:
    made = run(tmp_path, "--host=localhost", "--client=lab-1")
    ca, (client,) = made["authority"]["cert"], made["clients"]
    as_server, as_client = server_context(tls(client, ca=ca)), client_context(tls(made["server"], ca=ca))
    errors = settle(*connect(client_context(TLS(ca=ca)), as_server, "lab-1"))
    assert "is not for this use" in str(errors["client"])
    errors = settle(*connect(as_client, server_context(tls(made["server"], ca=ca)), "localhost"))
    assert "is not for this use" in str(errors["server"])


def test_what_certificates_must_have(run: Run, tmp_path: Path) -> None:
    made = run(tmp_path, "--host=localhost", "--client=lab-1")
    ca = read(made["authority"]["cert"])
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)
    for files in (made["server"], *made["clients"]):
        one = read(files["cert"])
        one.verify_directly_issued_by(ca)
        found = {type(each.value): each for each in one.extensions}
        assert found[x509.BasicConstraints].critical
        assert found[x509.BasicConstraints].value == x509.BasicConstraints(False, None)
        assert found[x509.KeyUsage].critical
        issuer = found[x509.AuthorityKeyIdentifier].value
        theirs = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        assert isinstance(issuer, x509.AuthorityKeyIdentifier)
        assert issuer.key_identifier == theirs.digest
        assert x509.SubjectKeyIdentifier in found


def test_keys_are_for_their_owner_only(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    umask = os.umask(0)
    try:
        made = run(folder, "--host=localhost", "--client=lab-1")
        run(folder, "--host=localhost")
    finally:
        os.umask(umask)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for files in (made["authority"], made["server"], *made["clients"]):
        assert stat.S_IMODE(Path(files["key"]).stat().st_mode) == 0o600
        assert stat.S_IMODE(Path(files["cert"]).stat().st_mode) == 0o644
    # Nothing half written is left.
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.{kind}" for name in ("ca", "server", "lab-1") for kind in ("pem", "key")
    }


def test_the_authority_is_kept_and_the_rest_made_anew(run: Run, tmp_path: Path) -> None:
    first = run(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    second = run(tmp_path, "--client=lab-1")
    assert (first["authority"]["kept"], second["authority"]["kept"]) == (False, True)
    assert second["server"] is None
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert run(tmp_path, "--host=lab.example")["clients"] == []
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"server.pem", "server.key"}


def test_without_names_it_is_for_this_machine(run: Run, tmp_path: Path) -> None:
    made = run(tmp_path)
    assert made["server"]["hosts"] == ["localhost", "127.0.0.1", "::1"]
    server, client = server_context(tls(made["server"])), client_context(TLS(ca=made["authority"]["cert"]))
    for host in made["server"]["hosts"]:
        assert settle(*connect(client, server, host)) == {}


@pytest.mark.parametrize(("asked", "lasts"), [(1, 1), (825, 825), (3650, 3650)])
def test_how_long_they_last(tmp_path: Path, asked: int, lasts: int) -> None:
    made = make(tmp_path, ["localhost"], days=asked)
    left = read(tmp_path / "server.pem").not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=lasts) - timedelta(minutes=5) < left <= timedelta(days=lasts)
    assert (made.until - read(tmp_path / "server.pem").not_valid_after_utc) < timedelta(seconds=1)
    assert read(tmp_path / "server.pem").not_valid_after_utc <= read(tmp_path / "ca.pem").not_valid_after_utc


def test_nothing_outlives_its_authority(tmp_path: Path) -> None:
    old = authority(begins=NOW - 10 * DAY, ends=NOW + DAY)
    (tmp_path / "ca.pem").write_bytes(old.pem)
    (tmp_path / "ca.key").write_bytes(old.key_pem)
    assert make(tmp_path, ["localhost"], days=825).until == old.certificate.not_valid_after_utc


# -- what is printed -----------------------------------------------------------------------------


def in_shell(line: str) -> tuple[str, dict[str, str]]:
    """The URL in a line for a shell, and its options."""
    url = urlsplit(next(word for word in shlex.split(line) if "://" in word))
    return f"{url.scheme}://{url.netloc}", dict(parse_qsl(url.query, strict_parsing=True))


def test_the_next_lines_work(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "a & b"
    shown = run(folder, "--host=*.lab.example", "--host=lab.example", "--client=lab-1")["next"]
    url, options = in_shell(shown["serve"])
    assert url == "tls://lab.example"
    server = server_context(None, options)
    url, options = in_shell(shown["listen"])
    assert url == "tls://lab.example"
    given: list[Any] = []
    code = compile(shown["connect"].replace("sig.", ""), "connect", "eval")
    eval(code, {"connect": lambda url, tls: given.extend((url, tls)), "TLS": TLS})
    assert given[0] == url
    for client in (client_context(None, options), client_context(given[1])):
        ends = connect(client, server, "lab.example")
        assert settle(*ends) == {}
        assert ends[1].identity == "lab-1"


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        ([], False),
        (["--host=192.168.1.5"], True),
        (["--host=192.168.1.5", "--client=a"], False),
        (["--host=::1"], False),
    ],
)
def test_a_server_that_anybody_may_use_must_say_so(run: Run, tmp_path: Path, words: list[str], flag: bool) -> None:
    assert run(tmp_path, *words)["next"]["serve"].endswith(" --insecure-public") is flag


def test_a_host_that_nobody_has_named(run: Run, tmp_path: Path) -> None:
    shown = run(tmp_path, "--client=lab-1")["next"]
    assert "serve" not in shown
    assert in_shell(shown["listen"])[0] == "tls://HOST"


def test_people_read_lines(tmp_path: Path) -> None:
    shown = at_terminal("certs", str(tmp_path), "--host", "lab.example", "--client", "lab-1")
    assert "the authority: ca.pem for everybody, ca.key for nobody" in shown
    assert "server.pem  the server lab.example\r\n" in shown
    assert "lab-1.pem   the client lab-1\r\n" in shown
    assert "    sig serve 'tls://lab.example?cert=" in shown
    assert '    sig.connect("tls://lab.example", tls=sig.TLS(ca="' in shown
    again = at_terminal("certs", str(tmp_path))
    assert "ca.pem      the authority, which was there" in again


# -- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--days=0"], "certificates cannot last 0 days: give 1 to 3650"),
        (["--days=3651"], "certificates cannot last 3651 days"),
        (["--host=tls://lab"], "'tls://lab' is neither a host name nor an IP address: write it without scheme"),
        (["--host=lab:3000"], "'lab:3000' is neither a host name"),
        (["--host="], "'' is neither a host name"),
        (["--host=a..b"], "'a..b' is neither a host name"),
        (["--client=../x"], "'../x' cannot be a client's name: take letters, digits"),
        (["--client=*.lab"], "'*.lab' cannot be a client's name"),
        (["--client=bücher"], "'bücher' cannot be a client's name"),
        (["--client=server"], "a client cannot be called 'server', as other files in the folder are"),
        (["--client=ca"], "a client cannot be called 'ca'"),
        ([f"--client={'a.' * 150}a"], "cannot make certificates in"),
    ],
)
def test_what_cannot_be(capfd: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], told: str) -> None:
    assert main(["certs", str(tmp_path / "new"), "--host=localhost", *words]) == 2
    printed, errors = capfd.readouterr()
    assert printed == ""
    assert told in only_line(errors)
    assert told.startswith("cannot make") or not (tmp_path / "new").exists()


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidArgument, match="cannot make certificates in '.*file' .*: give a folder that you can"):
        make(tmp_path / "file", days=1)


@pytest.mark.parametrize(
    ("cert", "key", "told"),
    [
        (CA.pem, None, "the authority is not whole, '.*ca.key' is missing: bring the right"),
        (None, CA.key_pem, "the authority is not whole, '.*ca.pem' is missing"),
        (b"no certificate", CA.key_pem, "the authority in '.*ca.pem' cannot be read"),
        (CA.pem, b"no key", "the authority in '.*ca.pem' cannot be read"),
        (CA.pem, authority().key_pem, "ca.key' is not the key of '.*ca.pem'"),
        (CA.pem, authority(rsa_bits=2048).key_pem, "ca.key' is not the key of '.*ca.pem'"),
    ],
    ids=["no key", "no certificate", "spoilt certificate", "spoilt key", "another key", "RSA key"],
)
def test_an_authority_that_cannot_sign(tmp_path: Path, cert: bytes | None, key: bytes | None, told: str) -> None:
    for name, data in (("ca.pem", cert), ("ca.key", key)):
        if data is not None:
            (tmp_path / name).write_bytes(data)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InvalidArgument, match=told):
        make(tmp_path, ["localhost"], days=1)
    assert sorted(tmp_path.iterdir()) == before


def test_an_authority_that_has_expired(tmp_path: Path) -> None:
    old = authority(begins=NOW - 10 * DAY, ends=NOW - DAY)
    (tmp_path / "ca.pem").write_bytes(pem_of(old.certificate))
    (tmp_path / "ca.key").write_bytes(old.key_pem)
    with pytest.raises(InvalidArgument, match="ca.pem' has expired: remove ca.pem and ca.key to get a new one"):
        make(tmp_path, ["localhost"], days=1)


def test_what_cannot_be_written_leaves_nothing_half_done(tmp_path: Path) -> None:
    (tmp_path / "server.key").mkdir()
    with pytest.raises(InvalidArgument, match="cannot make certificates in"):
        make(tmp_path, ["localhost"], days=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.key", "ca.pem", "server.key"]


# -- the page that tells how ---------------------------------------------------------------------


def test_the_commands_of_the_page_work_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one folder, in their order; but for the port, of which another may have the usual one."""
    monkeypatch.chdir(tmp_path)
    make_them, serve, use = blocks("howto/secure_a_server.md", "sh")
    assert in_bash(make_them).endswith("\n")
    words = shlex.split(serve.replace("tls://localhost?", "tls://localhost:0?"))
    assert words[:2] == ["sig", "serve"]
    with running(*words[1:]) as server:
        where = line_of(server).removeprefix("serving ").strip()
        assert where.startswith("tls://localhost:")
        assert in_bash("set -e\n" + use.replace("tls://localhost", where)) == ""


def in_bash(script: str) -> str:
    """What a block of shell prints, if nothing goes wrong."""
    sig = f'sig() {{ "{sys.executable}" -m sig "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-c", sig + script], env=environment(), capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
