"""Requests of the Gemini wire: a Chat Completions request translated into one of generateContent."""

from __future__ import annotations

import copy
import math

import orjson
import pytest

from asyncrouter._config.catalog import Model, Provider
from asyncrouter._errors import BadReply, Rejected
from asyncrouter._types import Call
from asyncrouter._wire.gemini.wire import Gemini
from asyncrouter._wire.registry import wire_for
from tests.helpers.gemini_fixtures import CALLS, NAMED_CALL, PROVIDER, THOUGHTS, WIRE, stream

MODEL = Model(provider="gemini", id="gemini-3.1-pro", drop=("user", "top_p"))
OLD = Model(provider="gemini", id="gemini-2.5-flash")
ANSWERED = Model(provider="gemini", id="gemini-3.1-flash")
"""The model that the answers of the fixtures came from."""
USER = [{"role": "user", "content": "Hi"}]


def call(messages: object = USER, **headers: str) -> Call:
    return Call(messages, {}, headers, 0.0, math.inf)


def encode(messages: object = USER, *, model: Model = MODEL, stream: bool = False, key: str | None = "k", **params):
    return WIRE.encode(call(messages), model, params, key, stream=stream, connect=5.0)


def sent(messages: object = USER, *, model: Model = MODEL, **params: object) -> dict:
    return orjson.loads(encode(messages, model=model, **params).body)


def config(model: Model = MODEL, **params: object) -> dict:
    return sent(model=model, **params).get("generationConfig", {})


def contents(*messages: object, model: Model = MODEL) -> list[dict]:
    return sent([*messages], model=model)["contents"]


def tool_call(identifier: str = "call_1", name: str = "weather", **extra: object) -> dict:
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": '{"city":"Ulm"}'}, **extra}


def test_a_request_is_complete() -> None:
    """A plain call has an address, headers and a body."""
    request = encode(temperature=0.2)

    assert (request.method, request.connect) == ("POST", 5.0)
    assert request.url == f"{PROVIDER.base_url}/models/gemini-3.1-pro:generateContent"
    assert request.headers == {
        "Content-Type": "application/json", "Accept": "application/json", "User-Agent": "asyncrouter",
        "x-goog-api-key": "k",
    }
    assert orjson.loads(request.body) == {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "generationConfig": {"temperature": 0.2},
    }


def test_a_stream_is_asked_for_in_the_address() -> None:
    """It is asked for as events and uncompressed, and the provider's own query stays."""
    wire = Gemini(Provider(base_url="https://g/v1beta/", wire="gemini", query={"region": "eu"}))
    request = wire.encode(call(), OLD, {}, None, stream=True, connect=None)

    assert request.url == "https://g/v1beta/models/gemini-2.5-flash:streamGenerateContent?region=eu&alt=sse"
    assert request.headers["Accept-Encoding"] == "identity"
    assert "x-goog-api-key" not in request.headers


@pytest.mark.parametrize(
    ("model_id", "expected"),
    [
        ("models/gemini-x", "models/gemini-x"), ("tunedModels/mine", "tunedModels/mine"),
        ("gemini-3.8-flash@001", "models/gemini-3.8-flash@001"),
    ],
)
def test_the_model_is_in_the_address(model_id: str, expected: str) -> None:
    """A full resource name is kept, anything else is the name of a model."""
    url = encode(model=Model(provider="gemini", id=model_id)).url

    assert f"{PROVIDER.base_url}/{expected}:generateContent" == url


def test_system_messages_become_the_system_instruction() -> None:
    """They are joined wherever they stand; alone they become the user's message."""
    system = {"role": "system", "content": "Be brief."}
    body = sent([system, *USER, {"role": "developer", "content": "In verse."}])

    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "In verse."}]}
    assert body["contents"] == [{"role": "user", "parts": [{"text": "Hi"}]}]
    assert sent([system]) == {"contents": [{"role": "user", "parts": [{"text": "Be brief."}]}]}


def test_images_are_inline_or_linked() -> None:
    """A data: URL is taken apart; an address is handed on with the type its suffix tells."""
    urls = ["data:image/png;base64,AAEC", "https://x.test/a.JPG?size=2", "https://x.test/picture"]
    message = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}} for url in urls]}

    assert contents(message)[0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "AAEC"}},
        {"fileData": {"fileUri": "https://x.test/a.JPG?size=2", "mimeType": "image/jpeg"}},
        {"fileData": {"fileUri": "https://x.test/picture"}},
    ]


def test_sound_and_files_are_inline() -> None:
    """Chat Completions' other two kinds of media are inline data."""
    parts = [
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AB=="}},
    ]

    assert contents({"role": "user", "content": parts})[0]["parts"] == [
        {"inlineData": {"mimeType": "audio/wav", "data": "AA=="}},
        {"inlineData": {"mimeType": "application/pdf", "data": "AB=="}},
    ]


def test_googles_own_parts_go_out_as_they_are() -> None:
    """A part without a type is Google's own; one with an unknown type is rejected with its path."""
    own = {"fileData": {"fileUri": "https://youtu.be/x"}, "videoMetadata": {"fps": 1}}

    assert contents({"role": "user", "content": [own]})[0]["parts"] == [own]
    with pytest.raises(Rejected, match=r"messages\[0\].content\[0\]: generateContent takes no part of type 'video'"):
        contents({"role": "user", "content": [{"type": "video", "video": {}}]})
    with pytest.raises(Rejected, match=r"messages\[0\].content\[0\]: generateContent takes no file like this one"):
        contents({"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]})


def test_tool_calls_and_results_are_translated() -> None:
    """Results are matched by name, are a content of their own, and are objects."""
    assistant = {"role": "assistant", "content": "Wait.", "tool_calls": [tool_call(), tool_call("call_2", "now")]}
    first = {"role": "tool", "tool_call_id": "call_2", "content": '{"hour": 5}'}
    second = {"role": "tool", "tool_call_id": "call_1", "content": "12 °C"}

    assert contents(*USER, assistant, first, second, {"role": "user", "content": "And?"}, model=OLD) == [
        {"role": "user", "parts": [{"text": "Hi"}]},
        {"role": "model", "parts": [
            {"text": "Wait."},
            {"functionCall": {"name": "weather", "args": {"city": "Ulm"}}},
            {"functionCall": {"name": "now", "args": {"city": "Ulm"}}},
        ]},
        {"role": "user", "parts": [
            {"functionResponse": {"name": "now", "response": {"hour": 5}}},
            {"functionResponse": {"name": "weather", "response": {"output": "12 °C"}}},
        ]},
        {"role": "user", "parts": [{"text": "And?"}]},
    ]


def test_a_result_without_its_call_needs_a_name() -> None:
    """Gemini matches by name, so there must be one."""
    lost = {"role": "tool", "tool_call_id": "call_9", "content": "x"}

    assert contents({**lost, "name": "f"})[0]["parts"][0]["functionResponse"]["name"] == "f"
    with pytest.raises(ValueError, match=r"messages\[0\].tool_call_id: no earlier call is 'call_9'"):
        contents(lost)


def test_the_result_of_a_failed_tool_is_an_error() -> None:
    """`is_error`, as in Anthropic's results, becomes Google's key "error"; a picture goes beside the text."""
    assistant = {"role": "assistant", "tool_calls": [tool_call()]}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    result = {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "no"}, picture]}

    assert contents(assistant, {**result, "is_error": True})[1]["parts"][0]["functionResponse"] == {
        "name": "weather", "response": {"error": "no"},
        "parts": [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}],
    }


@pytest.mark.parametrize("documents", [CALLS, NAMED_CALL], ids=["calls", "named call"])
def test_an_answer_goes_back_as_it_came(documents: tuple[dict, ...]) -> None:
    """The reply's message is Google's parts again, with signatures and Google's own ids."""
    message = stream(*documents).reply.raw["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": made["id"], "content": "1"} for made in message["tool_calls"]]
    received = copy.deepcopy(documents)
    parts = [part for document in received for part in document["candidates"][0]["content"]["parts"]]
    expected = [part for part in parts if part.get("text") != ""]
    calls = [part["functionCall"] for part in expected if "functionCall" in part]
    for each in calls:
        each.setdefault("args", {})
    _, answer, responses = contents(*USER, message, *results, model=ANSWERED)

    assert answer["parts"] == expected
    assert [part["functionResponse"].get("id") for part in responses["parts"]] == [each.get("id") for each in calls]


def test_the_signature_of_a_text_goes_back_too() -> None:
    """It is on the last part; the thoughts themselves stay out."""
    message = stream(*THOUGHTS).reply.raw["choices"][0]["message"]

    [_, answer] = contents(*USER, message, model=ANSWERED)
    assert answer["parts"] == [{"text": "There are three.", "thoughtSignature": "EpoBCpcB"}]


def test_a_call_of_another_vendor_has_no_signature() -> None:
    """Gemini 3 refuses a call without one, and Google's page gives the word for that."""
    message = {"role": "assistant", "tool_calls": [tool_call(), tool_call("call_2")]}
    marked = [part.get("thoughtSignature") for part in contents(message)[0]["parts"]]

    assert marked == ["skip_thought_signature_validator", None]
    assert "thoughtSignature" not in contents(message, model=OLD)[0]["parts"][0]


def test_another_vendors_thoughts_stay_out() -> None:
    """Anthropic's signed blocks mean nothing here."""
    thoughts = [{"type": "thinking", "thinking": "Hm.", "signature": "s"}]

    assert contents({"role": "assistant", "content": "Hi", "thinking_blocks": thoughts})[0]["parts"] == [{"text": "Hi"}]
    assert len(contents(*USER, {"role": "assistant", "content": "", "thinking_blocks": thoughts})) == 1


TOOL = {"type": "function", "function": {
    "name": "f", "description": "d", "strict": True, "parameters": {"type": "object", "additionalProperties": False},
}}


def test_tools_become_function_declarations() -> None:
    """Schemas go where JSON Schema is understood; Google's own tools go out as they are."""
    body = sent(tools=[TOOL, {"type": "function", "function": {"name": "g"}}, {"googleSearch": {}}])

    assert [
        {"functionDeclarations": [
            {"name": "f", "description": "d", "parametersJsonSchema": TOOL["function"]["parameters"]}, {"name": "g"},
        ]},
        {"googleSearch": {}},
    ] == body["tools"]
    assert "toolConfig" not in body


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"mode": "AUTO"}), ("none", {"mode": "NONE"}), ("required", {"mode": "ANY"}),
        ({"type": "function", "function": {"name": "f"}}, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TOOL]}},
         {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}),
    ],
)
def test_tool_choice_is_translated(choice: object, expected: dict) -> None:
    """The caller's `toolConfig` is merged with it."""
    body = sent(tools=[TOOL], tool_choice=choice, toolConfig={"retrievalConfig": {}})

    assert body["toolConfig"] == {"functionCallingConfig": expected, "retrievalConfig": {}}


def test_a_choice_without_tools_is_left_out() -> None:
    """There is nothing to choose from."""
    assert "toolConfig" not in sent(tool_choice="auto", tools=[])


def test_parameters_have_googles_names() -> None:
    """What generateContent has a field for is renamed."""
    assert config(
        temperature=1, top_k=5, seed=7, n=2, presence_penalty=0.1, frequency_penalty=0.2, logprobs=True,
        top_logprobs=3, max_tokens=9, stop=".", modalities=["text", "image"],
    ) == {
        "temperature": 1, "topK": 5, "seed": 7, "candidateCount": 2, "presencePenalty": 0.1, "frequencyPenalty": 0.2,
        "responseLogprobs": True, "logprobs": 3, "maxOutputTokens": 9, "stopSequences": ["."],
        "responseModalities": ["TEXT", "IMAGE"],
    }


def test_the_newer_name_of_the_limit_counts() -> None:
    """`max_tokens` is the deprecated name; a list of stop words stays a list."""
    assert config(max_tokens=1, max_completion_tokens=9) == {"maxOutputTokens": 9}
    assert config(stop=["a", "b"]) == {"stopSequences": ["a", "b"]}


def test_what_has_no_field_is_left_out() -> None:
    """Google would answer 400; what the model drops, and what is None, is left out as well."""
    assert sent(
        user="u", top_p=0.5, logit_bias={}, metadata={}, parallel_tool_calls=False, service_tier="auto", seed=None,
        safetySettings=None, store=True, prompt_cache_options={}, moderation={},
    ).keys() == {"contents"}


def test_what_would_change_the_answer_is_rejected() -> None:
    """The chain goes on, and the message says how to leave it out."""
    with pytest.raises(Rejected, match=r"functions=.*drop = \['functions'\]"):
        sent(functions=[{}])


def test_native_parameters_pass_through() -> None:
    """`generationConfig` overrides ours, and the caller's objects are not changed."""
    given = {"topK": 3, "temperature": 0.0}
    body = sent(
        temperature=1.0, generationConfig=given, safetySettings=[{"category": "c"}], cachedContent="cachedContents/1",
    )

    assert body["generationConfig"] == {"temperature": 0.0, "topK": 3}
    assert (body["safetySettings"], body["cachedContent"]) == ([{"category": "c"}], "cachedContents/1")
    assert given == {"topK": 3, "temperature": 0.0}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ({"type": "text"}, {}), ({"type": "json_object"}, {"responseMimeType": "application/json"}),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
         {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}}),
    ],
)
def test_response_format_is_translated(shape: dict, expected: dict) -> None:
    """It asks for any JSON object, or for one that fits a schema."""
    assert config(response_format=shape) == expected


@pytest.mark.parametrize(
    ("model_id", "params", "expected"),
    [
        ("gemini-3.1-pro", {"reasoning_effort": "none"}, {"thinkingLevel": "LOW", "includeThoughts": False}),
        ("gemini-3.1-pro", {"reasoning_effort": "high"}, {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("gemini-3-flash", {"reasoning_effort": "minimal"}, {"thinkingLevel": "MINIMAL", "includeThoughts": True}),
        ("gemini-flash-latest", {"reasoning": {"effort": "medium", "exclude": True}},
         {"thinkingLevel": "MEDIUM", "includeThoughts": False}),
        ("models/gemini-2.5-pro", {"reasoning_effort": "low"}, {"thinkingBudget": 1024, "includeThoughts": True}),
        ("gemini-2.5-flash", {"reasoning_effort": "none"}, {"thinkingBudget": 0, "includeThoughts": False}),
        ("gemini-2.5-pro", {"reasoning_effort": "none"}, {"thinkingBudget": 128, "includeThoughts": False}),
        ("gemini-2.5-flash", {"reasoning": {"max_tokens": 99}}, {"thinkingBudget": 99, "includeThoughts": True}),
    ],
)
def test_reasoning_effort_is_translated(model_id: str, params: dict, expected: dict) -> None:
    """It is a level since Gemini 3 and tokens before, and thoughts are asked for."""
    assert config(Model(provider="gemini", id=model_id), **params)["thinkingConfig"] == expected


def test_mistakes_are_named_before_anything_is_sent() -> None:
    """The exception names the caller's argument, not Google's."""
    with pytest.raises(ValueError, match="reasoning_effort: expected one of none, minimal"):
        sent(reasoning_effort="hard")
    with pytest.raises(ValueError, match="generationConfig: expected a mapping, got 5"):
        sent(generationConfig=5)
    with pytest.raises(ValueError, match=r"^temperature: JSON has no nan"):
        sent(temperature=math.nan)
    with pytest.raises(ValueError, match=r"messages\[0\].tool_calls\[0\].function.arguments: not JSON"):
        contents({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]})


def test_the_callers_objects_are_not_changed() -> None:
    """Messages and parameters can be used again."""
    messages = [*USER, {"role": "assistant", "tool_calls": [tool_call()]}]
    params = {"tools": [TOOL], "tool_choice": "auto", "generationConfig": {"topK": 1}, "max_tokens": 5}
    before = copy.deepcopy((messages, params))
    sent(messages, **params)

    assert (messages, params) == before


def test_models_are_listed_on_one_page() -> None:
    """The ids come without the name of their collection."""
    request = WIRE.list_models("k")
    listed = {"models": [{"name": "models/gemini-x", "inputTokenLimit": 1}, {"name": "tunedModels/y"}, {}, 3]}

    assert (request.method, request.url) == ("GET", f"{PROVIDER.base_url}/models?pageSize=1000")
    assert request.headers["x-goog-api-key"] == "k"
    assert WIRE.parse_models(orjson.dumps(listed)) == ["gemini-x", "tunedModels/y"]
    for wrong in (b"<html>", b"{}", b"3"):
        with pytest.raises(BadReply, match="no list of models"):
            WIRE.parse_models(wrong)


def test_the_registry_finds_the_wire() -> None:
    """A provider's `wire` says which one it speaks."""
    wire = wire_for(PROVIDER, lambda: 0.0)

    assert type(wire) is Gemini
    assert repr(wire) == "<Gemini wire of gemini>"


@pytest.mark.parametrize(
    ("model_id", "levels"),
    [
        # effort:                      none       minimal    low    medium    high    max
        ("gemini-3-pro-preview", ("LOW", "LOW", "LOW", "LOW", "HIGH", "HIGH")),
        ("gemini-3-flash", ("MINIMAL", "MINIMAL", "LOW", "MEDIUM", "HIGH", "HIGH")),
        ("gemini-3.1-pro", ("LOW", "LOW", "LOW", "MEDIUM", "HIGH", "HIGH")),
        ("gemini-3.8-flash", ("LOW", "LOW", "LOW", "MEDIUM", "HIGH", "HIGH")),
        ("models/gemini-4-argon", ("LOW", "LOW", "LOW", "MEDIUM", "HIGH", "HIGH")),
        ("gemini-9-xenon", ("LOW", "LOW", "LOW", "MEDIUM", "HIGH", "HIGH")),
        ("tunedModels/mine", ("MINIMAL", "MINIMAL", "LOW", "MEDIUM", "HIGH", "HIGH")),
    ],
)
def test_levels_of_thinking_by_model(model_id: str, levels: tuple[str, ...]) -> None:
    """An effort becomes the nearest level that the model has; "none" the least."""
    model = Model(provider="gemini", id=model_id)
    asked = ("none", "minimal", "low", "medium", "high", "max")

    made = [config(model, reasoning_effort=effort)["thinkingConfig"] for effort in asked]
    assert tuple(each["thinkingLevel"] for each in made) == levels


@pytest.mark.parametrize(
    ("model_id", "budgets"),
    [
        # asked for:              none   low    high   1   99_999   -1
        ("gemini-2.5-pro", (128, 1024, 24_576, 128, 32_768, -1)),
        ("gemini-2.5-flash-001", (0, 1024, 24_576, 1, 24_576, -1)),
        ("gemini-2.5-flash-lite", (0, 1024, 24_576, 512, 24_576, -1)),
    ],
)
def test_budgets_of_thinking_by_model(model_id: str, budgets: tuple[int, ...]) -> None:
    """Within the model's bounds; 0 where it can rest, -1 leaves it to the model."""
    model = Model(provider="gemini", id=model_id)
    efforts = [config(model, reasoning_effort=effort) for effort in ("none", "low", "high")]
    tokens = [config(model, reasoning={"max_tokens": tokens}) for tokens in (1, 99_999, -1)]

    assert tuple(made["thinkingConfig"]["thinkingBudget"] for made in [*efforts, *tokens]) == budgets


@pytest.mark.parametrize(
    "model_id",
    ["gemini-2.0-flash", "gemini-1.5-pro", "gemma-3-27b-it", "gemini-2.5-flash-image", "gemini-2.5-pro-tts"],
)
def test_models_that_do_not_think_are_not_asked_to(model_id: str) -> None:
    """They answer 400 to any `thinkingConfig`; what the caller writes there in Google's words goes out as it is."""
    model = Model(provider="gemini", id=model_id)
    native = {"thinkingConfig": {"thinkingBudget": 1}}

    assert config(model, reasoning_effort="high", reasoning={"max_tokens": 5}) == {}
    assert config(model, generationConfig=native) == native


def test_googles_two_spellings_are_one() -> None:
    """`generation_config` is `generationConfig`, and neither stands beside ours."""
    body = sent(temperature=1.0, generation_config={"topK": 3}, generationConfig={"candidateCount": 2})

    assert body.keys() == {"contents", "generationConfig"}
    assert body["generationConfig"] == {"temperature": 1.0, "topK": 3, "candidateCount": 2}


@pytest.mark.parametrize("name", ["generationConfig", "generation_config"])
def test_stop_words_and_choices_hold_beside_a_config(name: str) -> None:
    """What the answer is held against is what was asked for, in whichever words: one does not hide the other."""
    empty = {"candidates": [{"finishReason": "STOP", "index": 0}], "responseId": "r"}
    one = {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP", "index": 0}]}

    assert stream(empty, **{name: {"topK": 1}}, stop=["x"]).close() is None
    assert type(stream(empty, **{name: {"topK": 1}}).close()) is BadReply
    assert stream(empty, **{name: {"stop_sequences": ["x"]}}).close() is None
    assert type(stream(one, **{name: {"topK": 1}}, n=2).close()) is BadReply
    assert type(stream(one, **{name: {"candidate_count": 2}}, n=1).close()) is BadReply
    assert stream(one, **{name: {"stopSequences": ["x"]}}, n=1).close() is None


@pytest.mark.parametrize(
    "model_id",
    ["../secret", "a/../../x", "a/..", "models/..", "a//b", "/a", "a/", ".", "a?key=1", "a#b", "a%2e%2e", "a b", "a:x",
     "ä", "a\n", "\ud800", "a\\b"],
)
@pytest.mark.parametrize("streamed", [True, False])
def test_an_id_that_would_change_the_address_is_refused(model_id: str, streamed: bool) -> None:
    """Before anything is sent, and with the argument's name."""
    with pytest.raises(ValueError, match=r"^model: expected an id that can stand in an address, got "):
        encode(model=Model(provider="gemini", id=model_id), stream=streamed)


def test_two_calls_without_ids_find_their_results() -> None:
    """Each result belongs to the first call before it that has none yet, and so has its name."""
    calls = {"role": "assistant", "tool_calls": [tool_call("", "weather"), tool_call("", "now")]}
    results = [{"role": "tool", "tool_call_id": "", "content": text} for text in ("1", "2")]

    assert [part["functionResponse"]["name"] for part in contents(*USER, calls, *results)[2]["parts"]] == [
        "weather", "now"]


def test_a_media_type_by_another_name() -> None:
    """It goes out under its registered name."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,QUE="}}

    assert contents({"role": "user", "content": [picture]})[0]["parts"][0]["inlineData"]["mimeType"] == "image/jpeg"
