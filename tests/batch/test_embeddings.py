"""Rows of `/v1/embeddings` in a batch: beside chats, with their own model, in both forms of answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import Router, batch
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from pathlib import Path

    from asyncrouter.sim import Clock, World


def line(id: str, url: str = "/v1/embeddings", **body: object) -> str:  # noqa: A002  # as the field
    """A line of OpenAI's Batch API."""
    return json.dumps({"custom_id": id, "method": "POST", "url": url, "body": body})


def done(
    clock: Clock, world: World, path: Path, lines: list[str], **options: object
) -> tuple[batch.Report, dict[str, Any]]:
    """The report of a batch of these lines, and its answers by id."""
    (path / "in.jsonl").write_text("\n".join(lines))

    async def scenario() -> batch.Report:
        tasks = {"tasks": {"coding": {"models": ["a"]}}}
        models = {"models": {"e": {"provider": "sim", "id": "e", "usd_per_mtok": {"input": 2.0, "output": 0.0}}}}
        async with Router(world.config(**tasks, **models), transport=world.transport()) as router:
            return await batch.run(router, path / "in.jsonl", path / "out.jsonl", **options)  # type: ignore[arg-type]

    report = clock.run(scenario())
    answers = [json.loads(one) for one in (path / "out.jsonl").read_text().splitlines()]
    return report, {one.get("custom_id", one.get("id")): one for one in answers}


def test_rows_of_both_kinds(clock: Clock, world: World, tmp_path: Path) -> None:
    """Each row for embeddings asks its own model with its own parameters, whatever the options for chats are."""
    world.model("a", Act(text="hi"))
    world.model("e")
    lines = [
        line("1", model="e", input="one two", dimensions=3), line("2", model="e", input=["a", "b"]),
        line("3", "/v1/chat/completions", model="a", messages=[{"role": "user", "content": "x"}]),
    ]
    report, answers = done(clock, world, tmp_path, lines, task="coding", hedge=None, params={"temperature": 0.5})

    assert (report.done, report.failed) == (3, 0)
    assert [len(vector) for vector in answers["1"]["embeddings"]] == [3]
    assert [len(vector) for vector in answers["2"]["embeddings"]] == [8, 8]
    assert (answers["3"]["text"], "embeddings" in answers["3"]) == ("hi", False)
    assert (answers["1"]["usage"]["input_tokens"], answers["1"]["cost_usd"]) == (2, 4e-6)
    sent = {request.model: dict(request.body) for request in world.seen if request.model == "e"}
    assert sent == {"e": {"model": "e", "input": ["a", "b"]}}


def test_answers_in_openais_form(clock: Clock, world: World, tmp_path: Path) -> None:
    """The body is that of the API: a list of embeddings, the model and the usage."""
    world.model("e", Act(served_model="e-2026"))
    _, answers = done(clock, world, tmp_path, [line("1", model="e", input=["a", "b"])], format="openai")
    body = answers["1"]["response"]["body"]

    assert [(entry["object"], entry["index"], len(entry["embedding"])) for entry in body["data"]] == [
        ("embedding", 0, 8), ("embedding", 1, 8)]
    assert (body["object"], body["model"], body["usage"]) == ("list", "e-2026", {"prompt_tokens": 2, "total_tokens": 2})


@pytest.mark.parametrize(("body", "message"), [
    ({"input": "a"}, "body.model: expected a name, got None"),
    ({"model": "e"}, "body.input: expected text or a list of texts, got None"),
    ({"model": "e", "input": []}, "body.input: expected text or a list of texts, got []"),
    ({"model": "e", "input": ["a", ""]}, "body.input: expected text or a list of texts, got ['a', '']"),
    ({"model": "e", "input": {"a": 1}}, "body.input: expected text or a list of texts, got {'a': 1}"),
])
def test_a_wrong_row_is_found_before_anything_is_sent(
    clock: Clock, world: World, tmp_path: Path, body: dict[str, object], message: str
) -> None:
    """It is named with its line and what is wrong with it."""
    world.model("e")
    with pytest.raises(batch.InvalidInput) as caught:
        done(clock, world, tmp_path, [line("1", **body)])

    assert [(one.line, one.text) for one in caught.value.problems] == [(1, message)]
    assert not world.seen


def test_tokens_are_one_text(clock: Clock, world: World, tmp_path: Path) -> None:
    """`input` may be the tokens of one text, or of several."""
    world.model("e")
    lines = [line("1", model="e", input=[1, 2, 3]), line("2", model="e", input=[[1], [2, 3]])]
    _, answers = done(clock, world, tmp_path, lines)

    assert [len(answers[name]["embeddings"]) for name in ("1", "2")] == [1, 2]


def test_a_failed_row_can_be_asked_again(clock: Clock, world: World, tmp_path: Path) -> None:
    """It stands in the errors file as it came, and that is a valid input."""
    world.model("e", Act(status=400), Act())
    report, answers = done(clock, world, tmp_path, [line("1", model="e", input="a"), line("2", model="e", input="b")])
    errors = (tmp_path / "out.errors.jsonl").read_text().splitlines()

    assert (report.done, report.failed, len(answers)) == (1, 1, 1)
    assert [json.loads(one)["_error"]["class"] for one in errors] == ["Rejected"]
    again, _ = done(clock, world, tmp_path, errors, restart=True)
    assert (again.done, again.failed) == (1, 0)


def test_an_estimate_has_no_answer(clock: Clock, world: World, tmp_path: Path) -> None:
    """Tokens in, at the model's price, and none out."""
    (tmp_path / "in.jsonl").write_text(line("1", model="e", input=["x" * 400, "y" * 400]))

    async def scenario() -> batch.Estimate:
        models = {"e": {"provider": "sim", "id": "e", "usd_per_mtok": {"input": 2.0, "output": 9.0}}}
        async with Router(world.config(models=models), transport=world.transport()) as router:
            return await batch.estimate(router, tmp_path / "in.jsonl")

    estimate = clock.run(scenario())

    assert (estimate.input_tokens, estimate.output_tokens, estimate.cost_usd) == (201, 0, 201 * 2.0 / 1e6)


def test_map_names_what_to_use(clock: Clock, world: World) -> None:
    """`batch.map` gives replies: a row for embeddings has an error in the place of one."""

    async def scenario() -> list[str]:
        async with Router(world.config(), transport=world.transport()) as router:
            rows = [json.loads(line("1", model="e", input="a"))]
            return [str(result) async for _, result in batch.map(router, rows)]

    assert clock.run(scenario()) == ["a row for embeddings is for batch.run; here use router.embed"]
