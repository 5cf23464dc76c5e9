"""The commands and their options."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

import sig
from sig.carriers.address import default_url
from sig.cli import errors, values
from sig.cli.output import Output, complain, log_to_stderr

app = App(
    name="sig",
    version=sig.__version__,
    help="""Events and requests between named senders.

    A server ties everything together; any number of programs connect to it:

        sig serve &
        sig listen 'lab/**' &
        sig trigger lab/oven done minutes=12

    Exit codes: 0 answered, 1 the handler failed, 2 usage, 3 not connected, 4 timeout, 5 denied.
    """,
    help_format="plaintext",
)

Url = Annotated[
    str | None, Parameter(name="--url", help="the server; by default $SIG_URL, or port 3000 of this machine")
]
Json = Annotated[bool, Parameter(name="--json", negative="", help="JSON lines, as when piped")]


def run(tokens: list[str]) -> int:
    """Run one command line; returns the exit code. A user's mistake is one sentence on standard error."""
    log_to_stderr()
    try:
        code = app(tokens, exit_on_error=False, print_error=False)
        return code if isinstance(code, int) else errors.ANSWERED
    except CycloptsError as error:
        complain(f"{' '.join(str(error).split())} (sig --help tells more)")
        return errors.USAGE
    except sig.SigError as error:
        complain(errors.sentence(error))
        return errors.exit_code(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read has gone; Python would complain about that again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return errors.ANSWERED


@app.command
def serve(
    *urls: str,
    insecure_public: Annotated[
        bool, Parameter(negative="", help="serve other machines, although anybody may do everything")
    ] = False,
    limit: Annotated[tuple[str, ...], Parameter(help="a limit, as NAME=NUMBER; may be given again")] = (),
) -> int:
    """Run a server until Ctrl-C.

    Parameters
    ----------
    urls
        where: tcp://127.0.0.1:3000 by default; port 0 takes a free one
    """
    with (
        sig.serve(*(urls or (default_url(),)), insecure_public=insecure_public, **_limits(limit)) as server,
        _until_signal() as stopped,
    ):
        for url in server.urls:
            print(f"serving {url}", flush=True)
        stopped.wait()
    return errors.ANSWERED


@app.command
def listen(
    sender: str | None = None,
    event: str | None = None,
    /,
    *,
    count: Annotated[int | None, Parameter(help="end after so many events")] = None,
    seconds: Annotated[float | None, Parameter(help="end after that time")] = None,
    meta: Annotated[bool, Parameter(negative="", help="number and time of each event too")] = False,
    json: Json = False,
    url: Url = None,
) -> int:
    """Show events as they come, until Ctrl-C.

    Parameters
    ----------
    sender
        name or pattern (* is one level, ** the rest); all without it
    event
        name or pattern; all without it
    """
    output = Output(json)
    shown = 0
    done = threading.Event()
    broken: list[BaseException] = []

    def show(info: sig.Info, data: object) -> None:
        nonlocal shown
        if done.is_set():
            return
        record: dict[str, object] = {"sender": info.sender, "event": info.event, "data": data}
        if meta:
            record |= {"seq": info.seq, "time": info.time}
        try:
            output.event(record)
        except OSError as error:
            broken.append(error)
            done.set()
            return
        shown += 1
        if count is not None and shown >= count:
            done.set()

    def gap(info: sig.Info, gap: sig.Gap) -> None:
        complain(f"{gap.missed} events of {info.sender!r}, {info.event!r} were missed ({gap.reason})")

    with _until_signal(done), sig.connect(url, name="sig listen") as router:
        router.on_disconnected = done.set
        router.listen(show, sender, event, meta=meta, on_gap=gap)
        done.wait(seconds)
        if router.state != "connected":
            raise sig.ConnectionLost("the server has gone")
        done.set()
    if broken:
        raise broken[0]
    return errors.ANSWERED


@app.command
def trigger(
    sender: str, event: str, /, *data: Annotated[str, Parameter(allow_leading_hyphen=True)], url: Url = None
) -> int:
    """Trigger an event, as a sender that comes and leaves with it.

    Parameters
    ----------
    sender
        its name
    event
        the event's name
    data
        key=value pairs, one JSON text, or - for lines of JSON from standard input, an event each
    """
    found = values.lines(sys.stdin) if data == ("-",) else [values.parse(data)]
    with sig.connect(url, name="sig trigger") as router, router.add_sender(sender, event) as held:
        signal = held.signal(event)
        for value in found:
            signal.trigger(value)
        router.flush()
    return errors.ANSWERED


@app.command
def request(
    sender: str,
    method: str,
    /,
    *params: str,
    timeout: Annotated[float, Parameter(help="seconds to wait for the answer")] = 30,
    json: Json = False,
    url: Url = None,
) -> int:
    """Ask a sender, and print its answer.

    Parameters
    ----------
    sender
        its name
    method
        the request's name
    params
        key=value pairs, or one JSON text
    """
    with sig.connect(url, name="sig request") as router:
        Output(json).value(router.request(sender, method, values.parse(params), timeout=timeout))
    return errors.ANSWERED


@app.command
def senders(pattern: str | None = None, /, *, json: Json = False, url: Url = None) -> int:
    """List the senders that are connected.

    Parameters
    ----------
    pattern
        only those of this name or pattern
    """
    with sig.connect(url, name="sig senders") as router:
        Output(json).senders(router.senders(pattern))
    return errors.ANSWERED


@app.command
def demo(
    *,
    seconds: Annotated[float, Parameter(help="how long, at least 4")] = 20,
    folder: Annotated[str | None, Parameter(help="the folder to watch; by default one of the demo's own")] = None,
    json: Json = False,
    url: Annotated[str, Parameter(help="where its server listens")] = "tcp://127.0.0.1:0",
) -> int:
    """See it run: a server, two sender processes with real data, and a listener that shows it all."""
    for name in ("psutil", "watchfiles"):
        if importlib.util.find_spec(name) is None:
            raise sig.InvalidArgument(f"the demo needs {name!r}, which is not here: pip install 'pysig[demo]'")
    from sig.demo.run import run as run_demo

    return run_demo(seconds=seconds, folder=folder, json=json, url=url)


@app.command
def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print the completion script of a shell: eval "$(sig completion bash)".

    Parameters
    ----------
    shell
        which one
    """
    print(app.generate_completion(shell=shell))
    return errors.ANSWERED


def _limits(given: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in given:
        name, _, number = text.partition("=")
        try:
            found[name.replace("-", "_")] = float(number) if "." in number else int(number)
        except ValueError:
            raise sig.InvalidArgument(f"limit {text!r} is not NAME=NUMBER, as in max_connections=100") from None
    return found


@contextmanager
def _until_signal(flag: threading.Event | None = None) -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set."""
    stopped = threading.Event() if flag is None else flag

    def stop(number: int, frame: object) -> None:
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
