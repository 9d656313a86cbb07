"""`via="provider"`: rows through the batch APIs of four simulated vendors, with the chain as the safety net."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest

from asyncrouter import Router, batch
from asyncrouter.batch import BatchError
from asyncrouter.batch._vendors import decide
from asyncrouter.sim import BATCH_FAULTS, Act
from asyncrouter.sim._batches import front
from asyncrouter.sim._batches.http import json
from tests.helpers.vendors import HOUR, MODELS, Killed, VendorWorld

if TYPE_CHECKING:
    from pathlib import Path

    from asyncrouter import Reply
    from asyncrouter.sim import Batches
    from asyncrouter.sim._batches.http import HttpRequest
    from asyncrouter.sim.play import Play

ONE = ("openai",)


@pytest.fixture
def vendors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VendorWorld:
    monkeypatch.setenv("VENDOR_KEY", "sk-vendors")
    world = VendorWorld(tmp_path)
    world.batches.set(600.0, {})
    return world


def models(vendors: VendorWorld) -> Counter[object]:
    """How many rows each model has answered."""
    return Counter(line["model"] for line in vendors.lines())


def test_rows_go_through_the_batch_api_of_their_model_s_vendor(vendors: VendorWorld) -> None:
    """Each row is answered by the first model of its chain, at half the price, and nothing is left at the vendors."""
    vendors.rows(20)
    with vendors.watched():
        report = vendors.run()

    assert models(vendors) == dict.fromkeys(MODELS.values(), 5)
    assert report.vendors["openai"] == {"batches": 1, "rows": 5, "answered": 5, "left": 0}
    assert vendors.world.usd == 0.0  # nobody was asked live
    assert report.cost_usd == pytest.approx(vendors.batches.usd)
    assert vendors.violations(20) == []


def test_a_line_has_the_form_of_a_live_answer_s_and_the_cause_batch(vendors: VendorWorld) -> None:
    """Usage, cost and model stand on the line as they would live; its one attempt has the cause "batch"."""
    vendors.world.model("gpt", Act(text="three little words"))
    vendors.rows(1, vendors=ONE)
    vendors.run()

    [line] = vendors.lines()
    names = ("id", "text", "model", "finish_reason")
    assert [line[name] for name in names] == ["r0", "three little words", "gpt", "stop"]
    assert line["cost_usd"] == (2 * 0.5 + 3 * 1.0) / 1e6
    [attempt] = line["attempts"]  # type: ignore[misc]
    assert (attempt["cause"], attempt["outcome"], attempt["status"]) == ("batch", "won", 200)


@pytest.mark.parametrize("fault", [*BATCH_FAULTS])
def test_no_fault_of_a_vendor_loses_a_row_or_writes_one_twice(vendors: VendorWorld, fault: str) -> None:
    """With any single fault, always or at its first occasion, every id is written once and every dollar told."""
    always = {"row_errors", "row_zero", "half", "inline", "duplicates", "reordered", "wrong_ids", "nothing_out"}
    chance: float | list[int] = 1.0 if fault in always else [0, 1]
    vendors.world.batches(**{"stuck": [0, 1], fault: chance} if fault == "stuck_cancelling" else {fault: chance})
    vendors.rows(24)
    vendors.settle()

    assert vendors.violations(24) == []


def test_what_is_stuck_is_answered_live_at_the_deadline(vendors: VendorWorld) -> None:
    """A batch is cancelled ten minutes before the deadline; what it does not give is asked of the chain's rest."""
    vendors.world.batches(stuck=1.0, stuck_cancelling=1.0)
    vendors.world.model("live", Act(first_token=2.0))
    vendors.rows(8, vendors=("anthropic",))
    with vendors.watched():
        report = vendors.run(deadline=2 * HOUR)

    cancelled = [call.at for call in vendors.batches.log if call.path.endswith("/cancel")]
    assert cancelled == [2 * HOUR - 600.0]
    assert {round(seen.at, 6) for seen in vendors.world.seen} == {2 * HOUR}
    assert models(vendors) == {"live": 8}
    assert report.vendors["anthropic"]["left"] == 1


@pytest.mark.parametrize(("vendor", "refused"), [("openai", 409), ("anthropic", 400)])
def test_a_batch_that_ended_before_its_cancellation_is_read(
    vendors: VendorWorld, monkeypatch: pytest.MonkeyPatch, vendor: str, refused: int
) -> None:
    """A batch that ends between the last look and its cancellation is paid: its results are fetched at once."""
    monkeypatch.setattr(decide, "LATER_LOOKS", 3 * HOUR)
    monkeypatch.setattr(decide, "FIRST_LOOKS", 3 * HOUR)
    vendors.world.batches(takes=1.5 * HOUR)
    vendors.rows(10, vendors=(vendor,))
    with vendors.watched():
        vendors.run(deadline=2 * HOUR)

    cancelled = [call.status for call in vendors.batches.log if call.path.endswith(("/cancel", ":cancel"))]
    assert models(vendors) == {MODELS[vendor]: 10}
    assert vendors.violations(10) == []
    assert cancelled == [refused]


def test_while_a_cancellation_fails_the_batch_is_looked_at(
    vendors: VendorWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vendor that fails each cancellation loses no result: the end of the batch is still seen."""
    respond = front.VENDORS["openai"]

    def failing(batches: Batches, request: HttpRequest) -> Play:
        return json(500, {}) if request.path.endswith("/cancel") else respond(batches, request)

    monkeypatch.setitem(front.VENDORS, "openai", failing)
    vendors.world.batches(takes=2.5 * HOUR)
    vendors.rows(10, vendors=ONE)
    with vendors.watched():
        vendors.run(deadline=3 * HOUR - 300.0)

    assert models(vendors) == {"gpt": 10}


def test_a_batch_is_given_up_for_gone_by_a_look_alone(vendors: VendorWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A vendor that says for a moment that there is no such batch, and then fails looks for long, still has it."""
    respond = front.VENDORS["openrouter"]

    def forgetful(batches: Batches, request: HttpRequest) -> Play:
        if request.method == "GET" and request.path.startswith("/batches/"):
            if request.at < 60.0:
                return json(404, {})
            if request.at < 1500.0:
                return json(500, {})
        return respond(batches, request)

    monkeypatch.setitem(front.VENDORS, "openrouter", forgetful)
    vendors.rows(10, vendors=("openrouter",))
    with vendors.watched():
        vendors.run()

    assert models(vendors) == {"orm": 10}


def test_what_a_cancelled_batch_has_answered_is_used(vendors: VendorWorld) -> None:
    """A batch that is cancelled gives the results it has; only the other rows are asked live."""
    vendors.batches.set(10 * HOUR, {})
    vendors.rows(100, vendors=ONE)
    with vendors.watched():
        vendors.run(deadline=5 * HOUR)

    count = models(vendors)
    assert count["gpt"] + count["live"] == 100
    assert 40 <= count["gpt"] <= 50
    assert vendors.violations(100) == []


def test_results_that_come_after_the_live_answer_are_waste_and_not_written(vendors: VendorWorld) -> None:
    """A batch that ends after its rows were answered live is paid: that is told as waste."""
    vendors.world.batches(stuck=1.0)
    vendors.rows(10, vendors=("openrouter",))  # which cannot be cancelled
    with vendors.watched():
        first = vendors.run(deadline=HOUR)
    vendors.clock.run(asyncio.sleep(24 * HOUR))
    with vendors.watched():
        second = vendors.run(deadline=HOUR)

    assert models(vendors) == {"live": 10}
    assert (first.wasted_usd, second.done) == (0.0, 0)
    assert second.wasted_usd == pytest.approx(vendors.batches.usd) == vendors.wasted
    assert vendors.violations(10) == []


def test_the_only_model_of_a_chain_is_asked_live_itself(vendors: VendorWorld) -> None:
    """Without another model the rows of a failed batch are asked live of the same one."""
    vendors.world.batches(fails=1.0)
    vendors.rows(3, vendors=ONE)
    vendors.run(config=vendors.config(tasks={"openai": ["gpt"]}))

    causes = [line["attempts"][0]["cause"] for line in vendors.lines()]  # type: ignore[index]
    assert causes == ["first"] * 3
    assert models(vendors) == {"gpt": 3}


def test_models_without_a_batch_api_go_live_at_once_and_it_is_said_before(
    vendors: VendorWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """Rows whose first model has no batch API are asked live at the beginning, with one warning before."""
    vendors.rows(4, vendors=("openai", "plain"))
    with caplog.at_level(logging.WARNING, "asyncrouter"):
        vendors.run(config=vendors.config(tasks={"openai": ["gpt"], "plain": ["live", "gpt"]}))

    assert caplog.messages[0] == (
        "no batch API, so these rows are asked live at once, at full price: live (2)"
    )
    assert {seen.at for seen in vendors.world.seen} == {0.0}
    assert models(vendors) == {"live": 2, "gpt": 2}


# The rules of a call.


def test_an_answer_that_is_not_accepted_is_paid_and_the_other_models_are_asked(vendors: VendorWorld) -> None:
    """`accept` judges the results; what it turns down stands on the line of the live answer, with its cost."""
    vendors.world.model("gpt", Act(text="no"))
    vendors.world.model("live", Act(text="yes"))
    vendors.rows(3, vendors=ONE)

    def accept(reply: Reply) -> bool:
        return reply.text == "yes"

    with vendors.watched():
        vendors.run(accept=accept)

    for line in vendors.lines():
        assert [(one["model"], one["cause"], one["outcome"]) for one in line["attempts"]] == [  # type: ignore[attr-defined]
            ("gpt", "batch", "not_accepted"), ("live", "first", "won")
        ]
    assert vendors.violations(3) == []


def test_a_schema_is_asked_for_in_the_batch_and_checked(vendors: VendorWorld) -> None:
    """With a `response_format` each line has `parsed`; an answer that does not fit goes to the next model."""
    shape = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    for model in (*MODELS.values(), "live"):
        vendors.world.model(model, Act(text='{"n": 7}'))
    vendors.world.model("gem", Act(text="seven"))
    vendors.rows(8)
    with vendors.watched():
        vendors.run(response_format=shape)

    assert [line["parsed"] for line in vendors.lines()] == [{"n": 7}] * 8
    assert models(vendors) == {"gpt": 2, "claude": 2, "orm": 2, "live": 2}
    assert vendors.violations(8) == []


@pytest.mark.parametrize(("on_refusal", "failed"), [("raise", 2), ("next", 0)])
def test_a_refusal_is_final_or_goes_on_as_the_chain_says(vendors: VendorWorld, on_refusal: str, failed: int) -> None:
    """A refused prompt fails its row, unless `on_refusal = "next"`: then the rest of the chain is asked."""
    vendors.world.model("claude", Act(why="policy"))
    vendors.rows(2, vendors=("anthropic",))
    chain = {"models": ["claude", "live"], "on_refusal": on_refusal}
    report = vendors.run(config=vendors.config(tasks={"anthropic": chain}))

    assert (report.failed, report.done) == (failed, 2 - failed)
    assert [line["_error"]["class"] for line in vendors.failures()] == ["Refused"] * failed  # type: ignore[index]


def test_an_accept_that_raises_stops_the_run_and_loses_nothing(vendors: VendorWorld) -> None:
    """The results stay on the disk: the next run, with a better `accept`, asks and pays for nothing again."""

    def broken(reply: Reply) -> bool:
        raise KeyError("x")

    vendors.rows(3, vendors=ONE)
    first = vendors.run(accept=broken)
    with vendors.watched():
        vendors.run()

    assert first.stopped == "accept() raised KeyError: 'x'"
    assert len(vendors.batches.jobs) == 1
    assert vendors.violations(3) == []


def test_a_budget_divides_batches_and_ends_the_run(vendors: VendorWorld) -> None:
    """No more is sent than the budget has room for, at the vendors and live together."""
    vendors.world.model("gpt", Act(tokens=100))
    vendors.rows(50, vendors=ONE)
    report = vendors.run(budget_usd=0.004, config=vendors.config(tasks={"openai": ["gpt"]}))

    assert report.stopped is not None
    assert report.stopped.startswith("the budget of $0.004")
    assert report.cost_usd is not None
    assert report.cost_usd <= 0.004
    assert 25 <= report.done < 50


def test_identical_rows_are_sent_once(vendors: VendorWorld) -> None:
    """With `dedupe` a batch has one of the rows that ask the same, whoever answers it."""
    vendors.world.batches(row_errors=[0])
    path = vendors.folder / "in.jsonl"
    path.write_text("".join(f'{{"id":"r{n}","prompt":"p{n % 2}","task":"openai"}}\n' for n in range(6)))
    with vendors.watched():
        report = vendors.run(dedupe=True)

    assert (report.done, report.copied) == (6, 4)
    assert [len(job.rows) for job in vendors.batches.jobs.values()] == [2]
    assert vendors.violations(6) == []


# Limits of the vendors.


def test_a_limit_of_waiting_tokens_fails_no_row(vendors: VendorWorld) -> None:
    """A batch that the vendor has no room for is divided and created again, until it fits."""
    vendors.world.batches(token_limit=[0, 1])
    vendors.rows(40, vendors=ONE)
    with vendors.watched():
        vendors.run()

    assert models(vendors) == {"gpt": 40}
    assert vendors.violations(40) == []


def test_a_vendor_s_limit_of_rows_is_kept_by_dividing(vendors: VendorWorld) -> None:
    """OpenRouter takes 5,000 rows a batch; more are several batches."""
    vendors.rows(5_001, vendors=("openrouter",))
    vendors.run()

    assert sorted(len(job.rows) for job in vendors.batches.jobs.values()) == [1, 5_000]
    assert models(vendors) == {"orm": 5_001}


# Kills, and ends.


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_record_sends_nothing_twice(tmp_path: Path, *, after: bool) -> None:
    """Killed before or after any record of the journal, the next run has one upload and one batch, and all results."""
    record, ended = 0, False
    while not ended:
        folder = tmp_path / f"{record}"
        folder.mkdir()
        vendors = VendorWorld(folder)
        vendors.rows(3, vendors=("openai", "anthropic"))
        try:
            with vendors.watched(record, after=after):
                vendors.run()
            ended = True
        except Killed:
            with vendors.watched():
                vendors.run()
        record += 1

        assert vendors.violations(3) == []
        assert (len(vendors.batches.files), len(vendors.batches.jobs)) == (2, 2)  # the upload, and the results

    assert record > 15


def test_a_kill_at_any_instant_costs_nothing(tmp_path: Path) -> None:
    """Killed at ten random instants in a run with faults, every id is written once, and the bill is told."""
    for seed in range(10):
        folder = tmp_path / f"{seed}"
        folder.mkdir()
        vendors = VendorWorld(folder, seed)
        vendors.world.batches(create_unanswered=0.3, upload_unanswered=0.3, row_errors=0.1, expires=0.2)
        vendors.rows(40)
        with vendors.watched(), pytest.raises(Killed):
            vendors.run(kill_at=Random(seed).uniform(0.0, 400.0))
        vendors.settle()

        assert vendors.violations(40) == []


def test_a_run_that_is_stopped_leaves_its_batches_and_the_next_one_fetches_them(vendors: VendorWorld) -> None:
    """Ctrl-C ends a run at once; what is at the vendors goes on there, and is not sent again."""
    vendors.rows(8)
    with vendors.watched():
        first = _stopped_after(vendors, 120.0)
    found = batch.status(vendors.output)
    with vendors.watched():
        vendors.run()

    assert (first.interrupted, first.done) == (True, 0)
    assert {one.state for one in found} == {"sent"}
    assert len(vendors.batches.jobs) == 4
    assert vendors.violations(8) == []


def test_cancel_ends_the_batches_and_keeps_what_they_have_answered(vendors: VendorWorld) -> None:
    """`cancel` writes what was answered until then, asks nobody live, and deletes all; the rest is left."""
    vendors.batches.set(2 * HOUR, {})
    vendors.rows(100, vendors=ONE)
    with vendors.watched():
        _stopped_after(vendors, HOUR)
        report = vendors.run(cancel=True)

    assert (report.failed, report.left) == (0, 100 - report.done)
    assert 40 <= report.done <= 60
    assert vendors.batches.left == []
    assert vendors.world.requests == 0
    assert batch.status(vendors.output) == []


def test_keep_leaves_files_and_batches_at_the_vendors(vendors: VendorWorld) -> None:
    """With `keep` nothing is deleted there."""
    vendors.rows(4)
    vendors.run(keep=True)

    assert [call for call in vendors.batches.log if call.method == "DELETE"] == []
    assert len(vendors.batches.left) == 7  # four files, and three batches that could be deleted


def test_a_batch_is_only_looked_for_with_the_key_it_was_begun_with(
    vendors: VendorWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With another key nothing is taken for gone, and nothing bought twice: the run says so, and stops."""
    vendors.rows(4, vendors=ONE)
    _stopped_after(vendors, 120.0)
    monkeypatch.setenv("VENDOR_KEY", "sk-another")
    report = vendors.run()

    assert report.stopped == (
        "the batches at openai were begun with another key than the one that is set now: set that one again"
    )
    assert (report.done, len(vendors.batches.jobs)) == (0, 1)


def test_a_live_run_does_not_lose_sight_of_batches(vendors: VendorWorld) -> None:
    """Without `via`, or with `restart`, a run is refused while its batches are at the vendors."""
    vendors.rows(4, vendors=ONE)
    _stopped_after(vendors, 120.0)

    for options in ({"via": None}, {"restart": True}):
        with pytest.raises(BatchError, match="1 of its batches is at the vendors: go on with --via provider"):
            vendors.run(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"via": "vendor"}, 'via: expected "provider" or None'),
        ({"deadline": 0}, "deadline: expected seconds above 0, got 0"),
        ({"processes": 2}, "processes: via"),
        ({"via": None, "deadline": None, "keep": True}, "keep: goes with via"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    vendors: VendorWorld, options: dict[str, object], message: str
) -> None:
    """Nothing is sent for options that do not go together."""
    vendors.rows(1)

    with pytest.raises(BatchError, match=message):
        vendors.run(**options)
    assert list(vendors.batches.log) == []


def _stopped_after(vendors: VendorWorld, seconds: float) -> batch.Report:
    """The report of a run that is stopped after so many seconds."""

    async def scenario() -> batch.Report:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, stop.set)
        router = Router(vendors.config(), transport=vendors.world.transport(), wall=vendors.clock.wall)
        async with router:
            return await batch.run(
                router, vendors.folder / "in.jsonl", vendors.output, via="provider", deadline=6 * HOUR, stop=stop
            )

    return vendors.clock.run(scenario())




def test_of_several_keys_the_first_one_takes_the_rows(vendors: VendorWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows of a provider with two keys are in one batch, begun with the first key, and none is asked live."""
    monkeypatch.setenv("VENDOR_KEY_B", "sk-second")
    config = vendors.config()
    config["providers"]["openai"]["key"] = ["env:VENDOR_KEY", "env:VENDOR_KEY_B"]  # type: ignore[index]
    vendors.rows(10, vendors=ONE)
    with vendors.watched():
        report = vendors.run(config=config)

    assert models(vendors) == {"gpt": 10}
    assert vendors.violations(10) == []
    assert report.vendors == {"openai[VENDOR_KEY]": {"batches": 1, "rows": 10, "answered": 10, "left": 0}}


@pytest.mark.parametrize(
    ("members", "provider"),
    [(["gpt", "claude"], "openai"), (["claude", "gpt"], "anthropic"), (["live", "gem"], "gemini")],
)
def test_of_a_pool_the_first_member_with_a_batch_api_takes_the_rows(
    vendors: VendorWorld, members: list[str], provider: str
) -> None:
    """A pool's rows go to one vendor, as a batch is seen there alone; what it does not answer the pool does live."""
    config = vendors.config(tasks={"default": ["crowd"]})
    config["models"]["crowd"] = {"any": members}  # type: ignore[index]
    vendors.world.batches(half=1.0)
    (vendors.folder / "in.jsonl").write_text("".join(f'{{"id": "r{n}", "prompt": "say {n}"}}\n' for n in range(40)))
    with vendors.watched():
        report = vendors.run(config=config)

    [(name, counts)] = report.vendors.items()
    assert (report.done, vendors.violations(40)) == (40, [])
    assert (name, counts["rows"]) == (provider, 40)
    assert 0 < counts["answered"] < 40


def test_embeddings_are_asked_live_at_once(vendors: VendorWorld, caplog: pytest.LogCaptureFixture) -> None:
    """Rows for /v1/embeddings go live before anything else, at full price, and a warning says so."""
    body = '{"model": "gpt", "input": "three little words"}'
    line = f'{{"custom_id": "r0", "method": "POST", "url": "/v1/embeddings", "body": {body}}}\n'
    (vendors.folder / "in.jsonl").write_text(line)
    with vendors.watched():
        report = vendors.run()

    assert (report.done, len(vendors.batches.jobs)) == (1, 0)
    assert "no batch API, so these rows are asked live at once, at full price: gpt (1)" in caplog.messages
