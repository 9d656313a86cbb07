"""How the vendors' own clients read an answer: text, tool calls, and the finish reason in our words."""

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

from asyncrouter._wire.anthropic.finish import finish_reason as anthropic_finish
from asyncrouter._wire.decoding.ends import finish_of, is_word
from asyncrouter._wire.gemini.finish import finish_reason as gemini_finish
from asyncrouter._wire.openai.finish import finish_reason as openai_finish
from tests.fuzz.check import Read

if TYPE_CHECKING:
    from tests.fuzz.seeds import Answer

WHOLE = {"args", "input", "usage"}
"""Fields of an answer that are kept with everything in them."""

PARTS = {
    "choices", "index", "delta", "message", "content", "refusal", "tool_calls", "function", "name", "arguments",
    "error", "finish_reason", "type", "content_block", "text", "partial_json", "thinking", "stop_reason", "candidates",
    "parts", "thought", "functionCall", "finishReason", "response", "object", "status", "output", "item", "call_id",
    "summary", "incomplete_details", "reason", "output_index", "item_id", "content_index", "summary_index", "part",
}
"""The other fields an answer consists of, on all four wires."""

DEEPEST = 20
"""Levels of nesting that an answer has at most."""

HI: Any = {"role": "user", "content": "Hi"}


def read(answer: Answer, body: bytes) -> Read:
    """The official client's reading of `body` in the place of this answer's. Raises whatever the client raises."""
    stream = "event-stream" in answer.content_type
    if stream and answer.wire == "responses":
        body = _until_the_last_event(body)
    body = _whole_characters(body)
    if stream:
        if answer.wire != "openai":  # the other clients do not know the mark
            body = body.replace(b"[DONE]", b"")
        body = _without_noise(body)
        body = _with_event_names(body) if answer.wire == "anthropic" else body
    reader = {"openai": _openai, "anthropic": _anthropic, "gemini": _gemini, "responses": _responses}[answer.wire]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return reader(body, stream)
        except Exception:
            known = _known_fields_of(body)
            if known == body:
                raise
            return reader(known, stream)


def _whole_characters(body: bytes) -> bytes:
    """The body with U+FFFD in the place of lone halves of characters, on which clients break."""
    return _LONE_HALF.sub(lambda found: found[0] if found[1] else rb"\ufffd", body)


_LONE_HALF = re.compile(
    rb"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
"""Matches half a character; the group is a whole one, or a backslash that begins no escape."""


def _known_fields_of(body: bytes) -> bytes:
    """The body's documents without the fields that are no part of the answer: clients judge these as well."""
    try:
        return orjson.dumps(_known_fields(orjson.loads(body)))
    except (ValueError, TypeError):  # many documents, or none
        lines = []
    for line in re.split(rb"(\r\n|\n|\r)", body):
        prefix = b"data: " if line.startswith(b"data: ") else b""
        try:
            lines.append(prefix + orjson.dumps(_known_fields(orjson.loads(line.removeprefix(prefix)))))
        except (ValueError, TypeError):
            lines.append(line)
    return b"".join(lines)


def _known_fields(value: object, depth: int = 0) -> object:
    if depth > DEEPEST:
        return None
    if isinstance(value, dict):
        if value.get("type") in ("message", "message_delta") or "content" in value:
            value["usage"] = {"input_tokens": 1, "output_tokens": 1}  # Anthropic's client breaks without one
        known = {key: inner for key, inner in value.items() if key in PARTS | WHOLE}
        return {key: inner if key in WHOLE else _known_fields(inner, depth + 1) for key, inner in known.items()}
    return [_known_fields(inner, depth + 1) for inner in value] if isinstance(value, list) else value


def _with_event_names(body: bytes) -> bytes:
    """Each event under the name that its data gives: Anthropic's client goes by the line before, we by the data.

    Events after the message's end, where we stop reading, are left out. So are blanks before a tool's input, which
    that client reads piece by piece as if each were the last.
    """
    body = re.sub(rb'("partial_json": ?)"(?:\\[nrt]| )+"', rb'\1""', body)
    body = re.sub(rb'(?m)^(data: ?\{[^\r\n]*?"type": ?"(\w+)")', rb"event: \2\n\1", body)
    return re.sub(rb"(?s)(?<=\nevent: message_stop\n)([^\n]*\n\n).*", rb"\1", body)


def _without_noise(body: bytes) -> bytes:
    """The body without what is no piece of an answer, but breaks clients.

    These are lines without a trace of an object, events with a name or an id but no data, and bytes of comments and
    names that are not UTF-8.
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


class _Network:
    """One client's network: every request gets the response that was put here."""

    def __init__(self) -> None:
        self.type, self.body = "", b""

    def put(self, body: bytes, stream: bool) -> None:
        self.type, self.body = "text/event-stream" if stream else "application/json", body

    def transport(self, library: Any) -> Any:
        """A transport of httpx, or of httpx2."""

        def respond(_: object) -> Any:
            return library.Response(200, headers={"content-type": self.type}, content=self.body)

        return library.MockTransport(respond)


@functools.cache
def _openai_client() -> tuple[_Network, openai.OpenAI]:
    network = _Network()
    http = httpx2.Client(transport=network.transport(httpx2))
    return network, openai.OpenAI(api_key="k", base_url="http://h/v1", http_client=http, max_retries=0)


def _openai(body: bytes, stream: bool) -> Read:
    network, sdk = _openai_client()
    network.put(body, stream)
    answered: Any = sdk.chat.completions.create(model="m", messages=[HI], stream=stream)
    text, finish, calls = "", None, _OpenAICalls(stream)
    for document in answered if stream else [answered]:
        for choice in (document.choices or ()) if stream else document.choices[:1]:
            if stream and choice.index not in (0, None):
                continue
            message = choice.delta if stream else choice.message
            finish = choice.finish_reason or finish
            if message is not None:
                text += _openai_text(message)
                calls.add(message.tool_calls or ())
    reason = openai_finish(finish) if is_word(finish) else None
    return Read(text, calls.joined(), reason)


def _openai_text(message: Any) -> str:
    """Text and refusal; Mistral's thinking models give a list of parts."""
    parts = message.content if isinstance(message.content, list) else [{"text": message.content}]
    return "".join(part.get("text") or "" for part in parts) + (getattr(message, "refusal", None) or "")


class _OpenAICalls:
    """The tool calls of a choice, put together from what the client gives: name, arguments and id of each."""

    def __init__(self, stream: bool) -> None:
        self._stream = stream
        self._calls: dict[object, list[Any]] = {}

    def add(self, calls: Any) -> None:
        for position, call in enumerate(calls):
            held = self._calls.setdefault(self._number(position, call), ["", "", None])
            if call.id is None or call.id != held[2]:  # some hosts repeat the beginning of a call
                held[0] += (call.function and call.function.name) or ""
            held[2] = call.id or held[2]
            arguments = call.function and call.function.arguments
            held[1] += orjson.dumps(arguments).decode() if isinstance(arguments, dict) else arguments or ""

    def joined(self) -> list[tuple[object, object]]:
        """All but those of which nothing has come: some hosts end with one."""
        return [(name, arguments) for name, arguments, _ in self._calls.values() if name or arguments]

    def _number(self, position: int, call: Any) -> object:
        """What identifies the call: some hosts give no index, and then an id that is new begins a call."""
        if not self._stream:
            return position
        if call.index is not None:
            return call.index
        known = call.id is None or any(held[2] == call.id for held in self._calls.values())
        return next(reversed(self._calls), 0) if known else call.id


def _until_the_last_event(body: bytes) -> bytes:
    """A stream of the Responses API without comments, up to the event after which we stop reading."""
    body = b"\n".join(line for line in re.split(rb"\r\n|\n|\r", body) if not line.startswith(b":"))
    return re.sub(rb'(?s)(\n?data: ?\{[^\n]*?"type": ?"response\.(?:completed|incomplete)"[^\n]*\n\n).*', rb"\1", body)


def _responses(body: bytes, stream: bool) -> Read:
    network, sdk = _openai_client()
    if not stream and body.lstrip()[:1] == b"[":  # we read a list of one as the one
        [document] = orjson.loads(body)
        body = orjson.dumps(document)
    network.put(body, stream)
    answered: Any = sdk.responses.create(model="m", input="Hi", stream=stream)
    response = _last_response(answered) if stream else answered
    if response.status not in ("completed", "incomplete", None):
        raise ValueError(f"the response is {response.status}")
    messages = [item for item in response.output if item.type == "message"]
    refusals = [part.refusal for item in messages for part in item.content if part.type == "refusal"]
    calls = [(item.name, _arguments(item.arguments)) for item in response.output if item.type == "function_call"]
    reason = getattr(response.incomplete_details, "reason", None)
    # Whether one that is complete was cut by the limit, the client does not say.
    finish = None if response.status != "incomplete" else finish_of(reason if isinstance(reason, str) else "unknown")
    return Read(response.output_text + "".join(refusals), calls, finish)


def _last_response(events: Any) -> Any:
    """The response of the last event; an item that it does not repeat is the one that was given or has grown before."""
    items: dict[object, Any] = {}
    for event in events:
        if event.type in ("response.completed", "response.incomplete"):
            output = event.response.output or list(items.values())
            event.response.output = [_fuller(item, items) for item in output]
            return event.response
        if event.type in ("response.output_item.added", "response.output_item.done") and hasattr(event.item, "id"):
            items[str(event.item.id)] = event.item
        elif event.type == "response.function_call_arguments.delta" and str(event.item_id) in items:
            items[str(event.item_id)].arguments += event.delta
        elif event.type == "response.function_call_arguments.done" and str(event.item_id) in items:
            held = items[str(event.item_id)]
            held.arguments = held.arguments or event.arguments
    raise ValueError("no last event")


def _fuller(item: Any, items: dict[object, Any]) -> Any:
    return items.get(str(item.id), item) if item.type == "message" and not item.content else item


def _arguments(text: str) -> object:
    try:
        return orjson.loads(text or "{}")
    except ValueError:  # cut
        return text


@functools.cache
def _anthropic_client() -> tuple[_Network, anthropic.Anthropic]:
    network = _Network()
    http = httpx2.Client(transport=network.transport(httpx2))
    return network, anthropic.Anthropic(api_key="k", base_url="http://h", http_client=http, max_retries=0)


def _anthropic(body: bytes, stream: bool) -> Read:
    network, sdk = _anthropic_client()
    network.put(body, stream)
    asked: Any = {"model": "m", "max_tokens": 64, "messages": [HI]}
    if stream:
        with sdk.messages.stream(**asked) as events:
            message: Any = events.get_final_message()
    else:
        message = sdk.messages.create(**asked)
    text = "".join(block.text for block in message.content if block.type == "text")
    calls = [(block.name, block.input) for block in message.content if block.type == "tool_use"]
    finish = message.stop_reason
    return Read(text, calls, None if finish is None else anthropic_finish(finish, has_calls=False))


@functools.cache
def _gemini_client() -> tuple[_Network, genai.Client]:
    network = _Network()
    http = httpx.Client(transport=network.transport(httpx))
    options = types.HttpOptions(api_version="v1beta", httpx_client=http)
    return network, genai.Client(api_key="k", http_options=options)


def _gemini(body: bytes, stream: bool) -> Read:
    if stream:  # this client knows nothing of the standard but "data: "
        body = re.sub(rb"(?m)^(?::|event|id|retry)[^\r\n]*$", b"", body)
        body = re.sub(rb"(?m)^data:(?! )", b"data: ", body)
    if not stream and body.lstrip()[:1] == b"[":  # a stream that was not asked for as events
        body, stream = b"".join(b"data: " + orjson.dumps(each) + b"\n\n" for each in orjson.loads(body)), True
    network, sdk = _gemini_client()
    network.put(body, stream)
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
    reason = None if finish is None else gemini_finish(finish.value)
    return Read(text, calls, "tool_calls" if reason == "stop" and calls else reason)
