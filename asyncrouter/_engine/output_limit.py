"""The most tokens that the answer to a request may have, as its parameters say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def output_limit(params: Mapping[str, object]) -> float | None:
    """The maximum that the caller has set, by whichever name; `None` without one."""
    limit = params.get("max_completion_tokens") or params.get("max_tokens") or params.get("max_output_tokens")
    return float(limit) if isinstance(limit, int | float) and limit > 0 else None
