"""The results of `Router.explain` and `Router.health`: the plan of a call, and the present state of each model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

from asyncrouter._config.catalog import base_name
from asyncrouter._config.settings import AutoSeconds
from asyncrouter._credentials import Credential
from asyncrouter._repr import html_table, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from asyncrouter._config.arguments_params import Params
    from asyncrouter._config.plan import Plan, PlannedPool, PlannedStep
    from asyncrouter._config.price import Price
    from asyncrouter._config.settings import Hedge
    from asyncrouter._engine.engine import Engine


T = TypeVar("T")


class Members(tuple[T, ...]):
    """The members of a pool, in their order; `members["azure-eu:gpt-6-luna"]` is one by its name."""

    __slots__ = ()

    def __getitem__(self, which: Any) -> Any:
        if isinstance(which, str):
            return next((one for one in self if getattr(one, "model", None) == which), None) or self._missing(which)
        return super().__getitem__(which)

    def _missing(self, name: str) -> NoReturn:
        raise KeyError(name)


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
    - `usual`: how long its first content usually takes, in figures, and why it is tried last where it has become slow;
      "" while nothing is known.
    - `members`: of a pool: the same for each member, by index or by name; `model` is the member's name there. The
      pool's own fields are those that hold for all: it is ready if one is, and its price is the highest.
    - `pick`: of a pool: the rule by which a member is picked.
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
    members: Members[ExplainedStep] = Members()
    pick: str = ""

    def __str__(self) -> str:
        if self.members:
            head = f"{self.model} ({self.pick} of {len(self.members)}): {self.standing}"
            return "\n".join([visible(head), *(f"      {member}" for member in self.members)])
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
    - `hedge`: when the next model is started in parallel, "after 1.5 s", "after p95" or, with "auto", "where it is
      worth its price"; `None`: never.
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
        shown = [*enumerate(self.steps, 1), *(("too long", step) for step in self.on_context)]
        lines = [line for number, step in shown for line in ((number, step), *(("", one) for one in step.members))]
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
    - `slow`: whether it has become slower than usual, so that chains with a hedge or rescues try it last; or a member
      slower than the others, so that its pool leaves it out.
    - `rate`: requests a second that the known limits allow; `None` while no limit is known.
    - `waiting`: calls that wait for their turn under these limits.
    - `p50`, `p95`, `p99`: quantiles of the seconds from sending a request to its first content, attempts that lost a
      race included; `None` below 100 samples.
    - `why_slow`: why it is `slow`, in figures; "" if it is not.
    - `pace`, `silence`, `contents`: the usual seconds between two contents, the longest silence in an answer (medians),
      and the usual number of contents; `None` before the first whole answer of a stream.
    - `members`: of a pool: the same for each member, by index or by name; `model` is the member's name there. Of the
      pool itself only `standing`, `in_flight`, `waiting`, `rate` (all members together) and `slow` (all are) are known.
    - `seconds`: the median seconds of a member's whole answers now; `None` while not known, and of other models.
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
    members: Members[ModelHealth] = Members()
    seconds: float | None = None


class Health(dict[str, ModelHealth]):
    """The present state of each model, by its name."""

    def __str__(self) -> str:
        return "\n".join(_health_line(one) for one in self._lines()) or "no model has been used"

    def _repr_html_(self) -> str:
        rows = (tuple(one)[:_COLUMNS] for one in self._lines())
        return html_table("health", ModelHealth._fields[:_COLUMNS], rows)

    def _lines(self) -> list[ModelHealth]:
        return [line for one in self.values() for line in (one, *(
            member._replace(model=f"  {member.model}") for member in one.members
        ))]


_COLUMNS = ModelHealth._fields.index("members")
"""The fields of a line of the table."""


def _health_line(one: ModelHealth) -> str:
    latency = "" if one.p50 is None else f"; p50 {one.p50:.3f} s, p95 {one.p95:.3f} s, p99 {one.p99:.3f} s"
    slow = f"; slow, so tried last{one.why_slow and ': '}{one.why_slow}" if one.slow else ""
    now = f"{one.in_flight} in flight, {one.waiting} wait{slow}{latency}"
    usual = "" if one.pace is None else f"; usual {one.contents:.3g} contents {one.pace:.3g} s apart"
    return visible(f"{one.model} ({one.provider}): {one.standing}; {now}{usual}")


def explain_plan(
    plan: Plan, deadline: float | None, params: Params, engine: Engine | None, wall: Callable[[], float]
) -> Explanation:
    """Describe a plan for a call with these parameters, with the present state of each model."""
    from asyncrouter._wire.registry import wire_for  # some milliseconds at import that only explaining is worth

    def explained(step: PlannedStep) -> ExplainedStep:
        wire = None if engine is None else engine.wires.get(step.provider.name)
        given = {**params.of(step.model.provider), **step.params}
        wire = wire or wire_for(step.provider, wall)
        choice = wire.explain_choice(step.model, given)
        found = ExplainedStep(
            step.member or step.name, base_name(step.model.provider), standing(step, engine), step.connect,
            step.first_token, step.idle, step.total, step.model.usd_per_mtok, choice.wire, choice.reason,
            wire.format_notes(step.model, given), step.rescue, _usual(step, engine),
        )
        if step.pool is None:
            return found
        members = Members(map(explained, step.pool.members))
        pick = step.pool.pick if isinstance(step.pool.pick, str) else "a function"
        return found._replace(provider=step.pool.providers, members=members, pick=pick, usual="")

    steps = [explained(step) for step in plan.steps]
    ordinary, for_long_prompts = tuple(steps[:plan.ordinary]), tuple(steps[plan.ordinary:])
    return Explanation(plan.task, ordinary, deadline, _hedge(plan.hedge), for_long_prompts)


def model_health(steps: Iterable[PlannedStep], engine: Engine | None) -> Health:
    """The present state of each model of these steps, by its name."""
    return Health((step.name, _health(step, engine)) for step in steps)


def _health(step: PlannedStep, engine: Engine | None) -> ModelHealth:
    name, provider = step.member or step.name, base_name(step.model.provider)
    if step.pool is not None:
        return _pool_health(step, step.pool, engine)
    if engine is None:
        return ModelHealth(name, provider, standing(step, engine))
    state = engine.policies.state_of(step.model)
    latency = state.memory(streams=step.streams)
    usual = latency.every
    known = usual.length.weight > 0.0
    return ModelHealth(
        name, provider, standing(step, engine), state.pacer.running,
        state.breaker.state.replace("_", "-"), state.slow, state.pacer.rate, state.pacer.waiting,
        latency.quantile(0.5), latency.quantile(0.95), latency.quantile(0.99), state.slowness.why,
        *((usual.pace.median, usual.silence.median, usual.length.median) if known else (None, None, None)),
    )


def _pool_health(step: PlannedStep, pool: PlannedPool, engine: Engine | None) -> ModelHealth:
    members = [_health(member, engine) for member in pool.members]
    if engine is not None:
        state = engine.policies.pool_of(pool)
        state.look_if_due(engine.loop.time())
        members = [
            health._replace(slow=bool(why), why_slow=why, seconds=member.seconds)
            for health, member in zip(members, state.members, strict=True)
            for why in [health.why_slow or state.why_slow(member)]
        ]
    rates = [one.rate for one in members]
    return ModelHealth(
        step.name, pool.providers, standing(step, engine), sum(one.in_flight for one in members),
        slow=all(one.slow for one in members), waiting=max(one.waiting for one in members),
        rate=None if None in rates else sum(rate for rate in rates if rate is not None), members=Members(members),
    )


def _usual(step: PlannedStep, engine: Engine | None) -> str:
    if engine is None:
        return ""
    state = engine.policies.state_of(step.model)
    first = state.memory(streams=step.streams).every.first
    usual = first.in_words() if first.seen else ""
    return f"{usual}; slow, so tried last: {state.slowness.why}" if state.slow else usual


def standing(step: PlannedStep, engine: Engine | None) -> str:
    """Whether a request would be sent now: "ready", "probe due" (one would, to find out), or why none would.

    A pool is as ready as the readiest of its members.
    """
    if step.pool is not None:
        found = {standing(member, engine): member.member for member in step.pool.members}
        best = next((state for state in ("ready", "probe due") if state in found), None)
        return best or "; ".join(f"{member}: {state}" for state, member in found.items())
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
    if hedge.after == "auto":
        return "where it is worth its price"
    return f"after {hedge.after}" if isinstance(hedge.after, str) else f"after {_seconds(hedge.after)}"


def _seconds(value: float | None) -> str:
    if isinstance(value, AutoSeconds):
        return f"auto ({value:g} s or more)"
    return "none" if value is None else f"{value:g} s"
