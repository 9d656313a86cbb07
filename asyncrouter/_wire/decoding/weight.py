"""How much memory and time an answer takes beyond its bytes, estimated before it is read.

A long text costs what its bytes cost. But `[[],[],[]…` becomes objects of twenty times its size, and reading a megabyte
of it holds the event loop for 20 ms and more. So the marks of values are counted in what is large: counting is a
hundredth of reading. Real answers stay far below: the most that any API gives, 4,096 tokens with the twenty likeliest
others at each, weighs less than a million, and a stream of such 0.19 a byte.
"""

from __future__ import annotations

from typing import Final

LIGHT_BYTES: Final = 1 << 18
"""Bytes of a document up to which it is read whatever it holds: at most 10 ms."""
MAX_WEIGHT: Final = 1_000_000
"""The heaviest document that is read: about 50 ms, and some 60 MB."""
FREE_BYTES: Final = 1 << 22
"""Bytes of a stream up to which it is not weighed: 20,000 tokens of most hosts, 100,000 of the tersest."""
MAX_DENSITY: Final = 0.22
"""Weight a byte of what comes after them: the densest answers, log-probabilities, have 0.19."""
MAX_CHOICES: Final = 1000
"""Choices of one answer: OpenAI gives 128 at most."""
MAX_PARTS: Final = 10_000
"""Tool calls, blocks or items of one answer: vendors take at most some hundreds of each."""
WEIGHT_BESIDE: Final = 100_000
"""The heaviest document in which long texts have been set aside: it is searched for their places."""
TOO_HEAVY: Final = "more values in it than any answer has"
"""What the error of such an answer says."""


def weight(data: bytes | bytearray) -> int:
    """A number that grows with the values in a piece of JSON: an object or a list counts three, any other value one."""
    return 3 * (data.count(b"{") + data.count(b"[")) + data.count(b",")


def is_too_heavy(document: bytes | bytearray, *, beside: bool = False) -> bool:
    """Whether a document, perhaps `beside` long texts, would hold the loop or fill the memory if it were read."""
    return len(document) > LIGHT_BYTES and weight(document) > (WEIGHT_BESIDE if beside else MAX_WEIGHT)


class StreamWeight:
    """The weight of what comes of a stream after its first `FREE_BYTES`."""

    __slots__ = ("_bytes", "_weight")

    def __init__(self) -> None:
        self._bytes = 0
        self._weight = 0

    def __repr__(self) -> str:
        return f"<StreamWeight {self._weight} in {self._bytes} bytes>"

    def add(self, data: bytes) -> bool:
        """Add a piece; whether the stream has become too heavy."""
        self._bytes += len(data)
        self._weight += weight(data)
        return self._weight > MAX_WEIGHT // 5 + MAX_DENSITY * self._bytes
