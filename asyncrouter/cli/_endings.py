"""How a command ends: a status for the shell, and for its reader one line that says what to do."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import TYPE_CHECKING

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
from asyncrouter.cli._say import tell

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWERED, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
BROKEN_PIPE = 141
"""What a shell reports of a program that SIGPIPE ended."""

_UNHEARD = logging.NullHandler()
"""Without a handler, what the router warns of would be printed beside what we tell of it."""


def ended(command: Callable[[], object]) -> int:
    """Run a command to its end, whatever that is; its exit status."""
    logging.getLogger("asyncrouter").addHandler(_UNHEARD)
    try:
        status = command()
        sys.stdout.flush()
    except KeyboardInterrupt:
        _leave_the_rest()
        end_the_line()
        return INTERRUPTED
    except (CallError, AttemptError) as failed:
        tell(_line(failed), cure=_cure(failed))
        return FAILED
    except RouterError as wrong:
        tell(str(wrong))
        return USAGE
    except BrokenPipeError:
        return BROKEN_PIPE
    except OSError as error:
        tell(": ".join(str(part) for part in (error.filename, error.strerror or error) if part is not None))
        return FAILED
    return status if isinstance(status, int) else ANSWERED


def _line(failed: CallError | AttemptError) -> str:
    """The reason; the timeline is for --trace."""
    return failed.message if isinstance(failed, CallError) else str(failed)


def _cure(failed: CallError | AttemptError) -> str | None:
    errors = [failed] if isinstance(failed, AttemptError) else [attempt.error for attempt in failed.trace.attempts]
    if any(isinstance(error, NotSent) and error.actionable for error in errors):
        return "set it in the environment; `asyncrouter demo` needs no key, `asyncrouter check` looks at all of them"
    if any(isinstance(error, Unauthorized | OutOfCredit) for error in errors):
        return "`asyncrouter check --call` tries every provider's key"
    if isinstance(failed, DeadlineExceeded):
        return "give it a longer --deadline, or see with --trace where the time went"
    if isinstance(failed, StreamInterrupted):
        return "--no-stream shows nothing until an answer is whole, and the next model can still give it"
    return "--trace draws what was tried" if isinstance(failed, AllModelsFailed) else None


def end_the_line() -> None:
    """The terminal has echoed ^C in the middle of one."""
    if sys.stderr.isatty():
        sys.stderr.write("\n")


def _leave_the_rest() -> None:
    """A second Ctrl-C cuts the closing short: the process ends with what is still open, and nobody need hear of it."""
    logging.getLogger("asyncio").addHandler(_UNHEARD)
    warnings.simplefilter("ignore", ResourceWarning)
