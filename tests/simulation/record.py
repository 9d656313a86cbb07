"""The record of one run: calls and requests as they really were, a log of events, and violations."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from .wire_openai import word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter import Attempt, Chunk, Reply, Trace
    from asyncrouter._config.plan import Plan
    from asyncrouter.shared import Account

    from .behaviour import Behaviour
    from .scripted_response import ScriptedResponse

MAX_VIOLATIONS = 20
"""Violations of one run that are kept: the first one says what to look at."""


class MemberStanding(NamedTuple):
    """A member of a pool as the router saw it at an instant."""

    name: str
    seconds: float | None
    """The median seconds of its whole answers; `None` while not known."""
    left_out: bool
    """Whether it is left out as slow, or has just come back and is offered a few requests only."""


@dataclass(slots=True, eq=False)
class Exchange:
    """One request as the world saw it; instants are of the loop's clock."""

    number: int
    call: CallRecord
    provider: str
    model: str
    key: str
    at: float
    script: ScriptedResponse
    beside: Mapping[str, int] = field(default_factory=dict)
    """The connections that were open when it was sent, by model, without its own."""
    pools: Mapping[str, Sequence[MemberStanding]] = field(default_factory=dict)
    """The members of each pool when it was sent."""
    connected: float | None = None
    ended: float | None = None
    place: int = 0
    """Which one it was to end: several may at one instant."""
    words: int = 0
    """Words of the answer that the client has read."""
    taken: bool = False
    """Whether the client has read the response to its end."""

    def is_whole_at(self, now: float) -> bool:
        """Whether everything that its response brings had come by this instant."""
        return self.connected is not None and self.connected + self.script.pieces[-1][0] <= now

    def text(self) -> str:
        """The whole answer that its response would bring."""
        return "".join(word(self.number, index) for index in range(self.script.words))


def model_of(attempt: Attempt) -> str:
    """The model that an attempt asks: of a pool its member, or the pool while none is picked.

    A model once for each key of its provider is known by the name of the member, such as `p0[1]:m0`.
    """
    member = attempt.member
    if member is None:
        return attempt.model
    return member if "[" in member else member.rpartition(":")[2]


def words_of(answer: Reply | Chunk) -> str:
    """All words of a reply, or of a chunk of it: thoughts, text, tools."""
    tools = [str(call["function"].get("name", "")) for call in answer.tool_calls]
    return "".join([answer.reasoning, answer.text, *tools])


@dataclass(slots=True, eq=False)
class CallRecord:
    """One call as its caller saw it."""

    number: int
    plan: Plan
    behaviour: Behaviour
    began: float = 0.0
    deadline: float = inf
    cancelled_at: float | None = None
    cancels: int = 0
    over: bool = False
    ended: float | None = None
    outcome: str = ""
    error: BaseException | None = None
    reply: Reply | None = None
    chunks: list[Chunk] = field(default_factory=list)
    """What its reader got since the last restart."""
    trace: Trace | None = None
    attempt_events: int = 0
    end_events: int = 0
    """How many `CallEnded` events there were for it."""
    exchanges: list[Exchange] = field(default_factory=list)
    live: int = 0
    after_recovery: bool = False
    router: int = 0
    """Which router has made it."""

    def finish(self, now: float, outcome: str, error: BaseException | None = None) -> None:
        """Note that the call has ended."""
        self.over = True
        self.ended = now
        self.outcome = outcome
        self.error = error


@dataclass(frozen=True, slots=True)
class Change:
    """A `StateChanged` event, and when it came."""

    at: float
    subject: str
    state: str


@dataclass(slots=True, eq=False)
class Record:
    """Everything that one run leaves behind."""

    seed: int
    calls: list[CallRecord] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    violations: list[tuple[str, str]] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    """How the first violation came about."""
    samples: dict[str, int] = field(default_factory=dict)
    """How many latencies the router has recorded, by model."""
    blocked: list[tuple[float, float]] = field(default_factory=list)
    """Times for which the program has blocked the event loop."""
    books: dict[Account, int] = field(default_factory=dict)
    """What was spent of the budget, in nano-dollars."""
    recovered_at: float = inf
    closed_at: float = inf
    """When somebody began to close the router."""
    has_listener: bool = True
    """Whether the router has a listener; without one the traces of cancelled calls are lost."""

    def late(self, at: float) -> float:
        """When something happens that is due at this instant: at the end of the block in which that lies."""
        return next((ends for begins, ends in self.blocked if begins <= at < ends), at)

    def blocked_between(self, since: float, until: float, least: float = 0.0) -> float:
        """Seconds of a span for which the event loop was blocked, by blocks that took in it `least` seconds or more."""
        spans = [min(ends, until) - max(begins, since) for begins, ends in self.blocked]
        return sum(span for span in spans if span > 0.0 and span >= least)

    def log(self, now: float, what: str) -> None:
        """Note that something has happened."""
        self.lines.append(f"{now!r} {what}")

    def flag(self, invariant: str, detail: str) -> None:
        """Note that an invariant does not hold."""
        if len(self.violations) < MAX_VIOLATIONS:
            self.violations.append((invariant, detail))
            self.lines.append(f"VIOLATED {invariant}: {detail}")


def digest(lines: Sequence[str]) -> str:
    """A hash of a log: the same for the same seed in every process."""
    return sha256("\n".join(lines).encode()).hexdigest()
