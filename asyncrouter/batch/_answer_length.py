"""The length of the answer that a prompt asks for in its own words: a label, a sentence, so many words."""

from __future__ import annotations

import re
from collections.abc import Mapping

SEEN = 400
"""Characters at the beginning and at the end of a message that are looked at: what is asked for stands there."""
WORD = 3
"""Tokens of an answer of one word, letter, number or label."""
SENTENCE = 28
"""Tokens of a sentence of English: 20 words."""
PARAGRAPH = 120
"""Tokens of a paragraph of four or five sentences."""
TOKENS_OF_A_WORD = 4 / 3
"""Tokens of a word of English (OpenAI, "What are tokens and how to count them")."""

_COUNTS = {"a": 1, "one": 1, "single": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_UNITS = {"word": TOKENS_OF_A_WORD, "sentence": SENTENCE, "paragraph": PARAGRAPH}
_LABEL = re.compile(
    r"\b(?:one|1|single)[ -](?:word|letter|digit|number|label|character)\b"
    r"|\b(?:yes|true|positive)\b[^.\n]{0,20}?(?:/|\bor\b)[^.\n]{0,20}?\b(?:no|false|negative)\b"
    r"|\bonly\b[^.\n]{0,25}\b(?:label|word|letter|number|digit|category|class|score|name)\b"
    r"|\b(?:label|word|letter|number|digit|category|class|score|name)\b[^.\n]{0,15}\bonly\b"
    r"|\b(?:classify|categori[sz]e)\b"
)
_LONGER = re.compile(r"\b(?:explain|explanation|why|reason|reasoning|step by step|justify|describe)\b")
_COUNTED = re.compile(r"\b(\d{1,4}|a|one|single|two|three|four|five)[ -](word|sentence|paragraph)s?\b")


def asked_length(prompt: object) -> int | None:
    """Tokens of the answer that a prompt, or the first or last of its messages, asks for; `None` if they do not say."""
    texts = [prompt] if isinstance(prompt, str) else _contents(prompt)
    seen = "\n".join(text if len(text) <= 2 * SEEN else f"{text[:SEEN]}\n{text[-SEEN:]}" for text in texts).lower()
    if _LABEL.search(seen) and not _LONGER.search(seen):
        return WORD
    counted = _COUNTED.search(seen)
    if counted is None:
        return None
    number = _COUNTS.get(counted[1]) or int(counted[1])
    return max(WORD, round(number * _UNITS[counted[2]]))


def _contents(messages: object) -> list[str]:
    if not isinstance(messages, list) or not messages:
        return []
    both = messages if len(messages) == 1 else [messages[0], messages[-1]]
    contents = [message.get("content") for message in both if isinstance(message, Mapping)]
    return [content for content in contents if isinstance(content, str)]
