"""Plays one answer of a provider to a router: `chat()` with a streamed and a whole body, and `stream()`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from asyncrouter import AllModelsFailed, AttemptError, CallError, Reply, Router, StreamInterrupted
from tests.helpers.canned import CannedTransport

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from asyncrouter._wire.api import Wire

Outcome = tuple[type[AttemptError] | None, tuple[object, ...] | str]
"""The error's class and message, or text, reasoning, calls and finish reason."""

WIRES = {"OpenAI": "openai", "Anthropic": "anthropic", "Gemini": "gemini", "Responses": "responses"}


def outcomes_of_calls(
    wire: Wire, headers: Mapping[str, str], data: bytes, params: Mapping[str, object] | None
) -> Iterator[Outcome]:
    """What each kind of call makes of it."""
    for kind in ("chat, streamed", "chat, whole", "stream"):
        yield asyncio.run(_call(WIRES[type(wire).__name__], kind, headers["content-type"], data, params or {}))


def outcome_of(reply: Reply) -> Outcome:
    """What a caller sees of a reply."""
    calls = [(one["id"], one["function"]["name"], one["function"]["arguments"]) for one in reply.tool_calls]
    return None, (reply.text, reply.reasoning, calls, reply.finish_reason)


async def _call(wire: str, kind: str, content_type: str, data: bytes, params: Mapping[str, object]) -> Outcome:
    config = {
        "default_provider": "p",
        "providers": {"p": {"base_url": "http://127.0.0.1/v1", "wire": wire}},
        "defaults": {"retry": {"attempts": 1}, "wire_stream": kind != "chat, whole"},
    }
    transport = CannedTransport(lambda request: (200, content_type, data), size=100)
    async with Router(config, transport=transport, seed=1) as router:
        try:
            if kind != "stream":
                return outcome_of(await router.chat("x", model="m", params=params))
            async with router.stream("x", model="m", params=params) as stream:
                async for _ in stream:
                    pass
            return outcome_of(stream.reply)
        except AllModelsFailed as failed:
            return _failure(failed.trace.attempts[-1].error)
        except StreamInterrupted as broken:
            return _failure(broken.__cause__)
        except CallError as error:
            return _failure(error)


def _failure(error: BaseException | None) -> Outcome:
    assert isinstance(error, AttemptError), error
    return type(error), error.message
