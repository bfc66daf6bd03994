"""The command line: parse, call one function, print."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from ..errors import AtelierError
from ..extras import missing_extra
from ..version import __version__

# They register their verbs.
from . import (  # noqa: F401
    auditing,
    benchmarking,
    comparing,
    doubting,
    ensembling,
    explaining,
    exporting,
    few_shot,
    guarding,
    learning,
    mapping,
    overseeing,
    reporting,
    results,
    serving,
    stressing,
    tracking,
    tuning,
    watching,
)
from .application import app, joined, name_of

__all__ = ["app", "main"]

# As the help lists them: along the way from data to service.
VERBS = (
    *("demo", "fetch", "audit", "train", "tune", "ensemble", "track"),
    *("evaluate", "compare", "uncertainty", "robustness", "explain", "embeddings"),
    "few-shot",
    *("report", "dashboard", "export", "bench", "bench zoo", "predict", "serve"),
    *("reference", "drift", "provision"),
)
app.registered_commands.sort(key=lambda command: VERBS.index(name_of(command)))

# What typer raises for words that it cannot parse; it keeps its own copy of click private.
_UsageError: Any = typer.BadParameter.__bases__[0]


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[  # noqa: ARG001 - read by main(), which needs it before parsing has succeeded
        bool, typer.Option("--debug", help="Show the traceback of an error.")
    ] = False,
) -> None:
    """Train, compare, understand and ship classifiers of fashion images."""
    if version:
        print(f"atelier {__version__}")
        raise typer.Exit


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    0 is success, 1 a defect of atelier, 2 something that the user can mend, 130 Ctrl-C.
    """
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    # Accepted anywhere, for people add it to the end of the line that failed.
    words = [word for word in words if word != "--debug"]
    code: Any = 0
    try:
        # Not `app(words)`, which would take Ctrl-C and a reader that has gone for itself.
        command = typer.main.get_command(app)
        with command.make_context("atelier", list(words)) as context:
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as stop:
        code = stop.exit_code
    except _UsageError as error:
        if not words:  # `atelier` alone: the help is the answer
            print(error.format_message())
        else:
            verb, *_ = joined(words)
            verb = f" {verb}" if verb in _verbs() else ""
            # Typer's own message, without the name of the exception that it wraps.
            said = error.format_message().replace("Value error, ", "").rstrip(".?")
            _complain(f"{said}. See `atelier{verb} --help`")
        code = 2
    except AtelierError as error:
        if debug:
            raise
        _complain(str(error))
        code = error.exit_code
    except BrokenPipeError:
        # The reader has gone, as `| head` does: nothing is wrong, and nothing can be said.
        _drop_output()
        code = 141
    except (KeyboardInterrupt, typer.Abort):
        _complain("stopped")
        code = 130
    except Exception as error:
        if debug:
            raise
        if isinstance(error, ModuleNotFoundError) and (missing := missing_extra(error)):
            _complain(str(missing))
            sys.exit(missing.exit_code)
        _complain(f"a defect of atelier, {type(error).__name__}: {error}. Add --debug to see where")
        code = 1
    sys.exit(code)


def _verbs() -> set[str]:
    return {*VERBS, *(str(group.name) for group in app.registered_groups)}


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(line: str) -> None:
    print(f"error: {' '.join(line.split())}", file=sys.stderr)
