"""How a command ends: an exit status for the shell, and a message that says what to do for its user."""

from __future__ import annotations

import logging
import os
import re
import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asyncrouter import (
    AllModelsFailed,
    AttemptError,
    CallError,
    DeadlineExceeded,
    NotSent,
    OutOfCredit,
    RouterError,
    StreamInterrupted,
    Unauthorized,
)
from asyncrouter.cli._output import print_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit statuses: success; no model answered, or a file failed; wrong usage or configuration; Ctrl-C."""
BROKEN_PIPE = 141
"""Exit status when the reader of our output has gone: what a shell reports of a program that SIGPIPE ended."""

SHOW_TRACEBACK = "ASYNCROUTER_TRACEBACK"
"""The environment variable with which a bug is shown with its traceback."""

_ARGUMENT = re.compile(r"[a-z_]+(?:[.\[][^:]*)?=?: ")
"""How the message about an argument begins: `messages[0].content: …`, `seed: …`."""

_SILENT = logging.NullHandler()
"""Without any handler, Python prints warnings of a logger on standard error, beside our own messages."""


def run_command(command: Callable[[], object]) -> int:
    """Run a command; its exit status, whichever way it ends. A status that it returns itself is passed on."""
    logging.getLogger("asyncrouter").addHandler(_SILENT)
    try:
        status = command()
        sys.stdout.flush()
    except (click.ClickException, click.Abort, click.exceptions.Exit):
        raise  # click prints these itself
    except KeyboardInterrupt:
        _silence_leftovers()
        end_line()
        return INTERRUPTED
    except (CallError, AttemptError) as failed:
        print_error(_message(failed), hint=_hint(failed))
        return USAGE if _is_configuration(failed) else FAILED
    except RouterError as wrong:
        print_error(str(wrong))
        return USAGE
    except BrokenPipeError:
        return BROKEN_PIPE
    except OSError as error:
        print_error(": ".join(str(part) for part in (error.filename, error.strerror or error) if part is not None))
        return FAILED
    except (TypeError, ValueError) as wrong:
        if not _is_of_an_argument(wrong):
            return _report_bug(wrong)
        print_error(str(wrong))
        return USAGE
    except Exception as error:
        return _report_bug(error)
    return status if isinstance(status, int) else OK


def _is_of_an_argument(error: TypeError | ValueError) -> bool:
    """Whether the library refuses an argument by this: such an error begins with the argument's name."""
    return type(error) in {TypeError, ValueError} and _ARGUMENT.match(str(error)) is not None


def _report_bug(error: Exception) -> int:
    """Name the class and the place of an exception that nobody expected: its text may quote what is secret."""
    if os.environ.get(SHOW_TRACEBACK):
        traceback.print_exception(error)
    last = traceback.extract_tb(error.__traceback__)[-1:]
    place = "".join(f" at {Path(frame.filename).name}:{frame.lineno}" for frame in last)
    print_error(f"this is a bug: {type(error).__name__}{place}", hint=f"{SHOW_TRACEBACK}=1 shows where it comes from")
    return FAILED


def end_line() -> None:
    """Begin a new line on a terminal, which has echoed ^C in the middle of one."""
    if sys.stderr.isatty():
        sys.stderr.write("\n")


def _message(failed: CallError | AttemptError) -> str:
    """The reason without the timeline, which --trace draws."""
    return failed.message if isinstance(failed, CallError) else str(failed)


def _errors(failed: CallError | AttemptError) -> Sequence[AttemptError]:
    return [failed] if isinstance(failed, AttemptError) else failed.errors


def _is_configuration(failed: CallError | AttemptError) -> bool:
    """Whether nothing was sent for a reason that only a person can mend, such as keys that are not set."""
    errors = _errors(failed)
    return bool(errors) and all(isinstance(error, NotSent) and error.actionable for error in errors)


def _hint(failed: CallError | AttemptError) -> str | None:
    errors = _errors(failed)
    if any(isinstance(error, NotSent) and error.actionable for error in errors):
        return "set it in the environment; `asyncrouter check` checks all keys, `asyncrouter demo` needs none"
    if any(isinstance(error, Unauthorized | OutOfCredit) for error in errors):
        return "`asyncrouter check --call` tries the key of every provider"
    if isinstance(failed, DeadlineExceeded):
        return "give it a longer --deadline, or see with --trace where the time went"
    if isinstance(failed, StreamInterrupted):
        return "with --no-stream nothing is printed until an answer is complete, so the next model can still give it"
    return "--trace draws every attempt" if isinstance(failed, AllModelsFailed) else None


def _silence_leftovers() -> None:
    """A second Ctrl-C cuts the closing short: no complaint about connections that the end of the process closes."""
    logging.getLogger("asyncio").addHandler(_SILENT)
    warnings.simplefilter("ignore", ResourceWarning)
