"""The length of a request in tokens, estimated from its text, pictures, tools and files without any tokenizer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from asyncrouter._config.pictures import picture_tokens

if TYPE_CHECKING:
    from asyncrouter._types import Call

CHARACTERS_PER_TOKEN = 4
"""Characters of English text in a token, on average (OpenAI, "What are tokens and how to count them")."""
TOKENS_PER_WIDE_CHARACTER = 0.85
"""Tokens of a Chinese, Japanese or Korean character: between the 0.6 of DeepSeek ("Token & Token Usage") and of
GPT-4o, and the 1.2 of older vocabularies."""
TOKENS_PER_OTHER_CHARACTER = 0.4
"""Tokens of a character of another script, or with an accent: Russian, Greek and Arabic words are cut into pieces of two
to three letters."""
BASE64_PER_AUDIO_TOKEN = 667
"""Characters of base64 in a token of sound: 32 tokens a second (Google, "Audio understanding") at 128 kbit/s."""
BASE64_PER_FILE_TOKEN = 44
"""Characters of base64 in a token of a document: about 1,500 tokens for a page (Anthropic, "PDF support": the least)
of 50 kB."""

_WIDE = re.compile("[\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef"
                   "\U0001f000-\U0001faff\U00020000-\U0003ffff]+")
"""Chinese, Japanese and Korean characters and their punctuation, full-width forms, and pictographs."""
_PLAIN = re.compile("[\0-\x7f]+")
"""ASCII."""


def prompt_tokens(call: Call) -> int:
    """The length of the prompt in tokens, estimated: messages with their pictures, files and tool calls, and tools."""
    tokens = sum(message_tokens(message) for message in call.messages)
    for name in ("tools", "response_format"):
        if (given := call.params.get(name)) is not None:
            tokens += json_characters(given) / CHARACTERS_PER_TOKEN
    return int(tokens) + 1


def message_tokens(message: object) -> float:
    """The length of one message in tokens, estimated."""
    if not isinstance(message, dict):
        return 0.0
    tokens = content_tokens(message.get("content"))
    for name in ("tool_calls", "reasoning_content", "reasoning"):
        if (given := message.get(name)) is not None:
            tokens += text_tokens(given) if isinstance(given, str) else json_characters(given) / CHARACTERS_PER_TOKEN
    return tokens


def content_tokens(content: object) -> float:
    """The length of a message's content in tokens, estimated: a text, or a list of parts."""
    if isinstance(content, str):
        return text_tokens(content)
    if isinstance(content, list | tuple):
        return sum(_part_tokens(part) for part in content if isinstance(part, dict))
    return 0.0


def text_tokens(text: str) -> float:
    """The length of a text in tokens, estimated from the scripts it is written in."""
    if text.isascii():  # costs nothing: a text knows
        return len(text) / CHARACTERS_PER_TOKEN
    rest = _WIDE.sub("", text)
    other = _PLAIN.sub("", rest)
    return (
        (len(text) - len(rest)) * TOKENS_PER_WIDE_CHARACTER
        + len(other) * TOKENS_PER_OTHER_CHARACTER
        + (len(rest) - len(other)) / CHARACTERS_PER_TOKEN
    )


def json_characters(value: object) -> int:
    """About how many characters a value has as JSON."""
    if isinstance(value, str):
        return int(text_tokens(value) * CHARACTERS_PER_TOKEN) + 2
    if isinstance(value, dict):
        return 2 + sum(len(str(name)) + 4 + json_characters(item) for name, item in value.items())
    if isinstance(value, list | tuple):
        return 2 + sum(1 + json_characters(item) for item in value)
    return 4


def _part_tokens(part: dict[str, object]) -> float:
    match part.get("type"):
        case "image_url":
            return picture_tokens(part.get("image_url"))
        case "input_audio":
            return _data_length(part.get("input_audio"), "data") / BASE64_PER_AUDIO_TOKEN
        case "file":
            return _data_length(part.get("file"), "file_data") / BASE64_PER_FILE_TOKEN
    text = part.get("text")
    return text_tokens(text) if isinstance(text, str) else 0.0


def _data_length(holder: object, name: str) -> int:
    data = holder.get(name) if isinstance(holder, dict) else None
    return len(data) if isinstance(data, str) else 0
