"""The length of a request in tokens, estimated from its text, pictures, tools and files without any tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from asyncrouter._config.pictures import picture_tokens

if TYPE_CHECKING:
    from asyncrouter._types import Call

CHARACTERS_PER_TOKEN = 4
"""Characters of English text in a token, on average (OpenAI, "What are tokens and how to count them")."""
TOKENS_PER_WIDE_CHARACTER = 0.85
"""Tokens of a Chinese, Japanese or Korean character: between the 0.6 of DeepSeek ("Token & Token Usage") and of
GPT-4o, and the 1.2 of older vocabularies."""
TOKENS_PER_OTHER_CHARACTER = 0.4
"""Tokens of a character of another script, or with an accent: Russian, Greek and Arabic words are cut into pieces of
two to three letters."""
BASE64_PER_AUDIO_TOKEN = 667
"""Characters of base64 in a token of sound: 32 tokens a second (Google, "Audio understanding") at 128 kbit/s."""
BASE64_PER_FILE_TOKEN = 44
"""Characters of base64 in a token of a document: about 1,500 tokens for a page (Anthropic, "PDF support": the least)
of 50 kB."""

_WIDE = bytes([*range(0xE3, 0xEE), 0xEF, *range(0xF0, 0xF5)])
"""First bytes, in UTF-8, of Chinese, Japanese, Korean and full-width characters (from U+3000) and of pictographs."""
_OTHER = bytes(range(0xC2, 0xE3))
"""First bytes of the other characters that are not ASCII."""


def prompt_tokens(call: Call) -> int:
    """The length of the prompt in tokens, estimated: messages with their pictures, files and tool calls, and tools."""
    tokens = sum(message_tokens(message) for message in call.messages)
    for name in ("tools", "response_format"):
        if (given := call.params.get(name)) is not None:
            tokens += json_tokens(given)
    return int(tokens) + 1


def message_tokens(message: object) -> float:
    """The length of one message in tokens, estimated."""
    if not isinstance(message, dict):
        return 0.0
    tokens = content_tokens(message.get("content"))
    for name in ("tool_calls", "reasoning_content", "reasoning"):
        if (given := message.get(name)) is not None:
            tokens += text_tokens(given) if isinstance(given, str) else json_tokens(given)
    return tokens


def content_tokens(content: object) -> float:
    """The length of a message's content in tokens, estimated: a text, or a list of parts or tokens."""
    if isinstance(content, str):
        return text_tokens(content)
    if isinstance(content, list | tuple):
        return sum(_part_tokens(part) for part in content)
    return 0.0


def text_tokens(text: str) -> float:
    """The length of a text in tokens, estimated from the scripts it is written in."""
    if text.isascii():  # costs nothing: a text knows
        return len(text) / CHARACTERS_PER_TOKEN
    data = text.encode("utf-8", "surrogatepass")
    wide, other = (len(data) - len(data.translate(None, firsts)) for firsts in (_WIDE, _OTHER))
    ascii_only = len(text) - wide - other
    return (
        wide * TOKENS_PER_WIDE_CHARACTER
        + other * TOKENS_PER_OTHER_CHARACTER
        + ascii_only / CHARACTERS_PER_TOKEN
    )


def json_tokens(value: object) -> float:
    """The length of a value in tokens, estimated from its JSON."""
    try:
        written = orjson.dumps(value).decode()
    except TypeError:  # what JSON cannot carry is not sent
        return 0.0
    return text_tokens(written)


def _part_tokens(part: object) -> float:
    if not isinstance(part, dict):
        return isinstance(part, int)  # one token of a text that is given in tokens
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
