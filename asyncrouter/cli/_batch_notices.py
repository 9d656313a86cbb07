"""Shows warnings that the router logs during a batch, each once: an unknown task, a retired model, a rejected call."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from asyncrouter.cli._output import print_warning

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_NOTICES = 20
"""Warnings that are shown in one run: enough to see what is wrong, too few to fill a screen."""


@contextlib.contextmanager
def show_notices() -> Iterator[None]:
    """Print the router's warnings while this is entered, when they can still save money.

    They come from its log: a listener would cost something with every call.
    """
    handler = _WarningPrinter(logging.WARNING)
    logger = logging.getLogger("asyncrouter")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _WarningPrinter(logging.Handler):
    """Prints the first different warnings."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._printed: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a warning that was not printed before."""
        text = record.getMessage()
        if text not in self._printed and len(self._printed) < MAX_NOTICES:
            self._printed.add(text)
            print_warning(text)
