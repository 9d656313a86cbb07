"""A streamed answer as the events of Chat Completions.

The first bytes hold the role and the first content, each later chunk of the router is one event, and the last bytes
hold the finish reason, the usage where it was asked for, and `[DONE]`. A stream that breaks off ends with an event
`{"error": …}` and without `[DONE]`, which OpenAI's SDKs raise as an error.

Nothing runs by itself here: bytes are made when they are asked for, and `aclose()` ends the call at once, whoever
leaves: a reader, a cancelled task, a server that stops.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Self

import orjson

from asyncrouter.openai_api._failure import describe, error_body

if TYPE_CHECKING:
    from asyncrouter import Chunk, Reply, ReplyStream, Trace, Usage

_STREAMED: Final = frozenset({"role", "content", "tool_calls", "reasoning", "reasoning_content", "reasoning_text",
                              "thinking"})
"""The fields of a message whose content the events before the last one have brought."""
_DONE: Final = b"data: [DONE]\n\n"
_END: Final = b"}]}\n\n"
_FINISH: Final = {"other": "stop"}
"""Finish reasons for which OpenAI's API has no word."""


class EventStream:
    """The bytes of a streamed answer: an async iterator, to be read to its end or closed.

    `trace` is the record of the call; it grows until the end.
    """

    __slots__ = ("_begun", "_head", "_over", "_role", "_stream", "_usage")

    def __init__(self, stream: ReplyStream, model: str, *, usage: bool) -> None:
        """`stream` has been entered; `model` is the name that answers; `usage`: whether the client wants the usage."""
        trace = stream.trace
        identity = {
            "id": f"chatcmpl-{trace.id}", "object": "chat.completion.chunk", "created": int(trace.started),
            "model": model,
        }
        self._head = b"data: " + orjson.dumps(identity)[:-1]
        self._stream = stream
        self._usage = usage
        self._role = True  # the first event has it
        self._over = False

    @property
    def trace(self) -> Trace:
        """The record of the call."""
        return self._stream.trace

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._over:
            raise StopAsyncIteration
        try:
            chunk = await self._stream.__anext__()
        except (StopAsyncIteration, asyncio.CancelledError):
            await self.aclose()
            raise
        except Exception as error:
            await self.aclose()
            status, message, code, param = describe(error)
            return b"data: " + orjson.dumps(error_body(status, message, code, param)) + b"\n\n"
        return self._write(chunk) if chunk.finish_reason is None else await self._finish(chunk)

    async def aclose(self) -> None:
        """End the call, if it has not ended. Never waits, may be called again."""
        if not self._over:
            self._over = True
            await self._stream.__aexit__(None, None, None)

    def _write(self, chunk: Chunk) -> bytes:
        delta: dict[str, object] = {}
        if self._role:
            self._role = False
            delta["role"] = "assistant"
        if chunk.reasoning:
            delta["reasoning_content"] = chunk.reasoning
        if chunk.text or "role" in delta:
            delta["content"] = chunk.text
        if chunk.tool_calls:
            delta["tool_calls"] = chunk.tool_calls
        return b'%b,"choices":[{"index":0,"delta":%b,"finish_reason":null%b' % (self._head, orjson.dumps(delta), _END)

    async def _finish(self, chunk: Chunk) -> bytes:
        reply = self._stream.reply
        await self.aclose()
        first = self._write(chunk) if chunk.text or chunk.reasoning or chunk.tool_calls else b""
        choice = {"index": 0, **_rest(reply), "finish_reason": finish_word(reply)}
        last = b'%b,"choices":[%b]}\n\n' % (self._head, orjson.dumps(choice))
        usage = b""
        if self._usage:
            counts = orjson.dumps(usage_of(reply))
            usage = b'%b,"choices":[],"usage":%b}\n\n' % (self._head, counts)
        return first + last + usage + _DONE


def finish_word(reply: Reply) -> str:
    """The finish reason in OpenAI's words."""
    return _FINISH.get(reply.finish_reason, reply.finish_reason)


def usage_of(reply: Reply) -> dict[str, Any] | None:
    """The usage as Chat Completions counts it: the provider's own where it has that form; `None` if it gave none."""
    raw = reply.raw.get("usage")
    if isinstance(raw, dict) and "total_tokens" in raw:
        return raw
    return None if reply.usage is None else usage_counts(reply.usage)


def usage_counts(usage: Usage) -> dict[str, Any]:
    """A `Usage` as Chat Completions writes it."""
    return {
        "prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _rest(reply: Reply) -> dict[str, Any]:
    """What the answer has beside what was streamed (signed thoughts, log probabilities), for the last event."""
    choices = reply.raw.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    delta = {name: value for name, value in message.items() if name not in _STREAMED and value is not None} if (
        isinstance(message, dict)
    ) else {}
    logprobs = choice.get("logprobs")
    return {"delta": delta, **({} if logprobs is None else {"logprobs": logprobs})}
