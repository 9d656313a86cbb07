"""How the vendors' own clients read an answer: text, tool calls, and why it ended, in the router's words."""

from __future__ import annotations

import functools
import re
import warnings
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import httpx2
import openai
import orjson
from google import genai
from google.genai import types

from asyncrouter._wire.anthropic.finish import FINISH as ANTHROPIC_FINISH
from asyncrouter._wire.gemini.finish import FINISH as GEMINI_FINISH
from asyncrouter._wire.openai.finish import FINISH as OPENAI_FINISH
from tests.fuzz.check import Read

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fuzz.seeds import Answer

WHOLE = {"args", "input", "usage"}
PARTS = {
    "choices", "index", "delta", "message", "content", "refusal", "tool_calls", "function", "name", "arguments",
    "error", "finish_reason", "type", "content_block", "text", "partial_json", "thinking", "stop_reason", "candidates",
    "parts", "thought", "functionCall", "finishReason",
}
"""What an answer is made of, in all three languages. Anthropic's client breaks without a usage."""
DEEPEST = 20
"""Levels of nesting in an answer."""
HI: Any = {"role": "user", "content": "Hi"}


def read(answer: Answer, body: bytes) -> Read:
    """The official client's reading of `body` in the place of this answer's. Raises whatever the client raises."""
    stream = "event-stream" in answer.content_type
    if stream:
        if answer.wire != "openai":  # the only ones who know the word
            body = body.replace(b"[DONE]", b"")
        body = _legible(body)
        body = _named(body) if answer.wire == "anthropic" else body
    reader = {"openai": _openai, "anthropic": _anthropic, "gemini": _gemini}[answer.wire]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return reader(body, stream)
        except Exception:
            bare = _bare(body)
            if bare == body:
                raise
            return reader(bare, stream)


def _bare(body: bytes) -> bytes:
    """The documents of a body without the fields that are no part of the answer: clients judge these as well."""
    try:
        return orjson.dumps(_kept(orjson.loads(body)))
    except (ValueError, TypeError):  # many documents, or none
        lines = []
    for line in re.split(rb"(\r\n|\n|\r)", body):
        prefix = b"data: " if line.startswith(b"data: ") else b""
        try:
            lines.append(prefix + orjson.dumps(_kept(orjson.loads(line.removeprefix(prefix)))))
        except (ValueError, TypeError):
            lines.append(line)
    return b"".join(lines)


def _named(body: bytes) -> bytes:
    """Each event under the name that its data gives it: Anthropic's client goes by the line before, we by the data.

    And none after the message's end, where we stop reading; and no blanks before a tool's input, which that client
    reads piece by piece, as if each were the last.
    """
    body = re.sub(rb'("partial_json": ?)"(?:\\[nrt]| )+"', rb'\1""', body)
    body = re.sub(rb'(?m)^(data: ?\{[^\r\n]*?"type": ?"(\w+)")', rb"event: \2\n\1", body)
    return re.sub(rb"(?s)(?<=\nevent: message_stop\n)([^\n]*\n\n).*", rb"\1", body)


def _legible(body: bytes) -> bytes:
    """Without what is no piece of an answer, but on which clients break: lines in which there is nothing of an object,
    events that have a name or an id and no data, and bytes of comments and names that are not UTF-8.
    """
    lines = []
    for line in re.split(rb"\r\n|\n|\r", body):
        data = line.startswith(b"data:")
        if data and line[5:].strip() == b"[DONE]":
            line = b"data: [DONE]"
        elif not line.startswith((b"event", b":")):
            line = line if b'":' in line else b""
        lines.append(line if data else line.decode(errors="replace").encode())
    return re.sub(rb"(?m)^event[^\n]*\n(?=\n|\Z)", b"", b"\n".join(lines))


def _kept(value: object, depth: int = 0) -> object:
    if depth > DEEPEST:
        return None
    if isinstance(value, dict):
        if value.get("type") in ("message", "message_delta") or "content" in value:
            value["usage"] = {"input_tokens": 1, "output_tokens": 1}
        kept = {key: inner for key, inner in value.items() if key in PARTS | WHOLE}
        return {key: inner if key in WHOLE else _kept(inner, depth + 1) for key, inner in kept.items()}
    return [_kept(inner, depth + 1) for inner in value] if isinstance(value, list) else value


class _Line:
    """One client a wire, with the answer where the network would be."""

    def __init__(self) -> None:
        self.status, self.type, self.body = 200, "", b""

    def respond(self, library: Any) -> Callable[[Any], Any]:
        return lambda _: library.Response(200, headers={"content-type": self.type}, content=self.body)

    def hold(self, body: bytes, stream: bool) -> None:
        self.type, self.body = "text/event-stream" if stream else "application/json", body


@functools.cache
def _openai_client() -> tuple[_Line, openai.OpenAI]:
    line = _Line()
    http = httpx2.Client(transport=httpx2.MockTransport(line.respond(httpx2)))
    return line, openai.OpenAI(api_key="k", base_url="http://h/v1", http_client=http, max_retries=0)


def _openai(body: bytes, stream: bool) -> Read:
    line, sdk = _openai_client()
    line.hold(body, stream)
    answered: Any = sdk.chat.completions.create(model="m", messages=[HI], stream=stream)
    text, finish = "", None
    calls: dict[object, list[Any]] = {}
    for document in answered if stream else [answered]:
        for choice in (document.choices or ()) if stream else document.choices[:1]:
            said = choice.delta if stream else choice.message
            if stream and choice.index not in (0, None):
                continue
            finish = choice.finish_reason or finish
            if said is None:
                continue
            # Mistral's thinking models give a list of parts.
            parts = said.content if isinstance(said.content, list) else [{"text": said.content}]
            text += "".join(part.get("text") or "" for part in parts) + (getattr(said, "refusal", None) or "")
            for number, call in enumerate(said.tool_calls or ()):
                last = next(reversed(calls), 0)
                if stream:  # some hosts give no index: then an id that is new begins a call
                    known = call.id is None or any(held[2] == call.id for held in calls.values())
                    number = call.index if call.index is not None else last if known else call.id
                held = calls.setdefault(number, ["", "", None])
                if call.id is None or call.id != held[2]:  # some hosts repeat the head of a call
                    held[0] += (call.function and call.function.name) or ""
                held[2] = call.id or held[2]
                arguments = call.function and call.function.arguments
                held[1] += orjson.dumps(arguments).decode() if isinstance(arguments, dict) else arguments or ""
    if finish is not None:
        finish = OPENAI_FINISH.get(finish.lower(), "stop")
    return Read(text, [(name, arguments) for name, arguments, _ in calls.values()], finish)


@functools.cache
def _anthropic_client() -> tuple[_Line, anthropic.Anthropic]:
    line = _Line()
    http = httpx2.Client(transport=httpx2.MockTransport(line.respond(httpx2)))
    return line, anthropic.Anthropic(api_key="k", base_url="http://h", http_client=http, max_retries=0)


def _anthropic(body: bytes, stream: bool) -> Read:
    line, sdk = _anthropic_client()
    line.hold(body, stream)
    asked: Any = {"model": "m", "max_tokens": 64, "messages": [HI]}
    if stream:
        with sdk.messages.stream(**asked) as events:
            message: Any = events.get_final_message()
    else:
        message = sdk.messages.create(**asked)
    text = "".join(block.text for block in message.content if block.type == "text")
    calls = [(block.name, block.input) for block in message.content if block.type == "tool_use"]
    finish = message.stop_reason
    return Read(text, calls, None if finish is None else ANTHROPIC_FINISH.get(finish, "stop"))


@functools.cache
def _gemini_client() -> tuple[_Line, genai.Client]:
    line = _Line()
    http = httpx.Client(transport=httpx.MockTransport(line.respond(httpx)))
    return line, genai.Client(api_key="k", http_options=types.HttpOptions(api_version="v1beta", httpx_client=http))


def _gemini(body: bytes, stream: bool) -> Read:
    line, sdk = _gemini_client()
    if stream:  # what the standard has besides "data: ", of which this client has never heard
        body = re.sub(rb"(?m)^(?::|event|id|retry)[^\r\n]*$", b"", body)
        body = re.sub(rb"(?m)^data:(?! )", b"data: ", body)
    if not stream and body.lstrip()[:1] == b"[":  # a stream that was not asked for as events
        body, stream = b"".join(b"data: " + orjson.dumps(each) + b"\n\n" for each in orjson.loads(body)), True
    line.hold(body, stream)
    asked: Any = {"model": "m", "contents": "Hi"}
    fragments: Any = sdk.models.generate_content_stream(**asked) if stream else [sdk.models.generate_content(**asked)]
    text, calls, finish = "", [], None
    for fragment in fragments:
        for candidate in (fragment.candidates or ())[:1]:
            finish = candidate.finish_reason or finish
            for part in (candidate.content and candidate.content.parts) or ():
                if part.function_call:
                    calls.append((part.function_call.name, part.function_call.args or {}))
                elif not part.thought:
                    text += part.text or ""
    reason = None if finish is None else GEMINI_FINISH.get(finish.value, "stop")
    return Read(text, calls, "tool_calls" if reason == "stop" and calls else reason)
