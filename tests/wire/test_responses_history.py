"""How the Responses wire writes a conversation: messages, parts, tool calls, items that go back to their vendor."""

from __future__ import annotations

import copy

import pytest

from asyncrouter._config.catalog import Model, Provider
from asyncrouter._errors import Rejected
from asyncrouter._wire.origin import ORIGIN
from asyncrouter._wire.responses.kept import KEPT
from asyncrouter._wire.responses.wire import Responses
from tests.helpers.decoding import JSON, decode
from tests.helpers.responses_fixtures import SOL, WIRE, call, message, reasoning, refusal, request, response

HI = {"role": "user", "content": "Hi"}
PNG = "data:image/png;base64,iVBORw0KGgo="
HERE = {"host": "api.openai.com", "provider": "openai", "model": "gpt-6-sol"}
PDF = "data:application/pdf;base64,JVBERi0="


def items(*messages: dict[str, object], model: Model = SOL, wire: Responses = WIRE, **params: object) -> list[object]:
    """The items of a conversation."""
    written = request(list(messages), params, model, wire)["input"]
    assert isinstance(written, list)
    return written


def said(role: str, content: object) -> dict[str, object]:
    return {"type": "message", "role": role, "content": content}


def tool_call(call_id: object, name: str = "f", arguments: object = "{}") -> dict[str, object]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def calls(*made: dict[str, object], content: object = None) -> dict[str, object]:
    return {"role": "assistant", "content": content, "tool_calls": list(made)}


def result(call_id: object, content: object = "1") -> dict[str, object]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


@pytest.mark.parametrize(("sent", "written"), [
    ({"role": "user", "content": "Hi"}, said("user", "Hi")),
    ({"role": "system", "content": "Brief."}, said("system", "Brief.")),
    ({"role": "developer", "content": "Brief."}, said("developer", "Brief.")),
    ({"role": "user", "content": "Hi", "name": "ann"}, said("user", "Hi")),
    ({"role": "assistant", "content": "Hello."}, said("assistant", "Hello.")),
    ({"role": "assistant", "content": None, "refusal": "No."}, said("assistant", "No.")),
    ({"role": "assistant", "content": [{"type": "text", "text": "He"}, {"type": "refusal", "refusal": "No."},
                                       {"type": "thinking", "thinking": "hm", "signature": "s"}]},
     said("assistant", "HeNo.")),
    ({"role": "assistant", "content": "A.", "thinking_blocks": [{"type": "thinking"}], "reasoning_content": "hm",
      "audio": None, "annotations": []}, said("assistant", "A.")),
    ({"role": "user", "content": [{"type": "text", "text": "a"}, "b"]},
     said("user", [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}])),
    ({"role": "system", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
     said("system", [{"type": "input_text", "text": "a"}])),
    ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}]},
     said("user", [{"type": "input_image", "image_url": PNG, "detail": "low"}])),
    ({"role": "user", "content": [{"type": "image_url", "image_url": "https://h/x.png"}]},
     said("user", [{"type": "input_image", "image_url": "https://h/x.png", "detail": "auto"}])),
    ({"role": "user", "content": [{"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}}]},
     said("user", [{"type": "input_file", "filename": "a.pdf", "file_data": PDF}])),
    ({"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]},
     said("user", [{"type": "input_file", "file_id": "file-1"}])),
    ({"role": "user", "content": [{"type": "input_text", "text": "own"}]},
     said("user", [{"type": "input_text", "text": "own"}])),
])
def test_a_message_is_one_item(sent: dict[str, object], written: dict[str, object]) -> None:
    """System messages stay where they stand; what only another vendor can read is left out."""
    assert items(sent) == [written]


def test_an_assistant_that_says_nothing_is_left_out() -> None:
    """An empty message is none."""
    assert items(HI, {"role": "assistant", "content": None}, HI) == [said("user", "Hi"), said("user", "Hi")]


@pytest.mark.parametrize("part", [
    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    {"type": "video_url", "video_url": {"url": "https://h/v.mp4"}},
    {"type": "image", "source": {"type": "url", "url": "https://h/x.png"}},
])
def test_a_part_without_a_place_is_rejected_with_its_path(part: dict[str, object]) -> None:
    """The chain goes on: another API may have a place for it."""
    told = rf"^messages\[1\]\.content\[0\]: the Responses API has no place for a part of type '{part['type']}'"
    with pytest.raises(Rejected, match=told):
        items(HI, {"role": "user", "content": [part]})


@pytest.mark.parametrize(("sent", "told"), [
    ({"role": "user", "content": [3]}, "messages[0].content[0]: expected a part with a type, got 3"),
    ({"role": "user", "content": 3}, "messages[0].content: expected a list, got 3"),
    ({"role": "user", "content": [{"type": "text"}]}, "messages[0].content[0].text: expected text, got None"),
    ({"role": "user", "content": [{"type": "image_url", "image_url": {}}]},
     "messages[0].content[0].image_url.url: expected text, got None"),
    ({"role": "user", "content": [{"type": "file", "file": {"filename": "a"}}]},
     "messages[0].content[0].file: expected file_data, file_id or file_url"),
    ({"role": "robot", "content": "x"},
     "messages[0].role: expected system, developer, user, assistant or tool, got 'robot'"),
    (calls({"id": "c"}), "messages[0].tool_calls[0].function.name: expected text, got None"),
    (calls(tool_call("c", arguments="{")),
     "messages[0].tool_calls[0].function.arguments: not JSON: unexpected end of data: line 1 column 2 (char 1)"),
    (calls(tool_call("c", arguments="[1]")),
     "messages[0].tool_calls[0].function.arguments: expected a JSON object, got '[1]'"),
])
def test_a_malformed_message_is_named_by_its_path(sent: dict[str, object], told: str) -> None:
    """A `ValueError`, before anything is sent."""
    with pytest.raises(ValueError) as caught:
        items(sent)

    assert str(caught.value) == told


def test_a_turn_with_tools() -> None:
    """Text first, then each call; each result is an item of its own, as text or as parts."""
    assert items(
        HI,
        calls(tool_call("c1", "f", '{"a":1}'), tool_call("c2", "g", ""), tool_call("c3", "h", {"b": 2}),
              content="See."),
        result("c2", [{"type": "text", "text": "two"}, {"type": "image_url", "image_url": {"url": PNG}}]),
        result("c1", "one"),
        result("c3", None),
        HI,
    ) == [
        said("user", "Hi"),
        said("assistant", "See."),
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
        {"type": "function_call", "call_id": "c3", "name": "h", "arguments": '{"b":2}'},
        {"type": "function_call_output", "call_id": "c2", "output": [
            {"type": "input_text", "text": "two"}, {"type": "input_image", "image_url": PNG, "detail": "auto"}]},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "function_call_output", "call_id": "c3", "output": []},
        said("user", "Hi"),
    ]


def test_a_turn_with_a_custom_tool() -> None:
    """Free text in, free text out."""
    custom = {"id": "c1", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}

    assert items(calls(custom), result("c1")) == [
        {"type": "custom_tool_call", "call_id": "c1", "name": "sql", "input": "select 1"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "1"},
    ]


def ids_of(written: list[object]) -> list[tuple[str, object]]:
    """What each call and each result of a conversation is called."""
    return [(str(item["type"])[:13], item["call_id"]) for item in written  # type: ignore[index]
            if "call_id" in item]  # type: ignore[operator]


def test_ids_that_begin_anew_in_every_answer_become_unique() -> None:
    """A result belongs to the nearest call before it that has this id and no result yet."""
    turn = [calls(tool_call("call_0"), tool_call("call_1")), result("call_1", "b"), result("call_0", "a")]

    assert [call_id for _, call_id in ids_of(items(HI, *turn, *turn, *turn))] == [
        "call_0", "call_1", "call_1", "call_0",
        "call_0_2", "call_1_2", "call_1_2", "call_0_2",
        "call_0_3", "call_1_3", "call_1_3", "call_0_3",
    ]


@pytest.mark.parametrize("call_id", ["", None, 7])
def test_a_call_without_an_id_gets_one_on_both_sides(call_id: object) -> None:
    """Made up, the same for the call and its result."""
    written = ids_of(items(calls(tool_call(call_id), tool_call(call_id)), result(call_id), result(call_id)))

    assert [told for _, told in written] == ["call_1", "call_2", "call_1", "call_2"]


def test_a_long_id_is_shortened_the_same_on_both_sides() -> None:
    """64 characters are the most; two long ids that begin alike stay two."""
    one, other = "toolu_" + "x" * 80 + "1", "toolu_" + "x" * 80 + "2"
    ids = [str(told) for _, told in ids_of(items(calls(tool_call(one), tool_call(other)), result(other), result(one)))]

    assert ids[:2] == [ids[3], ids[2]]
    assert len(set(ids)) == 2
    assert max(map(len, ids)) <= 64
    assert ids_of(items(calls(tool_call("y" * 64)), result("y" * 64)))[0][1] == "y" * 64


def test_many_long_equal_ids_stay_within_the_limit_and_apart() -> None:
    """The number behind a repeated id counts for its length."""
    turn = [calls(tool_call("z" * 64)), result("z" * 64)]
    ids = [str(told) for _, told in ids_of(items(*turn * 30))]

    assert len(set(ids)) == 30
    assert max(map(len, ids)) <= 64


@pytest.mark.parametrize(("messages", "told"), [
    ([HI, calls(tool_call("c1"), tool_call("c2")), result("c1"), HI],
     "messages[1].tool_calls[1]: no tool message answers this call; the Responses API wants every call answered"),
    ([HI, result("c9")],
     "messages[1]: no tool call before it has the id 'c9'; the Responses API wants its call"),
    ([calls(tool_call("c1")), result("c1"), result("c1")],
     "messages[2]: no tool call before it has the id 'c1'; the Responses API wants its call"),
])
def test_half_a_pair_is_not_sent(messages: list[dict[str, object]], told: str) -> None:
    """The API refuses a call without a result, and a result without its call."""
    with pytest.raises(Rejected) as caught:
        items(*messages)

    assert caught.value.message == told


@pytest.mark.parametrize("name", ["previous_response_id", "conversation"])
def test_a_result_whose_call_is_stored_at_the_provider_is_sent(name: str) -> None:
    """Its call stands in the stored part of the conversation."""
    assert items(result("c9"), **{name: "resp_1"}) == [
        {"type": "function_call_output", "call_id": "c9", "output": "1"}]


def answered(*output: dict[str, object], wire: Responses = WIRE, **fields: object) -> dict[str, object]:
    """The assistant's message of an answer of these items."""
    decoder = decode(wire, JSON, response(*output, **fields))
    assert decoder.close() is None
    kept: dict[str, object] = decoder.reply.raw["choices"][0]["message"]
    return kept


def test_the_items_of_an_answer_go_back_as_they_came() -> None:
    """Reasoning with id, summary and blob, messages with id and phase, calls with theirs, in their order."""
    output = [
        reasoning("Plan.", number=1), message("Let me look.", number=1, phase="commentary"),
        reasoning(number=2), call("f", '{"a": 1}', 1), call("g", "{}", 2),
    ]

    assert items(HI, answered(*output), result("call_1", "x"), result("call_2", "y")) == [
        said("user", "Hi"),
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Plan."}],
         "encrypted_content": "gAAAA1"},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "phase": "commentary",
         "content": [{"type": "output_text", "text": "Let me look.", "annotations": []}]},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gAAAA2"},
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": '{"a": 1}',
         "status": "completed"},
        {"type": "function_call", "id": "fc_2", "call_id": "call_2", "name": "g", "arguments": "{}",
         "status": "completed"},
        {"type": "function_call_output", "call_id": "call_1", "output": "x"},
        {"type": "function_call_output", "call_id": "call_2", "output": "y"},
    ]


def test_a_refusal_goes_back_as_one() -> None:
    """In the message that it stood in."""
    assert items(answered(refusal("No.")))[0]["content"] == [  # type: ignore[index]
        {"type": "refusal", "refusal": "No."}]


def test_items_of_built_in_tools_go_back_too() -> None:
    """The search that an answer rests on belongs to it."""
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed",
              "action": {"type": "search", "query": "q"}}

    assert items(answered(search, message("So."))) == [
        search, {**message("So."), "content": [{"type": "output_text", "text": "So.", "annotations": []}]}]


@pytest.mark.parametrize(("name", "base_url"), [
    ("openai", "https://mine.openai.azure.com/openai/v1"), ("openai", "https://api.x.ai/v1"),
    ("openai", "https://openrouter.ai/api/v1"), ("openai", "http://api.openai.com:8080/v1"),
    ("openai-of-a-client", "https://api.openai.com/v1"),
])
def test_another_host_or_account_gets_text_and_calls_alone(name: str, base_url: str) -> None:
    """Ids and encrypted reasoning mean nothing there."""
    wire = Responses(Provider(name=name, base_url=base_url), wall=lambda: 0.0)
    kept = answered(reasoning("Plan."), message("Let me look."), call("f", "{}"))

    assert items(kept, result("call_1"), wire=wire) == [
        said("assistant", "Let me look."),
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "1"},
    ]


def test_another_model_of_the_same_host_gets_everything_but_the_reasoning() -> None:
    """Reasoning is encrypted for one model; dated and undated ids are one."""
    kept = answered(reasoning("Plan."), message("Let me look."), call("f", "{}"), model="gpt-6-sol-2026-09-22")

    def kinds(model_id: str) -> list[object]:
        model = Model(provider="openai", id=model_id)
        return [item["type"] for item in items(kept, result("call_1"), model=model)]  # type: ignore[index]

    whole = ["reasoning", "message", "function_call", "function_call_output"]
    assert kinds("gpt-6-sol") == whole
    assert kinds("gpt-6-luna") == whole[1:]
    assert kinds("gpt-6.1-sol") == whole[1:]


@pytest.mark.parametrize("changed", [
    {"content": "Let me look again."},
    {"content": None},
    {"tool_calls": [tool_call("call_1", "g")]},
    {"tool_calls": [tool_call("call_1", "f", '{"a": 1}')]},
    {"tool_calls": [tool_call("call_1"), tool_call("call_2")]},
])
def test_words_that_the_caller_has_changed_count(changed: dict[str, object]) -> None:
    """What was kept says something else then, and none of it is sent."""
    kept = {**answered(reasoning("Plan."), message("Let me look."), call("f", "{}")), **changed}
    written = items(kept, *(result(made["id"]) for made in kept["tool_calls"]))  # type: ignore[attr-defined]

    assert [item for item in written if "id" in item or item["type"] == "reasoning"] == []  # type: ignore[index, operator]


def test_calls_that_the_caller_has_renamed_keep_their_items() -> None:
    """The message's id counts, for the results are called by it."""
    kept = answered(reasoning(), call("f", "{}"))
    kept["tool_calls"] = [tool_call("mine")]

    assert [(item["type"], item.get("call_id")) for item in items(kept, result("mine"))] == [  # type: ignore[index, attr-defined]
        ("reasoning", None), ("function_call", "mine"), ("function_call_output", "mine")]


@pytest.mark.parametrize(("item_id", "sent"), [
    ("fc_abc-1", "fc_abc-1"), ("fc_", None), ("fc_a_", None), ("call_1", None), ("", None), (None, None),
    ("fc_a b", None), ("fc_a.b", None), (7, None),
])
def test_an_invalid_item_id_is_left_out(item_id: object, sent: object) -> None:
    """The API demands its prefix and its letters, and takes a call without one."""
    kept = answered(call("f", "{}", id=item_id))

    assert items(kept, result("call_1"))[0].get("id") == sent  # type: ignore[attr-defined]


def test_a_message_without_a_valid_id_goes_back_in_the_easy_form() -> None:
    """With its phase, but not with parts: these are taken with an id only."""
    kept = answered(message("Done.", id="x.y", phase="final_answer"))

    assert items(kept) == [{"type": "message", "role": "assistant", "content": "Done.", "phase": "final_answer"}]


def test_reasoning_that_cannot_be_found_again_is_left_out() -> None:
    """Nothing is stored, so an id alone is unknown to the provider; stored, it is enough."""
    kept = answered(reasoning("Plan.", encrypted_content=None), message("Done."))

    assert [item["type"] for item in items(kept)] == ["message"]  # type: ignore[index]
    assert [item["type"] for item in items(kept, store=True)] == ["reasoning", "message"]  # type: ignore[index]


def test_reasoning_with_nothing_behind_it_is_left_out() -> None:
    """The API wants the item that follows it."""
    kept = answered(message("Done."), reasoning("Plan."))

    assert [item["type"] for item in items(kept)] == ["message"]  # type: ignore[index]


def test_thoughts_in_plain_words_are_not_sent_back() -> None:
    """`content` of reasoning comes from open models, and OpenAI refuses it."""
    kept = answered(reasoning(content=[{"type": "reasoning_text", "text": "hm"}], status="completed"), message("Done."))

    assert items(kept)[0] == {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA1"}


def test_xai_takes_reasoning_without_an_id() -> None:
    """Its documents send the blob alone."""
    wire = Responses(Provider(name="xai", base_url="https://api.x.ai/v1"), wall=lambda: 0.0)
    grok = Model(provider="xai", id="grok-4.7")
    kept = answered(reasoning("Plan."), message("Done."), wire=wire, model="grok-4.7")

    assert items(kept, wire=wire, model=grok)[0] == {
        "type": "reasoning", "encrypted_content": "gAAAA1", "summary": [{"type": "summary_text", "text": "Plan."}]}


def test_ids_of_bedrock_mantle_are_unique_from_the_beginning() -> None:
    """It counts from call_0 in every answer; a caller who keeps them by id must not mix two up."""
    wire = Responses(Provider(name="b", base_url="https://bedrock-mantle.us-east-1.api.aws/v1"), wall=lambda: 0.0)
    ids = [
        [made["id"] for made in answered(call("f", "{}", call_id="call_0"), call("f", "{}", 2, call_id="call_1"),
                                         wire=wire, id=f"resp_{number}")["tool_calls"]]  # type: ignore[attr-defined]
        for number in (1, 2)
    ]

    assert ids == [["call_0_resp1", "call_1_resp1"], ["call_0_resp2", "call_1_resp2"]]


@pytest.mark.parametrize(("kept", "origin"), [
    *((kept, HERE) for kept in (None, [], "x", {}, [3], [message("Hi."), None])),
    *(([message("Hi.")], origin) for origin in (None, {}, "x", {"host": "api.openai.com"}, {**HERE, "host": 3})),
])
def test_what_cannot_be_read_of_the_kept_items_is_ignored(kept: object, origin: object) -> None:
    """The message's own words stand."""
    assert items({"role": "assistant", "content": "Hi.", KEPT: kept, ORIGIN: origin}) == [said("assistant", "Hi.")]


def test_an_answers_message_is_not_changed_by_sending_it() -> None:
    """It is the caller's."""
    kept = answered(reasoning("Plan.", status="completed"), message("Let me look."), call("f", "{}"))
    before = copy.deepcopy(kept)

    items(kept, result("call_1"))

    assert kept == before
