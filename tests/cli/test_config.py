"""The file of `sig serve --config`: it says what the options say, and what is wrong in it is told with its line."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

import pytest
from cli.commands import command, line_of, only_line, running
from cli.conftest import Here

import sig
from sig.cli.config import Settings, TLSFiles, read, show
from sig.constants import Limits
from sig.errors import InvalidArgument


def written(folder: Path, text: str) -> Path:
    path = folder / "sig.toml"
    path.write_text(text)
    return path


def test_the_printed_file_has_every_limit_and_says_the_same(tmp_path: Path) -> None:
    text = show(Settings())
    assert tomllib.loads(text)["limits"] == dataclasses.asdict(Limits())
    settings = read(written(tmp_path, text))
    assert settings == Settings(limits=dataclasses.asdict(Limits()))
    assert show(settings) == text
    other = Settings(
        urls=['tcp://127.0.0.1:0?a="b"', "local://ü"],
        codec="msgpack",
        insecure_public=True,
        origins=["https://lab.example"],
        hosts=["lab.example"],
        tls=TLSFiles(cert=str(tmp_path / "server.pem")),
        limits=dataclasses.asdict(Limits(max_names=3, heartbeat_s=1.5)),
    )
    assert read(written(tmp_path, show(other))) == other


def test_files_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = read(written(tmp_path, '[tls]\ncert = "server.pem"\nca = "/etc/ca.pem"\n'))
    assert settings.tls == TLSFiles(cert=str(tmp_path / "server.pem"), ca="/etc/ca.pem")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("urls = [\n", "no TOML"),
        ('codec = "json"\nurl = ["tcp://127.0.0.1"]\n', "line 2, url: there is no such key; did you mean 'urls'?"),
        ("\n[limits]\n# a word\nmax-conections = 5\n", "line 4, limits.max-conections: there is no such key; did you "),
        ("max_names = 5\n", "line 1, max_names: there is no such key; it belongs into [limits]"),
        ('[tls]\nurls = ["a"]\n', "line 2, tls.urls: there is no such key; it belongs to the top"),
        ("[tls]\nxyzzy = 1\n", "line 2, tls.xyzzy: there is no such key; known are cert, key, ca"),
        ("[limits]\nmax_names = 0\n", "line 2, limits.max_names: max_names must be a whole number above zero"),
        ("[limits]\nmax_names = 1.5\n", "line 2, limits.max_names: max_names must be a whole number above zero"),
        ('[limits]\nheartbeat_s = "5"\n', "line 2, limits.heartbeat_s: heartbeat_s must be a number of seconds"),
        ('codec = "yaml"\n', "line 1, codec: Invalid enum value 'yaml'"),
        ('urls = ["a", 5]\n', "line 1, urls[1]: Expected `str`, got `int`"),
        ("limits = 5\n", "line 1, limits: Expected `object`, got `int`"),
        ("[codec]\nname = 5\n", "line 1, [codec]: "),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InvalidArgument) as caught:
        read(path)
    assert told in str(caught.value)
    assert str(caught.value).startswith(f"{path}")


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"cannot read .*No such file"):
        read(tmp_path / "missing.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidArgument, match="it is not UTF-8"):
        read(tmp_path / "bytes.toml")


def test_a_server_goes_by_the_file_and_the_command_line_goes_before(tmp_path: Path) -> None:
    path = written(tmp_path, 'urls = ["tcp://127.0.0.1:0"]\n[limits]\nmax_names = 1\nmax_events = 2\n')
    with (
        running("serve", "--config", str(path), "--max-events", "1") as process,
        sig.connect(line_of(process).split()[1]) as client,
    ):
        with pytest.raises(sig.Overloaded, match="max_events"):
            client.add_sender("a", ["e", "f"])
        client.add_sender("a", "e")
        with pytest.raises(sig.Overloaded):
            client.add_sender("b", "e")


def test_print_config_is_a_start(here: Here, tmp_path: Path) -> None:
    done = here("serve", "tcp://127.0.0.1:0", "--codec", "msgpack", "--max-names", "7", "--print-config")
    assert done.code == 0
    settings = read(written(tmp_path, done.out))
    assert (settings.urls, settings.codec, settings.limits["max_names"]) == (["tcp://127.0.0.1:0"], "msgpack", 7)
    assert here("serve", "--config", str(tmp_path / "sig.toml"), "--print-config").out == done.out
    assert here("serve", "--max-names", "0", "--print-config").code == 2


def test_a_mistake_is_one_sentence_in_the_shell(tmp_path: Path) -> None:
    done = command("serve", "--config", str(written(tmp_path, "codecs = 5\n")))
    assert done.returncode == 2
    assert "line 1, codecs: there is no such key; did you mean 'codec'?" in only_line(done.stderr)
