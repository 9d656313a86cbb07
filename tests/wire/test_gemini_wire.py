"""The Gemini wire: what is sent, and what is made of what comes back."""

from __future__ import annotations

import copy
import math
import pickle

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncrouter._config.catalog import Model, Provider
from asyncrouter._errors import (
    AttemptError,
    BadReply,
    ContextTooLong,
    OutOfCredit,
    RateLimited,
    Refused,
    Rejected,
    ServerFailed,
    Unauthorized,
)
from asyncrouter._types import Call, Chunk, Usage
from asyncrouter._wire.gemini.answer import BROKEN, FINISH
from asyncrouter._wire.gemini.wire import Gemini
from asyncrouter._wire.registry import wire_for
from tests.helpers.captured import state
from tests.helpers.gemini_fixtures import (
    ANSWER,
    BARE_ERROR,
    BLOCKED,
    CALLS,
    FILTERED,
    NAMED_CALL,
    OVERLOADED,
    RETRY,
    STREAMS,
    TEXT,
    THOUGHTS,
    error,
    fragment,
    quota,
    sse,
    usage,
)

PROVIDER = Provider(name="gemini", base_url="https://generativelanguage.googleapis.com/v1beta", wire="gemini")
WIRE = Gemini(PROVIDER, wall=lambda: 1_700_000_000.5)
MODEL = Model(provider="gemini", id="gemini-3.1-pro", drop=("user", "top_p"))
OLD = Model(provider="gemini", id="gemini-2.5-flash")
USER = [{"role": "user", "content": "Hi"}]
SSE = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json; charset=UTF-8"}


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


def stream(*documents: object, chunks: list[Chunk] | None = None, **params: object):
    decoder = WIRE.decoder(SSE, params)
    decoder.feed(sse(*documents), chunks)
    return decoder


def body(document: object, **params: object):
    decoder = WIRE.decoder(JSON, params)
    decoder.feed(document if isinstance(document, bytes) else orjson.dumps(document))
    return decoder


def tool_call(identifier: str = "call_1", name: str = "weather", **extra: object) -> dict:
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": '{"city":"Ulm"}'}, **extra}


# What is sent


def test_a_request_is_complete() -> None:
    """Address, headers and body of a plain call."""
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
    """As events, uncompressed; the provider's own query stays."""
    wire = Gemini(Provider(base_url="https://g/v1beta/", wire="gemini", query={"region": "eu"}))
    request = wire.encode(call(), OLD, {}, None, stream=True, connect=None)

    assert request.url == "https://g/v1beta/models/gemini-2.5-flash:streamGenerateContent?region=eu&alt=sse"
    assert request.headers["Accept-Encoding"] == "identity"
    assert "x-goog-api-key" not in request.headers


@pytest.mark.parametrize(
    ("model_id", "expected"),
    [("models/gemini-x", "models/gemini-x"), ("tunedModels/mine", "tunedModels/mine"), ("a b?c", "models/a%20b%3Fc")],
)
def test_a_model_stands_in_the_address(model_id: str, expected: str) -> None:
    """A full resource name is kept; nothing in an id can end the path."""
    url = encode(model=Model(provider="gemini", id=model_id)).url

    assert url == f"{PROVIDER.base_url}/{expected}:generateContent"


def test_system_messages_stand_apart() -> None:
    """Wherever they stood; alone, they are what the user says."""
    system = {"role": "system", "content": "Be brief."}
    body = sent([system, *USER, {"role": "developer", "content": "In verse."}])

    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "In verse."}]}
    assert body["contents"] == [{"role": "user", "parts": [{"text": "Hi"}]}]
    assert sent([system]) == {"contents": [{"role": "user", "parts": [{"text": "Be brief."}]}]}


def test_images_are_inline_or_linked() -> None:
    """A data: URL is taken apart, an address is handed on with the type its name tells."""
    urls = ["data:image/png;base64,AAEC", "https://x.test/a.JPG?size=2", "https://x.test/picture"]
    message = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}} for url in urls]}

    assert contents(message)[0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "AAEC"}},
        {"fileData": {"fileUri": "https://x.test/a.JPG?size=2", "mimeType": "image/jpeg"}},
        {"fileData": {"fileUri": "https://x.test/picture"}},
    ]


def test_sound_and_files_are_inline() -> None:
    """Chat Completions' other two kinds of media."""
    parts = [
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AB=="}},
    ]

    assert contents({"role": "user", "content": parts})[0]["parts"] == [
        {"inlineData": {"mimeType": "audio/wav", "data": "AA=="}},
        {"inlineData": {"mimeType": "application/pdf", "data": "AB=="}},
    ]


def test_googles_own_parts_go_out_as_they_are() -> None:
    """A part without a type is not Chat Completions'; one with a type nobody knows is turned down with its place."""
    own = {"fileData": {"fileUri": "https://youtu.be/x"}, "videoMetadata": {"fps": 1}}

    assert [own] == contents({"role": "user", "content": [own]})[0]["parts"]
    with pytest.raises(Rejected, match=r"messages\[0\].content\[0\]: generateContent takes no part of type 'video'"):
        contents({"role": "user", "content": [{"type": "video", "video": {}}]})


def test_tool_calls_and_results() -> None:
    """Results are matched by name, stand by themselves, and are objects."""
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


def test_a_result_without_its_call_is_named() -> None:
    """Gemini matches by name, so there must be one."""
    lost = {"role": "tool", "tool_call_id": "call_9", "content": "x"}

    assert contents({**lost, "name": "f"})[0]["parts"][0]["functionResponse"]["name"] == "f"
    with pytest.raises(ValueError, match=r"messages\[0\].tool_call_id: no earlier call is 'call_9'"):
        contents(lost)


def test_a_failed_tool_says_so() -> None:
    """`is_error`, as Anthropic's results have it, is Google's key "error"; a picture goes beside the words."""
    assistant = {"role": "assistant", "tool_calls": [tool_call()]}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    result = {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "no"}, picture]}

    assert contents(assistant, {**result, "is_error": True})[1]["parts"][0]["functionResponse"] == {
        "name": "weather", "response": {"error": "no"},
        "parts": [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}],
    }


@pytest.mark.parametrize("documents", [CALLS, NAMED_CALL], ids=["calls", "named call"])
def test_an_answer_goes_back_as_it_came(documents: tuple[dict, ...]) -> None:
    """The reply's message, put into the conversation, is Google's parts again: signatures and Google's own ids."""
    message = stream(*documents).reply.raw["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": made["id"], "content": "1"} for made in message["tool_calls"]]
    came = copy.deepcopy(documents)
    parts = [part for document in came for part in document["candidates"][0]["content"]["parts"]]
    calls = [part for part in parts if part.get("text") != ""]
    for part in calls:
        if "functionCall" in part:
            part["functionCall"].setdefault("args", {})
    said = contents(*USER, message, *results)

    assert calls == said[1]["parts"]
    assert [part["functionCall"].get("id") for part in calls if "functionCall" in part] == [
        part["functionResponse"].get("id") for part in said[2]["parts"]
    ]


def test_the_signature_of_a_text_goes_back_too() -> None:
    """It stands at the last part; the thoughts themselves stay out."""
    message = stream(*THOUGHTS).reply.raw["choices"][0]["message"]

    assert contents(*USER, message)[1]["parts"] == [{"text": "There are three.", "thoughtSignature": "EpoBCpcB"}]


def test_another_vendors_call_is_marked() -> None:
    """Gemini 3 turns down a call without a signature; its page gives the word that stands for none."""
    message = {"role": "assistant", "tool_calls": [tool_call(), tool_call("call_2")]}
    marked = [part.get("thoughtSignature") for part in contents(message)[0]["parts"]]

    assert marked == ["skip_thought_signature_validator", None]
    assert "thoughtSignature" not in contents(message, model=OLD)[0]["parts"][0]


def test_another_vendors_thoughts_stay_out() -> None:
    """Signed blocks of Anthropic's mean nothing here."""
    thoughts = [{"type": "thinking", "thinking": "Hm.", "signature": "s"}]

    assert contents({"role": "assistant", "content": "Hi", "thinking_blocks": thoughts})[0]["parts"] == [{"text": "Hi"}]
    assert len(contents(*USER, {"role": "assistant", "content": "", "thinking_blocks": thoughts})) == 1


TOOL = {"type": "function", "function": {
    "name": "f", "description": "d", "strict": True, "parameters": {"type": "object", "additionalProperties": False},
}}


def test_tools_are_declarations() -> None:
    """Schemas go where JSON Schema is understood; Google's own tools as they are."""
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
def test_tool_choice(choice: object, expected: dict) -> None:
    """Chat Completions' words for it and Google's; the caller's `toolConfig` is laid over."""
    body = sent(tools=[TOOL], tool_choice=choice, toolConfig={"retrievalConfig": {}})

    assert body["toolConfig"] == {"functionCallingConfig": expected, "retrievalConfig": {}}


def test_a_choice_without_tools_is_left_out() -> None:
    """There is nothing to choose from."""
    assert "toolConfig" not in sent(tool_choice="auto", tools=[])


def test_parameters_have_googles_names() -> None:
    """What generateContent has a word for."""
    assert config(
        temperature=1, top_k=5, seed=7, n=2, presence_penalty=0.1, frequency_penalty=0.2, logprobs=True,
        top_logprobs=3, max_tokens=9, stop=".", modalities=["text", "image"],
    ) == {
        "temperature": 1, "topK": 5, "seed": 7, "candidateCount": 2, "presencePenalty": 0.1, "frequencyPenalty": 0.2,
        "responseLogprobs": True, "logprobs": 3, "maxOutputTokens": 9, "stopSequences": ["."],
        "responseModalities": ["TEXT", "IMAGE"],
    }


def test_the_newer_name_of_a_limit_goes_first() -> None:
    """`max_tokens` is the deprecated one; a list of stop words stays a list."""
    assert config(max_tokens=1, max_completion_tokens=9) == {"maxOutputTokens": 9}
    assert config(stop=["a", "b"]) == {"stopSequences": ["a", "b"]}


def test_what_has_no_word_is_left_out() -> None:
    """Google would answer 400; what the model drops, and what is None, is left out as well."""
    assert sent(
        user="u", top_p=0.5, logit_bias={}, metadata={}, parallel_tool_calls=False, service_tier="auto", seed=None,
        safetySettings=None, store=True, prompt_cache_options={}, moderation={},
    ).keys() == {"contents"}


def test_what_would_change_the_answer_is_turned_down() -> None:
    """So that the chain goes on; the message says how to leave it out."""
    with pytest.raises(Rejected, match=r"functions=.*drop = \['functions'\]"):
        sent(functions=[{}])


def test_native_parameters_pass_through() -> None:
    """`generationConfig` is laid over ours; the caller's objects stay as they are."""
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
def test_response_format(shape: dict, expected: dict) -> None:
    """Any JSON object, or one that fits a schema."""
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
def test_reasoning(model_id: str, params: dict, expected: dict) -> None:
    """A level since Gemini 3, tokens before; thoughts are asked for, as the first sign of life."""
    assert config(Model(provider="gemini", id=model_id), **params)["thinkingConfig"] == expected


def test_mistakes_are_named_before_anything_is_sent() -> None:
    """In the caller's words, not in Google's."""
    with pytest.raises(ValueError, match="reasoning_effort: expected one of none, minimal"):
        sent(reasoning_effort="hard")
    with pytest.raises(ValueError, match="generationConfig: expected a mapping, got 5"):
        sent(generationConfig=5)
    with pytest.raises(ValueError, match=r"^temperature: JSON has no nan"):
        sent(temperature=math.nan)
    with pytest.raises(ValueError, match=r"messages\[0\].tool_calls\[0\].function.arguments: not JSON"):
        contents({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]})


def test_what_the_caller_gave_is_not_changed() -> None:
    """Messages and parameters can be used again."""
    messages = [*USER, {"role": "assistant", "tool_calls": [tool_call()]}]
    params = {"tools": [TOOL], "tool_choice": "auto", "generationConfig": {"topK": 1}, "max_tokens": 5}
    before = copy.deepcopy((messages, params))
    sent(messages, **params)

    assert before == (messages, params)


# What comes back


def test_a_stream_of_text() -> None:
    """Fragments add up; counts are cumulative; the answer is known by Google's id and dated by our clock."""
    chunks: list[Chunk] = []
    decoder = stream(*TEXT, chunks=chunks)
    reply = decoder.reply

    assert decoder.close() is None
    assert "One, two, thrée \u2028 \U0001f600." == reply.text == "".join(chunk.text for chunk in chunks)
    assert (reply.finish_reason, reply.served_model, reply.usage) == ("stop", "gemini-3.1-flash", Usage(9, 7))
    assert (decoder.content, decoder.skipped, decoder.cost_usd) == (3, 0, None)
    assert decoder.final() == Chunk("", finish_reason="stop", usage=Usage(9, 7))
    assert {
        "id": "mAitaLmkHPPlz7IPvtfUqQ4", "object": "chat.completion", "created": 1_700_000_000,
        "model": "gemini-3.1-flash",
        "choices": [{
            "index": 0, "message": {"role": "assistant", "content": reply.text}, "finish_reason": "stop",
            "native_finish_reason": "STOP",
        }],
        "usage": {
            "prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16,
            "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0},
        },
    } == reply.raw


def test_thoughts_are_reasoning() -> None:
    """They are content and output, but no text; what Google's own tools brought is input."""
    chunks: list[Chunk] = []
    decoder = stream(*THOUGHTS, chunks=chunks)

    assert decoder.close() is None
    assert (decoder.reply.text, decoder.reply.reasoning) == ("There are three.", "**Counting**\n")
    assert decoder.reply.usage == Usage(8, 24, 2, 20)
    assert [(chunk.text, chunk.reasoning) for chunk in chunks] == [("", "**Counting**\n"), ("There are three.", "")]


def test_function_calls_are_tool_calls() -> None:
    """With ids of ours where Google has none, arguments as JSON text, and the finish reason that says so."""
    chunks: list[Chunk] = []
    reply = stream(*CALLS, chunks=chunks).reply

    assert reply.finish_reason == "tool_calls"
    assert [(made["id"], made["function"]["name"], made["function"]["arguments"]) for made in reply.tool_calls] == [
        ("call_mAitaLmkHPPlz7IPvtfUqQ4_0", "weather", '{"city":"Ulm","days":2}'),
        ("call_mAitaLmkHPPlz7IPvtfUqQ4_1", "weather", '{"city":"Bonn"}'),
        ("call_mAitaLmkHPPlz7IPvtfUqQ4_2", "now", "{}"),
    ]
    assert reply.tool_calls[0]["extra_content"] == {"google": {"thought_signature": "CiQB4/H/"}}
    assert [delta["index"] for chunk in chunks for delta in chunk.tool_calls] == [0, 1, 2]


def test_googles_own_id_is_kept() -> None:
    """Models since Gemini 3 give one, and want it back."""
    (made,) = stream(*NAMED_CALL).reply.tool_calls

    assert made["id"] == "7xk2m9ab"
    assert made["extra_content"]["google"]["function_call_id"] == "7xk2m9ab"


def test_an_answer_without_an_id_still_names_its_calls() -> None:
    """By the instant of the answer."""
    document = fragment({"functionCall": {"name": "f"}}, finish="STOP")
    del document["responseId"]

    assert stream(document).reply.tool_calls[0]["id"] == "call_1700000000500000_0"


def test_text_before_the_filter_is_a_reply() -> None:
    """Its finish reason is for the caller to see, and so are Google's ratings."""
    decoder = stream(*FILTERED)

    assert decoder.close() is None
    assert (decoder.reply.text, decoder.reply.finish_reason) == ("Once upon", "content_filter")
    assert True is decoder.reply.raw["choices"][0]["safetyRatings"][0]["blocked"]


@pytest.mark.parametrize("reason", [reason for reason, finish in FINISH.items() if finish == "content_filter"])
def test_nothing_but_the_filter_is_a_refusal(reason: str) -> None:
    """With Google's word for it."""
    error = body({"candidates": [{"finishReason": reason, "index": 0}], **ANSWER}).close()

    assert (Refused, reason, ANSWER["responseId"]) == (type(error), error.code, error.request_id)


def test_a_blocked_prompt_is_a_refusal() -> None:
    """No candidates and the reason, streamed or not."""
    for decoder in (stream(BLOCKED), body(BLOCKED), body([BLOCKED])):
        error = decoder.close()
        assert (Refused, "PROHIBITED_CONTENT") == (type(error), error.code)
        assert error.message == "the prompt was blocked: PROHIBITED_CONTENT"


def test_a_prompt_blocked_while_it_was_answered() -> None:
    """What has come is a filtered answer, and nothing more comes."""
    decoder = stream(TEXT[0], BLOCKED)

    assert (decoder.close(), decoder.done) == (None, True)
    assert (decoder.reply.text, decoder.reply.finish_reason) == ("One, tw", "content_filter")


@pytest.mark.parametrize(("reason", "kind"), BROKEN.items())
def test_an_answer_that_went_wrong(reason: str, kind: type) -> None:
    """No success, whatever has come, and reading stops; Google's explanation is in the message."""
    decoder = stream(TEXT[0], fragment({"text": "x"}, finish=reason, finishMessage="Malformed function call: f("))
    error = decoder.close()

    assert (kind, reason, True) == (type(error), error.code, decoder.done)
    assert error.message == f"finish reason {reason}: Malformed function call: f("


def test_a_finish_reason_we_do_not_know() -> None:
    """Counts as "stop" beside words, and as an empty answer without them."""
    assert stream(fragment({"text": "x"}, finish="NEW")).reply.finish_reason == "stop"
    assert BadReply is type(stream(fragment(finish="NEW")).close())
    assert BadReply is type(stream(fragment({"text": "x"}, finish="FINISH_REASON_UNSPECIFIED")).close())


def test_one_body() -> None:
    """The same answer without a stream, and as the JSON list that a stream without `alt=sse` is."""
    joined = fragment({"text": "One, two, thrée \u2028 \U0001f600."}, finish="STOP", usage=usage(9, 7))
    expected = stream(*TEXT).reply
    for document in (joined, [joined], list(TEXT)):
        decoder = body(document)
        assert None is decoder.close()
        assert (expected, expected.raw) == (decoder.reply, decoder.reply.raw)


def test_candidates_are_choices() -> None:
    """The reply speaks of the first; it is whole when all that were asked for are."""
    second = fragment({"text": "B"}, finish="STOP")
    second["candidates"][0]["index"] = 1
    first = fragment({"text": "A"}, finish="STOP")

    for params in ({"n": 2}, {"generationConfig": {"candidateCount": 2}}):
        assert BadReply is type(stream(first, **params).close())
        decoder = stream(second, first, **params)
        assert (decoder.close(), decoder.reply.text) == (None, "A")
        assert [choice["message"]["content"] for choice in decoder.reply.raw["choices"]] == ["A", "B"]


def test_an_empty_answer_to_a_stop_word() -> None:
    """It may rightly be empty, whichever way the word was given."""
    empty = fragment(finish="STOP")

    assert BadReply is type(stream(empty).close())
    assert None is stream(empty, stop=["."]).close()
    assert None is stream(empty, generationConfig={"stopSequences": ["."]}).close()


def test_pictures_and_other_parts_are_in_raw() -> None:
    """A picture where OpenRouter puts one, what Chat Completions has no word for as it came."""
    code = {"executableCode": {"language": "PYTHON", "code": "1"}}
    picture = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
    decoder = stream(fragment({"text": "Here"}, picture), fragment(code, finish="STOP"))
    message = decoder.reply.raw["choices"][0]["message"]

    assert message["images"] == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
    assert [code] == message["parts"]


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_no_success_before_its_finish_reason(name: str) -> None:
    """At every byte an end is judged without an exception, and is no success before the last fragment is whole."""
    data = sse(*STREAMS[name])
    whole, feed = WIRE.decoder(SSE, {}), WIRE.decoder(SSE, {})
    whole.feed(data)
    for at in range(len(data)):
        feed.feed(data[at : at + 1])
        error = feed.close()
        assert error is None or isinstance(error, AttemptError)
        assert (error is None) == (at >= len(data) - len(b"}\r\n\r\n"))

    assert state(whole) == state(feed)


@pytest.mark.parametrize("name", STREAMS)
def test_a_cut_stream_says_what_has_come(name: str) -> None:
    """The reply so far and the chunks agree at every byte."""
    data, chunks = sse(*STREAMS[name]), []
    decoder = WIRE.decoder(SSE, {})
    for at in range(len(data)):
        decoder.feed(data[at : at + 1], chunks)
        unseen = decoder.final()
        assert decoder.reply.text == "".join(chunk.text for chunk in chunks) + unseen.text
        assert len(decoder.reply.tool_calls) == sum(len(chunk.tool_calls) for chunk in [*chunks, unseen])


@pytest.mark.parametrize("name", STREAMS)
def test_a_body_is_a_success_only_when_whole(name: str) -> None:
    """A JSON list of fragments that is cut anywhere is a `BadReply`."""
    data = orjson.dumps(STREAMS[name])
    decoder = WIRE.decoder(JSON, {})
    for at in range(len(data)):
        assert isinstance(decoder.close(), BadReply)
        decoder.feed(data[at : at + 1])

    assert None is decoder.close()


@pytest.mark.parametrize("end", [b"\n\n", b"\r\r", b"\r\n\r\n"])
def test_line_ends(end: bytes) -> None:
    """Any that the standard allows."""
    decoder = WIRE.decoder(SSE, {})
    decoder.feed(sse(*TEXT, end=end))

    assert (decoder.close(), decoder.reply.text) == (None, "One, two, thrée \u2028 \U0001f600.")


def test_a_reply_crosses_processes() -> None:
    """With its `raw`."""
    reply = stream(*CALLS).reply
    copied = pickle.loads(pickle.dumps(reply))

    assert (reply, reply.raw) == (copied, copied.raw)


# Errors


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(sse(TEXT[0]) + BARE_ERROR, id="bare, after a fragment"),
        pytest.param(sse(TEXT[0]) + orjson.dumps([OVERLOADED], option=orjson.OPT_INDENT_2), id="bare, in a list"),
        pytest.param(BARE_ERROR, id="bare, in the place of a stream"),
        pytest.param(sse(TEXT[0], OVERLOADED), id="an event"),
        pytest.param(sse(TEXT[0], [OVERLOADED]), id="an event with a list"),
        pytest.param(sse(TEXT[0], orjson.dumps(OVERLOADED))[:-4], id="an event without its end"),
    ],
)
def test_an_error_in_a_stream(data: bytes) -> None:
    """Wherever it stands it is the error it names, at every cut of the bytes no success."""
    decoder = WIRE.decoder(SSE, {})
    for at in range(len(data)):
        decoder.feed(data[at : at + 1])
        assert isinstance(decoder.close(), AttemptError)
    error = decoder.close()

    assert (ServerFailed, 503, "UNAVAILABLE") == (type(error), error.status, error.code)
    assert error.message == "The model is overloaded. Please try again later."


def test_an_error_after_the_end_is_an_error() -> None:
    """A provider that takes its answer back, also without the line end that would make it an event."""
    decoder = WIRE.decoder(SSE, {})
    decoder.feed(sse(*TEXT))
    assert decoder.close() is None

    decoder.feed(b'{"error": {"code": 503, "message": "gone"}}')
    assert (ServerFailed, "gone") == (type(decoder.close()), decoder.close().message)


@pytest.mark.parametrize("index", [True, 1.0, "0"])
def test_an_index_that_is_none_breaks_the_answer(index: object) -> None:
    """Nobody can say whose words these are."""
    candidate = {"content": {"parts": [{"text": "o"}]}, "index": index, "finishReason": "STOP"}

    assert BadReply is type(stream(*TEXT, {"candidates": [candidate]}).close())


def test_an_error_in_a_body() -> None:
    """A 200 that holds one, alone or after fragments."""
    for document in (OVERLOADED, [OVERLOADED], [*TEXT, OVERLOADED]):
        assert ServerFailed is type(body(document).close())


def test_no_answer_at_all() -> None:
    """An empty stream, a page, an object without candidates."""
    for decoder in (stream(), body(b"<html>busy</html>"), body({}), body([]), body(b""), stream({})):
        assert BadReply is type(decoder.close())


DAY, MINUTE = "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "GenerateRequestsPerMinutePerProjectPerModel"
NO_PLAN = error(
    429, "RESOURCE_EXHAUSTED", "You exceeded your current quota. * Quota exceeded for metric: "
    "generativelanguage.googleapis.com/x, limit: 0, model: gemini-x\nPlease retry in 38s.", RETRY,
)
FAILURES = [
    (400, error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."), Unauthorized),
    (400, error(400, "INVALID_ARGUMENT",
     "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."), ContextTooLong),
    (400, error(400, "INVALID_ARGUMENT", "Function call is missing a thought_signature in functionCall parts."),
     Rejected),
    (400, error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), Unauthorized),
    (400, error(400, "FAILED_PRECONDITION", "Gemini API free tier is not available in your country. Please enable "
     "billing on your project in Google AI Studio."), Unauthorized),
    (400, error(400, "FAILED_PRECONDITION", "The File abc is not in an ACTIVE state and usage is not allowed."),
     Rejected),
    (401, error(401, "UNAUTHENTICATED"), Unauthorized),
    (402, error(402, "RESOURCE_EXHAUSTED", "billing"), OutOfCredit),
    (403, error(403, "PERMISSION_DENIED"), Unauthorized),
    (404, error(404, "NOT_FOUND", "models/gemini-1.0 is not found for API version v1beta"), Rejected),
    (429, error(429, "RESOURCE_EXHAUSTED", "m", quota(MINUTE), RETRY), RateLimited),
    (429, error(429, "RESOURCE_EXHAUSTED", "m", quota(MINUTE, DAY), RETRY), RateLimited),
    (429, error(429, "RESOURCE_EXHAUSTED", "m", quota(DAY, "SearchesPerDayPerProject"), RETRY), OutOfCredit),
    (429, NO_PLAN, RateLimited),
    (429, error(429, "RESOURCE_EXHAUSTED", "Quota exceeded for metric: x, limit: 0", quota(MINUTE), RETRY),
     RateLimited),
    (429, error(429, "RESOURCE_EXHAUSTED", "Quota exceeded for metric: x, limit: 0"), OutOfCredit),
    (429, error(429, "RESOURCE_EXHAUSTED", "Quota exceeded for metric: x, limit: 05, model: y"), RateLimited),
    (429, error(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."), OutOfCredit),
    (500, error(500, "INTERNAL"), ServerFailed),
    (503, OVERLOADED, ServerFailed),
    (504, error(504, "DEADLINE_EXCEEDED"), ServerFailed),
]


@pytest.mark.parametrize(("status", "document", "kind"), FAILURES)
def test_a_failed_response(status: int, document: dict, kind: type) -> None:
    """Google's codes, by themselves and in a list of one."""
    for written in (document, [document]):
        found = WIRE.failure(status, JSON, orjson.dumps(written))
        assert (kind, status, document["error"]["status"]) == (type(found), found.status, found.code)


def test_retry_info_is_a_pause() -> None:
    """Seconds, from the details."""
    document = error(429, "RESOURCE_EXHAUSTED", "m", quota(MINUTE), RETRY)

    assert WIRE.failure(429, JSON, orjson.dumps([document])).retry_after == 38.0


@pytest.mark.parametrize("document", [error(429, "RESOURCE_EXHAUSTED", "m", quota(DAY), RETRY), NO_PLAN])
def test_a_models_used_up_quota_holds_the_model_for_the_day(document: dict) -> None:
    """However soon Google says to retry: until midnight in California; the key's other models go on."""
    found = WIRE.failure(429, JSON, orjson.dumps(document))

    assert (RateLimited, "never", 35_199.5) == (type(found), found.again, found.retry_after)


# What cannot be read


@pytest.mark.parametrize(
    "document",
    [
        {"candidates": "x"}, {"candidates": [None]}, {"candidates": [{"index": "x"}]},
        {"candidates": [{"content": "x"}]}, {"candidates": [{"content": {"parts": "x"}}]},
        {"candidates": [{"finishReason": {}}]},
        fragment("x"), fragment({"text": 7}), fragment({"text": "x", "thought": ""}),
        fragment({"functionCall": "x"}), fragment({"functionCall": {"name": ""}}),
        fragment({"functionCall": {"name": "f", "args": "x"}}), fragment({"functionCall": {"name": "f"}, "text": "x"}),
    ],
)
def test_a_shape_in_which_nothing_can_be_read_fails_the_answer(document: dict) -> None:
    """What stood there is lost; an end that looks whole does not bring it back."""
    error = stream(TEXT[0], document, TEXT[-1]).close()

    assert type(error) is BadReply
    assert error.message.startswith("malformed: ")


def test_done_is_no_word_of_googles() -> None:
    """An answer that has not said why it ends is cut, whoever says that it is done."""
    assert type(stream(TEXT[0], b"[DONE]").close()) is BadReply


def test_a_finish_reason_in_small_letters() -> None:
    """As Google's own client takes it."""
    assert stream(fragment({"text": "x"}, finish="max_tokens")).reply.finish_reason == "length"


# What is listed


def test_the_list_of_models() -> None:
    """All on one page, their ids without the collection's name."""
    request = WIRE.list_models("k")
    listed = {"models": [{"name": "models/gemini-x", "inputTokenLimit": 1}, {"name": "tunedModels/y"}, {}, 3]}

    assert (request.method, request.url) == ("GET", f"{PROVIDER.base_url}/models?pageSize=1000")
    assert request.headers["x-goog-api-key"] == "k"
    assert WIRE.parse_models(orjson.dumps(listed)) == ["gemini-x", "tunedModels/y"]
    for wrong in (b"<html>", b"{}", b"3"):
        with pytest.raises(BadReply, match="no list of models"):
            WIRE.parse_models(wrong)


def test_the_registry_knows_it() -> None:
    """By the provider's `wire`."""
    wire = wire_for(PROVIDER, lambda: 0.0)

    assert Gemini is type(wire)
    assert repr(wire) == "<Gemini wire of gemini>"


# Whatever comes

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([
        "candidates", "content", "parts", "text", "thought", "functionCall", "name", "args", "id", "index",
        "finishReason", "promptFeedback", "blockReason", "usageMetadata", "promptTokenCount", "error", "code",
        "message", "status", "details", "violations", "quotaId", "inlineData", "mimeType", "data", "choices", "delta",
    ]), inner, max_size=4),
    max_leaves=25,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_JSON, max_size=4))
def test_no_document_raises(documents: list[object]) -> None:
    """Any JSON in any place is judged, and what is said about it can be asked for."""
    written = [orjson.dumps(document) for document in documents]
    for decoder in (stream(*written), body(b"[" + b",".join(written) + b"]"), stream(TEXT[0], *written)):
        assert isinstance(decoder.close(), AttemptError | None)
        orjson.dumps(decoder.reply.raw)
        decoder.final()
    for document in written:
        for status in (200, 400, 429):
            assert isinstance(WIRE.failure(status, JSON, document), AttemptError)


def test_arguments_nested_too_deep() -> None:
    """JSON that can be read but not written again is no answer."""
    deep = b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a":' + b"[" * 400 + b"]" * 400
    decoder = stream(deep + b'}}}]},"finishReason":"STOP"}]}')

    assert BadReply is type(decoder.close())
