"""What only one vendor can read stays out for every other candidate, and what a vendor demands is put in."""

from __future__ import annotations

import copy
import math
import re
from typing import Any

import orjson
import pytest

from asyncrouter._config.catalog import Model, Provider, WireName
from asyncrouter._errors import Rejected
from asyncrouter._types import Call
from asyncrouter._wire.registry import wire_for
from tests.helpers import anthropic_fixtures as claude

HOSTS = {
    "openai": "https://api.openai.com/v1", "azure": "https://mine.openai.azure.com/openai/v1",
    "mistral": "https://api.mistral.ai/v1", "groq": "https://api.groq.com/openai/v1",
    "cerebras": "https://api.cerebras.ai/v1", "deepseek": "https://api.deepseek.com", "xai": "https://api.x.ai/v1",
    "openrouter": "https://openrouter.ai/api/v1", "local": "http://127.0.0.1:8000/v1",
    "lmstudio": "http://localhost:1234/v1", "together": "https://api.together.xyz/v1",
}
STRICT = ("openai", "azure", "mistral", "groq", "cerebras")
HI = {"role": "user", "content": "Hi"}


def call_of(identifier: str = "aB3dE6gH9", name: str = "f", **extra: object) -> dict[str, object]:
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": "{}"}, **extra}


def result_of(identifier: str = "aB3dE6gH9") -> dict[str, object]:
    return {"role": "tool", "tool_call_id": identifier, "content": "1"}


def body_of(
    host: str, *messages: object, model: str = "m", wire: WireName = "openai", drop: tuple[str, ...] = (),
    **params: object,
) -> Any:
    """The body that goes to this host."""
    provider = Provider(name="p", base_url=HOSTS.get(host, host), wire=wire)
    call = Call(list(messages) or [HI], {}, {}, 0.0, math.inf)
    made = Model(provider="p", id=model, drop=drop)
    request = wire_for(provider, lambda: 0.0).encode(call, made, params, "k", stream=False, connect=None)
    return orjson.loads(request.body)


def sent(host: str, *messages: object, **more: Any) -> Any:
    return body_of(host, *messages, **more)["messages"]


ARTEFACTS: dict[str, object] = {
    "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}], "content_blocks": [],
    "content_parts": [], "parts": [], "origin": {"host": "h", "provider": "p", "model": "m"},
    "responses_output": {"output": []}, "phase": "final_answer", "reasoning": "hm", "reasoning_content": "hm",
    "reasoning_details": [{"type": "reasoning.text", "text": "hm"}], "extra_content": {"google": {}}, "images": [],
    "annotations": [], "cache_control": {"type": "ephemeral"}, "provider_specific_fields": {},
}
SAID = {"role": "assistant", "content": "So.", **ARTEFACTS,
        "tool_calls": [call_of(extra_content={"google": {}}, index=0)]}


@pytest.mark.parametrize("host", STRICT)
def test_strict_hosts_get_nothing_that_they_do_not_know(host: str) -> None:
    """Fields of messages, of calls and of parts, whoever made them; the caller's objects stay as they are."""
    marked = {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {}}], "cache_control": {}}
    conversation = [{"role": "system", "content": "s", "cache_control": {}}, marked, SAID,
                    {**result_of(), "is_error": True, "cache_control": {}}]
    before = copy.deepcopy(conversation)
    system, user, said, result = sent(host, *conversation)
    [made] = said["tool_calls"]

    assert system == {"role": "system", "content": "s"}
    assert user == {"role": "user", "content": [{"type": "text", "text": "a"}]}
    assert said.keys() <= {"role", "content", "tool_calls", "reasoning"}
    assert ("reasoning" in said) == (host == "cerebras" and "origin" not in SAID)
    assert {name: made[name] for name in made if name != "index"} == call_of()
    assert result == result_of()
    assert conversation == before


@pytest.mark.parametrize("host", ["openrouter", "local", "together"])
def test_what_is_ours_goes_to_nobody(host: str) -> None:
    """In what this package keeps for another API no host of Chat Completions can read anything."""
    said = sent(host, HI, SAID, result_of())[1]

    assert said.keys() == SAID.keys() - {
        "content_blocks", "content_parts", "parts", "origin", "responses_output", "phase", "thinking_blocks",
        "extra_content", "reasoning",  # made by the author that `origin` names
    }
    assert said["tool_calls"] == [{**call_of(), "index": 0}]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("anthropic/claude-opus-5", {"thinking_blocks"}), ("google/gemini-3.8-flash", {"extra_content"}),
        ("openai/gpt-6-sol", set()), ("mistralai/mistral-large-4", set()),
        ("deepseek/deepseek-v4-flash", {"reasoning_content"}), ("x-ai/grok-4.7", {"reasoning_content"}),
        ("a-proxys-alias", {"thinking_blocks", "extra_content", "reasoning_content"}),
    ],
)
def test_artefacts_of_unknown_origin_go_to_those_who_could_have_made_them(model: str, expected: set[str]) -> None:
    """A proxy may have any model behind an alias; a vendor's own id says whose artefacts it reads."""
    names = ("thinking_blocks", "extra_content", "reasoning_content")
    said = {"role": "assistant", "content": "So.", **{name: ARTEFACTS[name] for name in names}}

    assert sent("openrouter", HI, said, HI, model=model)[1].keys() & set(names) == expected


def test_details_of_openrouters_reasoning_go_to_the_models_that_read_them() -> None:
    """Each says by its format whose it is; one that does not may be anybody's."""
    details = [{"type": "reasoning.encrypted", "data": name, "format": name} for name in (
        "anthropic-claude-v1", "openai-responses-v1", "google-gemini-v1", "xai-responses-v1", "unknown")]
    details.append({"type": "reasoning.text", "text": "t"})
    said = {"role": "assistant", "content": "So.", "reasoning_details": details}

    def kept(model: str) -> list[object]:
        return [detail.get("data") for detail in sent("openrouter", HI, said, HI, model=model)[1]["reasoning_details"]]

    assert kept("anthropic/claude-opus-5") == ["anthropic-claude-v1", "unknown", None]
    assert kept("openai/gpt-6-sol") == ["openai-responses-v1", "unknown", None]
    assert kept("google/gemini-4-argon") == ["google-gemini-v1", "unknown", None]
    assert len(kept("an-alias")) == 6


@pytest.mark.parametrize("host", STRICT)
def test_parts_that_only_another_vendor_has_said(host: str) -> None:
    """Thoughts and native blocks in an assistant's content are left out; the text stays."""
    content = [{"type": "reasoning", "text": "hm"}, {"type": "tool_use", "id": "t"}, {"type": "text", "text": "So."}]

    assert sent(host, HI, {"role": "assistant", "content": content}, HI)[1]["content"] == [
        {"type": "text", "text": "So."}]
    assert sent(host, HI, {"role": "assistant", "content": content[:2]}, HI)[1]["content"] == ""


@pytest.mark.parametrize("host", ["openai", "local", "openrouter"])
def test_an_assistant_that_says_nothing_any_more(host: str) -> None:
    """`null` alone is refused: without calls there is an empty text, and an empty list of calls is left out."""
    assert sent(host, HI, {"role": "assistant", "content": None, "images": [], "tool_calls": []}, HI)[1] == {
        "role": "assistant", "content": "", **({} if host == "openai" else {"images": []})}
    assert sent(host, HI, {"role": "assistant", "content": None, "tool_calls": [call_of()]}, result_of())[1] == {
        "role": "assistant", "content": None, "tool_calls": [call_of()]}


# ── what is demanded ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("params", "expected"),
    [({}, ""), ({"reasoning_effort": "low"}, ""), ({"reasoning_effort": "none"}, None),
     ({"thinking": {"type": "disabled"}}, None)],
)
def test_deepseek_wants_reasoning_back(params: dict[str, object], expected: str | None) -> None:
    """"" will do for messages of other models; its own goes back as it came."""
    called = {"role": "assistant", "content": None, "tool_calls": [call_of()]}
    own = {**called, "reasoning_content": "hm"}
    first, second = (
        sent("deepseek", HI, said, result_of(), model="deepseek-v4-flash", **params)[1] for said in (called, own))

    assert (first.get("reasoning_content"), second["reasoning_content"]) == (expected, "hm")


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}), ({"reasoning_effort": "medium"},
                                                                             {"reasoning_effort": "low"}),
        ({"reasoning_effort": "xhigh"}, {"reasoning_effort": "high"}), ({"reasoning": {"effort": "max"}},
                                                                        {"reasoning_effort": "max"}),
        ({"thinking": {"type": "adaptive"}}, {}), ({"thinking": {"type": "enabled", "budget_tokens": 5}},
                                                   {"thinking": {"type": "enabled"}}),
        ({"tools": [call_of()], "tool_choice": "required"}, {"thinking": {"type": "disabled"}}),
        ({"tools": [call_of()], "tool_choice": "required", "reasoning_effort": "high"},
         {"thinking": {"type": "disabled"}}),
        ({"tools": [call_of()], "tool_choice": "auto"}, {}),
    ],
)
def test_deepseeks_switch(params: dict[str, object], expected: dict[str, object]) -> None:
    """`thinking` turns it off, and it is off where a tool is forced ("Thinking mode does not support …")."""
    body = body_of("deepseek", model="deepseek-v4-pro", **params)

    assert {name: body[name] for name in ("thinking", "reasoning_effort", "reasoning") if name in body} == expected


def test_deepseek_has_no_schemas() -> None:
    """Another model of the chain may; any JSON object can be asked for."""
    with pytest.raises(Rejected, match=r"^response_format: this host takes no JSON schema"):
        body_of("deepseek", response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {}}})
    assert body_of("deepseek", response_format={"type": "json_object"})["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize(
    ("host", "model", "bridged"),
    [("mistral", "m", True), ("local", "mistralai/Devstral-Small-2-24B", True), ("openrouter", "mistralai/x", False),
     ("openai", "gpt-4.1", False), ("local", "m", False)],
)
def test_mistral_wants_an_assistant_between_tool_and_user(host: str, model: str, bridged: bool) -> None:
    """Wherever its models are served; a result that is followed by anybody else needs none."""
    called = {"role": "assistant", "content": "", "tool_calls": [call_of()]}
    conversation = [HI, called, result_of(), HI]
    roles = [message["role"] for message in sent(host, *conversation, model=model)]
    done = [message["role"] for message in sent(host, HI, called, result_of(), model=model)]

    assert roles == ["user", "assistant", "tool", *(["assistant"] if bridged else []), "user"]
    assert done == ["user", "assistant", "tool"]


def test_mistral_is_told_that_the_last_message_is_a_prefix() -> None:
    """It refuses an assistant's message at the end otherwise."""
    said = {"role": "assistant", "content": "{"}

    assert sent("mistral", HI, said)[-1] == {"prefix": True, **said}
    assert sent("mistral", HI, said, HI)[1] == said


# ── ids of tool calls ────────────────────────────────────────────────────────────────────────────────────────────────


LONG = "call_" + "x" * 100


@pytest.mark.parametrize(
    ("host", "model", "pattern"),
    [
        ("openai", "gpt-4.1", r"[\x20-\x7e]{1,64}"), ("local", "m", r"[\x20-\x7e]{1,64}"),
        ("mistral", "m", "[A-Za-z0-9]{9}"), ("openrouter", "mistralai/mistral-large-4", "[A-Za-z0-9]{9}"),
        ("openrouter", "anthropic/claude-opus-5", "[a-zA-Z0-9_-]{1,64}"),
    ],
)
@pytest.mark.parametrize("ids", [
    ("toolu_01AbC", "functions.f:0"), (LONG, LONG + "y"), ("", ""), (None, None), ("call_0", "call_0"), ("a.b", "a:b"),
])
def test_ids_have_the_form_that_is_taken(
    host: str, model: str, pattern: str, ids: tuple[str | None, str | None]
) -> None:
    """The same on both sides of the turn, made up where there is none, and each call has its own."""
    one, two = ids
    conversation: list[dict[str, object]] = [
        HI, {"role": "assistant", "content": None, "tool_calls": [{**call_of(), "id": one}, {**call_of(), "id": two}]},
        {**result_of(), "tool_call_id": one, "content": "1"}, {**result_of(), "tool_call_id": two, "content": "2"},
    ]
    before = copy.deepcopy(conversation)
    _, said, *results = sent(host, *conversation, model=model)
    made = [call["id"] for call in said["tool_calls"]]

    assert [result["tool_call_id"] for result in results] == made
    assert len(set(made)) == 2
    assert all(re.fullmatch(pattern, identifier) for identifier in made)
    assert conversation == before


def test_ids_that_are_taken_stay_and_ids_stay_the_same_as_a_conversation_grows() -> None:
    """So the provider's cache of the prompt stays valid."""
    turn = [{"role": "assistant", "content": None, "tool_calls": [call_of(""), call_of(LONG)]}, result_of(""),
            result_of(LONG)]
    later = ({"role": "assistant", "content": "a"}, HI, *turn)
    short, long = (sent("mistral", HI, *turn, *more) for more in ((), later))
    kept = sent("openai", HI, {"role": "assistant", "content": None, "tool_calls": [call_of("call_1")]},
                result_of("call_1"))

    assert long[: len(short)] == short
    assert kept[1]["tool_calls"] == [call_of("call_1")]


# ── tools and parameters ─────────────────────────────────────────────────────────────────────────────────────────────


FUNCTION = {"type": "function", "function": {"name": "f"}}
CUSTOM = {"type": "custom", "custom": {"name": "c"}}
ANTHROPICS = [{"type": "web_search_20250305", "name": "web_search"}, {"name": "own", "input_schema": {}}]
GOOGLES = [{"googleSearch": {}}, {"codeExecution": {}}]
OPENAIS = [{"type": "web_search"}, {"type": "file_search", "vector_store_ids": []}]
TOOLS = [FUNCTION, *ANTHROPICS, *GOOGLES, *OPENAIS]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("openai", [FUNCTION]), ("azure", [FUNCTION]), ("mistral", [FUNCTION]), ("deepseek", [FUNCTION]),
        ("cerebras", [FUNCTION]), ("groq", [FUNCTION]), ("openrouter", [FUNCTION, *OPENAIS]),
        ("local", [FUNCTION, *OPENAIS]),
    ],
)
def test_tools_of_other_vendors_stay_out(host: str, expected: list[object]) -> None:
    """Each vendor's built-in tools have a form of their own."""
    assert body_of(host, tools=TOOLS)["tools"] == expected


def test_the_other_apis_leave_foreign_tools_out_too() -> None:
    """And keep their own."""
    own = body_of("https://api.anthropic.com/v1", wire="anthropic", tools=TOOLS)["tools"]
    googles = body_of("https://g.test/v1beta", wire="gemini", tools=TOOLS)["tools"]

    assert [tool["name"] for tool in own] == ["f", "web_search", "own"]
    assert googles == [{"functionDeclarations": [{"name": "f"}]}, *GOOGLES]


@pytest.mark.parametrize(("host", "wire"), [("openai", "openai"), ("https://api.anthropic.com/v1", "anthropic")])
def test_a_choice_of_a_tool_that_stays_out_stays_out(host: str, wire: WireName) -> None:
    """And without any tool there is nothing to choose, or to call one after the other."""
    tools = [FUNCTION, GOOGLES[0]] if wire == "anthropic" else [FUNCTION, ANTHROPICS[0]]
    nothing = body_of(host, wire=wire, tools=tools[1:], tool_choice="required", parallel_tool_calls=False)

    assert "tool_choice" in body_of(host, wire=wire, tools=tools, tool_choice="required")
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & nothing.keys()
    assert "tool_choice" not in body_of(host, wire=wire, tool_choice="auto", parallel_tool_calls=True)


FOREIGN = {
    "anthropic": {"thinking": {"type": "adaptive"}, "top_k": 5, "system": "s", "cache_control": {}, "container": "c",
                  "context_management": {}, "mcp_servers": [], "output_config": {}},
    "google": {"generationConfig": {}, "safetySettings": [], "cachedContent": "c", "toolConfig": {}},
    "openrouter": {"provider": {}, "models": [], "plugins": [], "transforms": [], "usage": {}, "min_p": 0.1},
    "local": {"chat_template_kwargs": {}, "guided_json": {}, "repetition_penalty": 1.1, "stop_token_ids": []},
    "mistral": {"safe_prompt": True, "random_seed": 1}, "groq": {"reasoning_format": "hidden"},
}


@pytest.mark.parametrize("vendor", FOREIGN)
@pytest.mark.parametrize("host", ["openai", "azure", "cerebras", "groq", "mistral", "deepseek"])
def test_parameters_of_other_vendors_stay_out(host: str, vendor: str) -> None:
    """They were meant for another model of the chain; what a vendor has itself, and what nobody knows, is sent."""
    given = {**FOREIGN[vendor], "temperature": 0.5, **({} if host == "mistral" else {"from_the_future": 1})}
    body = body_of(host, **given)
    shared = {"groq": {"reasoning_format", "include_reasoning"}, "deepseek": {"thinking"},
              "mistral": {"top_k", "safe_prompt", "random_seed", "repetition_penalty"}}.get(host, set())

    assert (body.keys() & FOREIGN[vendor].keys()) <= shared
    assert body["temperature"] == 0.5
    assert ("from_the_future" in body) == (host != "mistral")


@pytest.mark.parametrize("vendor", ["google", "openrouter", "local", "mistral", "groq"])
def test_the_other_apis_leave_foreign_parameters_out_too(vendor: str) -> None:
    """Anthropic and Google answer 400 to what they do not know."""
    address = {"anthropic": "https://api.anthropic.com/v1", "gemini": "https://g.test/v1beta"}
    claude_body = body_of(address["anthropic"], wire="anthropic", **FOREIGN[vendor])
    google_body = body_of(address["gemini"], wire="gemini", **FOREIGN["anthropic" if vendor == "google" else vendor])

    assert claude_body.keys() == {"model", "max_tokens", "messages"}
    assert google_body.keys() <= {"contents", "generationConfig"}


@pytest.mark.parametrize("host", ["openrouter", "local"])
def test_a_host_that_may_know_them_gets_what_was_given(host: str) -> None:
    """Nothing is known about it, so nothing is left out."""
    given = {**FOREIGN["openrouter"], **FOREIGN["local"], "top_k": 5}

    assert body_of(host, **given).keys() == {"model", "messages", *given}


# ── hosts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_groq_refuses_more() -> None:
    """Log probabilities, penalties, a bias and more than one answer."""
    body = body_of("groq", logprobs=True, top_logprobs=2, logit_bias={}, presence_penalty=1, frequency_penalty=1, n=1)

    assert body.keys() == {"model", "messages", "n"}
    with pytest.raises(Rejected, match=r"^n=2: this host gives one answer"):
        body_of("groq", n=2)
    assert "n" not in body_of("groq", n=2, drop=("n",))


@pytest.mark.parametrize(
    ("model", "asked", "expected"),
    [("qwen/qwen3-32b", "none", "none"), ("qwen/qwen3-32b", "high", "default"), ("openai/gpt-oss-120b", "none", "low"),
     ("openai/gpt-oss-120b", "xhigh", "high"), ("llama-3.3-70b", "high", "high")],
)
def test_groqs_efforts(model: str, asked: str, expected: str) -> None:
    """Qwen knows on and off, GPT-OSS three."""
    assert body_of("groq", model=model, reasoning_effort=asked)["reasoning_effort"] == expected


def test_cerebras() -> None:
    """It knows no developers, and gpt-oss nothing about one call at a time."""
    assert sent("cerebras", {"role": "developer", "content": "x"}, HI)[0]["role"] == "system"
    assert "parallel_tool_calls" not in body_of("cerebras", model="gpt-oss-120b", tools=[FUNCTION],
                                                parallel_tool_calls=False)
    assert "parallel_tool_calls" in body_of("cerebras", model="zai-glm-5", tools=[FUNCTION], parallel_tool_calls=False)


@pytest.mark.parametrize("host", ["local", "groq", "openrouter"])
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "f"}}])
def test_gpt_oss_takes_no_forced_tools(host: str, choice: object) -> None:
    """Wherever it is served; of several tools it is offered the one that was demanded."""
    other = {"type": "function", "function": {"name": "g"}}
    body = body_of(host, model="openai/gpt-oss-20b", tools=[FUNCTION, other], tool_choice=choice)

    assert body["tool_choice"] == "auto"
    assert body["tools"] == ([FUNCTION, other] if choice == "required" else [FUNCTION])


def test_lm_studio_takes_no_name() -> None:
    """`required`, and that one tool, says the same."""
    other = {"type": "function", "function": {"name": "g"}}
    choice = {"type": "function", "function": {"name": "g"}}
    body = body_of("lmstudio", tools=[FUNCTION, other], tool_choice=choice)

    assert (body["tool_choice"], body["tools"]) == ("required", [other])
    assert body_of("local", tools=[FUNCTION, other], tool_choice=choice)["tool_choice"] == choice


@pytest.mark.parametrize("host", ["openai", "azure"])
def test_openais_ids_have_64_characters_at_most(host: str) -> None:
    """A longer one is replaced by a digest of it."""
    ids = {"user": "u" * 65, "safety_identifier": "s" * 64, "prompt_cache_key": "k" * 1000}
    body = body_of(host, **ids)

    assert body["safety_identifier"] == ids["safety_identifier"]
    assert [len(body[name]) for name in ("user", "prompt_cache_key")] == [32, 32]
    assert body_of("local", **ids)["user"] == ids["user"]


def test_an_azure_deployment_of_a_known_model() -> None:
    """It is OpenAI's API; a deployment may also have any other name, about which nothing is known."""
    assert body_of("azure", model="gpt-5-mini", max_tokens=5, temperature=1).keys() == {
        "model", "messages", "max_completion_tokens"}
    assert body_of("azure", model="prod", max_tokens=5, temperature=1).keys() == {
        "model", "messages", "max_tokens", "temperature"}


@pytest.mark.parametrize(
    ("model", "given", "expected"),
    [
        ("gpt-4o", {"reasoning_effort": "high", "temperature": 1}, {"temperature": 1}),
        ("gpt-6-sol", {"reasoning_effort": "minimal"}, {"reasoning_effort": "low"}),
        ("gpt-5", {"reasoning": {"effort": "max"}}, {"reasoning_effort": "high"}),
        ("gpt-6-luna", {"reasoning": {"enabled": False}, "temperature": 1, "logit_bias": {}},
         {"reasoning_effort": "none", "temperature": 1, "logit_bias": {}}),
        ("o3", {"presence_penalty": 1, "frequency_penalty": 1, "logit_bias": {}, "seed": 1}, {"seed": 1}),
    ],
)
def test_openais_reasoning_models(model: str, given: dict[str, object], expected: dict[str, object]) -> None:
    """The nearest effort, in OpenAI's words, and no sampling while they reason."""
    assert body_of("openai", model=model, **given) == {"model": model, "messages": [HI], **expected}


@pytest.mark.parametrize(
    ("model", "given", "expected"),
    [
        ("anthropic/claude-opus-5.5", {"temperature": 1, "top_p": 1, "top_k": 1, "reasoning_effort": "none"},
         {"reasoning_effort": "low"}),
        ("anthropic/claude-fable-5.2:nitro", {"reasoning": {"effort": "none", "exclude": True}},
         {"reasoning": {"effort": "low", "exclude": True}}),
        ("openai/gpt-6-astra", {"reasoning": {"effort": "none"}, "temperature": 1}, {"reasoning": {"effort": "low"}}),
        ("openai/gpt-4.1", {"reasoning": {"effort": "high"}}, {}),
        ("x-ai/grok-4.7", {"reasoning_effort": "max", "presence_penalty": 1}, {"reasoning_effort": "xhigh"}),
        ("deepseek/deepseek-v4-flash", {"tools": [FUNCTION], "tool_choice": "required"},
         {"tools": [FUNCTION], "tool_choice": "required", "reasoning_effort": "none"}),
        ("anthropic/claude-sonnet-5.5", {"tools": [FUNCTION], "tool_choice": "required"},
         {"tools": [FUNCTION], "tool_choice": "auto"}),
        ("meta-llama/llama-3.3-70b-instruct", {"temperature": 1, "reasoning": {"effort": "none"}},
         {"temperature": 1, "reasoning": {"effort": "none"}}),
    ],
)
def test_openrouters_ids_follow_their_vendors_rows(
    model: str, given: dict[str, object], expected: dict[str, object]
) -> None:
    """A mandatory reasoning cannot be turned off there either."""
    assert body_of("openrouter", model=model, **given) == {"model": model, "messages": [HI], **expected}


# ── cache marks on the Anthropic wire ────────────────────────────────────────────────────────────────────────────────


MARK = {"cache_control": {"type": "ephemeral"}}


def test_a_mark_beside_a_text_is_kept() -> None:
    """On system, user and assistant, on a result and on calls: it belongs to the last block of the message."""
    called = {"role": "assistant", "content": "b", "tool_calls": [call_of("c1")], **MARK}
    body = body_of(
        "https://api.anthropic.com/v1", {"role": "system", "content": "s", **MARK}, {**HI, **MARK},
        {"role": "assistant", "content": "a", **MARK}, HI, called, {**result_of("c1"), **MARK}, wire="anthropic",
    )

    assert body["system"] == [{"type": "text", "text": "s", **MARK}]
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},  # four at most: the earliest gives way
        {"role": "assistant", "content": [{"type": "text", "text": "a", **MARK}]},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [{"type": "text", "text": "b"},
                                          {"type": "tool_use", "id": "c1", "name": "f", "input": {}, **MARK}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "1", **MARK}]},
    ]


def test_marks_of_parts_and_tools_count_too() -> None:
    """Those of tools and system stay longest; the caller's objects stay as they are."""
    part = {"type": "text", "text": "a", **MARK}
    native = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}, **MARK}
    tool = {**FUNCTION, **MARK}
    conversation = [{"role": "system", "content": [part]}, {"role": "user", "content": [native, part, part]}]
    before = copy.deepcopy((conversation, tool))
    body = body_of("https://api.anthropic.com/v1", *conversation, wire="anthropic", tools=[tool])

    assert ["cache_control" in block for block in body["messages"][0]["content"]] == [False, True, True]
    assert ("cache_control" in body["system"][0], "cache_control" in body["tools"][0]) == (True, True)
    assert (conversation, tool) == before


# ── blank texts, custom tools ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("blank", [" ", "\n\n", "\t", "\u00a0"])
def test_blank_texts_stay_out_of_anthropics_messages(blank: str) -> None:
    """A message of nothing else stays out with them; results and systems, too."""
    address = "https://api.anthropic.com/v1"
    called = {"role": "assistant", "content": blank, "tool_calls": [call_of("c1")]}
    said = {"role": "assistant", "content": blank}
    result = {**result_of("c1"), "content": blank}
    body = body_of(address, {"role": "system", "content": blank}, HI, said, HI, called, result, wire="anthropic")

    assert "system" not in body
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}] * 2},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1"}]},
    ]
    with pytest.raises(Rejected, match=r"^messages: blank text only"):
        body_of(address, {"role": "user", "content": blank}, wire="anthropic")


@pytest.mark.parametrize(("wire", "address"), [("anthropic", "https://api.anthropic.com/v1"),
                                               ("gemini", "https://g.test/v1beta")])
def test_a_call_of_a_custom_tool_is_a_call_everywhere(wire: WireName, address: str) -> None:
    """OpenAI's custom tools take a text; elsewhere it is an argument."""
    custom = {"id": "c1", "type": "custom", "custom": {"name": "c", "input": "x"}}
    called = {"role": "assistant", "tool_calls": [custom]}
    body = body_of(address, HI, called, result_of("c1"), wire=wire)

    if wire == "anthropic":
        assert body["messages"][1]["content"] == [
            {"type": "tool_use", "id": "c1", "name": "c", "input": {"input": "x"}}]
    else:
        assert body["contents"][1]["parts"][0]["functionCall"] == {"name": "c", "args": {"input": "x"}}


def test_claudes_turn_reads_the_same_everywhere() -> None:
    """What Claude has said, without what only Claude can read."""
    message = claude.body(claude.message([
        {"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "a"},
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1}}], "tool_use",
    )).reply.raw["choices"][0]["message"]
    called = {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
    for host in ("openai", "azure", "groq", "cerebras", "openrouter", "local", "together", "xai"):
        assert sent(host, HI, message, result_of("toolu_1"))[1] == {
            "role": "assistant", "content": "a", "tool_calls": [called]}
