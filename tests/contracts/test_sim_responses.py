"""Contract: OpenAI's SDK reads what the simulated world says on the Responses API."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from asyncrouter.sim import Act, Clock, World
from tests.helpers.simulated import events
from tests.sim.test_wires import sent

TOOLS = [{"name": "look", "arguments": {"at": at}, "id": f"call_{at}"} for at in ("sky", "sea")]
ACTS = {
    "text": Act(text="So be it."),
    "thoughts": Act(reasoning="hm well", text="So."),
    "tools": Act(reasoning="hm", text="Looking.", tool_calls=TOOLS),
    "refusal": Act(refusal="I will not"),
    "picture": Act(text="Here.", pictures=1),
    "length": Act(text="one two", finish_reason="length"),
    "filter": Act(text="one", finish_reason="content_filter"),
    "empty": Act(text=""),
}
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


@pytest.mark.parametrize("name", ACTS)
def test_the_types_know_every_event(world: World, clock: Clock, name: str) -> None:
    """Each event of a stream is one that the SDK knows, with no field missing."""
    for event in events(sent(world, clock, ACTS[name], "responses")):
        assert EVENT.validate_python(event).type == event["type"]


@pytest.mark.parametrize("name", ACTS)
def test_the_types_know_the_body(world: World, clock: Clock, name: str) -> None:
    """A whole answer is a response of the SDK's, and its output is that of the stream."""
    whole = Response.model_validate_json(sent(world, clock, ACTS[name], "responses", stream=False))
    last = events(sent(world, clock, ACTS[name], "responses"))[-1]["response"]
    streamed = [item | {"id": ""} for item in last["output"]]

    assert [item.model_dump(exclude_unset=True) | {"id": ""} for item in whole.output] == streamed
    assert whole.status == last["status"]


async def _read(data: bytes) -> Response:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=data)

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    async with (
        openai.AsyncOpenAI(api_key="x", max_retries=0, http_client=http) as client,
        client.responses.stream(model="m", input="Hi") as stream,
    ):
        return await stream.get_final_response()  # type: ignore[return-value]  # parsed is a kind of response


@pytest.mark.parametrize("name", sorted(ACTS.keys() - {"length", "filter"}))
def test_the_client_accumulates_the_stream(world: World, clock: Clock, name: str) -> None:
    """The SDK's own accumulator reads the stream to the text of the act; it takes no incomplete answer."""
    data = sent(world, clock, ACTS[name], "responses")

    assert asyncio.run(_read(data)).output_text == (ACTS[name].text or "")


@pytest.mark.parametrize("style", ["openai", "bare"])
def test_the_types_know_errors_in_a_stream(world: World, clock: Clock, style: str) -> None:
    """An error inside a 200 is a flat event or a failed response of the SDK's; the nested form it has no type for."""
    act = Act(text="one two", why="rate_limit", fault="error", at=1, style=style)  # type: ignore[arg-type]
    last = events(sent(world, clock, act, "responses"))[-1]

    assert EVENT.validate_python(last).type == ("error" if style == "openai" else "response.failed")
