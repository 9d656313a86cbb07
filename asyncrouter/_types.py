"""The records of a call: its request (`Call`), attempts (`Trace`, `Attempt`) and answer (`Reply`, `Chunk`, `Usage`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Required, TypeAlias, TypedDict, cast

from asyncrouter._credentials.secret import merge_headers
from asyncrouter._pickles.by_name import PickledByName
from asyncrouter._pickles.decoders import Decoder
from asyncrouter._repr import ShortRepr, html_table, model_at, visible

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from asyncrouter._credentials.secret import Sealed
    from asyncrouter._errors import AttemptError, Scope

Cause = Literal["first", "retry", "fallback", "hedge", "rescue", "escalate", "restart", "batch"]
Outcome = Literal["won", "failed", "superseded", "cancelled", "not_sent", "not_accepted"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "other"]
Priority = Literal["interactive", "batch"]
Message = dict[str, object]
ToolCallDelta: TypeAlias = "Mapping[str, Any]"
"""A piece of a tool call, as in the `delta` of a Chat Completions stream."""


class FunctionCall(TypedDict):
    """What a tool call asks for: the `name` of the function, and its `arguments` as JSON text."""

    name: str
    arguments: str


class ToolCall(TypedDict):
    """A tool call of Chat Completions: `{"id": …, "type": "function", "function": {"name": …, "arguments": "{…}"}}`."""

    id: str
    type: str
    function: FunctionCall


class ChatMessage(TypedDict, total=False):
    """A message of Chat Completions, for the history of a conversation. Only `role` is required.

    - `role`: "system", "user", "assistant" or "tool".
    - `content`: text, or a list of parts such as `{"type": "image_url", "image_url": {"url": …}}`; `None` beside calls.
    - `tool_calls`: what an assistant's message asks for; `tool_call_id`: which of them a tool's message answers.

    A message that a model wrote may have more keys, such as its reasoning and signatures; they go back with it.
    """

    role: Required[str]
    content: str | Sequence[Mapping[str, Any]] | None
    name: str
    tool_calls: list[ToolCall]
    tool_call_id: str
    reasoning: str
    refusal: str | None


class Call(NamedTuple):
    """The request of a caller. It is immutable, and the same for every model that is tried.

    - `messages`: Chat Completions messages.
    - `params`: parameters for the provider: those of the task, and those of the caller, which take precedence.
    - `headers`: more header fields for every attempt; `provider_headers`: for those at one provider, by its name. Their
      values are opaque, for they may be secret.
    - `began`, `deadline`: times of the event loop's clock, in seconds; `deadline` is `inf` if there is none.
    - `stream`: whether the caller reads the answer chunk by chunk.
    - `accept`, `priority`, `session`: as given to `Router.chat`.
    - `deadline_given`: whether somebody has given the deadline, here or in the configuration; the default is none.
    - `provider_params`: all parameters for a provider that has some of its own, by its name.
    - `own_keys`: the providers for which these headers bring a key of the caller's own.
    - `observed`: whether anybody wants its events: a listener, or the log.
    - `embeds`: whether it asks for embeddings: each message is one text.
    - `parse`: makes a value of an answer's text, or raises `NotAccepted`; `None` without a `response_format` to check.
    """

    messages: Sequence[Message]
    params: Mapping[str, object]
    headers: Mapping[str, Sealed]
    began: float
    deadline: float
    stream: bool = False
    accept: Callable[[Reply], bool | Awaitable[bool]] | None = None
    priority: Priority = "interactive"
    deadline_given: bool = False
    provider_headers: Mapping[str, Mapping[str, Sealed]] = {}
    own_keys: frozenset[str] = frozenset()
    provider_params: Mapping[str, Mapping[str, object]] = {}
    observed: bool = True
    embeds: bool = False
    parse: Callable[[str], object] | None = None
    session: str | None = None

    def params_for(self, provider: str) -> Mapping[str, object]:
        """The parameters for attempts at this provider."""
        return self.provider_params.get(provider, self.params) if self.provider_params else self.params

    def headers_for(self, provider: str) -> Mapping[str, Sealed]:
        """The header fields for attempts at this provider: those for all, and its own, which replace others."""
        if not self.provider_headers or (own := self.provider_headers.get(provider)) is None:
            return self.headers
        return merge_headers(self.headers, own)

    def __repr__(self) -> str:
        return f"<Call of {len(self.messages)} messages, {self.deadline - self.began:g} s>"


@dataclass(slots=True, repr=False)
class Usage(ShortRepr, PickledByName):
    """The tokens of an answer, as the provider counted them.

    - `input_tokens`: of the prompt, those read from the provider's cache or written into it included.
    - `output_tokens`: of the answer, reasoning included.
    - `cached_tokens`: those of the prompt that were read from the cache; 0 if the provider does not say.
    - `reasoning_tokens`: those of the answer that were reasoning; 0 if the provider does not say.
    - `cache_write_tokens`: those of the prompt that were written into the cache; 0 if the provider does not say.
    - `cache_write_1h_tokens`: those of `cache_write_tokens` that are kept for an hour (Anthropic), which costs more.
    - `service_tier`: the tier that the answer was served and billed at, in the provider's word: "flex", "priority",
      "fast", "batch" …; "committed" for capacity bought in advance (Anthropic's "priority"); "byok" for an answer on
      the caller's own key at OpenRouter whose price it did not tell. `None`: the standard tier, or not said.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    service_tier: str | None = None

    @property
    def total_tokens(self) -> int:
        """Tokens of prompt and answer together."""
        return self.input_tokens + self.output_tokens


@dataclass(slots=True, repr=False)
class Chunk(ShortRepr, PickledByName):
    """A piece of a streamed answer: what one read of the connection brought.

    - `text`, `reasoning`: more of the text and of the model's reasoning; "" if there is none in this chunk.
    - `tool_calls`: pieces of tool calls, as in the `delta` of a Chat Completions stream.
    - `finish_reason`: why the answer ended, on the last chunk; `None` on all others.
    - `usage`: the tokens of the answer, on the last chunk if the provider reported them; otherwise `None`.
    - `restart`: only with `on_interrupt="restart"`: the answer begins again, so drop what came before.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    restart: bool = False


@dataclass(slots=True, repr=False)
class Attempt(ShortRepr, PickledByName):
    """One attempt: one request to one model, or the reason why none was sent.

    - `number`: 1, 2, 3 … in the order in which the attempts of the call began.
    - `model`, `provider`: their names in the configuration.
    - `cause`: why it was made: "first"; "retry" (the same model); "fallback" (the one before failed); "hedge" (it is
      slow); "rescue" (far slower than usual); "escalate" (not accepted); "restart" (of a stream); "batch" (its API).
    - `outcome`: how it ended: "won"; "failed"; "superseded" (another attempt won); "cancelled" (the call ended first);
      "not_sent" (the model is held back or disabled, or has no key); "not_accepted" (by `accept`); `None` (it runs).
    - `error`: why it failed or was not sent; otherwise `None`.
    - `status`, `request_id`: the HTTP status, and the provider's id of the request; `None` without a response.
    - `queued`, `sent`, `connected`, `first_content`, `last_content`, `ended`: when it began to wait for its turn, sent
      its request, had a connection, got its first and last content, and ended: seconds since the call began, or `None`.
    - `usage`: the tokens, as the provider counted them; `None` if it did not report them.
    - `cost_usd`: US dollars: as reported, or else tokens times price. 0.0 if the provider cannot have charged anything;
      `None` if it may have and no price is known.
    - `cost_estimated`: whether `cost_usd` is an estimate: no usage, or no price of its tier or cache writes, is known.
    - `scope`: whose fault a failure is, as on its error; `None` where nothing failed.
    - `headers`: the header fields of the response, by lower-case name, without cookies; `{}` without a response.
    - `why`: why a hedge or rescue was started, in figures; "" for every other attempt.
    - `member`: the member of a pool (`model` is its name) that was asked, such as "azure-eu:gpt-6-luna"; else `None`.
    """

    number: int
    model: str
    provider: str
    cause: Cause
    outcome: Outcome | None = None
    error: AttemptError | None = None
    status: int | None = None
    request_id: str | None = None
    queued: float | None = None
    sent: float | None = None
    connected: float | None = None
    first_content: float | None = None
    last_content: float | None = None
    ended: float | None = None
    usage: Usage | None = None
    cost_usd: float | None = 0.0
    cost_estimated: bool = False
    scope: Scope | None = None
    why: str = ""
    _read_headers: Callable[[], Mapping[str, str]] | None = field(default=None, repr=False, compare=False)
    member: str | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields of the response, by lower-case name, without cookies; `{}` without a response."""
        return {} if self._read_headers is None else self._read_headers()

    def __getstate__(self) -> tuple[int, dict[str, object]]:
        """Pickle plain headers, instead of what reads them."""
        version, values = PickledByName.__getstate__(self)  # super() does not know a class that was given slots
        return version, {**values, "_read_headers": dict(self.headers).copy if self.headers else None}


@dataclass(slots=True, repr=False)
class Trace(ShortRepr, PickledByName):
    """The record of one call. `print(trace)` shows it as a timeline, one line for each attempt.

    - `task`: the task, or else the tier, that was asked for; `None` if a chain or a model was.
    - `started`: the time at which the call began, in seconds since the epoch.
    - `attempts`: every `Attempt`, in the order in which they began.
    - `seconds`: how long the whole call took; 0.0 while it runs.
    - `tags`: as given to `Router.chat`.
    - `id`: of the call, 24 letters and digits: the same in all its events and log records (`call_id`); "" in traces of
      0.1.0.
    """

    task: str | None
    started: float
    attempts: list[Attempt] = field(default_factory=list)
    seconds: float = 0.0
    tags: Mapping[str, str] | None = None
    id: str = field(default="", repr=False, compare=False)

    @property
    def cost_usd(self) -> float | None:
        """US dollars for all attempts together; `None` if the cost of one of them is unknown."""
        total = 0.0
        for attempt in self.attempts:
            if attempt.cost_usd is None:
                return None
            total += attempt.cost_usd
        return total

    @property
    def cost_estimated(self) -> bool:
        """Whether any part of `cost_usd` is an estimate, as on `Attempt`."""
        return any(attempt.cost_estimated for attempt in self.attempts)

    def __str__(self) -> str:
        return "\n".join(_line(attempt) for attempt in self.attempts) or "no attempt was made"

    def _repr_html_(self) -> str:
        columns = ("", "model", "cause", "outcome", "sent", "first content", "ended", "tokens", "$", "error")
        rows = [
            (
                one.number, model_at(one.model, one.member), one.cause, one.outcome, one.sent, one.first_content,
                one.ended, None if one.usage is None else f"{one.usage.input_tokens}+{one.usage.output_tokens}",
                None if one.cost_usd is None else f"{one.cost_usd:.6f}", one.error,
            )
            for one in self.attempts
        ]
        return html_table(f"{self.task or 'call'}, {self.seconds:.3f} s", columns, rows)


NO_TRACE: Final = Trace(None, 0.0)
"""Stands for the trace of an answer that is still being read. It is replaced when the answer is whole."""


def _line(attempt: Attempt) -> str:
    began = attempt.sent if attempt.sent is not None else attempt.queued or 0.0
    ended = f"{attempt.ended:8.3f} s" if attempt.ended is not None else " " * 10
    facts: list[str] = [attempt.outcome or "running", *([f"because {attempt.why}"] if attempt.why else ())]
    if attempt.first_content is not None:
        facts.append(f"first content at {attempt.first_content:.3f} s")
    if attempt.usage is not None:
        facts.append(f"{attempt.usage.input_tokens}+{attempt.usage.output_tokens} tokens")
    if attempt.cost_usd:
        facts.append(f"{'≈' if attempt.cost_estimated else ''}${attempt.cost_usd:.6f}")
    if attempt.error is not None:
        whose = f" (scope: {attempt.scope})" if attempt.error._scope_explains else ""
        facts.append(f"{type(attempt.error).__name__}: {attempt.error.message}{whose}")
    model = visible(model_at(attempt.model, attempt.member))
    return f"{attempt.number:>2}  {began:8.3f} s → {ended}  {attempt.cause:<8}  {model}  {', '.join(facts)}"


@dataclass(slots=True, repr=False)
class Reply(ShortRepr, PickledByName):
    """A complete answer.

    - `text`: "" if there is none, as in an answer of tool calls only. A refusal in the model's own words is text, too.
    - `reasoning`: the model's reasoning, if the provider shows it; otherwise "".
    - `tool_calls`: as in Chat Completions: `call["function"]["name"]`, `call["function"]["arguments"]` (JSON as text).
    - `finish_reason`: "stop", "length", "tool_calls", "content_filter", or "other" for a reason that is none of these.
    - `model`: the name of the model in the configuration.
    - `served_model`: the model that answered, in the provider's words; `None` if it does not say.
    - `usage`: the tokens of this answer; `None` if the provider did not report them.
    - `cost_usd`: US dollars for this answer; `None` if unknown. `trace.cost_usd` is the cost of all attempts.
    - `trace`: the record of the call.
    - `message`: the assistant's message, for the history; a reply may also stand in `messages` itself.
    - `raw`: the answer as a Chat Completions response.
    - `parsed`: the checked value, if `response_format` asked for one: an instance of its class, or what the JSON says.

    A reply can be pickled.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason = "stop"
    model: str = ""
    served_model: str | None = None
    usage: Usage | None = None
    cost_usd: float | None = None
    trace: Trace = field(default_factory=lambda: Trace(None, 0.0), repr=False)
    _build_raw: Callable[[], Message] | None = field(default=None, repr=False, compare=False)
    parsed: Any = field(default=None, repr=False)

    def __getstate__(self) -> tuple[int, dict[str, object]]:
        """Pickle `raw` as a plain object, instead of the decoder that builds it."""
        version, values = PickledByName.__getstate__(self)  # super() does not know a class that was given slots
        if self._build_raw is not None and not isinstance(getattr(self._build_raw, "__self__", None), Decoder):
            values["_build_raw"] = self.raw.copy
        return version, values

    @property
    def message(self) -> ChatMessage:
        """The assistant's message as the model wrote it, ready for the history: `history.append(reply.message)`."""
        try:
            choices = self.raw.get("choices")
        except RuntimeError:  # pickled by 0.1.0, without it
            choices = None
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, dict) else None
        if isinstance(message, dict):  # some hosts leave the role out
            return cast("ChatMessage", message if message.get("role") else {**message, "role": "assistant"})
        calls: ChatMessage = {"role": "assistant", "tool_calls": list(self.tool_calls)}
        plain: ChatMessage = {"role": "assistant"}
        return {**(calls if self.tool_calls else plain), "content": self.text or (None if self.tool_calls else "")}

    @property
    def raw(self) -> Message:
        """The answer as a Chat Completions response.

        It is built when it is asked for, and holds what the other fields leave out. `{}` on a reply made by hand.
        """
        return self._build_raw() if self._build_raw is not None else {}
