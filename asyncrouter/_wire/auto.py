"""The wire for a host that serves Chat Completions and the Responses API: each call goes to the one that suits it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import orjson

from asyncrouter._events import MAX_NAMES
from asyncrouter._wire.api import WireChoice
from asyncrouter._wire.openai.wire import OpenAI
from asyncrouter._wire.responses.choice import choose_api
from asyncrouter._wire.responses.request import chat_only_parameter
from asyncrouter._wire.responses.wire import Responses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter._config.catalog import Model, Provider
    from asyncrouter._errors import AttemptError
    from asyncrouter._transport.api import Request
    from asyncrouter._types import Call
    from asyncrouter._wire.api import Wire


_SENT_ON: Final = re.compile(r"\bv1/responses\b|\bresponses api\b", re.IGNORECASE)
"""How OpenAI says that Chat Completions does not serve a model, or not with tools: "use /v1/responses instead"."""

_LOOKED_AT: Final = 300
"""Characters of a message that are looked at: prompts are echoed further behind."""

_TOLD: Final = WireChoice("responses", "Chat Completions has said that this model is asked there")


class OpenAIOrResponses(OpenAI):
    """Chat Completions, with the Responses API beside it for the calls that need or prefer it.

    A model whose id says nothing (a deployment of Azure's has any name) may turn out to be served there alone: Chat
    Completions says so, and from then on its calls go there.
    """

    __slots__ = ("_moved", "_responses")

    def __init__(self, provider: Provider, wall: Callable[[], float]) -> None:
        super().__init__(provider, wall)
        self._responses = Responses(provider, wall)
        self._moved: dict[str, None] = {}  # models that are asked on the Responses API; a dict for its order

    def for_call(self, call: Call, model: Model, params: Mapping[str, object]) -> Wire:
        """The wire of the two that carries this call."""
        if model.id in self._moved:
            return self._responses
        choice = choose_api(model, params, call.messages)
        return self._responses if choice.wire == "responses" else self

    def explain_choice(self, model: Model, params: Mapping[str, object]) -> WireChoice:
        """Which of the two carries a call with these parameters, and why."""
        return _TOLD if model.id in self._moved else choose_api(model, params)

    def format_notes(self, model: Model, params: Mapping[str, object]) -> tuple[str, ...]:
        """What a person should know about how a checked `response_format` is asked for."""
        if self.explain_choice(model, params).wire == "responses":
            return self._responses.format_notes(model, params)
        return super().format_notes(model, params)

    def adapt(self, model: Model, request: Request, error: AttemptError) -> str | None:
        """Learn from a refused request; the warning to give if the same model should be asked once more, else `None`.
        """
        body: object = orjson.loads(request.body)
        stays = isinstance(body, dict) and chat_only_parameter(body) is not None
        if stays or not _SENT_ON.search(error.message[:_LOOKED_AT]):
            return super().adapt(model, request, error)
        self._moved[model.id] = None
        if len(self._moved) > MAX_NAMES:
            del self._moved[next(iter(self._moved))]
        return "Chat Completions refuses this request; the model is asked on the Responses API from now on"
