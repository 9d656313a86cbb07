"""A strict model refuses what its vendor refuses, in the vendor's words, and takes everything else."""

import json
from itertools import product

import pytest

from asyncrouter import Request, Retry, Router
from asyncrouter.sim import WIRES, Act, Clock, World
from tests.helpers.simulated import timed_reads

Body = dict[str, object]
USER = {"role": "user", "content": "Hi"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
NINE = CALL | {"id": "abcDEF123"}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "1"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def answer(world: World, clock: Clock, path: str, body: Body, model: str, host: object = True) -> tuple[int, Body]:
    """The status and the body that a strict model answers to a request."""
    world.model(model, Act(text="hi"), strict=host)  # type: ignore[arg-type]
    if not path.startswith("/v1beta"):
        body = {"model": model, **body}
    request = Request("POST", f"http://sim.test{path}", {}, json.dumps(body).encode())
    [(_, data), _] = clock.run(timed_reads(world.transport(), request, clock))
    return world.seen[-1].status or 0, json.loads(data)


def chat(*messages: object, **params: object) -> Body:
    return {"messages": list(messages), **params}


@pytest.mark.parametrize(
    ("host", "model", "body", "message"),
    [
        ("openai", "m", chat(USER, {"role": "assistant", "content": "a", "thinking_blocks": []}, USER),
         "Unknown parameter: 'messages[1].thinking_blocks'."),
        ("openai", "m", chat(USER, {"role": "assistant", "content": "a", "reasoning_content": "b"}, USER),
         "Unknown parameter: 'messages[1].reasoning_content'."),
        ("openai", "m", chat({"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {}}]}),
         "Unknown parameter: 'messages[0].content[0].cache_control'."),
        ("openai", "m", chat(USER, CALLED | {"tool_calls": [CALL | {"extra_content": {}}]}, RESULT),
         "Unknown parameter: 'messages[1].tool_calls[0].extra_content'."),
        ("openai", "m", chat(USER, CALLED, USER),
         "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
         "The following tool_call_ids did not have response messages: call_1"),
        ("openai", "m", chat(USER, RESULT),
         "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'. "
         "(messages[1].role)"),
        ("openai", "m", chat(USER, thinking={"type": "enabled"}), "Unknown parameter: 'thinking'."),
        ("openai", "gpt-6-sol", chat(USER, tools=[TOOL]),
         "Function tools with reasoning_effort are not supported for gpt-6-sol in /v1/chat/completions. "
         "Please use /v1/responses or set reasoning_effort to 'none'."),
        ("openai", "o3", chat(USER, temperature=0.5),
         "Unsupported parameter: 'temperature' is not supported with this model."),
        ("openai", "gpt-5-mini", chat(USER, max_tokens=5),
         "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."),
        ("mistral", "m", chat(USER, CALLED, RESULT),
         "Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9."),
        ("mistral", "m", chat(USER, CALLED | {"tool_calls": [NINE]}, RESULT | {"tool_call_id": "abcDEF123"}, USER),
         "Unexpected role 'user' after role 'tool'"),
        ("mistral", "m", chat(USER, {"role": "assistant", "content": "a"}),
         "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant"),
        ("groq", "m", chat(USER | {"name": "bo"}), "'messages.0' : property 'name' is unsupported"),
        ("groq", "m", chat(USER, {"role": "assistant", "content": "a", "reasoning_content": "b"}, USER),
         "'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : property "
         "'reasoning_content' is unsupported)]"),
        ("groq", "m", chat(USER, logprobs=True), "property 'logprobs' is unsupported"),
        ("cerebras", "m", chat(USER, {"role": "assistant", "content": "a", "reasoning_content": "b"}, USER),
         "messages[1]: property 'reasoning_content' is unsupported"),
        ("deepseek", "m", chat(USER, CALLED, RESULT),
         "Missing `reasoning_content` field in the assistant message at message index 1."),
        ("deepseek", "m", chat(USER, tools=[TOOL], tool_choice="required"),
         "Thinking mode does not support this tool_choice"),
    ],
)
def test_chat_completions(world: World, clock: Clock, host: str, model: str, body: Body, message: str) -> None:
    """Each host of Chat Completions refuses what is foreign to it, with its own words."""
    status, told = answer(world, clock, "/v1/chat/completions", body, model, host)

    assert (status, told["error"]["message"]) == (400, message)  # type: ignore[index]


FUNCTION_CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "1"}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": []}


def items(*given: object, **params: object) -> Body:
    return {"input": [{"type": "message", **USER}, *given], **params}


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        ("m", items({"role": "assistant", "content": [{"type": "input_text", "text": "a"}]}),
         "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'."),
        ("m", items({"type": "message", "id": "fc_1", "role": "assistant", "content": "a"}),
         "Invalid 'input[1].id': 'fc_1'. Expected an ID that begins with 'msg'."),
        ("m", items(FUNCTION_CALL | {"id": "toolu_1"}, OUTPUT),
         "Invalid 'input[1].id': 'toolu_1'. Expected an ID that begins with 'fc'."),
        ("m", items(FUNCTION_CALL | {"id": None}, OUTPUT),
         "Invalid 'input[1].id': 'None'. Expected an ID that begins with 'fc'."),
        ("m", items(REASONING | {"encrypted_content": "c2lt"}),
         "The encrypted content c2lt... could not be verified. (input[1])"),
        ("m", items(FUNCTION_CALL), "No tool output found for function call call_1."),
        ("m", items(OUTPUT), "No tool call found for function call output with call_id call_1."),
        ("m", items(FUNCTION_CALL | {"extra_content": {}}, OUTPUT), "Unknown parameter: 'input[1].extra_content'."),
        ("m", items(stop=["a"]), "Unknown parameter: 'stop'."),
        ("m", items(tools=[TOOL]), "Missing required parameter: 'tools[0].name'."),
        ("m", items(max_output_tokens=5),
         "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 5 instead."),
        ("gpt-6-sol", items(temperature=1.0),
         "Unsupported parameter: 'temperature' is not supported with this model."),
    ],
)
def test_the_responses_api(world: World, clock: Clock, model: str, body: Body, message: str) -> None:
    """The Responses API refuses items of the wrong form, foreign reasoning, and the parameters of Chat Completions."""
    status, told = answer(world, clock, "/v1/responses", body, model)

    assert (status, told["error"]["message"]) == (400, message)  # type: ignore[index]


def test_an_item_that_was_not_stored_is_not_found(world: World, clock: Clock) -> None:
    """A reasoning item without its encrypted content is a 404, for nothing is stored."""
    status, told = answer(world, clock, "/v1/responses", items(REASONING), "m")

    assert (status, told["error"]["message"]) == (  # type: ignore[index]
        404, "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false.")


USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
DONE = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "1"}


def blocks(*messages: object, **params: object) -> Body:
    return {"max_tokens": 9, "messages": [USER, *messages], **params}


def said(*content: object) -> Body:
    return {"role": "assistant", "content": list(content)}


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        ("m", blocks(said({"type": "thinking", "thinking": "a", "signature": "c2lt"}), USER),
         "messages.1.content.0: Invalid `signature` in `thinking` block"),
        ("m", blocks(said({"type": "text", "text": ""}), USER), "messages: text content blocks must be non-empty"),
        ("m", blocks(said({"type": "text", "text": " \n"}), USER),
         "messages: text content blocks must contain non-whitespace text"),
        ("m", blocks(said(USE | {"id": "call:1"}), {"role": "user", "content": [DONE]}),
         "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"),
        ("m", blocks(said(USE), USER),
         "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1. Each "
         "`tool_use` block must have a corresponding `tool_result` block in the next message."),
        ("m", blocks(said({"type": "text", "text": "a"}), {"role": "user", "content": [DONE]}),
         "messages.2: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1. Each `tool_result` block must "
         "have a corresponding `tool_use` block in the previous message."),
        ("m", blocks(said(USE | {"extra_content": {}}), {"role": "user", "content": [DONE]}),
         "messages.1.content.0.tool_use.extra_content: Extra inputs are not permitted"),
        ("m", {"messages": [said({"type": "text", "text": "a"})], "max_tokens": 9},
         'messages: first message must use the "user" role'),
        ("m", blocks(reasoning_effort="low"), "reasoning_effort: Extra inputs are not permitted"),
        ("claude-opus-5-5", blocks(temperature=1.0), "`temperature` is not supported on this model"),
        ("claude-opus-5-5", blocks(thinking={"type": "disabled"}),
         '"thinking.type.disabled" is not supported for this model'),
        ("claude-sonnet-5-5", blocks(tool_choice={"type": "any"}),
         "tool_choice: forced tool use is not supported on this model"),
        ("claude-opus-4-6", blocks(said({"type": "text", "text": "a"})),
         "This model does not support assistant message prefill. The conversation must end with a user message."),
        ("claude-opus-4-5", blocks(thinking={"type": "enabled", "budget_tokens": 2000}),
         "`max_tokens` must be greater than `thinking.budget_tokens`"),
        ("m", blocks(stop_sequences=[" "]), "stop_sequences: each stop sequence must contain non-whitespace"),
    ],
)
def test_the_messages_api(world: World, clock: Clock, model: str, body: Body, message: str) -> None:
    """Anthropic refuses unsigned thoughts, empty texts, foreign fields and ids, and what a family does not take."""
    status, told = answer(world, clock, "/v1/messages", body, model)

    assert (status, told["error"]["message"]) == (400, message)  # type: ignore[index]


FUNCTION = {"functionCall": {"name": "f", "args": {}}}
RESPONSE = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}
MISSING = (
    "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly. "
    "Function call `default_api:f`"
)


def contents(*given: object, **params: object) -> Body:
    return {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}, *given], **params}


def model_says(*parts: object) -> Body:
    return {"role": "model", "parts": list(parts)}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (contents(model_says(FUNCTION), RESPONSE), MISSING),
        (contents(model_says(FUNCTION | {"thoughtSignature": "c2lt"}), RESPONSE), "Thought signature is not valid."),
        (contents(model_says({"text": "a", "cache_control": {}})),
         "Invalid JSON payload received. Unknown name \"cache_control\" at 'contents[1].parts[0]': Cannot find field."),
        (contents(model_says({"thought": True})),
         "* GenerateContentRequest.contents[1].parts[0].data: required oneof field 'data' must have one initialized "
         "field"),
        (contents(model_says()), "* GenerateContentRequest.contents[1].parts: contents.parts must not be empty."),
        (contents({"role": "assistant", "parts": [{"text": "a"}]}), "Please use a valid role: user, model."),
        (contents(model_says({"text": "a"}), RESPONSE),
         "Please ensure that the number of function response parts is equal to the number of function call parts of "
         "the function call turn."),
        (contents(temperature=1.0), 'Invalid JSON payload received. Unknown name "temperature": Cannot find field.'),
    ],
)
def test_generate_content(world: World, clock: Clock, body: Body, message: str) -> None:
    """Google refuses calls without a signature, foreign ones, unknown fields, empty parts and unpaired calls."""
    status, told = answer(world, clock, "/v1beta/models/m:generateContent", body, "m")

    assert (status, told["error"]["message"]) == (400, message)  # type: ignore[index]


@pytest.mark.parametrize(
    ("model", "signature"), [("gemini-2.5-flash", None), ("m", "skip_thought_signature_validator")]
)
def test_calls_without_a_signature_that_google_takes(
    world: World, clock: Clock, model: str, signature: str | None
) -> None:
    """Older models want no signature, and the newer ones take the documented dummy."""
    call = FUNCTION if signature is None else FUNCTION | {"thoughtSignature": signature}
    path = f"/v1beta/models/{model}:generateContent"

    assert answer(world, clock, path, contents(model_says(call), RESPONSE), model)[0] == 200


def test_the_error_names_the_parameter(world: World, clock: Clock) -> None:
    """OpenAI's error has its code and names the parameter that is not supported."""
    _, told = answer(world, clock, "/v1/chat/completions", chat(USER, stop=["a"]), "o3")

    assert told["error"] == {
        "message": "Unsupported parameter: 'stop' is not supported with this model.", "type": "invalid_request_error",
        "param": "stop", "code": "unsupported_parameter",
    }


@pytest.mark.parametrize(("wire", "stream"), [*product(WIRES, (True, False))])
def test_an_ordinary_request_is_taken(clock: Clock, wire: str, stream: bool) -> None:
    """What the router sends for a plain call passes every wire's rules."""
    world = World(strict=True)
    world.model("m", Act(text="hi"))

    async def scenario() -> str:
        config = world.config(wire=wire, defaults={"wire_stream": stream})  # type: ignore[arg-type]
        async with Router(config, transport=world.transport()) as router:
            return (await router.chat("Hi", model="m", retry=Retry(attempts=1))).text

    assert clock.run(scenario()) == "hi"


def test_strictness_can_be_set_and_taken_away(world: World, clock: Clock) -> None:
    """A model is strict when it is told so; a router leaves out the parameter that it names, and asks once more."""
    body = chat(USER, top_k=1)
    statuses = [answer(world, clock, "/v1/chat/completions", body, "m", host)[0] for host in (True, False, "groq")]

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            await router.chat("Hi", model="m", retry=Retry(attempts=1), foreign=1)

    world.model("m", strict=True)
    clock.run(scenario())

    assert statuses == [400, 200, 200]
    assert [request.status for request in world.seen][3:] == [400, 200]
    with pytest.raises(ValueError, match="strict: expected True, False or one of openai, mistral"):
        world.model("m", strict="nobody")  # type: ignore[arg-type]
