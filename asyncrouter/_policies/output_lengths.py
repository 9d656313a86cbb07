"""How long the answers of a model are, in tokens: what a budget reserves for the next one."""

from __future__ import annotations

REMEMBERED = 500
"""Answers of a model whose lengths are kept."""
LEARN_EVERY = 20
"""Answers after which the quantile is worked out again, and from which on there is one (their longest)."""


class OutputLengths:
    """The lengths of the last answers, and the length that 99 % of them do not exceed."""

    __slots__ = ("_recent", "p99")

    def __init__(self) -> None:
        self._recent: list[int] = []
        self.p99: int | None = None
        """`None` while too few are known."""

    def __repr__(self) -> str:
        return f"<OutputLengths {self.p99}>"

    def add(self, tokens: int) -> None:
        """Note the length of an answer."""
        recent = self._recent
        recent.append(tokens)
        if len(recent) > REMEMBERED:
            del recent[:LEARN_EVERY]
        if len(recent) % LEARN_EVERY == 0:
            self.p99 = sorted(recent)[-(-99 * len(recent) // 100) - 1]
