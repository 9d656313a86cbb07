"""What a router can tell about itself: the plan of a call before it is made, and how its models stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asyncrouter._config.catalog import Price
    from asyncrouter._config.plan import Plan, PlannedStep
    from asyncrouter._engine.engine import Engine


class ExplainedStep(NamedTuple):
    """One step of a plan. `standing` is that of `ModelHealth`; clocks are seconds."""

    model: str
    provider: str
    standing: str
    connect: float | None
    first_token: float | None
    idle: float | None
    total: float | None
    usd_per_mtok: Price | None

    def __str__(self) -> str:
        names = ("connect", "first_token", "idle", "total")
        clocks = ", ".join(f"{name} {_seconds(getattr(self, name))}" for name in names)
        price = self.usd_per_mtok
        cost = "price unknown" if price is None else f"${price.input:g} in, ${price.output:g} out a million tokens"
        return f"{self.model} ({self.provider}): {self.standing}; {clocks}; {cost}"


class Explanation(NamedTuple):
    """What a call would do now. `print()` it."""

    task: str | None
    steps: tuple[ExplainedStep, ...]
    deadline: float | None
    hedge: str | None

    def __str__(self) -> str:
        head = f"{self.task or 'chain'}: deadline {_seconds(self.deadline)}, hedge {self.hedge or 'none'}"
        return "\n".join([head, *(f"{number:>2}  {step}" for number, step in enumerate(self.steps, 1))])


class ModelHealth(NamedTuple):
    """How one model stands now.

    `standing` is "ready", or why it would not be tried; "probe due" when a breaker's time is up and the next call,
    alone, will find out. `rate` is requests a second that may go, `None` while no limit is known; `waiting` how many
    wait for their turn. `p50`, `p95` and `p99` are seconds from sending to the first content, losers included, `None`
    below 100 samples.
    """

    model: str
    provider: str
    standing: str
    in_flight: int = 0
    breaker: str = "closed"
    slow: bool = False
    rate: float | None = None
    waiting: int = 0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


def explain_plan(plan: Plan, deadline: float | None, engine: Engine | None) -> Explanation:
    """The plan in words, with how each model stands."""
    hedge = plan.hedge
    told = None if hedge is None else f"after {hedge.after if hedge.after == 'p95' else _seconds(float(hedge.after))}"
    steps = tuple(
        ExplainedStep(
            step.name, step.model.provider, standing(step, engine),
            step.connect, step.first_token, step.idle, step.total, step.model.usd_per_mtok,
        )
        for step in plan.steps
    )
    return Explanation(plan.task, steps, deadline, told)


def model_health(steps: Iterable[PlannedStep], engine: Engine | None) -> dict[str, ModelHealth]:
    """How each model of these steps stands, by its name."""
    return {step.name: _health(step, engine) for step in steps}


def _health(step: PlannedStep, engine: Engine | None) -> ModelHealth:
    if engine is None:
        return ModelHealth(step.name, step.model.provider, "ready")
    state = engine.policies.state_of(step.model)
    latency = state.latency(streams=step.streams)
    return ModelHealth(
        step.name, step.model.provider, standing(step, engine), state.pacer.running,
        state.breaker.state.replace("_", "-"), state.slow, state.pacer.rate, state.pacer.waiting,
        latency.quantile(0.5), latency.quantile(0.95), latency.quantile(0.99),
    )


def standing(step: PlannedStep, engine: Engine | None) -> str:
    """Why the model would not be tried now; "ready" when it would, "probe due" when one call would, to find out."""
    if engine is None:
        return "ready"
    policies = engine.policies
    refusal = policies.refusal(step.model, engine.loop.time())
    if refusal is not None:
        return str(refusal)
    closed = policies.state_of(step.model).breakers_closed
    return "ready" if closed or not policies.breakers_on else "probe due"


def _seconds(value: float | None) -> str:
    return "none" if value is None else f"{value:g} s"
