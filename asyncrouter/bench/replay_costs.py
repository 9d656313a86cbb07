"""What a model's answer, and its prompt alone, cost, estimated from its recorded observations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter.bench.survival import Observation


def answer_cost(recorded: Sequence[Observation]) -> float | None:
    """The mean USD of a whole answer; `None` where one of them is not known, or there is none."""
    costs = [one.cost for one in recorded if one.ok and one.fully_observed]
    known = [cost for cost in costs if cost is not None]
    return sum(known) / len(known) if known and len(known) == len(costs) else None


def prompt_cost(recorded: Sequence[Observation]) -> float:
    """The mean USD of a request that is cut off before its first content; 0.0 where nothing is known of it.

    It is what such requests were recorded with. Where there are none, it is the mean number of input tokens by the
    price of an input token, which a least-squares fit of the answers' costs on their input and output tokens gives.
    """
    cut_off = [one.cost for one in recorded if not one.event_observed and one.cost is not None]
    if cut_off:
        return sum(cut_off) / len(cut_off)
    rows = [(one.input_tokens, one.output_tokens, one.cost) for one in recorded
            if one.ok and one.end_observed and one.input_tokens and one.output_tokens and one.cost]
    if not rows:
        return 0.0
    tokens = np.array([row[:2] for row in rows], dtype=np.float64)
    usd = np.array([row[2] for row in rows], dtype=np.float64)
    prices, _, rank, _ = np.linalg.lstsq(tokens, usd, rcond=None)
    if rank == 2:
        return max(0.0, float(prices[0])) * float(tokens[:, 0].mean())
    # Where all answers have the same ratio of tokens the two prices cannot be told apart: half, between none and all.
    return float(usd.mean()) / 2.0
