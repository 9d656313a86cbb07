"""Writes one file of every kind that asyncrouter reads back, with the asyncrouter that is installed.

    python tests/compat/write.py tests/compat/written_by_X_Y_Z

Run it once at each release and never again over an existing folder: a later asyncrouter must read what this one wrote.
All calls go to simulated models in virtual time, so two runs of one version write the same files, but for the
processor time in the reports.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import sys
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import orjson

import asyncrouter as ar
from asyncrouter import batch, bench
from asyncrouter.sim import Act, Clock, World

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from random import Random

    from asyncrouter.sim import Seen

T = TypeVar("T")

PRICED = {
    name: {"provider": "sim", "id": name, "usd_per_mtok": {"input": 1.0, "output": 2.0}} for name in ("a", "b")
}
TASKS = {"default": ["a"]}


def main() -> None:
    folder = Path(sys.argv[1])
    if folder.exists():
        sys.exit(f"{folder}: exists, and is not to be written again")
    write_finished_batch(folder / "batch_finished")
    write_openai_batch(folder / "batch_openai")
    write_interrupted_batch(folder / "batch_interrupted")
    write_trace(folder / "trace.jsonl")
    write_report(folder / "report_before", first_token=1.0)
    write_report(folder / "report_after", first_token=0.25)
    write_pickles(folder / "pickles")


# ── batches: the input, the answers, their side file, the failures ──────────────────────────────────────────────────


def write_finished_batch(folder: Path) -> None:
    """Six rows, one of which failed."""
    rows: list[object] = [{"id": f"r{number}", "prompt": f"say {number}"} for number in range(5)]
    rows.append({"id": "bad", "prompt": "malformed", "metadata": {"k": [1]}})
    play(partial(run_batch, write_rows(folder, rows)))


def write_openai_batch(folder: Path) -> None:
    """Two rows in OpenAI's form, answered in it."""
    rows = [
        {"custom_id": f"c{number}", "method": "POST", "url": "/v1/chat/completions",
         "body": {"model": "a", "messages": [{"role": "user", "content": f"say {number}"}]}}
        for number in range(2)
    ]
    play(partial(run_batch, write_rows(folder, rows), format="openai", task="default"))


def write_interrupted_batch(folder: Path) -> None:
    """Eight rows without ids, two at a time. Killed while the fourth answer was being written."""
    source = write_rows(folder, [{"prompt": f"say {number}"} for number in range(8)])

    async def killed(world: World, clock: Clock) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.5):
                await run_batch(source, world, clock, concurrency=2, params={"temperature": 0.5}, task="default")

    play(killed)
    answers = folder / "answers.jsonl"
    answers.write_bytes(answers.read_bytes()[:-40])


def write_rows(folder: Path, rows: list[object]) -> Path:
    folder.mkdir(parents=True)
    source = folder / "rows.jsonl"
    source.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return source


async def run_batch(source: Path, world: World, clock: Clock, **options: object) -> None:
    world.model("a", echo)
    async with router_of(world, clock) as router:
        await batch.run(router, source, source.with_name("answers.jsonl"), **options)  # type: ignore[arg-type]


def echo(seen: Seen, random: Random) -> Act:
    """A second later the prompt comes back, unless it asks for an error."""
    messages = seen.body["messages"]
    assert isinstance(messages, list)
    prompt = messages[-1]["content"]
    return Act(why="bad_request") if prompt == "malformed" else Act(text=f"you said {prompt}", first_token=1.0)


# ── a recorded service, and reports of a run ────────────────────────────────────────────────────────────────────────


def write_trace(path: Path) -> None:
    """Thirty calls: answers, a fallback, a hedge that lost, one that won, a failed call, one that ran out of time."""
    quick, silent = Act(first_token=0.5), Act(fault="hang")
    odd = {20: Act(status=500), 22: Act(first_token=1.25), 24: silent, 26: silent, 28: silent}

    async def record(world: World, clock: Clock) -> None:
        world.model("a", *(odd.get(number, quick) for number in range(30)))
        world.model("b", quick, quick, quick, Act(status=400), silent)
        with bench.JsonlTrace(path) as trace:
            async with router_of(world, clock, listeners=[trace]) as router:
                for number in range(30):
                    first = ar.Step(model="a", first_token=2.0 if number == 26 else 30.0)
                    with contextlib.suppress(ar.CallError):
                        await router.chat(
                            f"call {number}", chain=[first, "b"],
                            hedge={"after": 1.0, "budget": 1.0} if number in {22, 24} else None,
                            deadline=2.0 if number == 28 else 60.0, retry={"attempts": 1}, tags={"user": "u"},
                        )

    play(record)


def write_report(folder: Path, *, first_token: float) -> None:
    """Two arms, forty calls each; the first model fails one call in four."""

    def furnish(world: World, day: bench.Day) -> None:
        def primary(seen: Seen, random: Random) -> Act:
            return Act(first_token=first_token, status=500 if random.random() < 0.25 else 200)

        world.model("primary", primary)
        world.model("secondary", Act(first_token=0.5))

    arms = [
        bench.Arm("direct", {"chain": ["primary"], "retry": {"attempts": 1}}),
        bench.Arm("chain", {"chain": ["primary", "secondary"], "retry": {"attempts": 1}}),
    ]
    run = bench.run(arms, bench.Load.constant(2, calls=40), scenario=bench.Scenario("scripted", "", furnish))
    report = orjson.loads(run.report().json())
    report["environment"] = {"at": "2026-11-29T00:00:00+00:00", "python": "3.11", "system": "a computer"}
    folder.mkdir()
    (folder / "report.json").write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))


# ── pickles ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def write_pickles(folder: Path) -> None:
    folder.mkdir()
    for name, thing in {**made(), **play(answered)}.items():
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(thing, protocol=4))


def made() -> dict[str, object]:
    """One object of each public class that can be pickled, every field set."""
    usage = ar.Usage(10, 5, 3, 2)
    call = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    error = complete(ar.Rejected("no", status=400, code="c", request_id="r", retry_after=2.5))
    attempt = ar.Attempt(1, "a", "sim", "first", "failed", error, 400, "r", 0.0, 0.125, 0.25, 0.5, 0.75, 1.0, usage,
                         0.5, cost_estimated=True)
    trace = ar.Trace("coding", 5.0, [attempt], 1.0, {"user": "u"})
    reply = ar.Reply("text", "thought", (call,), "tool_calls", "a", "a-1", usage, 0.5, trace)
    step = ar.Step(
        model="small", connect=1.0, first_token=2.0, idle=3.0, total=None, retry={"attempts": 3}, on_refusal="next",
        max_response_bytes=1000, wire_stream=True, params={"temperature": 0.5},
    )
    price = ar.Price(input=1.0, output=2.0)
    model = ar.Model(
        provider="local", id="m", name="small", context=100, max_output=10, usd_per_mtok=price,
        drop=("top_k",), max_concurrent=4, rpm=60.0, tpm=1000.0, retired=date(2026, 1, 2), successor="n",
    )
    provider = ar.Provider(
        name="local", base_url="http://localhost:1/v1", wire="anthropic", key="env:KEY", headers={"X-A": "b"},
        query={"q": "1"}, proxy="http://localhost:2", ca="bundle.pem",
    )
    retry = ar.Retry(attempts=3, base=0.5, cap=4.0, patience=1.0)
    hedge = ar.Hedge(after=1.5, budget=0.1, cap=3.0, same=True)
    defaults = ar.Defaults(
        connect=1.0, first_token=2.0, idle=3.0, total=4.0, deadline=5.0, retry=retry, hedge=hedge, on_refusal="next",
        breaker="off", max_response_bytes=1000, wire_stream=False,
    )
    chain = ar.Chain(["small", step], hedge="p95", deadline=9.0, idle=1.0)
    explained = ar.ExplainedStep("a", "sim", "ready", 1.0, 2.0, 3.0, None, price)
    budget = ar.Budget(50.0, per="hour", unknown="allow", tags={"tenant": 1.0})
    return {
        "Usage": usage, "Attempt": attempt, "Trace": trace, "Reply": reply,
        "Embeddings": ar.Embeddings([[0.5, 1.0]], "a", "a-1", usage, 0.5, trace),
        "Chunk": ar.Chunk("text", "thought", (call,), "stop", usage, restart=True),
        "Call": ar.Call([{"role": "user", "content": "hi"}], {"n": 1}, {"X-A": "b"}, 1.0, 2.0, stream=True),
        "Price": ar.Price(input=1.0, output=2.0, cached_input=0.5), "Provider": provider, "Model": model,
        "Pool": ar.Pool(["a:x", ar.PoolMember("b:x", 2)], pick="weighted", rpm=60),
        "MemberView": ar.MemberView("b:x", "b", "x", 1, 0, 0.5, price, 1.0),
        "PoolMember": ar.PoolMember("b:x", 2), "Step": step,
        "Chain": chain, "Retry": retry, "Hedge": hedge, "Defaults": defaults,
        "Config": ar.Config(
            default_provider="local", unknown_task="error", providers={"local": provider}, models={"small": model},
            defaults=defaults, tasks={"coding": chain}, tiers={"budget": ar.Chain(["small"])},
        ),
        "Request": ar.Request("POST", "http://localhost:1/v1", {"X-A": "b"}, b"{}", 1.0, "http://localhost:2", "ca"),
        "ExplainedStep": explained, "Explanation": ar.Explanation("coding", (explained,), 9.0, "after p95"),
        "ModelHealth": ar.ModelHealth("a", "sim", "ready", 1, "open", slow=True, rate=2.0, waiting=3, p50=1.0, p99=2.0),
        "AttemptStarted": ar.AttemptStarted(trace, attempt), "AttemptEnded": ar.AttemptEnded(trace, attempt),
        "CallEnded": ar.CallEnded(trace, ar.AllModelsFailed("all failed", trace)),
        "CallStarted": ar.CallStarted(trace), "Budget": budget, "BudgetState": ar.BudgetState(50.0, 1.0, 0.5, None),
        "HedgeDenied": ar.HedgeDenied(trace, "budget"), "StateChanged": ar.StateChanged("a", "open", "500"),
        "Notice": ar.Notice("a", "text"), "NotGiven": ar.NOT_GIVEN, **errors(trace, reply),
        "batch_Estimate": batch.Estimate(3, 10, 5, 0.5, 1.0, ["b"]),
        "batch_Report": batch.Report(
            8, 1, 4, 2, "stopped", interrupted=True, seconds=1.5, input_tokens=10, output_tokens=5, cost_usd=0.5,
            cost_estimated=True, attempts=7, hedges=1, errors={"Rejected": 2}, models={"a": {"answered": 4}},
            latency={"p50": 1.0}, output="answers.jsonl", errors_file="answers.errors.jsonl",
        ),
    }


def errors(trace: ar.Trace, reply: ar.Reply) -> dict[str, object]:
    """One error of each class."""
    kinds = (
        ar.ConnectionFailed, ar.RateLimited, ar.ServerFailed, ar.BadReply, ar.ContextTooLong, ar.Refused, ar.Rejected,
        ar.Unauthorized, ar.OutOfCredit,
    )
    attempts: list[ar.AttemptError] = [
        kind("told", status=418, code="teapot", request_id="r", retry_after=2.5) for kind in kinds
    ]
    attempts += [ar.AttemptTimeout("idle", "told"), ar.NotAccepted("told", reply=reply)]
    attempts.append(ar.OverBudget("told", until=1800.0, retry_after=60.0))
    attempts.append(ar.NotSent("told", hold=3.5, actionable=True, key_out=True, forcible=True))
    refused = next(error for error in attempts if isinstance(error, ar.Refused))
    refused.trace = ar.Trace("coding", 5.0, [ar.Attempt(1, "a", "sim", "first", "failed", refused)])  # a circle
    others: list[Exception] = [
        ar.RouterError("told"), ar.RouterClosed("told"), ar.ConfigError("told", "tasks.coding.total", "20s"),
        ar.AllModelsFailed("told", trace), ar.DeadlineExceeded("told", trace),
        ar.StreamInterrupted("told", trace, "half an ans"),
        batch.BatchError("told"), batch.InvalidInput("rows.jsonl", [], 3),
    ]
    return {type(error).__name__: error for error in [*map(complete, attempts), *others]}


def complete(error: ar.AttemptError) -> ar.AttemptError:
    """With what the engine adds."""
    error.model, error.provider, error.again = "a", "sim", "quick"
    return error


async def answered(world: World, clock: Clock) -> dict[str, object]:
    """Replies and errors as calls give them: of each wire, whole and streamed; a batch's estimate and report."""
    tool = {"name": "f", "arguments": {"x": 1}}
    world.model("a", Act(text="one two", reasoning="hm", tool_calls=[tool]))
    world.model("down", Act(status=500))
    done: dict[str, object] = {}
    async with router_of(world, clock) as router:
        for wire in ("openai", "anthropic", "gemini"):
            for stream in (False, True):
                chain = ar.Chain([f"sim-{wire}:a"], wire_stream=stream)
                done[f"reply_{wire}_{'streamed' if stream else 'whole'}"] = await router.chat("hi", chain=chain)
        try:
            await router.chat("hi", chain=["down", "a"], accept=lambda reply: False, retry={"attempts": 1})
        except ar.AllModelsFailed as error:
            done["all_models_failed_in_a_call"] = error
    return done


# ── the world ───────────────────────────────────────────────────────────────────────────────────────────────────────


def play(scene: Callable[[World, Clock], Coroutine[object, object, T]]) -> T:
    """A scene in a world and a time of its own."""
    clock = Clock()
    return clock.run(scene(World(), clock))


def router_of(world: World, clock: Clock, **options: object) -> ar.Router:
    config = world.config(models=PRICED, tasks=TASKS)
    return ar.Router(config, transport=world.transport(), seed=0, wall=clock.wall, **options)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
