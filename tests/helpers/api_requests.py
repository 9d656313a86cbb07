"""Requests to OpenAI's API over a simulated world, and what comes back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson

from asyncrouter.openai_api import Answer, ApiRequest, EventStream, OpenAIApi
from tests.helpers.routers import router_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter.sim import Clock, World

HI: list[dict[str, object]] = [{"role": "user", "content": "hi"}]


def chat_body(model: str = "m", **fields: object) -> bytes:
    """The body of a chat."""
    return orjson.dumps({"model": model, "messages": HI, **fields})


def chat(model: str = "m", headers: Mapping[str, str] | None = None, **fields: object) -> ApiRequest:
    """A request for a chat."""
    return ApiRequest("POST", "/chat/completions", headers or {}, chat_body(model, **fields))


async def read_all(answer: Answer) -> bytes:
    """The whole body of an answer."""
    if isinstance(answer.body, EventStream):
        return b"".join([part async for part in answer.body])
    return answer.body


def respond(clock: Clock, world: World, request: ApiRequest, **tables: object) -> tuple[Answer, Any]:
    """The answer of a router over this world, and its JSON; of a stream the list of its events."""

    async def scenario() -> tuple[Answer, bytes]:
        async with router_of(world, **tables) as router:
            answer = await OpenAIApi(router).respond(request)
            return answer, await read_all(answer)

    answer, body = clock.run(scenario())
    if answer.headers["content-type"] == "text/event-stream":
        return answer, events_of(body)
    return answer, json.loads(body)


def events_of(body: bytes) -> list[Any]:
    """The events of a stream: their JSON, and "[DONE]" as it is."""
    texts = [event.removeprefix("data: ") for event in body.decode().split("\n\n") if event]
    return [text if text == "[DONE]" else json.loads(text) for text in texts]
