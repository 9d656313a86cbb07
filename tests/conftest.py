"""What every test gets: virtual time, a simulated world, and a check that nothing was left unclosed or let out."""

import gc
import signal
from collections.abc import Iterator

import pytest

pytest_plugins = ["asyncrouter.sim.fixture", "tests.helpers.commandline", "tests.helpers.planted"]


def pytest_configure() -> None:
    """Let commands be interrupted: what is started in the background of a shell, and all it starts, ignores Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _nothing_left_unclosed() -> Iterator[None]:
    """Unclosed sessions and sockets warn when they are collected: in the test that left them, not in the next one.

    What is still alive then (modules, pytest's reports) is put out of the collector's sight: the next collection would
    look at all of it again, which took longer than most tests.
    """
    yield
    gc.collect()
    gc.freeze()
