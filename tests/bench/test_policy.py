"""Policies to estimate: what their fields may be."""

from __future__ import annotations

import numpy as np
import pytest

from asyncrouter.bench import Policy


@pytest.mark.parametrize("given", [
    {name: value} for name in ("first_token", "total", "deadline", "budget") for value in (0.0, -5.0, np.nan, np.inf)
])
def test_a_limit_must_be_above_zero_and_finite(given: dict[str, float]) -> None:
    """The message names the field and the value; a budget of 0 would still hedge ten times."""
    [(name, value)] = given.items()
    with pytest.raises(ValueError, match=f"^{name}: expected .*above 0, got {value!r}"):
        Policy(**given)  # type: ignore[arg-type]  # one of its numbers


@pytest.mark.parametrize("order", [(), ("a", "")])
def test_an_order_must_name_models(order: tuple[str, ...]) -> None:
    """The message says what is expected."""
    with pytest.raises(ValueError, match="order: expected names of models"):
        Policy(order=order)


@pytest.mark.parametrize("hedge", ["95", "p0", "p100", "soon", -1.0, 0.0])
def test_a_hedge_must_be_seconds_or_a_quantile(hedge: float | str) -> None:
    """The message says what is expected."""
    with pytest.raises(ValueError, match="expected seconds"):
        Policy(hedge=hedge)
