"""Rows and lines in OpenAI's form: `/v1/responses`, and the Batch API's error lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter.batch import InvalidInput
from asyncrouter.sim import Act
from tests.helpers.batching import poisoned, read_lines, run

if TYPE_CHECKING:
    from pathlib import Path

    from asyncrouter.sim import Clock, World


def line(id: str, url: str = "/v1/responses", **body: object) -> str:  # noqa: A002  # as the field
    return json.dumps({"custom_id": id, "method": "POST", "url": url, "body": {"model": "m", **body}}) + "\n"


def answered(clock: Clock, world: World, path: Path, *lines: str, **options: object) -> list[dict[str, Any]]:
    (path / "in.jsonl").write_text("".join(lines))
    run(clock, world, path / "in.jsonl", path / "out.jsonl", **{"format": "openai", "concurrency": 1, **options})
    return read_lines(path / "out.jsonl") if (path / "out.jsonl").exists() else []


NOTHING = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
TOOL = {"type": "function", "name": "look", "parameters": NOTHING, "strict": True}
CALL = {"id": "c", "name": "look", "arguments": "{}"}
TURN = [
    {"role": "user", "content": [
        {"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "data:image/png;base64,AA=="},
    ]},
    {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
    {"type": "function_call", "call_id": "c2", "name": "look", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": "seen"},
    {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "x"}]},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "so"}]},
    {"role": "user", "content": "b"},
]


def test_a_request_for_the_responses_api(clock: Clock, world: World, tmp_path: Path) -> None:
    """Instructions, items, tools and parameters are sent as those of a chat, whatever API the model has."""
    world.model("m", Act())
    answered(clock, world, tmp_path, line(
        "1", instructions="Be brief.", input=TURN, max_output_tokens=40, reasoning={"effort": "low"}, tools=[TOOL],
        tool_choice={"type": "function", "name": "look"}, temperature=0.5, store=False,
        text={"verbosity": "low", "format": {"type": "json_object"}},
    ))

    sent = dict(world.seen[0].body)
    calls = [{"id": each, "type": "function", "function": {"name": "look", "arguments": "{}"}} for each in ("c1", "c2")]
    assert sent.pop("messages") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [
            {"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        ]},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c1", "content": "seen"},
        {"role": "tool", "tool_call_id": "c2", "content": '[{"type":"input_text","text":"x"}]'},
        {"role": "assistant", "content": "so"},
        {"role": "user", "content": "b"},
    ]
    function = {name: TOOL[name] for name in ("name", "parameters", "strict")}
    assert {name: sent[name] for name in sent if name not in {"stream", "stream_options"}} == {
        "model": "m", "max_tokens": 40, "reasoning_effort": "low", "temperature": 0.5, "verbosity": "low",
        "response_format": {"type": "json_object"}, "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
    }


def test_the_answer_is_a_response(clock: Clock, world: World, tmp_path: Path) -> None:
    """The body of a line is a response: text, calls, reasoning, usage, and why it is incomplete."""
    world.model("m", Act(text="hi", reasoning="hm", finish_reason="length"), Act(text="", tool_calls=[CALL]))

    lines = answered(clock, world, tmp_path, line("1", input="a"), line("2", input="b", tools=[TOOL]))

    first, second = (each["response"]["body"] for each in lines)
    assert (first["object"], first["status"], first["incomplete_details"]) == (
        "response", "incomplete", {"reason": "max_output_tokens"}
    )
    assert [item["type"] for item in first["output"]] == ["reasoning", "message"]
    assert first["output"][1]["content"] == [{"type": "output_text", "text": "hi", "annotations": []}]
    assert first["usage"]["total_tokens"] == first["usage"]["output_tokens"] + 1
    [call] = second["output"]
    assert (call["type"], call["name"], call["arguments"], second["status"]) == (
        "function_call", "look", "{}", "completed"
    )


@pytest.mark.parametrize(("body", "problem"), [
    ({"input": "a", "previous_response_id": "r"},
     "body.previous_response_id: is not kept between the rows of a batch; leave it out"),
    ({"input": "a", "background": True}, "body.background: is not kept between the rows of a batch; leave it out"),
    ({"input": []}, "body.input: expected text or a list of items, got []"),
    ({"input": ["a"]}, "body.input[0]: expected an object, got 'a'"),
    ({"input": [{"type": "item_reference", "id": "x"}]},
     "body.input[0]: an item of type 'item_reference' is not asked in a batch; a message, function_call or "
     "function_call_output is"),
    ({"input": [{"role": "user", "content": [{"type": "input_audio"}]}]},
     "body.input[0].content: a part of type 'input_audio' is not asked in a batch"),
    ({"input": [{"content": "x"}]}, "messages[0]: expected an object with a role, got {'role': None, 'content': 'x'}"),
    ({"input": "a", "stream": True}, "body.stream: a batch is not streamed; leave it out"),
])
def test_what_cannot_be_asked(
    clock: Clock, world: World, tmp_path: Path, body: dict[str, object], problem: str
) -> None:
    """What needs the provider's memory, and what is no request, is a problem of its line; nothing is sent."""
    with pytest.raises(InvalidInput) as caught:
        answered(clock, world, tmp_path, line("1", **body))

    assert [str(each) for each in caught.value.problems] == [f"line 1: {problem}"]
    assert not world.seen


def test_an_unknown_endpoint(clock: Clock, world: World, tmp_path: Path) -> None:
    """An endpoint that is none of ours is named beside those that are."""
    with pytest.raises(InvalidInput, match=r"expected POST to one of /v1/chat/completions, /v1/responses, /v1/embed"):
        answered(clock, world, tmp_path, line("1", "/v1/moderations", input="x"))


def test_an_error_line_without_a_status(clock: Clock, world: World, tmp_path: Path) -> None:
    """A failure that is no HTTP response has its error in the line."""
    world.model("m", Act(text="no"))
    answered(clock, world, tmp_path, line("1", input="a"), line("2", input="b"), accept=lambda reply: False)

    errors = read_lines(tmp_path / "out.errors.jsonl")
    assert [(each["response"], each["error"]["code"]) for each in errors] == [(None, "NotAccepted")] * 2  # type: ignore[index]


def test_an_error_line_with_a_status(clock: Clock, world: World, tmp_path: Path) -> None:
    """The response of an error line has the status and the provider's error; a resume knows the file as its own."""
    world.model("m", poisoned)
    rows = [line("1", input="malformed"), line("2", input="malformed")]
    answered(clock, world, tmp_path, *rows)
    again = run(clock, world, tmp_path / "in.jsonl", tmp_path / "out.jsonl", format="openai")

    first, _ = read_lines(tmp_path / "out.errors.jsonl")
    response: Any = first["response"]
    assert (response["status_code"], response["body"]["error"]["type"], first["error"]) == (400, "Rejected", None)
    assert (again.failed_before, again.attempts) == (2, 0)
