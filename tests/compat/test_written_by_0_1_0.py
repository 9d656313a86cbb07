"""What asyncrouter 0.1.0 wrote is read by the present one, or refused with what to do."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import fields, is_dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

import asyncrouter as ar
from asyncrouter import batch, bench
from asyncrouter.bench.rows import AttemptRow
from asyncrouter.bench.trace import CallRow
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from asyncrouter.batch import Report
    from asyncrouter.sim import Clock, World

WRITTEN = Path(__file__).parent / "written_by_0_1_0"


# ── batches ─────────────────────────────────────────────────────────────────────────────────────────────────────────

PRICED = {"a": {"provider": "sim", "id": "a", "usd_per_mtok": {"input": 1.0, "output": 2.0}}}


def resume(clock: Clock, world: World, folder: Path, **options: object) -> Report:
    """The batch of a folder is run again as 0.1.0 ran it, and each row is answered with "anew"."""
    world.model("a", Act(text="anew"))

    async def scene() -> Report:
        config = world.config(models=PRICED, tasks={"default": ["a"]})
        async with ar.Router(config, transport=world.transport()) as router:
            return await batch.run(router, folder / "rows.jsonl", folder / "answers.jsonl", **options)  # type: ignore[arg-type]

    return clock.run(scene())


def copy_of(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(WRITTEN / name, folder / name))


def asked(world: World) -> list[str]:
    return [seen.body["messages"][-1]["content"] for seen in world.seen]  # type: ignore[index]


def answers(folder: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (folder / "answers.jsonl").read_bytes().splitlines()]


def test_a_finished_batch_asks_nothing_again(clock: Clock, world: World, tmp_path: Path) -> None:
    """Five answers of 0.1.0 are kept, and the row that failed has failed for good."""
    report = resume(clock, world, copy_of("batch_finished", tmp_path))

    assert asked(world) == []
    assert (report.rows, report.skipped, report.failed_before, report.done, report.left) == (6, 5, 1, 0, 0)


def test_a_finished_batch_asks_only_for_its_failure_again(clock: Clock, world: World, tmp_path: Path) -> None:
    """With `retry_failed` the row that failed is asked again."""
    folder = copy_of("batch_finished", tmp_path)

    report = resume(clock, world, folder, retry_failed=True)

    assert asked(world) == ["malformed"]
    assert (report.rows, report.skipped, report.done, report.failed, report.left) == (6, 5, 1, 0, 0)
    assert [(line["id"], line["text"]) for line in answers(folder)] == [
        *((f"r{number}", f"you said say {number}") for number in (0, 1, 4, 3, 2)), ("bad", "anew"),
    ]
    assert not (folder / "answers.errors.jsonl").exists()


def test_an_interrupted_batch_is_finished(clock: Clock, world: World, tmp_path: Path) -> None:
    """The answer in which the run was killed is cut off and asked for again, with all rows that had none."""
    folder = copy_of("batch_interrupted", tmp_path)

    report = resume(clock, world, folder, params={"temperature": 0.5}, task="default")

    assert asked(world) == [f"say {number}" for number in range(3, 8)]
    assert (report.rows, report.skipped, report.done, report.failed, report.left) == (8, 3, 5, 0, 0)
    assert sorted((line["index"], line["text"]) for line in answers(folder)) == [
        *((number, f"you said say {number}") for number in range(3)), *((number, "anew") for number in range(3, 8)),
    ]
    assert answers(folder)[0]["id"] == "768e17c6bbd26f21b3766a4a"


def test_an_interrupted_batch_with_other_parameters_is_refused(clock: Clock, world: World, tmp_path: Path) -> None:
    """What 0.1.0 noted of the batch still tells what has changed, and the error says what to do."""
    folder = copy_of("batch_interrupted", tmp_path)

    with pytest.raises(batch.BatchError) as refused:
        resume(clock, world, folder, params={"temperature": 1.0}, task="default")

    assert str(refused.value) == (
        f'{folder}/answers.jsonl: belongs to another batch: params was {{"temperature":0.5}} and is '
        '{"temperature":1.0}; name another output, throw it away with --restart (restart=True), or go on by ids alone '
        'with --force'
    )


def test_answers_in_openais_form_are_read(clock: Clock, world: World, tmp_path: Path) -> None:
    """A finished batch in OpenAI's form has nothing left to ask."""
    folder = copy_of("batch_openai", tmp_path)

    report = resume(clock, world, folder, format="openai", task="default")

    assert asked(world) == []
    assert (report.rows, report.skipped, report.done, report.left) == (2, 2, 0, 0)


def test_the_failures_of_a_batch_are_an_input(clock: Clock, world: World, tmp_path: Path) -> None:
    """The errors file of 0.1.0 can be run by itself."""
    folder = copy_of("batch_finished", tmp_path)
    shutil.copy(folder / "answers.errors.jsonl", folder / "rows.jsonl")

    report = resume(clock, world, folder, restart=True)

    assert (asked(world), report.done, answers(folder)[0]["metadata"]) == (["malformed"], 1, {"k": [1]})


# ── traces ──────────────────────────────────────────────────────────────────────────────────────────────────────────

QUICK = AttemptRow("a", "first", "won", None, None, 200, 0.0, 0.0, 0.5, 0.5, 0.5, 2, 1, 4e-6)
ODD = {
    20: CallRow(1767225610.0, 0.5, None, None, [
        AttemptRow("a", "first", "failed", "ServerFailed", None, 500, 0.0, 0.0, ended=0.0),
        AttemptRow("b", "fallback", "won", None, None, 200, 0.0, 0.0, 0.5, 0.5, 0.5, 2, 1, 4e-6),
    ]),
    22: CallRow(1767225611.0, 1.25, None, None, [
        AttemptRow("a", "first", "won", None, None, 200, 0.0, 0.0, 1.25, 1.25, 1.25, 2, 1, 4e-6),
        AttemptRow("b", "hedge", "superseded", None, None, 200, 1.0, 1.0, ended=1.25, cost_usd=2e-6,
                   cost_estimated=True),
    ]),
    24: CallRow(1767225612.75, 1.5, None, None, [
        AttemptRow("a", "first", "superseded", None, None, 200, 0.0, 0.0, ended=1.5, cost_usd=2e-6,
                   cost_estimated=True),
        AttemptRow("b", "hedge", "won", None, None, 200, 1.0, 1.0, 1.5, 1.5, 1.5, 2, 1, 4e-6),
    ]),
    26: CallRow(1767225614.75, 2.0, None, "AllModelsFailed", [
        AttemptRow("a", "first", "failed", "AttemptTimeout", "first_token", 200, 0.0, 0.0, ended=2.0, cost_usd=2e-6,
                   cost_estimated=True),
        AttemptRow("b", "fallback", "failed", "Rejected", None, 400, 2.0, 2.0, ended=2.0),
    ]),
    28: CallRow(1767225617.25, 2.0, None, "DeadlineExceeded", [
        AttemptRow("a", "first", "failed", "AttemptTimeout", "total", 200, 0.0, 0.0, ended=1.0, cost_usd=2e-6,
                   cost_estimated=True),
        AttemptRow("b", "fallback", "failed", "AttemptTimeout", "deadline", 200, 1.0, 1.0, ended=2.0, cost_usd=2e-6,
                   cost_estimated=True),
    ]),
}


def test_a_trace_is_read() -> None:
    """Every recorded call comes back with its attempts."""
    calls = bench.read_trace(WRITTEN / "trace.jsonl")

    assert len(calls) == 30
    assert {number: calls[number] for number in ODD} == ODD
    usual = [call for number, call in enumerate(calls) if number not in ODD]
    assert [(call.seconds, call.task, call.error, call.attempts) for call in usual] == [(0.5, None, None, [QUICK])] * 25
    assert (calls[0].started, calls[29].started) == (1767225600.0, 1767225619.25)


def test_a_trace_is_replayed() -> None:
    """The median is what was recorded."""
    [replayed] = bench.replay(bench.read_trace(WRITTEN / "trace.jsonl"), [bench.Policy(hedge=None)])

    assert replayed.measures["p50_e2e"] == bench.Estimate(0.5, 0.5, 0.5, 30)


# ── reports ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_report_is_read() -> None:
    """Arms with their figures, settings, warnings and what it was measured with."""
    report = bench.Report.read(WRITTEN / "report_before")

    direct, chain = report.arms
    assert (direct.name, direct.served_by, direct.depths, direct.errors, direct.attempt_errors) == (
        "direct", {"primary": 1.0}, {1: 40}, {"AllModelsFailed": 12}, {"ServerFailed": 12},
    )
    assert (chain.name, chain.served_by, chain.depths, chain.errors, chain.attempt_errors) == (
        "chain", {"primary": 0.7, "secondary": 0.3}, {1: 28, 2: 12}, {}, {"ServerFailed": 12},
    )
    assert direct.described == {
        "name": "direct", "call": {"chain": ["primary"], "retry": "{'attempts': 1}"}, "stream": False, "config": False,
    }
    assert direct.measures["success"] == bench.Estimate(0.7, 0.5456998105658182, 0.8192515484507963, 40)
    assert direct.measures["p99_e2e"] == bench.Estimate(None, n=40, enough=False)
    assert chain.measures["p50_e2e"] == bench.Estimate(1.0, 1.0, 1.0, 40)
    assert (report.settings["scenario"], report.warnings, report.loop_lag_p99) == ("scripted", [], None)
    assert report.environment == {"at": "2026-11-29T00:00:00+00:00", "python": "3.11", "system": "a computer"}


def test_reports_are_compared() -> None:
    """The model of the second report is faster, and nothing else has changed."""
    changes = bench.compare(*(bench.Report.read(WRITTEN / name) for name in ("report_before", "report_after")))

    assert [(one.arm, one.name, one.low, one.high) for one in changes if one.verdict == "better"] == [
        (arm, name, -0.75, -0.75) for arm in ("direct", "chain") for name in ("p50_e2e", "p50_ttft")
    ]
    assert {one.verdict for one in changes} == {"better", "same", "unsure"}


# ── pickles ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def load(name: str) -> Any:
    return pickle.loads((WRITTEN / "pickles" / f"{name}.pickle").read_bytes())


def plain(thing: object, around: tuple[object, ...] = ()) -> object:
    """An object as tuples and dictionaries that can be compared, the fields of errors included."""
    if any(thing is one for one in around):
        return "a circle"
    around = (*around, thing)
    if isinstance(thing, BaseException):
        return type(thing), str(thing), plain(vars(thing), around)
    if is_dataclass(thing):
        values = {field.name: getattr(thing, field.name) for field in fields(thing) if field.compare}
        return type(thing), plain(values, around)
    if isinstance(thing, list | tuple):
        return type(thing), [plain(item, around) for item in thing]
    if isinstance(thing, dict):
        return {key: plain(value, around) for key, value in thing.items()}
    return thing


def attempt_error(error: ar.AttemptError, again: str = "quick") -> ar.AttemptError:
    error.model, error.provider, error.again = "a", "sim", again  # type: ignore[assignment]
    return error


def refused() -> ar.Refused:
    """An error that its own trace holds."""
    error = ar.Refused("told", status=418, code="teapot", request_id="r", retry_after=2.5)
    error.trace = ar.Trace("coding", 5.0, [ar.Attempt(1, "a", "sim", "first", "failed", error)])
    return error


USAGE = ar.Usage(10, 5, 3, 2)
TOOL_CALL = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
REJECTED = attempt_error(ar.Rejected("no", status=400, code="c", request_id="r", retry_after=2.5))
ATTEMPT = ar.Attempt(
    number=1, model="a", provider="sim", cause="first", outcome="failed", error=REJECTED, status=400, request_id="r",
    queued=0.0, sent=0.125, connected=0.25, first_content=0.5, last_content=0.75, ended=1.0, usage=USAGE, cost_usd=0.5,
    cost_estimated=True,
)
TRACE = ar.Trace(task="coding", started=5.0, attempts=[ATTEMPT], seconds=1.0, tags={"user": "u"})
REPLY = ar.Reply(
    text="text", reasoning="thought", tool_calls=(TOOL_CALL,), finish_reason="tool_calls", model="a",
    served_model="a-1", usage=USAGE, cost_usd=0.5, trace=TRACE,
)
PRICE = ar.Price(input=1.0, output=2.0)
PROVIDER = ar.Provider(
    name="local", base_url="http://localhost:1/v1", wire="anthropic", key="env:KEY", headers={"X-A": "b"},
    query={"q": "1"}, proxy="http://localhost:2", ca="bundle.pem",
)
MODEL = ar.Model(
    provider="local", id="m", name="small", context=100, max_output=10, usd_per_mtok=PRICE, drop=("top_k",),
    max_concurrent=4, rpm=60.0, tpm=1000.0, retired=date(2026, 1, 2), successor="n",
)
RETRY = ar.Retry(attempts=3, base=0.5, cap=4.0, patience=1.0)
HEDGE = ar.Hedge(after=1.5, budget=0.1, cap=3.0, same=True)
DEFAULTS = ar.Defaults(
    connect=1.0, first_token=2.0, idle=3.0, total=4.0, deadline=5.0, retry=RETRY, hedge=HEDGE, on_refusal="next",
    breaker="off", max_response_bytes=1000, wire_stream=False,
)
STEP = ar.Step(
    model="small", connect=1.0, first_token=2.0, idle=3.0, total=None, retry={"attempts": 3}, on_refusal="next",
    max_response_bytes=1000, wire_stream=True, params={"temperature": 0.5},
)
CHAIN = ar.Chain(["small", STEP], hedge="p95", deadline=9.0, idle=1.0)
EXPLAINED = ar.ExplainedStep("a", "sim", "ready", 1.0, 2.0, 3.0, None, PRICE)
TEAPOT: dict[str, Any] = {"status": 418, "code": "teapot", "request_id": "r", "retry_after": 2.5}

PICKLED: dict[str, object] = {
    "Usage": USAGE, "Attempt": ATTEMPT, "Trace": TRACE, "Reply": REPLY,
    "Chunk": ar.Chunk("text", "thought", (TOOL_CALL,), "stop", USAGE, restart=True),
    "Call": ar.Call([{"role": "user", "content": "hi"}], {"n": 1}, {"X-A": "b"}, 1.0, 2.0, stream=True),
    "Price": ar.Price(input=1.0, output=2.0, cached_input=0.5), "Provider": PROVIDER, "Model": MODEL,
    "Step": STEP, "Chain": CHAIN, "Retry": RETRY, "Hedge": HEDGE, "Defaults": DEFAULTS,
    "Config": ar.Config(
        default_provider="local", unknown_task="error", providers={"local": PROVIDER}, models={"small": MODEL},
        defaults=DEFAULTS, tasks={"coding": CHAIN}, tiers={"budget": ar.Chain(["small"])},
    ),
    "Request": ar.Request("POST", "http://localhost:1/v1", {"X-A": "b"}, b"{}", 1.0, "http://localhost:2", "ca"),
    "ExplainedStep": EXPLAINED, "Explanation": ar.Explanation("coding", (EXPLAINED,), 9.0, "after p95"),
    "ModelHealth": ar.ModelHealth("a", "sim", "ready", 1, "open", slow=True, rate=2.0, waiting=3, p50=1.0, p99=2.0),
    "AttemptStarted": ar.AttemptStarted(TRACE, ATTEMPT), "AttemptEnded": ar.AttemptEnded(TRACE, ATTEMPT),
    "CallEnded": ar.CallEnded(TRACE, ar.AllModelsFailed("all failed", TRACE)),
    "HedgeDenied": ar.HedgeDenied(TRACE, "budget"), "StateChanged": ar.StateChanged("a", "open", "500"),
    "Notice": ar.Notice("a", "text"),
    "batch_Estimate": batch.Estimate(3, 10, 5, 0.5, 1.0, ["b"]),
    "batch_Report": batch.Report(
        rows=8, skipped=1, done=4, failed=2, stopped="stopped", interrupted=True, seconds=1.5, input_tokens=10,
        output_tokens=5, cost_usd=0.5, cost_estimated=True, attempts=7, hedges=1, errors={"Rejected": 2},
        models={"a": {"answered": 4}}, latency={"p50": 1.0}, output="answers.jsonl",
        errors_file="answers.errors.jsonl",
    ),
    "RouterError": ar.RouterError("told"), "RouterClosed": ar.RouterClosed("told"),
    "ConfigError": ar.ConfigError("told", "tasks.coding.total", "20s"),
    "AllModelsFailed": ar.AllModelsFailed("told", TRACE), "DeadlineExceeded": ar.DeadlineExceeded("told", TRACE),
    "StreamInterrupted": ar.StreamInterrupted("told", TRACE, "half an ans"),
    "BatchError": batch.BatchError("told"), "InvalidInput": batch.InvalidInput("rows.jsonl", [], 3),
    "ConnectionFailed": attempt_error(ar.ConnectionFailed("told", **TEAPOT)),
    "RateLimited": attempt_error(ar.RateLimited("told", **TEAPOT)),
    "ServerFailed": attempt_error(ar.ServerFailed("told", **TEAPOT)),
    "BadReply": attempt_error(ar.BadReply("told", **TEAPOT)),
    "ContextTooLong": attempt_error(ar.ContextTooLong("told", **TEAPOT)),
    "Refused": attempt_error(refused()),
    "Rejected": attempt_error(ar.Rejected("told", **TEAPOT)),
    "Unauthorized": attempt_error(ar.Unauthorized("told", **TEAPOT)),
    "OutOfCredit": attempt_error(ar.OutOfCredit("told", **TEAPOT)),
    "AttemptTimeout": attempt_error(ar.AttemptTimeout("idle", "told")),
    "NotAccepted": attempt_error(ar.NotAccepted("told", reply=REPLY)),
    "NotSent": attempt_error(ar.NotSent("told", hold=3.5, actionable=True, key_out=True, forcible=True)),
}
"""What each pickle holds."""


@pytest.mark.parametrize("name", PICKLED)
def test_a_pickle_is_read(name: str) -> None:
    """Every field has the value it was pickled with."""
    assert plain(load(name)) == plain(PICKLED[name])


def test_a_read_configuration_can_be_used(clock: Clock, world: World) -> None:
    """A router takes it, what was not given included."""
    config = load("Config")

    explanation = ar.Router(config, transport=world.transport()).explain(task="coding")

    assert config.tasks["coding"].total is ar.NOT_GIVEN
    assert [(step.model, step.first_token, step.idle, step.total) for step in explanation.steps] == [
        ("small", 2.0, 1.0, 4.0), ("small", 2.0, 3.0, None),
    ]


def test_an_error_in_its_own_trace_is_read() -> None:
    """The error in the trace is the same object."""
    error = load("Refused")

    assert error.trace.attempts[0].error is error


REPLIES = {
    f"reply_{wire}_{how}": (f"sim-{wire}:a", call, tokens)
    for wire, tokens in (("openai", 5), ("anthropic", 5), ("gemini", 4))
    for how, call in (
        ("whole", "call_sim-5_0" if wire == "gemini" else "call_0"),
        ("streamed", "call_sim-6_0" if wire == "gemini" else "call_0"),
    )
}


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_of_a_call_is_read(name: str) -> None:
    """Text, thoughts, tool calls, usage and trace, whichever provider answered and however it was sent."""
    model, call, tokens = REPLIES[name]

    reply = load(name)

    assert reply == ar.Reply(
        text="one two", reasoning="hm", finish_reason="tool_calls", model=model, served_model="a",
        tool_calls=({"id": call, "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},),
        usage=ar.Usage(1, tokens, 0, 1), trace=reply.trace,
    )
    assert str(reply.trace) == (
        f" 1     0.000 s →    0.000 s  first     {model}  won, first content at 0.000 s, 1+{tokens} tokens"
    )
    assert reply.trace.started == 1767225600.0


def test_the_raw_answer_of_a_reply_is_read_where_it_came_whole() -> None:
    """0.1.0 pickled such an answer as it was sent."""
    assert load("reply_openai_whole").raw == {
        "id": "sim-1", "object": "chat.completion", "created": 1767225600, "model": "a",
        "choices": [{
            "index": 0, "finish_reason": "tool_calls", "logprobs": None,
            "message": {
                "role": "assistant", "content": "one two", "reasoning_content": "hm",
                "tool_calls": [
                    {"id": "call_0", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
                ],
            },
        }],
        "usage": {
            "prompt_tokens": 1, "completion_tokens": 5, "total_tokens": 6,
            "completion_tokens_details": {"reasoning_tokens": 1},
        },
    }


@pytest.mark.parametrize("name", [name for name in REPLIES if name != "reply_openai_whole"])
def test_the_raw_answer_of_another_reply_is_refused(name: str) -> None:
    """0.1.0 pickled its decoder in the place of the answer; the error says what to do."""
    with pytest.raises(RuntimeError) as refused:
        _ = load(name).raw

    assert str(refused.value) == (
        "reply.raw: asyncrouter 0.1.0 pickled this reply without it; everything else in the reply is there. "
        "To have `raw`, load the pickle with 0.1.0 and save reply.raw as JSON"
    )


def test_a_reply_without_its_raw_answer_can_be_pickled_again() -> None:
    """It goes on to other processes, and `raw` is refused there."""
    reply = pickle.loads(pickle.dumps(load("reply_openai_streamed")))

    assert reply.text == "one two"
    with pytest.raises(RuntimeError, match="pickled this reply without it"):
        _ = reply.raw


def test_the_error_of_a_call_is_read() -> None:
    """Message, timeline, and the reply that was not accepted."""
    error = load("all_models_failed_in_a_call")

    assert type(error) is ar.AllModelsFailed
    assert str(error).splitlines() == [
        "All models failed: a: accept() turned the reply down",
        " 1     0.000 s →    0.000 s  first     down  failed, ServerFailed: The simulated model answers 500.",
        " 2     0.000 s →    0.000 s  fallback  a  not_accepted, first content at 0.000 s, 1+5 tokens, $0.000011, "
        "NotAccepted: accept() turned the reply down",
    ]
    failed, turned_down = (attempt.error for attempt in error.trace.attempts)
    assert (type(failed), failed.status, failed.code, failed.request_id) == (
        ar.ServerFailed, 500, "server_error", "req-7",
    )
    assert (type(turned_down), turned_down.reply.text) == (ar.NotAccepted, "one two")


def test_every_pickle_is_read() -> None:
    """No file of the folder is left out above."""
    names = {path.stem for path in (WRITTEN / "pickles").iterdir()}

    assert names == {*PICKLED, *REPLIES, "all_models_failed_in_a_call"}
