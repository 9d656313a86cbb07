"""The wire for a host that serves Chat Completions and the Responses API: each call goes to the one that suits it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._wire.openai.wire import OpenAI
from asyncrouter._wire.responses.choice import choose_api
from asyncrouter._wire.responses.wire import Responses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter._config.catalog import Model, Provider
    from asyncrouter._types import Call
    from asyncrouter._wire.api import Wire, WireChoice


class OpenAIOrResponses(OpenAI):
    """Chat Completions, with the Responses API beside it for the calls that need or prefer it."""

    __slots__ = ("_responses",)

    def __init__(self, provider: Provider, wall: Callable[[], float]) -> None:
        super().__init__(provider, wall)
        self._responses = Responses(provider, wall)

    def for_call(self, call: Call, model: Model, params: Mapping[str, object]) -> Wire:
        """The wire of the two that carries this call."""
        choice = choose_api(model, params, call.messages)
        return self._responses if choice.wire == "responses" else self

    def explain_choice(self, model: Model, params: Mapping[str, object]) -> WireChoice:
        """Which of the two carries a call with these parameters, and why."""
        return choose_api(model, params)
