"""One step's run in a race, retries included: its limits, its attempt, and what it may ask of the race."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, NamedTuple, Protocol

from asyncrouter._engine.trace_entry import TraceEntry, requests_to
from asyncrouter._errors import Unauthorized
from asyncrouter._policies.memory import ANY_KIND, RequestKind
from asyncrouter._policies.scope import is_a_limit

if TYPE_CHECKING:
    import asyncio

    from asyncrouter._config.plan import PlannedStep
    from asyncrouter._engine.judging import Judging
    from asyncrouter._engine.pool_run import PoolRun
    from asyncrouter._engine.sent_attempt import SentAttempt
    from asyncrouter._errors import AttemptError
    from asyncrouter._policies.pacing import Ticket
    from asyncrouter._policies.pools.member import Member
    from asyncrouter._policies.token_bucket import TokenBucket
    from asyncrouter._types import Call, Cause, Outcome, Trace


class RaceHooks(Protocol):
    """What a step run needs of its race."""

    __slots__ = ()

    judging: Judging
    """Whose answer `accept` judges."""
    raced: bool
    """Whether two steps have run at once."""

    def sent(self, step_run: StepRun, sent: SentAttempt) -> None:
        """Note that this attempt of `step_run` is being sent."""
        ...

    def won(self, step_run: StepRun) -> bool:
        """Note the first content; `False` when `step_run` was stopped before."""
        ...

    def take_win(self, step_run: StepRun) -> bool:
        """Note the whole answer: every other step run is stopped. `False` when `step_run` was stopped before."""
        ...

    def reading(self, sent: SentAttempt) -> None:
        """Note that the rest of an answer is read that has begun."""
        ...

    def pausing(self, step_run: StepRun) -> None:
        """Note that `step_run` waits until it tries again."""
        ...

    def may_cut(self, step_run: StepRun) -> bool:
        """Whether a silent attempt may be given up on a guess: nobody could be raced with it, or a third one waits."""
        ...

    def free_in(self, step_run: StepRun, *, forced: bool = False) -> float:
        """Seconds until another step could be sent, 0 while one runs, `inf` if none could.

        `forced`: though its breaker is open.
        """
        ...


class Pause(NamedTuple):
    """A pause beyond a step's patience: until this instant of the loop's clock, or until `sleeper` is resolved."""

    until: float
    sleeper: asyncio.Future[None]


class Beside(NamedTuple):
    """How and why a step was started beside another one, and the budget that has paid `price` tokens for it."""

    cause: Cause
    why: str
    paid: TokenBucket | None = None
    price: float = 0.0

    def refund(self) -> None:
        """Give back what was paid: the step was never sent."""
        if self.paid is not None:
            self.paid.refund(self.price)


class StepRun:
    """One step while it runs: one attempt after the other, at most one at a time.

    `silent_until` and `answer_until` are its share of the deadline, instants of the loop's clock: by the first it must
    have begun to answer, by the second it must have ended. `own_key`: the caller has brought a key of its own.
    `sent_at` is when its newest attempt was sent, `size` the bytes of that request. `attempt` is the newest attempt,
    `task` the task that runs a hedge (`None`: the caller's task runs the step), `stopped` how the race has ended it.
    `ticket` lets its next attempt go: it has waited already. `beside` says how it came to be started beside another
    one. `is_probe`: it finds out whether a slow model is quick again, which is not known while `probes`. `is_whole`:
    its answer is whole, and `accept` judges it, or will. At a pool (`pool`) the step is the pool's until a member is
    picked: `bind()` makes it the member's. `pause` is the long pause that it waits out now; when it gave that up for
    another step, it has its turn again at `resumes_at`.
    """

    __slots__ = (
        "answer_until", "attempt", "beside", "cause", "hedged", "index", "is_probe", "is_whole", "loop",
        "member", "own_key", "params", "patient", "pause", "pool", "probes", "race", "resumes_at", "sent_at",
        "silent_until", "size", "step", "stopped", "streams", "task", "ticket", "tried",
    )

    def __init__(
        self, race: RaceHooks, loop: asyncio.AbstractEventLoop, call: Call, step: PlannedStep, index: int, cause: Cause,
        silent_until: float, answer_until: float, pool: PoolRun | None = None,
    ) -> None:
        self.race = race
        self.loop = loop
        self.step = step
        self.index = index
        self.cause: Cause = cause
        self.hedged = cause in {"hedge", "rescue"}
        self.beside: Beside | None = None
        self.probes = self.is_probe = False
        self.is_whole: bool  # known once an attempt is sent
        self.patient = False
        self.tried = 0
        params = call.params_for(step.model.provider) if call.provider_params else call.params
        self.params: Mapping[str, object] = {**params, **step.params} if step.params else params
        self.streams = call.stream or step.streams
        self.own_key = step.model.provider in call.own_keys
        self.silent_until = silent_until
        self.answer_until = answer_until
        self.sent_at: float | None = None
        self.size = 0
        self.attempt: TraceEntry | SentAttempt | None = None
        self.task: asyncio.Task[None] | None = None
        self.stopped: Outcome | None = None
        self.ticket: Ticket | None = None
        self.pool = pool
        self.member: Member | None = None
        self.pause: Pause | None = None
        self.resumes_at: float | None = None

    def __repr__(self) -> str:
        return f"<StepRun {self.index} {self.step.name} ({self.cause}){' ' + self.stopped if self.stopped else ''}>"

    def bind(self, member: Member, now: float, *, own_key: bool) -> None:
        """Go on as a step of this member of the pool."""
        pool = self.pool
        assert pool is not None
        step = pool.step_of(member)
        self.member, self.step, self.own_key = member, step, own_key
        pool.begin(member)
        if pool.call.provider_params:
            self.params = {**pool.call.params_for(step.model.provider), **step.params}
        if not self.hedged and pool.state.is_trial(member, now):
            self.probes = self.is_probe = True
        if isinstance(self.attempt, TraceEntry):
            self.attempt.bind(step)

    def ended(self) -> None:
        """Its race does not run it any more."""
        if self.pool is not None and self.member is not None:
            self.pool.end(self.member)

    def delay(self, seconds: float, deadline: float) -> None:
        """Begin so many seconds later, because this machine had no room: the step's share of the deadline moves on.

        If it came back as it was free first, another step may be so now.
        """
        self.patient = False
        self.silent_until = min(self.silent_until + seconds, deadline)
        self.answer_until = min(self.answer_until + seconds, deadline)

    def come_back(self, trace: Trace, ticket: Ticket | None) -> None:
        """It has its turn again, as no other step is free sooner: it waits. Its requests before that still count."""
        self.patient = True
        self.ticket = ticket
        self.tried = requests_to(trace, self.step.name) if self.cause == "retry" else 0

    def leave_queue(self) -> None:
        """Give up the ticket, if there is one: the attempt will not go now."""
        if self.ticket is not None:
            self.ticket.leave()
            self.ticket = None

    # Waiting, or giving way to another step.

    def gives_way(self, error: AttemptError) -> bool:
        """Whether another member of its pool is asked rather than the same one again; after a new key that one is."""
        pool = self.pool
        if pool is None or self.member is None or error.again == "never" or isinstance(error, Unauthorized):
            return False
        if is_a_limit(error):
            return pool.may_queue_again(self.member)
        return pool.free_in(self.loop.time()) <= 0.0

    def give_way(self, free_in: float) -> None:
        """Give up its long pause, if it makes one, for another step that is free in so many seconds and before it."""
        pause = self.pause
        if pause is not None and self.loop.time() + free_in < pause.until and not pause.sleeper.done():
            self.resumes_at = pause.until
            pause.sleeper.set_result(None)

    def fits(self, pause: float) -> bool:
        """Whether there is time left for another attempt after a pause of so many seconds."""
        return self.loop.time() + pause < self.silent_until

    def is_alone(self, within: float) -> bool:
        """Whether no other step runs, nor could be sent within so many seconds."""
        return self.race.free_in(self) > within

    def is_last(self) -> bool:
        """Whether no other step runs, nor could be sent now even with an open breaker."""
        return self.race.free_in(self, forced=True) > 0.0

    def wait_until(self) -> float:
        """The instant until which to wait for admission at most: until another step is free.

        If one is free already, `max_wait()` says how long to wait.
        """
        free = inf if self.patient else self.race.free_in(self)
        return min(self.silent_until, self.loop.time() + free) if free > 0.0 else self.silent_until

    def pointless_after(self) -> float:
        """The instant from which on a wait is pointless if its model cannot be tried before; see `Engine.sleep`.

        What is learned of the router's key says nothing about a key of the caller's own.
        """
        return inf if self.own_key else self.wait_until()

    def max_wait(self) -> float:
        """Seconds to wait in the queue of a limit at most: no longer than `retry.patience` if another step could go."""
        return inf if self.patient or self.is_alone(0.0) else self.step.retry.patience

    def should_wait(self, hold: float, *, waited: float = 0.0) -> bool:
        """Whether to wait out a hold of the provider's rather than to go on with the next step. A hedge never waits.

        `waited`: seconds that it has waited for such holds before.
        """
        patient = waited + hold <= self.step.retry.patience
        return not self.hedged and self.fits(hold) and (patient or self.is_alone(hold))


DECISIVE = frozenset({
    "reasoning", "reasoning_effort", "max_completion_tokens", "max_tokens", "max_output_tokens", "response_format",
    "tools",
})
"""The parameters that decide how long an answer takes."""
DECADES = (1, 10, 100, 1_000, 10_000, 100_000)
"""The least `max_tokens` of each decade that is told apart."""


def request_kind(params: Mapping[str, object]) -> RequestKind:
    """What of these parameters decides how long an answer takes."""
    if DECISIVE.isdisjoint(params):
        return ANY_KIND
    get = params.get
    effort = get("reasoning_effort")
    if effort is None and (reasoning := get("reasoning")) and isinstance(reasoning, Mapping):
        effort = reasoning.get("effort")
    limit = get("max_tokens") or get("max_completion_tokens") or get("max_output_tokens")
    decade = bisect_right(DECADES, limit) if isinstance(limit, int | float) else 0
    return RequestKind(
        effort if isinstance(effort, str) else "", bool(get("tools")), get("response_format") is not None, decade
    )
