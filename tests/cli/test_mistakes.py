"""A mistake on the command line is one sentence and code 2; what is missing is told; help helps."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from cli.commands import LIMIT_S, command, environment, only_line, running
from cli.conftest import Here

import sig
from sig.cli import output
from sig.cli.app import app

COMMANDS = [name for name in app if not name.startswith("-")]


def test_nobody_there_is_code_3() -> None:
    done = command("senders", "--url", "tcp://127.0.0.1:1")
    assert done.returncode == 3
    assert "start a server there" in only_line(done.stderr)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nonsense"], "sig: there is no command 'nonsense'; see sig --help"),
        (["lisen"], "sig: there is no command 'lisen': did you mean 'listen'? See sig --help"),
        (["request", "s"], "sig: sig request needs METHOD; see sig request --help"),
        (["listen", "--count"], "sig: --count needs a value; see sig listen --help"),
        (["listen", "a", "b", "c", "d"], "does not take so many words: 'c d' is left over; see sig listen --help"),
        (["listen", "--jsn"], "sig: there is no option '--jsn': did you mean '--json'? See sig listen --help"),
        (["serve", "--max-conections=5"], "no option '--max-conections': did you mean '--max-connections'?"),
        (["senders", "--url", "nonsense"], "has no scheme"),
        (["serve", "tcp:/127.0.0.1:0"], "lacks a slash: write it like 'tcp://127.0.0.1:0'"),
        (["serve", "tcp://127.0.0.1:0", "--origin", "https://lab.example"], "write ws:// or wss://"),
        (["senders", "--url", "smoke://signals"], "unknown scheme 'smoke'"),
        (["senders", "--no-such-option"], "no-such-option"),
        (["listen", "a**"], "'*'"),
        (["listen", "--count", "0"], "--count"),
        (["listen", "--count", "many"], "--count"),
        (["listen", "--seconds", "-1"], "--seconds"),
        (["request", "s", "m", "--timeout", "0"], "--timeout"),
        (["trigger", "s", "#connect"], "triggered by routers only"),
        (["completion", "tcsh"], "tcsh"),
    ],
)
def test_a_mistake_is_one_sentence_and_code_2(here: Here, words: list[str], told: str) -> None:
    done = here(*words)
    assert (done.code, done.out) == (2, "")
    assert told in only_line(done.err)


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("serve", "Usage: sig serve [OPTIONS] [URLS...]"),
        ("listen", "Usage: sig listen [OPTIONS] [SENDER] [EVENT]"),
        ("request", "Usage: sig request [OPTIONS] SENDER METHOD [PARAMS...]"),
        ("stats", "Usage: sig stats [OPTIONS]"),
    ],
)
def test_the_first_line_of_help_says_what_a_command_takes(here: Here, command: str, usage: str) -> None:
    assert here(command, "--help").out.splitlines()[0] == usage


def test_a_mistake_in_a_process_of_its_own(url: str) -> None:
    done = command("listen", "a**", url=url)
    assert (done.returncode, done.stdout) == (2, "")
    assert only_line(done.stderr).startswith("sig: ")


def test_a_warning_of_the_library_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with output.log_on_stderr():
        sig.logger.warning("the\nroof is on fire")
        sig.logger.info("it is warm")
    sig.logger.warning("again")
    assert only_line(capsys.readouterr().err) == "sig warning: the roof is on fire"


# -- help ----------------------------------------------------------------------------------------


def test_version() -> None:
    assert command("--version").stdout == f"{sig.__version__}\n"


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_help_tells_commands_and_codes(here: Here, words: list[str]) -> None:
    done = here(*words)
    assert done.code == 0
    assert [name for name in COMMANDS if name not in done.out] == []
    assert "sig listen 'lab/**'" in done.out
    assert "4  no answer in time" in done.out
    table = [line for line in done.out.splitlines() if line.startswith("│")]
    assert [line for line in table if line.startswith("│    ")] == []  # each is told in one line


def test_help_that_nobody_reads_to_its_end_is_no_mistake() -> None:
    with running("--help") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(LIMIT_S) == 0
        assert process.stderr.read() == ""
        process.stdout = None  # there is nothing to be read any more


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_has_examples_and_fits_a_terminal(here: Here, name: str) -> None:
    shown = here(name, "--help").out
    assert f"Examples:\n\n    {'eval' if name == 'completion' else 'sig'}" in shown
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    doc = inspect.getdoc(app[name].default_command) or ""
    told = f"{doc.partition('Parameters')[0]}\n{app[name].help_epilogue}"
    lines = {line.rstrip() for line in shown.splitlines()}
    assert [line for line in told.splitlines() if line.rstrip() not in lines] == []  # none was broken in two


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script(here: Here, shell: str) -> None:
    done = here("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert "listen" in done.out


def test_bash_completes() -> None:
    script = """
        eval "$1"
        COMP_WORDS=(sig lis) COMP_CWORD=1 COMP_LINE="sig lis" COMP_POINT=7
        $(complete -p sig | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        echo "${COMPREPLY[@]}"
    """
    completion = command("completion", "bash").stdout
    done = subprocess.run(["bash", "-c", script, "bash", completion], capture_output=True, text=True, timeout=LIMIT_S)
    assert done.stdout.split() == ["listen"], done.stderr


# -- what is not installed -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "words", "extra"),
    [
        ("cyclopts", ["senders"], "pysig[cli]"),
        ("rich", ["--help"], "pysig[cli]"),
        ("psutil", ["demo"], "pysig[demo]"),
        ("watchfiles", ["demo"], "pysig[demo]"),
        ("cryptography", ["certs", "folder"], "pysig[tls]"),
    ],
)
def test_a_missing_extra_is_one_sentence(tmp_path: Path, missing: str, words: list[str], extra: str) -> None:
    """With all that is installed here but one package: Python itself must not find it."""
    installed = Path(msgspec.__file__).parents[1]
    for entry in installed.iterdir():
        if entry.name.partition("-")[0] != missing:
            (tmp_path / entry.name).symlink_to(entry)
    source = Path(sig.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-S", "-m", "sig", *words],  # -S: only what PYTHONPATH says
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env=environment(PYTHONPATH=f"{source}{os.pathsep}{tmp_path}"),
    )
    assert done.returncode == 2
    assert extra in only_line(done.stderr)
    assert missing in done.stderr


def test_a_module_of_ours_that_is_missing_is_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import sys; sys.modules['sig.cli.values'] = None; from sig.cli import main; sys.exit(main(['senders']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr
