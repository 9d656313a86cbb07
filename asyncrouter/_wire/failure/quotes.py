"""Leaves out of a provider's message what it quotes from the request.

A prompt may say anything: "my API key expired", "insufficient credits", "try again in ten minutes". A provider that
quotes it has said none of that. What counts as a quote is a run of at least three words, in the same order, that stand
in the request, too; the provider's own words around it stay.
"""

from __future__ import annotations

import re
from typing import Final

MIN_WORDS: Final = 3
"""Words that a quote has at least: fewer are likely to be the provider's own."""
MAX_REQUEST_BYTES: Final = 131_072
"""Bytes of a request that are looked through at most, half of them at its end: messages quote what is short."""
MAX_LOOKS: Final = 100
"""How often the request is searched at most, each time for up to 0.2 ms: a message of 500 characters has 90 words."""

_WORD: Final = re.compile(r"[^\W_\u0e00-\uffff]+|[\u0e00-\uffff]")
"""A word; a character alone where words are not set apart by spaces."""
_ESCAPED: Final = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)")
"""An escape in JSON: none of them is a part of a word."""


def without_quotes(message: str, request: bytes) -> str:
    """The message with an ellipsis in the place of each quote; the same object if there is none."""
    words = list(_WORD.finditer(message.lower()))
    if len(words) < MIN_WORDS:
        return message
    said, asked = [word[0] for word in words], _words_of(request)
    kept, end, index, looks = [], 0, 0, 0
    while index <= len(said) - MIN_WORDS and looks < MAX_LOOKS:
        length = _length_of_quote(said, index, asked)
        if length:
            kept.append(message[end : words[index].start()])
            end = words[index + length - 1].end()
        index += length or 1
        looks += max(length - 1, 1)
    return message if not kept else " … ".join([*kept, message[end:]])


def _length_of_quote(said: list[str], index: int, asked: str) -> int:
    """How many words from this one on stand in the request in the same order; 0 if they are too few for a quote."""
    length = 0
    for end in range(index + MIN_WORDS, len(said) + 1):
        if f" {' '.join(said[index:end])} " not in asked:
            break
        length = end - index
    return length


def _words_of(request: bytes) -> str:
    """The words of a request, each between two spaces."""
    half = MAX_REQUEST_BYTES // 2
    begun = request if len(request) <= MAX_REQUEST_BYTES else request[:half] + b" " + request[-half:]
    text = _ESCAPED.sub(" ", begun.decode("utf-8", "replace").lower())
    return f" {' '.join(_WORD.findall(text))} "
