"""Random arguments, configurations, keys, headers and rows; `python -m tests.hostile.arguments` is the long way."""

from tests.hostile.arguments import fuzz


def test_nothing_but_documented_errors() -> None:
    """Whatever is passed in is used, or refused with a documented error before anything is sent."""
    assert sum(fuzz(300, derandomize=True).values()) >= 250
