"""Parameters that would be refused together, or that ask for nothing: adapted before anything is sent."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest

from asyncrouter._config.catalog import Model, Provider, WireName
from asyncrouter._errors import Rejected
from asyncrouter._types import Call
from asyncrouter._wire.registry import wire_for

HI = {"role": "user", "content": "Hi"}
OPENROUTER, OPENAI = "https://openrouter.ai/api/v1", "https://api.openai.com/v1"


def sent(name: WireName, url: str, model: str, *messages: object, **params: object) -> dict[str, Any]:
    wire = wire_for(Provider(name="p", base_url=url, wire=name), lambda: 0.0)
    call = Call([*messages] or [HI], {}, {}, 0.0, math.inf)  # type: ignore[list-item]
    request = wire.encode(call, Model(provider="p", id=model), params, None, stream=False, connect=None)
    body: dict[str, Any] = orjson.loads(request.body)
    return body


@pytest.mark.parametrize(
    ("model", "limit", "budget", "expected"),
    [
        ("anthropic/claude-haiku-4.5", 2000, 5000, 1500), ("anthropic/claude-sonnet-4.5", 1100, 1100, 1024),
        ("anthropic/claude-haiku-4.5", 9000, 5000, 5000), ("openai/gpt-5", 2000, 5000, 5000),
        ("alias", 2000, 5000, 5000),
    ],
)
def test_a_budget_through_openrouter_is_below_the_limit(model: str, limit: int, budget: int, expected: int) -> None:
    """Claude refuses another one, wherever it is served."""
    body = sent("openai", OPENROUTER, model, max_tokens=limit, reasoning={"max_tokens": budget})

    assert body["reasoning"] == {"max_tokens": expected}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("anthropic/claude-opus-5.5", {"effort": "low"}), ("openai/gpt-6-astra", {"effort": "low"}),
        ("openai/gpt-5.6", {"enabled": False}), ("anthropic/claude-sonnet-4.6", {"enabled": False}),
        ("alias", {"enabled": False}),
    ],
)
def test_reasoning_that_cannot_be_turned_off_through_openrouter(model: str, expected: object) -> None:
    """It would be a 400 ("Reasoning is mandatory for this endpoint"): as little as there is."""
    assert sent("openai", OPENROUTER, model, reasoning={"enabled": False})["reasoning"] == expected


@pytest.mark.parametrize(
    ("stop", "expected"), [("", None), ([], None), (["", ""], None), (["", "x"], ["x"]), ("x", ["x"]), ([" "], [" "])]
)
def test_stop_words_without_a_character_to_google(stop: object, expected: object) -> None:
    """Each is refused, and would stop nothing."""
    body = sent("gemini", "https://host.test/v1beta", "gemini-3-pro", stop=stop)

    assert body.get("generationConfig", {}).get("stopSequences") == expected


@pytest.mark.parametrize(("stop", "expected"), [("", None), ([], None), ("x", "x"), (["x"], ["x"])])
def test_a_stop_without_words_to_openai(stop: object, expected: object) -> None:
    """It asks for nothing."""
    assert sent("openai", OPENAI, "gpt-4o", stop=stop).get("stop") == expected


@pytest.mark.parametrize("content", ["", [], [{"type": "text", "text": ""}]])
def test_nothing_to_google(content: object) -> None:
    """A request without contents is refused: another model of the chain may take it."""
    with pytest.raises(Rejected, match="nothing in them"):
        sent("gemini", "https://host.test/v1beta", "gemini-3-pro", {"role": "user", "content": content})
