"""What every test gets: virtual time, a simulated world, and a check that nothing was left unclosed or let out."""

import gc
from collections.abc import Iterator

import pytest

pytest_plugins = ["asyncrouter.sim.fixture", "commandline", "planted"]


def pytest_collection_finish() -> None:
    """Put what the imports made out of the collector's sight, so that a collection after each test costs nothing."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _nothing_left_unclosed() -> Iterator[None]:
    """Unclosed sessions and sockets warn when they are collected: in the test that left them, not in the next one."""
    yield
    gc.collect()
