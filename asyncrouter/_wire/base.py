"""The base class of every wire: a provider's address, headers, decoders, errors and list of models."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import orjson

from asyncrouter._config.hosts import serves_both_apis
from asyncrouter._config.response_format import NAME, AnswerFormat
from asyncrouter._credentials.secret import Secret, merge_headers, reveal, seal
from asyncrouter._errors import BadReply
from asyncrouter._repr import visible_name
from asyncrouter._transport.api import Request
from asyncrouter._wire.adaptations import Adaptations
from asyncrouter._wire.answer_format import IN_PROMPT, OPENAI, RefusedSchemas, put_format, write_format
from asyncrouter._wire.api import WireChoice
from asyncrouter._wire.decoding.body_decoder import BodyDecoder
from asyncrouter._wire.decoding.event_decoder import EventDecoder
from asyncrouter._wire.failure.classify import Classifier
from asyncrouter._wire.failure.complaint import read_complaint
from asyncrouter._wire.failure.error_body import excerpt, one_line
from asyncrouter._wire.learned import PROMPT, Learned
from asyncrouter._wire.lost_thoughts import LostThoughts
from asyncrouter._wire.sessions import session_fields, session_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from asyncrouter._config.catalog import Model, Provider
    from asyncrouter._credentials.secret import Sealed
    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Call, Message, Reply
    from asyncrouter._wire.answer_format import Rules, Written
    from asyncrouter._wire.api import Decoder, Wire
    from asyncrouter._wire.decoding.answer_builder import AnswerBuilder

_REQUEST_ID_HEADERS = ("x-request-id", "x-generation-id", "request-id")
"""The response headers that hold a request's id, in order: OpenAI's and most others', OpenRouter's, Anthropic's."""

_COST_HEADER = "x-litellm-response-cost"
"""The response header in which LiteLLM's proxy says what a request has cost, in US dollars."""

_NONSENSE_COST = 1e6
"""No request costs so many US dollars."""

_EVENTS = "text/event-stream"
"""The media type of a stream of events."""

_NEVER_DROPPED = PROMPT | {"max_tokens"}
"""Fields of a body that stay, whatever a model drops; the limit is the caller's there, and one API demands it."""

_ABOUT_FORMAT = re.compile(
    r"response_?(?:format|json_?schema|schema|mime_?type)|text\.format|output_(?:config|format)|json_schema|json_object"
    r"|structured output|invalid schema|grammar", re.IGNORECASE,
)
"""Words of an error about the schema for the answer."""

_MAX_HEADER_SETS = 8
"""How many sets of request headers are kept, two a key: a provider has one key, or a few while they are rotated."""

_QUOTED_CHARACTERS = 200
"""How much of a body that is no list of models the error message quotes."""


class BaseWire:
    """What all wires share. Everything that is the same for every call is built once, here or at first use.

    `new_builder` makes the wire's `AnswerBuilder`; `shortcut` may read its commonest body without one. `wall` is the
    wall clock, for Retry-After dates.
    """

    __slots__ = (
        "_adaptations", "_classifier", "_headers", "_learned", "_lost_thoughts", "_new_builder", "_provider", "_proxy",
        "_refused_schemas", "_session", "_shortcut",
    )

    def __init__(
        self,
        provider: Provider,
        wall: Callable[[], float],
        new_builder: Callable[[], AnswerBuilder],
        shortcut: Callable[[Message, Reply], bool] | None = None,
    ) -> None:
        self._provider = provider
        self._classifier = Classifier(wall)
        self._new_builder = new_builder
        self._shortcut = shortcut
        self._headers: dict[tuple[Sealed | None, bool], Mapping[str, Sealed]] = {}
        self._proxy = None if provider.proxy is None else Secret(provider.proxy)
        self._adaptations = Adaptations()
        self._learned: Learned | None = None  # until a provider has refused something
        self._lost_thoughts: LostThoughts | None = None  # until it has refused thoughts
        self._refused_schemas = RefusedSchemas()
        self._session = session_fields(provider.base_url)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} wire of {self._provider.name or self._provider.base_url}>"

    def for_call(self, call: Call, model: Model, params: Mapping[str, object]) -> Wire:
        """The wire that carries this call: this one, unless the provider serves two APIs."""
        return self  # type: ignore[return-value]  # each wire adds its own `encode`

    def explain_choice(self, model: Model, params: Mapping[str, object]) -> WireChoice:
        """Which wire carries a call with these parameters, and why, where there is a choice."""
        wire = self._provider.wire
        return WireChoice(wire, f'wire = "{wire}" is configured' if serves_both_apis(self._provider.base_url) else "")

    def decoder(self, headers: Mapping[str, str], params: Mapping[str, object]) -> Decoder:
        """A decoder for a 2xx response with these headers: of server-sent events, or of one JSON body."""
        return self._decoder(headers, params, self._new_builder)

    def _decoder(
        self, headers: Mapping[str, str], params: Mapping[str, object], new_builder: Callable[[], AnswerBuilder]
    ) -> Decoder:
        request_id, cost = self.request_id(headers), told_cost(headers) if _COST_HEADER in headers else None
        if "event-stream" in headers.get("content-type", "").lower():
            return EventDecoder(new_builder(), self._classifier, params, request_id, cost)
        return BodyDecoder(new_builder, self._classifier, params, request_id, self._shortcut, cost)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> AttemptError:
        """The error for a response that is not 2xx."""
        return self._classifier.response_error(status, headers, body, self.request_id(headers))

    def reconsider(self, error: AttemptError, request: Request) -> AttemptError:
        """The error without what its message quotes from the request; see `Classifier.reconsider`."""
        return self._classifier.reconsider(error, request.body)

    def adapt(self, model: Model, request: Request, error: AttemptError) -> str | None:
        """Learn from a refused request; the warning to give if the same model should be asked once more, else `None`.
        """
        if error.status == 404:  # what is not there is no parameter
            return None
        body: object = orjson.loads(request.body)
        lost = self._lost_thoughts or LostThoughts()
        if lost.learn(body, error):
            self._lost_thoughts = lost
            return "thoughts of earlier answers are refused there and left out from now on"
        complaint = read_complaint(error.message, error.param, error.code)
        if complaint is None or not isinstance(body, dict):
            return None
        self._learned = self._learned or Learned()
        return self._learned.learn(model.id, body, complaint)

    def adapt_format(self, model: Model, params: Mapping[str, object], error: AttemptError) -> str | None:
        """Learn that the schema for an answer was refused; the warning to give if the prompt asks for it now."""
        wanted = params.get(NAME)
        if not isinstance(wanted, AnswerFormat) or self._written(model, wanted).response_format is None:
            return None
        if not _ABOUT_FORMAT.search(f"{error.param or ''} {error.message[:_QUOTED_CHARACTERS]}"):
            return None
        self._refused_schemas.add((model.id, wanted.name))
        return f"the schema {wanted.name!r} is refused there, and put into the prompt from now on"

    def adaptations(self, model: Model, params: Mapping[str, object], request: Request) -> tuple[str, ...]:
        """What of this request is written otherwise than these parameters ask for; each set of them is told once."""
        changes = self._adaptations.of(model, params, request)
        return changes if NAME not in params else changes + self.format_notes(model, params)

    def format_notes(self, model: Model, params: Mapping[str, object]) -> tuple[str, ...]:
        """What a person should know about how a checked `response_format` is asked for."""
        wanted = params.get(NAME)
        if not isinstance(wanted, AnswerFormat):
            return ()
        return tuple(f"{NAME}: {note}" for note in self._written(model, wanted).notes)

    def streams(self, request: Request) -> bool:
        """Whether the answer to this request is asked for as a stream; not every model and host has one."""
        return reveal(request.sealed_headers.get("Accept", "")) == _EVENTS

    def request_id(self, headers: Mapping[str, str]) -> str | None:
        """The id under which the provider knows this request, `None` if its headers have none."""
        for name in _REQUEST_ID_HEADERS:
            if name in headers:
                return visible_name(headers[name])
        return None

    def list_models(self, key: Sealed | None) -> Request:
        """The request for the provider's list of models."""
        return self._get(self._url("/models"), key)

    def parse_models(self, body: bytes) -> list[str]:
        """The ids in `{"data": [{"id": …}]}`, or in a bare list (Together). Raises `BadReply`."""
        return read_model_ids(body, "data", "id")

    def _url(self, path: str, **query: str) -> Sealed:
        """An address at this provider; the query of its configuration, which may be secret, goes before ours."""
        configured = self._provider.query
        query = {**configured, **query}
        url = f"{self._provider.base_url.rstrip('/')}{path}{'?' + urlencode(query) if query else ''}"
        return Secret(url) if configured else url

    def _ask(
        self, call: Call, model: Model, params: Mapping[str, object]
    ) -> tuple[Sequence[Message], Mapping[str, object]]:
        """The messages and the parameters, with a checked `response_format` written as the model takes it."""
        wanted = params.get(NAME)
        if not isinstance(wanted, AnswerFormat):
            return call.messages, params
        return put_format(call.messages, params, self._written(model, wanted))

    def _written(self, model: Model, wanted: AnswerFormat) -> Written:
        refused = NAME in model.drop or (model.id, wanted.name) in self._refused_schemas
        return write_format(wanted, IN_PROMPT if refused else self._format_rules(model))

    def _format_rules(self, model: Model) -> Rules:
        """By whose rules a schema for the answer is written; the Responses API has OpenAI's."""
        return OPENAI

    def _finish(self, body: Message, model: Model) -> Message:
        """The body without what the model drops or has refused, by the names that this API has for it."""
        if self._lost_thoughts is not None:
            body |= {name: self._lost_thoughts.without(body[name]) for name in ("messages", "contents") if name in body}
        if model.drop:
            for name in model.drop:
                if name not in _NEVER_DROPPED:
                    body.pop(name, None)
        if self._learned is not None:
            self._learned.apply(model.id, body)
        return body

    def _post(
        self, url: Sealed, call: Call, body: bytes, key: Sealed | None, *, stream: bool, connect: float | None,
        session: str | None = None,
    ) -> Request:
        """The request; `session` is the header that tells its provider of the call's session."""
        headers = self._headers.get((key, stream)) or self._build_headers(key, stream)
        if session is not None and call.session is not None:
            headers = merge_headers(headers, {session: session_key(call.session, self._provider.name)})
        if call.headers or call.provider_headers:
            headers = merge_headers(headers, call.headers_for(self._provider.name))
        return Request.of_sealed("POST", url, headers, body, connect, self._proxy, self._provider.ca)

    def _get(self, url: Sealed, key: Sealed | None) -> Request:
        headers = {name: value for name, value in self._build_headers(key, False).items() if name != "Content-Type"}
        return Request.of_sealed("GET", url, headers, b"", None, self._proxy, self._provider.ca)

    def _auth(self, key: Sealed | None) -> Mapping[str, Sealed]:
        """The headers that authenticate the request, and those that name the API's version."""
        return self._key_header(key, "bearer")

    def _key_header(self, key: Sealed | None, usual: str) -> Mapping[str, Sealed]:
        """The header that carries the key: as the provider's `auth` says, or else the usual one of the protocol."""
        if key is None:
            return {}
        name = self._provider.auth or usual
        return {"Authorization": Secret(f"Bearer {reveal(key)}")} if name.lower() == "bearer" else {name: key}

    def _build_headers(self, key: Sealed | None, stream: bool) -> Mapping[str, Sealed]:
        headers: dict[str, Sealed] = {
            "Content-Type": "application/json",
            "Accept": _EVENTS if stream else "application/json",
            "User-Agent": "asyncrouter",
            **self._auth(key),
        }
        if stream:
            # A compressor holds tokens back, and a gzip stream that is cut does not show it.
            headers["Accept-Encoding"] = "identity"
        if len(self._headers) >= _MAX_HEADER_SETS:
            self._headers.clear()
        built = self._headers[key, stream] = merge_headers(headers, seal(self._provider.headers))
        return built


def told_cost(headers: Mapping[str, str]) -> float | None:
    """The US dollars that a relay says in its headers a request has cost; `None` if that is no cost.

    LiteLLM's proxy says 0 for a model whose price it does not know, and for a stream, of which it knows too little.
    """
    try:
        cost = float(headers.get(_COST_HEADER, ""))
    except ValueError:
        return None
    return cost if 0.0 < cost < _NONSENSE_COST else None


def read_model_ids(body: bytes, list_name: str, id_name: str) -> list[str]:
    """The ids in a list of models, which stands under `list_name` or by itself. Raises `BadReply`."""
    try:
        document: object = orjson.loads(body)
    except ValueError:
        document = None
    models = document.get(list_name) if isinstance(document, dict) else document
    if not isinstance(models, list):
        raise BadReply(f"no list of models: {one_line(excerpt(body))[:_QUOTED_CHARACTERS]!r}")
    return [found for model in models if isinstance(model, dict) and isinstance(found := model.get(id_name), str)]
