"""What a wire learns from a provider that names a parameter, in the words of every vendor."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from asyncrouter._config.catalog import Model, Provider, WireName
from asyncrouter._types import Call
from asyncrouter._wire.registry import wire_for

if TYPE_CHECKING:
    from asyncrouter._wire.api import Wire

TOOL = {"type": "function", "function": {"name": "f", "strict": True, "parameters": {"type": "object"}}}
ADDRESSES: dict[WireName, str] = {
    "openai": "https://host.test/v1", "responses": "https://host.test/v1", "anthropic": "https://api.anthropic.com/v1",
    "gemini": "https://generativelanguage.googleapis.com/v1beta",
}


def wire_of(name: WireName) -> Wire:
    return wire_for(Provider(name="p", base_url=ADDRESSES[name], wire=name), lambda: 0.0)


def sent(wire: Wire, params: dict[str, object], model: str = "m", *, stream: bool = False) -> Any:
    """The request and its body."""
    call = Call([{"role": "user", "content": "Hi"}], {}, {}, 0.0, math.inf)
    request = wire.encode(call, Model(provider="p", id=model), params, "k", stream=stream, connect=None)
    return request, orjson.loads(request.body)


def adapted(
    name: WireName, params: dict[str, object], error: object, *, status: int = 400, model: str = "m",
    stream: bool = False,
) -> tuple[str | None, Any]:
    """The warning after this error, and the body of the next request."""
    wire = wire_of(name)
    request, _ = sent(wire, params, model, stream=stream)
    body = error if isinstance(error, bytes) else orjson.dumps(error)
    warning = wire.adapt(Model(provider="p", id=model), request, wire.failure(status, {}, body))
    return warning, sent(wire, params, model, stream=stream)[1]


def openai_error(message: str, param: str | None = None, code: str | None = None) -> dict[str, object]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def anthropic_error(message: str) -> dict[str, object]:
    return {"type": "error", "error": {"type": "invalid_request_error", "message": message}}


def google_error(message: str) -> dict[str, object]:
    return {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}


OPENAI_SAYS = [
    ("top_k", openai_error("Unsupported parameter: 'top_k' is not supported with this model.", "top_k",
                           "unsupported_parameter")),
    ("top_k", openai_error("Unrecognized request argument supplied: top_k")),
    ("top_k", openai_error("Unknown parameter: 'top_k'.", "top_k", "unknown_parameter")),
    ("temperature", openai_error(
        "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is "
        "supported.", "temperature", "unsupported_value")),
    # FastAPI: vLLM, SGLang, Mistral
    ("top_k", {"detail": [{"type": "extra_forbidden", "loc": ["body", "top_k"],
                           "msg": "Extra inputs are not permitted", "input": 5}]}),
    ("top_k", {"object": "error", "message": {"detail": [
        {"type": "extra_forbidden", "loc": ["body", "top_k"], "msg": "Extra inputs are not permitted"}]}}),
    ("top_k", {"object": "error", "type": "BadRequestError", "code": 400, "message":
               "[{'type': 'extra_forbidden', 'loc': ('body', 'top_k'), 'msg': 'Extra inputs are not permitted'}]"}),
    # Azure's model catalogue, Bedrock, Groq, xAI, Moonshot, JSON Schema, Go, serde, llama.cpp, Fireworks
    ("top_k", openai_error("Validation error at #/top_k: Extra inputs are not permitted")),
    ("top_k", {"message": "Malformed input request: #: extraneous key [top_k] is not permitted"}),
    ("logprobs", openai_error("property 'logprobs' is unsupported")),
    ("stop", {"code": "Client specified an invalid argument", "error": "Argument not supported on this model: stop"}),
    ("presence_penalty", {"code": "x", "error": "Model grok-4 does not support parameter presencePenalty."}),
    ("temperature", openai_error("invalid temperature: only 1 is allowed for this model")),
    ("top_k", openai_error("Additional properties are not allowed ('top_k' was unexpected)")),
    ("top_k", {"error": 'json: unknown field "top_k"'}),
    ("top_k", openai_error("Failed to deserialize: unknown field `top_k`, expected one of `model`, `messages`")),
    ("seed", openai_error("Unsupported param: seed")),
    ("seed", openai_error("Extra inputs are not permitted, field: 'seed', value: 1")),
    ("seed", {"error": "seed is not supported"}),
    ("user", openai_error("The parameter `user` is not supported by this model")),
    # OpenRouter hands on the words of the host behind it
    ("top_k", {"error": {"message": "Provider returned error", "code": 400, "metadata": {
        "raw": '{"error":{"message":"Unknown parameter: \'top_k\'."}}', "provider_name": "X"}}}),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("name", "error"), OPENAI_SAYS)
def test_every_vendors_words_name_the_parameter(name: str, error: object, stream: bool) -> None:
    """It alone is left out of the next request to this model."""
    params: dict[str, object] = {
        "top_k": 5, "temperature": 0.2, "logprobs": True, "stop": ["x"], "presence_penalty": 1, "seed": 1, "user": "u",
    }
    warning, body = adapted("openai", params, error, stream=stream)

    assert warning is not None
    assert warning.startswith(f"{name} is refused by this model and left out from now on")
    assert {key: body[key] for key in params if key in body} == {
        key: value for key, value in params.items() if key != name
    }


@pytest.mark.parametrize("status", [400, 422])
def test_stream_options_are_left_out_where_they_are_named(status: int) -> None:
    """The router writes them itself, and can do without."""
    error = openai_error("Unrecognized request argument supplied: stream_options")
    _, body = adapted("openai", {}, error, status=status, stream=True)

    assert body == {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}


def test_another_name_is_used() -> None:
    """A limit is not given up when it only has another name: an Azure deployment may have any model behind it."""
    error = openai_error("Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                         "'max_completion_tokens' instead.", "max_tokens", "unsupported_parameter")
    warning, body = adapted("openai", {"max_tokens": 5}, error)

    assert warning == "max_tokens is sent as max_completion_tokens from now on, as this model wants it"
    assert (body["max_completion_tokens"], "max_tokens" in body) == (5, False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("max_tokens", "max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas "
                       "you provided 100000."),
        ("max_tokens", "max_tokens: 100000 > 16384, which is the maximum allowed number of output tokens"),
        ("max_completion_tokens", "`max_completion_tokens` must be less than or equal to `16384`, the maximum value"),
    ],
)
def test_a_limit_is_lowered_to_what_is_taken(name: str, message: str) -> None:
    """And a lower one stays as it is."""
    warning, body = adapted("openai", {name: 100_000}, openai_error(message, name))

    assert warning == f"{name} is at most 16384 for this model; a greater one is lowered from now on"
    assert body[name] == 16_384


@pytest.mark.parametrize(
    ("asked", "allowed", "expected"),
    [
        ("xhigh", "'none', 'low', 'medium', and 'high'", "high"), ("minimal", "'low', 'medium', and 'high'", "low"),
        ("none", "'low' and 'high'", "low"), ("max", "'medium'", "medium"),
    ],
)
@pytest.mark.parametrize("wire", ["openai", "responses"])
def test_the_nearest_effort_is_sent(wire: WireName, asked: str, allowed: str, expected: str) -> None:
    """OpenAI says which values it takes."""
    param = "reasoning_effort" if wire == "openai" else "reasoning.effort"
    error = openai_error(f"Unsupported value: '{param}' does not support '{asked}' with this model. Supported values "
                         f"are: {allowed}.", param, "unsupported_value")
    warning, body = adapted(wire, {"reasoning_effort": asked}, error)

    assert warning is not None
    assert (body["reasoning_effort"] if wire == "openai" else body["reasoning"]["effort"]) == expected


def test_an_effort_beside_tools() -> None:
    """What OpenAI refuses beside function tools is changed beside them only."""
    error = openai_error("Function tools with reasoning_effort are not supported for x in /v1/chat/completions. Please "
                         "use /v1/responses or set reasoning_effort to 'none'.", "reasoning_effort")
    wire = wire_of("openai")
    request, _ = sent(wire, {"tools": [TOOL]})

    assert wire.adapt(Model(provider="p", id="m"), request, wire.failure(400, {}, orjson.dumps(error))) is not None
    assert sent(wire, {"tools": [TOOL]})[1]["reasoning_effort"] == "none"
    assert sent(wire, {"reasoning_effort": "high"})[1]["reasoning_effort"] == "high"


@pytest.mark.parametrize(
    ("wire", "params", "error", "gone"),
    [
        ("anthropic", {"top_k": 5}, anthropic_error("top_k: Extra inputs are not permitted"), ("top_k",)),
        ("anthropic", {"temperature": 0.2}, anthropic_error("`temperature` is deprecated for this model."),
         ("temperature",)),
        ("anthropic", {"reasoning_effort": "high"}, anthropic_error("output_config.effort: Extra inputs are not "
                                                                    "permitted"), ("output_config",)),
        ("anthropic", {"thinking": {"type": "disabled"}},
         anthropic_error('"thinking.type.disabled" is not supported for this model.'), ("thinking",)),
        ("anthropic", {"user": "u"}, anthropic_error("metadata: Extra inputs are not permitted"), ("metadata",)),
        ("gemini", {"seed": 1, "top_p": 0.5},
         google_error("Invalid JSON payload received. Unknown name \"seed\" at 'generation_config': Cannot find "
                      "field."),
         ("generationConfig", "seed")),
        ("gemini", {"reasoning_effort": "low", "top_p": 0.5},
         google_error("Invalid JSON payload received. Unknown name \"thinkingConfig\" at 'generation_config': Cannot "
                      "find field."), ("generationConfig", "thinkingConfig")),
        ("gemini", {"labels": {}}, google_error('Invalid JSON payload received. Unknown name "labels": Cannot find '
                                                "field."), ("labels",)),
        ("responses", {"verbosity": "low"},
         openai_error("Unsupported parameter: 'text.verbosity' is not supported with this model.", "text.verbosity",
                      "unsupported_parameter"), ("text",)),
        ("responses", {"include": ["reasoning.encrypted_content"]},
         openai_error("Unknown parameter: 'include'.", "include", "unknown_parameter"), ("include",)),
    ],
)
def test_other_apis_name_their_own_fields(
    wire: WireName, params: dict[str, object], error: object, gone: tuple[str, ...]
) -> None:
    """The field of the translated request is left out, wherever it stands; an object that is empty then, too."""
    before: Any = sent(wire_of(wire), params)[1]
    warning, after = adapted(wire, params, error)
    container, expected = before, copy.deepcopy(before)
    inner = expected
    for key in gone[:-1]:
        container, inner = container[key], inner[key]
    assert gone[-1] in container
    del inner[gone[-1]]

    assert warning is not None
    assert after == expected


def test_a_field_of_every_tool() -> None:
    """`strict` is an option of a tool; the tool itself stays, and the caller's own object as it is."""
    tools = [TOOL, copy.deepcopy(TOOL)]
    error = openai_error("tools.1.function.strict: Extra inputs are not permitted")
    warning, body = adapted("openai", {"tools": tools}, error)

    assert warning is not None
    assert ["strict" in tool["function"] for tool in body["tools"]] == [False, False]
    assert tools == [TOOL, TOOL]


@pytest.mark.parametrize(
    "error",
    [
        openai_error("Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3 instead.",
                     "temperature", "decimal_above_max_value"),
        openai_error("Invalid schema for function 'f'.", "tools[0].function.parameters", "invalid_function_parameters"),
        openai_error("Unknown parameter: 'messages[0].temperature'.", "messages[0].temperature", "unknown_parameter"),
        openai_error("'messages.0' : for 'role:user' the following must be satisfied[('messages.0' : property "
                     "'temperature' is unsupported)]"),
        openai_error("The model `m` does not exist", None, "model_not_found"),
        openai_error("This model does not support tools"),
        openai_error("messages: Extra inputs are not permitted", "messages"),
        openai_error("model is not supported", "model"),
        openai_error("tools is not supported", "tools"),
        openai_error("Unknown parameter: 'nothing_that_was_sent'.", "nothing_that_was_sent", "unknown_parameter"),
        openai_error("The request is wrong: " + "x" * 400 + " Unsupported parameter: 'temperature'"),
        b"<html><title>400</title>Bad Request</html>", b"", b"[]", b"null", b'"temperature"',
    ],
)
def test_what_teaches_nothing(error: object) -> None:
    """A value that is only wrong, the prompt, what would change the answer, and words that are not the provider's."""
    params: dict[str, object] = {"temperature": 3, "tools": [TOOL]}
    warning, body = adapted("openai", params, error)

    assert (warning, body["temperature"], len(body["tools"])) == (None, 3, 1)


def test_what_was_left_out_in_vain_is_sent_again() -> None:
    """The provider still complains about it, so it meant something else."""
    wire, model = wire_of("openai"), Model(provider="p", id="m")
    error = wire.failure(400, {}, orjson.dumps(openai_error("Unknown parameter: 'top_k'.", "top_k")))

    assert wire.adapt(model, sent(wire, {"top_k": 1})[0], error) is not None
    assert "top_k" not in sent(wire, {"top_k": 1})[1]
    assert wire.adapt(model, sent(wire, {"top_k": 1})[0], error) is None
    assert "top_k" in sent(wire, {"top_k": 1})[1]


def test_models_learn_for_themselves() -> None:
    """What one model refuses another one of the same provider may take; so many are remembered, and no more."""
    wire = wire_of("openai")
    error = wire.failure(400, {}, orjson.dumps(openai_error("Unknown parameter: 'top_k'.", "top_k")))
    for number in range(1001):
        model = f"m{number}"
        wire.adapt(Model(provider="p", id=model), sent(wire, {"top_k": 1}, model)[0], error)

    assert ["top_k" in sent(wire, {"top_k": 1}, model)[1] for model in ("m0", "m1", "m1000", "other")] == [
        True, False, False, True,
    ]


def test_a_named_parameter_is_on_the_error() -> None:
    """`AttemptError.param` has what the provider says, `None` when it says nothing."""
    wire = wire_of("openai")

    assert wire.failure(400, {}, orjson.dumps(openai_error("x", "top_k"))).param == "top_k"
    assert wire.failure(400, {}, orjson.dumps(openai_error("x"))).param is None


@pytest.mark.parametrize("wire", ["openai", "responses", "anthropic", "gemini"])
def test_drop_works_for_everything_but_prompt_and_model(wire: WireName) -> None:
    """By the caller's names and by the API's own; streams and their options too."""
    names = ("stream", "stream_options", "temperature", "max_completion_tokens", "model", "messages", "input",
             "contents", "system", "metadata", "generationConfig", "text", "stop_sequences")
    model = Model(provider="p", id="m", drop=names)
    call = Call([{"role": "system", "content": "Brief."}, {"role": "user", "content": "Hi"}], {}, {}, 0.0, math.inf)
    params: dict[str, object] = {"temperature": 0.2, "max_completion_tokens": 5, "user": "u"}
    request = wire_of(wire).encode(call, model, params, None, stream=True, connect=None)
    body = orjson.loads(request.body)

    assert {**body, "user": None}.keys() == {
        "openai": {"model", "messages", "user"}, "responses": {"model", "input", "user", "store", "include"},
        "anthropic": {"model", "messages", "system", "max_tokens", "user"},
        "gemini": {"contents", "systemInstruction", "user"},
    }[wire]
    assert request.headers["Accept"] == "application/json"
    assert "alt=sse" not in request.url


@pytest.mark.parametrize("wire", ["openai", "responses", "anthropic", "gemini"])
def test_a_parameter_that_is_none_is_left_out(wire: WireName) -> None:
    """None is no value: `temperature=None` asks for the default, as in OpenAI's own SDK."""
    given = {"temperature": None, "max_tokens": None, "tools": None, "reasoning_effort": None, "response_format": None}

    assert sent(wire_of(wire), given)[1] == sent(wire_of(wire), {})[1]
