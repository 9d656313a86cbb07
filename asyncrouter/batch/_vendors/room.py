"""How much may wait at a vendor at once: batches, and tokens of prompts for each model. Pure.

Vendors announce no limit of waiting tokens: a batch that exceeds it is created, and fails later. Such a batch tells the
limit; from then on the sum of those that wait is kept below it, and a batch that is larger by itself is divided.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asyncrouter.batch._vendors.api import Fault, Limits
    from asyncrouter.batch._vendors.chunk import Chunk

_LIMIT = re.compile(r"limit\D{0,20}?(\d[\d,_.]*)", re.IGNORECASE)
"""Where a vendor's message names its limit: "Limit: 2,000,000 enqueued tokens"."""

Verdict = Literal["go", "wait", "split"]
"""Whether a batch may be created now, must wait for others to end, or is too large by itself."""


class Room:
    """The limits of waiting tokens, as far as they are known."""

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, str], int] = {}

    def ask(self, chunk: Chunk, limits: Limits, others: Iterable[Chunk]) -> Verdict:
        """Whether there is room for a chunk beside the others that are at their vendors."""
        there = [each for each in others if each.provider == chunk.provider and each is not chunk and each.at_vendor]
        if len(there) >= limits.batches:
            return "wait"
        limit = self._tokens.get((chunk.provider, chunk.group.model))
        if limit is None:
            return "go"
        waiting = sum(each.tokens for each in there if each.group.model == chunk.group.model)
        if waiting + chunk.tokens <= limit:
            return "go"
        return "wait" if waiting else "split" if chunk.rows > 1 else "go"

    def learn(self, chunk: Chunk, fault: Fault, others: Iterable[Chunk]) -> None:
        """Learn from a chunk that its vendor had no room for."""
        key = chunk.provider, chunk.group.model
        there = sum(
            each.tokens for each in others
            if each.provider == chunk.provider and each.group.model == chunk.group.model and each is not chunk
            and each.at_vendor
        )
        named = _LIMIT.search(fault.message)
        number = int(re.sub(r"\D", "", named[1])) if named is not None else 0
        guess = max(1, there + chunk.tokens - 1)
        self._tokens[key] = min(number or guess, guess)


def is_no_room(fault: Fault) -> bool:
    """Whether a batch failed of the limit of waiting tokens."""
    return "token_limit" in fault.code or "enqueued token" in fault.message.lower()


def is_lost_file(fault: Fault) -> bool:
    """Whether a batch failed because its file, which was uploaded, is not to be found."""
    text = f"{fault.code} {fault.message}".lower()
    return "file" in text and any(word in text for word in ("not found", "cannot be found", "not_found", "no such"))
