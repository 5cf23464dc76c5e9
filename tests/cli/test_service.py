"""`sig serve` as a service: SIGTERM lets it finish, SIGHUP has it read anew, and systemd is told."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cli.commands import LIMIT_S, environment, line_of, only_line, running

import sig
from sig import certs


class Manager:
    """What systemd is to a service: a socket that it may tell things."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(str(path))
        self._sock.settimeout(LIMIT_S)

    def read(self, first: str) -> dict[str, str]:
        """The next message that begins so; those before it are passed over, which says that they came."""
        while True:
            told = dict(line.split("=", 1) for line in self._sock.recv(4096).decode().splitlines())
            if next(iter(told)) == first:
                return told

    def close(self) -> None:
        self._sock.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


def serving(*words: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sig", "serve", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**more),
    )


def test_what_is_under_way_when_it_is_told_to_end_is_answered() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(params: object) -> object:
        begun.set()
        assert go_on.wait(LIMIT_S)
        return params

    with running("serve", "tcp://127.0.0.1:0") as process:
        url = line_of(process).split()[1]
        with sig.connect(url) as owner, sig.connect(url) as asker:
            owner.add_sender("s", requests={"slow": slow})
            call = asker.start_request("s", "slow", 5)
            assert begun.wait(LIMIT_S)
            process.send_signal(signal.SIGTERM)
            refused = False
            while not refused:  # until it has heard
                try:
                    sig.connect(url).close()
                except sig.ConnectFailed:
                    refused = True
            go_on.set()
            assert call.result(LIMIT_S) == 5
            out, err = process.communicate(timeout=LIMIT_S)
            assert (process.returncode, out, err) == (0, "", "")


def test_told_twice_it_ends_at_once() -> None:
    begun, end = threading.Event(), threading.Event()

    def stuck(params: object) -> None:
        begun.set()
        end.wait(LIMIT_S)

    with running("serve", "tcp://127.0.0.1:0", "--drain-timeout-s", "600") as process:
        url = line_of(process).split()[1]
        with sig.connect(url) as owner, sig.connect(url) as asker:
            owner.add_sender("s", requests={"stuck": stuck})
            call = asker.start_request("s", "stuck")
            assert begun.wait(LIMIT_S)
            process.send_signal(signal.SIGTERM)
            while True:  # until it has heard
                try:
                    sig.connect(url).close()
                except sig.ConnectFailed:
                    break
            process.send_signal(signal.SIGTERM)
            assert process.wait(LIMIT_S) == 130
            with pytest.raises(sig.SigError):
                call.result(LIMIT_S)
            end.set()


def test_what_takes_too_long_is_cut_off_and_told() -> None:
    end = threading.Event()
    begun = threading.Event()

    def stuck(params: object) -> None:
        begun.set()
        end.wait(LIMIT_S)

    with running("serve", "tcp://127.0.0.1:0", "--drain-timeout-s", "0.1") as process:
        url = line_of(process).split()[1]
        with sig.connect(url) as owner, sig.connect(url) as asker:
            owner.add_sender("s", requests={"stuck": stuck})
            asker.start_request("s", "stuck")
            assert begun.wait(LIMIT_S)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=LIMIT_S)
            end.set()
            assert process.returncode == 0
            assert "requests are still under way after 0.1 s (drain_timeout_s)" in err


def test_systemd_is_told_when_it_serves_and_when_it_ends(manager: Manager) -> None:
    with serving("tcp://127.0.0.1:0", NOTIFY_SOCKET=str(manager.path), WATCHDOG_USEC="40000") as process:
        url = line_of(process).split()[1]
        manager.read("WATCHDOG")
        ready = manager.read("READY")
        assert ready == {"READY": "1", "STATUS": f"serving {url}"}
        for _ in range(3):
            manager.read("WATCHDOG")
        process.send_signal(signal.SIGTERM)
        assert manager.read("STOPPING")["STOPPING"] == "1"
        assert process.wait(LIMIT_S) == 0


def test_without_a_watchdog_it_is_not_told_all_the_time(manager: Manager) -> None:
    with serving("local://a", NOTIFY_SOCKET=str(manager.path), WATCHDOG_USEC="1000", WATCHDOG_PID="1") as process:
        assert next(iter(manager.read("READY"))) == "READY"
        process.send_signal(signal.SIGINT)
        assert next(iter(manager.read("STOPPING"))) == "STOPPING"
        assert process.wait(LIMIT_S) == 0


def test_a_manager_that_has_gone_is_one_line_of_log(tmp_path: Path) -> None:
    with serving("tcp://127.0.0.1:0", NOTIFY_SOCKET=str(tmp_path / "nobody")) as process:
        line_of(process)
        assert process.stderr is not None
        assert "NOTIFY_SOCKET cannot be told READY=1" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="names without a file are Linux's")
def test_the_socket_may_have_a_name_without_a_file() -> None:
    name = f"sig-test-{os.getpid()}"
    manager = Manager.__new__(Manager)
    manager._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager._sock.settimeout(LIMIT_S)
    with manager._sock:
        manager._sock.bind(f"\0{name}")
        with serving("local://a", NOTIFY_SOCKET=f"@{name}") as process:
            manager.read("READY")
            process.send_signal(signal.SIGTERM)
            assert process.wait(LIMIT_S) == 0


def test_addresses_come_and_go_when_the_file_is_read_anew(manager: Manager, tmp_path: Path) -> None:
    path = tmp_path / "sig.toml"
    one, other = (f"unix://{tmp_path}/{name}.sock" for name in ("one", "other"))
    path.write_text(f'urls = ["{one}"]\n')
    with serving("--config", str(path), NOTIFY_SOCKET=str(manager.path)) as process:
        manager.read("READY")
        with sig.connect(one) as stays:
            path.write_text(f'urls = ["{other}"]\n[limits]\nmax_names = 5\n')
            process.send_signal(signal.SIGHUP)
            assert int(manager.read("RELOADING")["MONOTONIC_USEC"]) > 0
            assert manager.read("READY")["STATUS"] == f"serving {other}"
            with sig.connect(other) as client:
                assert client.senders() == []
            with pytest.raises(sig.ConnectFailed):
                sig.connect(one)
            assert stays.senders() == []
            path.write_text("urls = 5\n")
            process.send_signal(signal.SIGHUP)
            assert manager.read("READY")["STATUS"] == f"serving {other}"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=LIMIT_S)
        assert out.split() == ["serving", one, "serving", other]
        late, refused = err.splitlines()
        assert "limits: changes here take effect when the server is started anew" in late
        assert "not all was reloaded" in refused
        assert "line 1, urls" in refused


def test_certificates_are_read_anew(manager: Manager, tmp_path: Path) -> None:
    made = certs.make(tmp_path / "a", ["localhost"], [], days=1)
    later = certs.make(tmp_path / "b", ["localhost"], [], days=1)
    files = ["--tls-cert", str(made.server.cert), "--tls-key", str(made.server.key)]

    def shown(url: str) -> str:
        place = urlsplit(url)
        return ssl.get_server_certificate((str(place.hostname), int(place.port or 0)))

    with serving("tls://127.0.0.1:0", *files, NOTIFY_SOCKET=str(manager.path)) as process:
        url = line_of(process).split()[1]
        before = shown(url)
        manager.read("READY")
        for old, new in ((made.server.cert, later.server.cert), (made.server.key, later.server.key)):
            Path(new).replace(old)
        process.send_signal(signal.SIGHUP)
        manager.read("READY")
        assert shown(url) != before
        Path(made.server.cert).write_text("no certificate")
        process.send_signal(signal.SIGHUP)
        manager.read("READY")
        assert shown(url) not in ("", before)  # the good one goes on
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=LIMIT_S)
        assert "not all was reloaded" in only_line(err)


def test_a_server_with_a_policy_is_not_ended_by_a_hangup(manager: Manager, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("[end]\n")
    with serving("local://a", "--policy", str(policy), NOTIFY_SOCKET=str(manager.path)) as process:
        manager.read("READY")
        process.send_signal(signal.SIGHUP)
        manager.read("RELOADING")
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0


@pytest.fixture
def hangups_end() -> Iterator[None]:
    """Processes are begun as a terminal begins them: under `nohup`, which tests may be run by, they would stay."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangups_end")
def test_without_anything_to_read_anew_a_hangup_ends_it() -> None:
    with running("serve", "tcp://127.0.0.1:0") as process:
        line_of(process)
        process.send_signal(signal.SIGHUP)
        assert process.wait(LIMIT_S) == -signal.SIGHUP
