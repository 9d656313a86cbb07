"""The Responses wire: OpenAI's Responses API (developers.openai.com, "Responses"), and the hosts that serve it."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import orjson

from asyncrouter._config.response_format import NAME
from asyncrouter._wire.base import BaseWire
from asyncrouter._wire.decoding.judgement import token_limit
from asyncrouter._wire.request_body import write_translated
from asyncrouter._wire.responses.answer import ResponseAnswer
from asyncrouter._wire.responses.hosts import target_of
from asyncrouter._wire.responses.lost_reasoning import LostReasoning
from asyncrouter._wire.responses.request import translate
from asyncrouter._wire.sessions import put_session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter._config.catalog import Model, Provider
    from asyncrouter._credentials.secret import Sealed
    from asyncrouter._errors import AttemptError
    from asyncrouter._transport.api import Request
    from asyncrouter._types import Call
    from asyncrouter._wire.api import Decoder


class Responses(BaseWire):
    """The Responses API at one provider."""

    __slots__ = ("_answers", "_lost", "_responses_url", "_target", "_wall")

    def __init__(self, provider: Provider, wall: Callable[[], float]) -> None:
        super().__init__(provider, wall, self._new_answer)
        self._responses_url = self._url("/responses")
        self._lost = LostReasoning()
        self._target = target_of(provider, self._lost)
        self._answers = count(1)
        self._wall = wall

    def encode(
        self, call: Call, model: Model, params: Mapping[str, object], key: Sealed | None, *, stream: bool,
        connect: float | None,
    ) -> Request:
        """The request for this call.

        Raises `TypeError` or `ValueError` that names what cannot be written, `Rejected` for what this API cannot do.
        """
        messages = call.messages
        if NAME in params:
            messages, params = self._ask(call, model, params)
        body = translate(model, messages, params, self._target.for_model(model.id), stream=stream)
        if call.session is not None:
            put_session(body, self._session.responses, call.session, self._provider.name)
        written = write_translated(self._finish(body, model), call, params)
        return self._post(self._responses_url, call, written, key, stream="stream" in body, connect=connect)

    def decoder(self, headers: Mapping[str, str], params: Mapping[str, object]) -> Decoder:
        """A decoder for a 2xx response with these headers: of server-sent events, or of one JSON body."""
        new_answer = partial(self._new_answer, None if self._target.tells_cuts else token_limit(params))
        return self._decoder(headers, params, new_answer)

    def adapt(self, model: Model, request: Request, error: AttemptError) -> str | None:
        """Learn from a refused request; the warning to give if the same model should be asked once more, else `None`.
        """
        if self._lost.learn(orjson.loads(request.body), error):
            return "the reasoning of earlier answers cannot be read there any more and is left out from now on"
        return super().adapt(model, request, error)

    def _new_answer(self, limit: int | None = None) -> ResponseAnswer:
        created = int(self._wall())
        return ResponseAnswer(self._target, created, f"{created:x}x{next(self._answers)}", limit)
