"""The results of `Router.explain` and `Router.health`: the plan of a call, and the present state of each model."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from asyncrouter._config.settings import AutoSeconds
from asyncrouter._credentials import Credential
from asyncrouter._repr import html_table, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from asyncrouter._config.arguments_params import Params
    from asyncrouter._config.plan import Plan, PlannedStep
    from asyncrouter._config.price import Price
    from asyncrouter._config.settings import Hedge
    from asyncrouter._engine.engine import Engine


class ExplainedStep(NamedTuple):
    """One step of the plan of a call.

    - `model`, `provider`: their names in the configuration.
    - `standing`: "ready", or why no request would be sent now; as in `ModelHealth`.
    - `connect`, `first_token`, `idle`, `total`: timeouts of an attempt, in seconds; `None` means no limit. One that is
      "auto" is an `AutoSeconds`: it never cuts before that.
    - `usd_per_mtok`: the `Price` of the model; `None` if unknown.
    - `wire`: the API that carries the call: "openai" (Chat Completions), "responses", "anthropic" or "gemini".
    - `wire_reason`: why that one, where a provider serves two; else "".
    - `notes`: how a checked `response_format` is asked for, where it is not simply sent as it is.
    - `rescue`: whether the next model is started beside it when it is far slower than usual, or silent.
    - `usual`: how long its first content usually takes, in figures; "" while nothing is known.
    """

    model: str
    provider: str
    standing: str
    connect: float | None
    first_token: float | None
    idle: float | None
    total: float | None
    usd_per_mtok: Price | None
    wire: str = ""
    wire_reason: str = ""
    notes: tuple[str, ...] = ()
    rescue: bool = True
    usual: str = ""

    def __str__(self) -> str:
        names = ("connect", "first_token", "idle", "total")
        clocks = ", ".join(f"{name} {_seconds(getattr(self, name))}" for name in names)
        price = self.usd_per_mtok
        cost = "price unknown" if price is None else f"${price.input:g} in, ${price.output:g} out a million tokens"
        wire = f"; wire {self.wire}" if self.wire else ""
        reason = f" ({self.wire_reason})" if self.wire_reason else ""
        usual = f"; first content {self.usual}" if self.usual else ""
        rescue = "" if self.rescue else "; no rescue"
        notes = "".join(f"; {note}" for note in self.notes)
        rest = f"{cost}{wire}{reason}{notes}{usual}{rescue}"
        return visible(f"{self.model} ({self.provider}): {self.standing}; {clocks}; {rest}")


class Explanation(NamedTuple):
    """The plan of a call. `print()` shows it, one line for each step.

    - `task`: the task, or else the tier, that was asked for; `None` if a chain or a model was.
    - `steps`: an `ExplainedStep` for each model, in the order in which they are tried.
    - `deadline`: seconds for the whole call; `None` means no limit.
    - `hedge`: when the next model is started in parallel, such as "after 1.5 s" or "after p95"; `None`: never.
    - `on_context`: the steps that are tried only when the prompt is too long for a model.
    """

    task: str | None
    steps: tuple[ExplainedStep, ...]
    deadline: float | None
    hedge: str | None
    on_context: tuple[ExplainedStep, ...] = ()

    def __str__(self) -> str:
        head = f"{visible(self.task or 'chain')}: deadline {_seconds(self.deadline)}, hedge {self.hedge or 'none'}"
        lines = [head, *(f"{number:>2}  {step}" for number, step in enumerate(self.steps, 1))]
        return "\n".join([*lines, *(f"    if the prompt is too long: {step}" for step in self.on_context)])

    def _repr_html_(self) -> str:
        columns = ("", "model", "provider", "standing", "connect", "first token", "idle", "total", "price", "wire")
        lines = [*enumerate(self.steps, 1), *(("too long", step) for step in self.on_context)]
        rows = [
            (
                number, step.model, step.provider, step.standing, step.connect, step.first_token, step.idle, step.total,
                None if (price := step.usd_per_mtok) is None else f"{price.input:g} / {price.output:g}", step.wire,
            )
            for number, step in lines
        ]
        head = f"{self.task or 'chain'}: deadline {_seconds(self.deadline)}, hedge {self.hedge or 'none'}"
        return html_table(head, columns, rows)


class ModelHealth(NamedTuple):
    """The present state of one model.

    - `model`, `provider`: their names in the configuration.
    - `standing`: "ready"; or why no request would be sent now, such as "held for 20.00 s more: slow down" or
      "OPENAI_API_KEY is not set"; or "probe due", if its breaker lets one request through to find out whether it works
      again. A key function is not called to find out.
    - `in_flight`: attempts that are running.
    - `breaker`: "closed" (it works), "open" (it failed too often) or "half-open" (one request is finding out).
    - `slow`: whether it has become slower than usual, so that chains with a hedge or rescues try it last.
    - `rate`: requests a second that the known limits allow; `None` while no limit is known.
    - `waiting`: calls that wait for their turn under these limits.
    - `p50`, `p95`, `p99`: quantiles of the seconds from sending a request to its first content, attempts that lost a
      race included; `None` below 100 samples.
    - `why_slow`: why it is `slow`, in figures; "" if it is not.
    - `pace`, `silence`, `contents`: the usual seconds between two contents, the longest silence in an answer (medians),
      and the usual number of contents; `None` before the first whole answer of a stream.
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
    why_slow: str = ""
    pace: float | None = None
    silence: float | None = None
    contents: float | None = None


class Health(dict[str, ModelHealth]):
    """The present state of each model, by its name."""

    def __str__(self) -> str:
        return "\n".join(_health_line(one) for one in self.values()) or "no model has been used"

    def _repr_html_(self) -> str:
        return html_table("health", ModelHealth._fields, self.values())


def _health_line(one: ModelHealth) -> str:
    latency = "" if one.p50 is None else f"; p50 {one.p50:.3f} s, p95 {one.p95:.3f} s, p99 {one.p99:.3f} s"
    slow = "; slow" if one.slow else ""
    now = f"{one.in_flight} in flight, {one.waiting} wait{slow}{latency}"
    return visible(f"{one.model} ({one.provider}): {one.standing}; {now}")


def explain_plan(
    plan: Plan, deadline: float | None, params: Params, engine: Engine | None, wall: Callable[[], float]
) -> Explanation:
    """Describe a plan for a call with these parameters, with the present state of each model."""
    from asyncrouter._wire.registry import wire_for  # some milliseconds at import that only explaining is worth

    steps = []
    for step in plan.steps:
        wire = None if engine is None else engine.wires.get(step.provider.name)
        given = {**params.of(step.model.provider), **step.params}
        wire = wire or wire_for(step.provider, wall)
        choice = wire.explain_choice(step.model, given)
        steps.append(ExplainedStep(
            step.name, step.model.provider, standing(step, engine), step.connect, step.first_token, step.idle,
            step.total, step.model.usd_per_mtok, choice.wire, choice.reason, wire.format_notes(step.model, given),
            step.rescue, _usual(step, engine),
        ))
    ordinary, for_long_prompts = tuple(steps[:plan.ordinary]), tuple(steps[plan.ordinary:])
    return Explanation(plan.task, ordinary, deadline, _hedge(plan.hedge), for_long_prompts)


def model_health(steps: Iterable[PlannedStep], engine: Engine | None) -> Health:
    """The present state of each model of these steps, by its name."""
    return Health((step.name, _health(step, engine)) for step in steps)


def _health(step: PlannedStep, engine: Engine | None) -> ModelHealth:
    if engine is None:
        return ModelHealth(step.name, step.model.provider, standing(step, engine))
    state = engine.policies.state_of(step.model)
    latency = state.memory(streams=step.streams)
    usual = latency.every
    known = usual.length.weight > 0.0
    return ModelHealth(
        step.name, step.model.provider, standing(step, engine), state.pacer.running,
        state.breaker.state.replace("_", "-"), state.slow, state.pacer.rate, state.pacer.waiting,
        latency.quantile(0.5), latency.quantile(0.95), latency.quantile(0.99), state.slowness.why,
        *((usual.pace.median, usual.silence.median, usual.length.median) if known else (None, None, None)),
    )


def _usual(step: PlannedStep, engine: Engine | None) -> str:
    if engine is None:
        return ""
    first = engine.policies.state_of(step.model).memory(streams=step.streams).every.first
    return first.in_words() if first.seen else ""


def standing(step: PlannedStep, engine: Engine | None) -> str:
    """Whether a request would be sent now: "ready", "probe due" (one would, to find out), or why none would."""
    credential = None if engine is None else engine.credentials.get(step.provider.name)
    if (no_key := (credential or Credential(step.provider)).missing()) is not None:
        return no_key
    if engine is None:
        return "ready"
    policies = engine.policies
    refusal = policies.refusal(step.model, engine.loop.time())
    if refusal is not None:
        return str(refusal)
    closed = policies.state_of(step.model).breakers_closed
    return "ready" if closed or not policies.breakers_on else "probe due"


def _hedge(hedge: Hedge | None) -> str | None:
    if hedge is None:
        return None
    return f"after {hedge.after}" if isinstance(hedge.after, str) else f"after {_seconds(hedge.after)}"


def _seconds(value: float | None) -> str:
    if isinstance(value, AutoSeconds):
        return f"auto ({value:g} s or more)"
    return "none" if value is None else f"{value:g} s"
