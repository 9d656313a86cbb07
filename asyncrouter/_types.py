"""The records of a call: what was asked, what was tried, what came back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from asyncrouter._pickles.by_name import PickledByName
from asyncrouter._pickles.decoders import Decoder
from asyncrouter._repr import ShortRepr

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from asyncrouter._errors import AttemptError

Cause = Literal["first", "retry", "fallback", "hedge", "escalate", "restart"]
Outcome = Literal["won", "failed", "superseded", "cancelled", "not_sent", "not_accepted"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
Priority = Literal["interactive", "batch"]
Message = dict[str, object]
ToolCall = dict[str, Any]
"""A tool call in Chat Completions shape: `call["function"]["name"]` and so on. It is JSON; its reader says what of."""


class Call(NamedTuple):
    """One request as it was made: immutable, the same for every model that is tried.

    `params` are the chain's with the caller's over them. `deadline` is an instant of the loop's clock, `inf` when
    there is none. `stream` says that the caller reads chunks as they come. The headers may hold secrets and are not
    printed.
    """

    messages: Sequence[Message]
    params: Mapping[str, object]
    headers: Mapping[str, str]
    began: float
    deadline: float
    stream: bool = False
    accept: Callable[[Reply], bool | Awaitable[bool]] | None = None
    priority: Priority = "interactive"

    def __repr__(self) -> str:
        return f"<Call of {len(self.messages)} messages, {self.deadline - self.began:g} s>"


@dataclass(slots=True, repr=False)
class Usage(ShortRepr, PickledByName):
    """Tokens as the provider counted them; input includes the cached ones, output the reasoning."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(slots=True, repr=False)
class Chunk(ShortRepr, PickledByName):
    """What one read of a stream brought. The last one carries `finish_reason` and, if the provider sent it, `usage`.

    `restart=True` (only with `on_interrupt="restart"`) means: drop what you have shown, the answer begins again.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    restart: bool = False


@dataclass(slots=True, repr=False)
class Attempt(ShortRepr, PickledByName):
    """One try at one model. Instants are seconds since the call began; `None` means it never came to that.

    `cause` is why it was made: "first"; "retry" (the same model again); "fallback" (the one before failed); "hedge"
    (the one before is late); "escalate" (the answer before was not accepted); "restart" (a stream begins again).
    `outcome` is how it ended: "won"; "failed"; "superseded" (another one won); "cancelled" (the call ended first);
    "not_sent" (the model is held or out, or has no key); "not_accepted" (`accept` said no); `None` while it runs.

    `cost_usd` is `None` when the provider may have charged and no price is known; 0.0 when it cannot have.
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


@dataclass(slots=True, repr=False)
class Trace(ShortRepr, PickledByName):
    """Everything one call did, in the order it began. `print(trace)` is a timeline."""

    task: str | None
    started: float
    """Wall clock, seconds since the epoch."""
    attempts: list[Attempt] = field(default_factory=list)
    seconds: float = 0.0
    tags: Mapping[str, str] | None = None

    @property
    def cost_usd(self) -> float | None:
        """What all attempts cost together; `None` when one that may have been billed has no known price."""
        total = 0.0
        for attempt in self.attempts:
            if attempt.cost_usd is None:
                return None
            total += attempt.cost_usd
        return total

    @property
    def cost_estimated(self) -> bool:
        """Whether any part of `cost_usd` is our estimate rather than a provider's count."""
        return any(attempt.cost_estimated for attempt in self.attempts)

    def __str__(self) -> str:
        return "\n".join(_line(attempt) for attempt in self.attempts) or "no attempt was made"


def _line(attempt: Attempt) -> str:
    began = attempt.sent if attempt.sent is not None else attempt.queued or 0.0
    ended = f"{attempt.ended:8.3f} s" if attempt.ended is not None else " " * 10
    what: list[str] = [attempt.outcome or "running"]
    if attempt.first_content is not None:
        what.append(f"first content at {attempt.first_content:.3f} s")
    if attempt.usage is not None:
        what.append(f"{attempt.usage.input_tokens}+{attempt.usage.output_tokens} tokens")
    if attempt.cost_usd:
        what.append(f"{'≈' if attempt.cost_estimated else ''}${attempt.cost_usd:.6f}")
    if attempt.error is not None:
        what.append(f"{type(attempt.error).__name__}: {attempt.error.message}")
    return f"{attempt.number:>2}  {began:8.3f} s → {ended}  {attempt.cause:<8}  {attempt.model}  {', '.join(what)}"


@dataclass(slots=True, repr=False)
class Reply(ShortRepr, PickledByName):
    """A whole answer.

    `model` is its name here, `served_model` what the provider says it ran. `text` is "" when there is none.
    `cost_usd` is this answer's price; the whole call's, losers included, is `trace.cost_usd`.
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

    def __getstate__(self) -> tuple[int, dict[str, object]]:
        """`raw` is pickled as the plain object it is, and not the decoder that builds it."""
        version, values = PickledByName.__getstate__(self)  # super() does not know a class that was given slots
        if self._build_raw is not None and not isinstance(getattr(self._build_raw, "__self__", None), Decoder):
            values["_build_raw"] = self.raw.copy
        return version, values

    @property
    def raw(self) -> Message:
        """The answer as a Chat Completions object, put together when it is asked for."""
        return self._build_raw() if self._build_raw is not None else {}
