"""The commands, put together: what they are called, how they are helped with, what they end with."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Literal

from cyclopts import App, CycloptsError

import sig
from sig.cli import (
    acl,
    certs,
    check,
    clients,
    demo,
    errors,
    health,
    limits,
    listen,
    mistakes,
    output,
    request,
    schema,
    senders,
    serve,
    stats,
    token,
    trigger,
)

app: App = App(
    name="sig",
    version=sig.__version__,
    help="""Events and requests between named senders.

    A server ties everything together; any number of programs connect to it. Try, in one terminal each:

        sig serve
        sig listen 'lab/**'
        sig trigger lab/oven done minutes=12

    Or see it all at once: sig demo
    """,
    help_epilogue="""Each command has examples: sig listen --help

Exit codes:

      0  done, or answered
      1  the handler failed, or `sig check` found a difference, or `sig kick`
         nobody
      2  the command was written wrong
      3  not connected
      4  no answer in time
      5  not allowed
    130  Ctrl-C (0 for what runs until then: serve, listen, stats --watch)
""",
    help_format="plaintext",
    # The exit code is ours to tell.
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)


def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print a script that completes commands in your shell.

    Parameters
    ----------
    shell
        which one
    """
    print(app.generate_completion(shell=shell))
    return errors.ANSWERED


_COMPLETION_EXAMPLES = """Examples:

    eval "$(sig completion bash)"                in ~/.bashrc
    eval "$(sig completion zsh)"                 in ~/.zshrc, after compinit
    sig completion fish > sig.fish               in ~/.config/fish/completions
"""

# In the order in which one needs them.
_COMMANDS: tuple[tuple[Callable[..., int], str], ...] = (
    (serve.serve, serve.EXAMPLES),
    (listen.listen, listen.EXAMPLES),
    (trigger.trigger, trigger.EXAMPLES),
    (request.request, request.EXAMPLES),
    (senders.senders, senders.EXAMPLES),
    (schema.schema, schema.EXAMPLES),
    (check.check, check.EXAMPLES),
    (stats.stats, stats.EXAMPLES),
    (health.health, health.EXAMPLES),
    (clients.clients, clients.EXAMPLES),
    (clients.kick, clients.KICK_EXAMPLES),
    (token.token, token.EXAMPLES),
    (acl.acl, acl.EXAMPLES),
    (certs.certs, certs.EXAMPLES),
    (demo.demo, demo.EXAMPLES),
    (completion, _COMPLETION_EXAMPLES),
)


def _usage(command: Callable[..., int]) -> str:
    """The first line of a command's help: what it takes, by the names that are explained below it."""
    words = []
    for parameter in inspect.signature(command).parameters.values():
        name = parameter.name.upper()
        if parameter.kind is parameter.VAR_POSITIONAL:
            words.append(f"[{name}...]")
        elif parameter.kind is parameter.POSITIONAL_ONLY:
            words.append(name if parameter.default is parameter.empty else f"[{name}]")
    return " ".join(("Usage: sig", command.__name__, "[OPTIONS]", *words))


for _position, (_command, _examples) in enumerate(_COMMANDS):
    app.command(_command, sort_key=_position, help_epilogue=_examples, usage=_usage(_command))


def run(tokens: list[str]) -> int:
    """Run one command line; returns the exit code. What goes wrong is one sentence on standard error."""
    if tokens[:1] == ["serve"]:
        tokens = limits.spell_out(tokens)
    try:
        with output.log_on_stderr():
            code = app(tokens, exit_on_error=False, print_error=False)
        output.flush()
    except CycloptsError as error:
        output.complain(mistakes.sentence(error, (name for name in app if not name.startswith("-"))))
        return errors.USAGE
    except sig.SigError as error:
        output.complain(errors.sentence(error))
        return errors.exit_code(error)
    except KeyboardInterrupt:
        return errors.INTERRUPTED
    except BrokenPipeError:
        output.discard()
        return errors.ANSWERED  # whoever read has had enough
    except SystemExit as end:
        if not isinstance(end.__context__, BrokenPipeError):  # so rich says it, who writes the help
            raise
        return errors.ANSWERED
    except OSError as error:
        output.discard()
        output.complain(f"cannot write the output: {error.strerror or error}")
        return errors.FAILED
    return code if isinstance(code, int) else errors.ANSWERED
