"""Answers the requests of OpenAI's API with the calls of a router."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Final

import orjson

from asyncrouter import ConfigError
from asyncrouter.openai_api import _embeddings, _models
from asyncrouter.openai_api._answer import JSON, Answer, cost_field, summary
from asyncrouter.openai_api._events import EventStream, finish_word, usage_of
from asyncrouter.openai_api._failure import DO_NOT_RETRY, Problem, failure_answer, problem_answer
from asyncrouter.openai_api._request import (
    ChatRequest,
    is_unknown,
    read_chat,
    read_model,
    read_object,
    read_options,
    unknown_name,
)
from asyncrouter.openai_api._unread import UnreadLimits

if TYPE_CHECKING:
    from asyncrouter import Reply, Router
    from asyncrouter.openai_api._answer import ApiRequest
    from asyncrouter.openai_api._request import MayUse

CHAT: Final = "/chat/completions"
EMBEDDINGS: Final = "/embeddings"
MODELS: Final = "/models"
RESPONSES: Final = "/responses"
"""The path of the API that newer clients ask by default, and that is not served here."""
_EVENTS: Final = {"content-type": "text/event-stream", "cache-control": "no-cache", "x-accel-buffering": "no"}
"""The header fields of a stream; the last one keeps nginx from collecting it."""


class OpenAIApi:
    """Answers requests to OpenAI's API: `answer = await api.respond(request)`.

    - `router`: it stays its owner's, who opens, reloads and closes it.
    - `longest`: the longest deadline of a call, in seconds, whatever a client asks for; `None`: the router's own.
    - `trusted`: whether the clients are this program itself. A schema of anybody else is not checked here if it has
      regular expressions, which may take for ever; the provider still gets it.
    """

    __slots__ = ("_longest", "_trusted", "_unread", "router")

    def __init__(self, router: Router, *, longest: float | None = None, trusted: bool = False) -> None:
        self.router: Router = router
        self._longest = inf if longest is None else longest
        self._trusted = trusted
        self._unread = UnreadLimits()

    async def respond(self, request: ApiRequest, may_use: MayUse | None = None) -> Answer:
        """Answer a request; every failure is an answer, too. Only a cancellation is raised.

        `may_use`: whether the client may use a model, `task:NAME` or `tier:NAME`; `None`: all.
        """
        try:
            return await self._respond(request, may_use)
        except Exception as error:
            return failure_answer(error)

    async def _respond(self, request: ApiRequest, may_use: MayUse | None) -> Answer:
        path, config = request.path, self.router.config
        if path == MODELS or path.startswith(f"{MODELS}/"):
            _check_method(request, "GET")
            return _models.answer(config, path[len(MODELS) + 1 :], may_use)
        if path not in {CHAT, EMBEDDINGS}:
            hint = "; set your client to Chat Completions" if path.startswith(RESPONSES) else ""
            return problem_answer(404, f"there is no such path here; there are {CHAT}, {EMBEDDINGS} and {MODELS}{hint}")
        _check_method(request, "POST")
        fields = read_object(request.body)
        options = read_options(request.headers, self._longest)
        name = read_model(config, fields.pop("model", None), options, may_use)
        try:
            if path == EMBEDDINGS:
                return await _embeddings.answer(self.router, fields, options)
            return await self._chat(read_chat(fields, options, trusted=self._trusted))
        except ConfigError as error:
            if is_unknown(config, name):
                raise unknown_name(config, name, may_use) from error
            raise

    async def _chat(self, chat: ChatRequest) -> Answer:
        if not chat.stream:
            options = {**chat.options, **self._unread.of(self.router, chat.options)}
            reply = await self.router.chat(chat.messages, params=chat.params, **options)
            fields = {"content-type": JSON, **DO_NOT_RETRY, **summary(reply.trace, reply.model)}
            return Answer(200, fields | cost_field(reply.trace), orjson.dumps(completion(reply)), reply.trace)
        stream = self.router.stream(chat.messages, params=chat.params, **chat.options)
        await stream.__aenter__()
        trace = stream.trace
        model = next((one.model for one in reversed(trace.attempts) if one.first_content is not None), "")
        events = EventStream(stream, model, usage=chat.usage)
        return Answer(200, {**_EVENTS, **DO_NOT_RETRY, **summary(trace, model)}, events, trace)


def completion(reply: Reply) -> dict[str, Any]:
    """A reply as Chat Completions writes it: the provider's own answer in that form, with nothing required left out."""
    raw: dict[str, Any] = reply.raw
    choices = raw.get("choices")
    if not isinstance(choices, list) or not choices:  # a reply of a transport of the caller's own
        choices = [{"index": 0, "message": reply.message}]
    for choice in choices:
        if isinstance(choice, dict) and choice.get("finish_reason") not in _FINISH_REASONS:
            choice["finish_reason"] = finish_word(reply)
    head = {
        "id": raw.get("id") or f"chatcmpl-{reply.trace.id}", "object": "chat.completion",
        "created": raw.get("created") or int(reply.trace.started), "model": raw.get("model") or reply.model,
    }
    usage = usage_of(reply)
    return {**raw, **head, "choices": choices, **({} if usage is None else {"usage": usage})}


_FINISH_REASONS: Final = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
"""The finish reasons of OpenAI's API."""


def _check_method(request: ApiRequest, method: str) -> None:
    if request.method != method:
        problem = Problem(405, f"expected {method}")
        problem.answer.headers["allow"] = method
        raise problem
