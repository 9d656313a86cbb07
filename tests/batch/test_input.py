"""The input of a batch: its forms, what is reported of invalid rows before anything is sent, the estimate."""

from __future__ import annotations

import gzip
import os
from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter import Call, ConfigError, batch
from asyncrouter._config import tokens
from asyncrouter._engine import claim
from asyncrouter.batch import BatchError, InvalidInput, Source
from asyncrouter.batch._estimate import CHARACTERS_PER_TOKEN, USUAL_ANSWER, RowGroup
from asyncrouter.batch._source import zstd
from tests.helpers.batching import PRICED, asked, ids, poisoned, read_lines, router_of, rows, run, write_lines

if TYPE_CHECKING:
    from pathlib import Path

    from asyncrouter.sim import Clock, World

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
PROBLEMS = {
    "not json": (b'{"id": 1, ', "is not JSON"),
    "no object": (b"[1]", "expected one JSON object a line"),
    "a list over lines": (b'[{"prompt": "a"},', "expected one JSON object a line"),
    "another encoding": (b'{"prompt": "caf\xe9"}', "is not UTF-8: byte 0xe9 at column 16"),
    "nothing asked": (b'{"id": 1}', 'one of "prompt" and "messages"'),
    "both asked": (b'{"prompt": "a", "messages": []}', 'one of "prompt" and "messages"'),
    "empty prompt": (b'{"prompt": ""}', "prompt: expected text"),
    "no messages": (b'{"messages": []}', "messages: expected a list"),
    "no role": (b'{"messages": [{"content": "a"}]}', "messages[0]: expected an object with a role"),
    "a typing error": (b'{"prompt": "a", "temprature": 1}', "unknown field 'temprature': did you mean 'temperature'?"),
    "an unknown field": (b'{"prompt": "a", "zzz": 1}', '"params"'),
    "an id that is none": (b'{"id": 1.5, "prompt": "a"}', "id: expected text or a whole number, got 1.5"),
    "two ways": (b'{"prompt": "a", "model": "m", "chain": ["m"]}', "give one of them"),
    "a tier that is none": (b'{"prompt": "a", "tier": "gold"}', "gold"),
    "a deadline that is none": (b'{"prompt": "a", "deadline": -1}', "deadline"),
    "params that are none": (b'{"prompt": "a", "params": 7}', "params: expected an object"),
    "a model among the params": (b'{"prompt": "a", "params": {"model": "n"}}', "params.model: is set by the router"),
    "no custom id": (b'{"body": {"model": "m", "messages": [{"role": "user"}]}}', "custom_id: expected text"),
    "another endpoint": (b'{"custom_id": "a", "url": "/v1/completions", "body": {}}', "/v1/chat/completions"),
    "no body": (b'{"custom_id": "a", "url": "/v1/chat/completions"}', "body: expected an object"),
    "streamed": (b'{"custom_id": "a", "body": {"model": "m", "messages": [], "stream": true}}', "not streamed"),
    "a field beside the body": (b'{"custom_id": "a", "boddy": {}}', "did you mean 'body'?"),
}


@pytest.mark.parametrize(("line", "message"), PROBLEMS.values(), ids=PROBLEMS)
def test_each_problem_is_reported_with_its_line_and_nothing_is_sent(
    clock: Clock, world: World, tmp_path: Path, line: bytes, message: str
) -> None:
    """One invalid line is reported with its number, no row is sent, and no file is made."""
    world.model("m")
    (tmp_path / "in").write_bytes(b'{"prompt": "good"}\n\n' + line + b'\n{"prompt": "good too"}\n')

    with pytest.raises(InvalidInput) as caught:
        run(clock, world, tmp_path / "in", tmp_path / "out.jsonl")

    assert [problem.line for problem in caught.value.problems] == [3]
    assert message in str(caught.value)
    assert world.requests == 0
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_all_problems_are_reported_at_once(clock: Clock, world: World, tmp_path: Path) -> None:
    """The first 100 problems are listed with their lines, the others are counted."""
    (tmp_path / "in").write_bytes(b"{\n" * 150)

    with pytest.raises(InvalidInput) as caught:
        run(clock, world, tmp_path / "in", tmp_path / "out.jsonl")

    assert (caught.value.count, len(caught.value.problems)) == (150, 100)
    assert "150 problems" in str(caught.value)
    assert "and 50 more" in str(caught.value)


def test_an_id_may_be_used_once(clock: Clock, world: World, tmp_path: Path) -> None:
    """A second row with the same id is a problem; a number and its text are the same id."""
    write_lines(tmp_path / "in", [{"id": 7, "prompt": "a"}, {"id": "7", "prompt": "b"}])

    with pytest.raises(InvalidInput, match=r"line 2: the id '7' has been used before"):
        run(clock, world, tmp_path / "in", tmp_path / "out.jsonl")


def test_rows_without_ids_get_ids_of_their_content(clock: Clock, world: World, tmp_path: Path) -> None:
    """Equal content has the same id in every run and every order; repetitions are numbered."""
    world.model("m", poisoned)
    asked_for = [{"prompt": "a"}, {"prompt": "b"}, {"prompt": "a"}, {"prompt": "a"}]
    run(clock, world, write_lines(tmp_path / "in", asked_for), tmp_path / "out.jsonl", ordered=True)
    run(clock, world, write_lines(tmp_path / "in", asked_for[::-1]), tmp_path / "other.jsonl", ordered=True)

    first, second, third, fourth = ids(tmp_path / "out.jsonl")
    assert [third, fourth] == [f"{first}-2", f"{first}-3"]
    assert {first, second, third, fourth} == set(ids(tmp_path / "other.jsonl"))


def test_a_rows_own_options_go_before_those_for_all(clock: Clock, world: World, tmp_path: Path) -> None:
    """A row's own task replaces the model for all rows, and its parameters go before theirs."""
    world.model("m")
    world.model("n")
    write_lines(tmp_path / "in", [{"prompt": "a"}, {"prompt": "b", "task": "other", "temperature": 1}])

    tasks = {"default": ["m"], "other": ["n"]}
    run(clock, world, tmp_path / "in", tmp_path / "out.jsonl", config={"tasks": tasks}, model="m",
        params={"temperature": 0, "top_p": 0.5})

    assert {
        (text, seen.model, seen.body["temperature"], seen.body["top_p"])
        for text, seen in zip(asked(world), world.seen, strict=True)
    } == {("a", "m", 0, 0.5), ("b", "n", 1, 0.5)}


@pytest.mark.parametrize(("options", "expected"), [({}, ["m", "n", "n"]), ({"task": "other"}, ["n", "n", "n"])])
def test_the_model_of_an_openai_row(
    clock: Clock, world: World, tmp_path: Path, options: dict[str, str], expected: list[str]
) -> None:
    """The `model` of a row in OpenAI's form is a model, a task or a tier; a task for all rows goes before it."""
    world.model("m")
    world.model("n")
    lines = [{"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": {**BODY, "model": name}}
             for name in ("m", "other", "cheap")]

    run(clock, world, write_lines(tmp_path / "in", lines), tmp_path / "out.jsonl",
        config={"tasks": {"other": ["n"]}, "tiers": {"cheap": ["n"]}}, **options)

    assert [seen.model for seen in world.seen] == expected


def test_openai_rows_in_and_out(clock: Clock, world: World, tmp_path: Path) -> None:
    """Answers and failures have the form of OpenAI's Batch API."""
    world.model("m", poisoned)
    good = {"custom_id": "good", "method": "POST", "url": "/v1/chat/completions", "body": BODY}
    bad = {"custom_id": "bad", "method": "POST", "url": "/v1/chat/completions",
           "body": {"model": "m", "messages": [{"role": "user", "content": "too long"}]}}
    run(clock, world, write_lines(tmp_path / "in", [good, bad]), tmp_path / "out.jsonl", format="openai")

    [line] = read_lines(tmp_path / "out.jsonl")
    assert (line["custom_id"], line["error"]) == ("good", None)
    assert isinstance(line["response"], dict)
    assert line["response"]["status_code"] == 200
    assert line["response"]["body"]["choices"][0]["message"]["content"] == "you said hi"
    [failure] = read_lines(tmp_path / "out.errors.jsonl")
    assert isinstance(failure["response"], dict)
    assert isinstance(failure["asyncrouter"], dict)
    assert (failure["custom_id"], failure["response"]["status_code"]) == ("bad", 400)
    assert (failure["asyncrouter"]["class"], failure["asyncrouter"]["retryable"]) == ("ContextTooLong", False)


@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_json_lines_compressed_or_not(clock: Clock, world: World, tmp_path: Path, packed: str, mark: bytes) -> None:
    """JSON lines are read plain, as .gz and as .zst, with and without a byte order mark."""
    world.model("m")
    data = mark + b"".join(orjson.dumps(row) + b"\n" for row in rows(5))
    pack = {"": bytes, ".gz": gzip.compress, ".zst": zstd.compress}[packed]
    (tmp_path / f"in.jsonl{packed}").write_bytes(pack(data))

    report = run(clock, world, tmp_path / f"in.jsonl{packed}", tmp_path / "out.jsonl")

    assert report.done == 5


@pytest.mark.parametrize("packed", [".gz", ".zst"])
def test_a_compressed_file_that_is_cut_short(clock: Clock, world: World, tmp_path: Path, packed: str) -> None:
    """A compressed file that is cut short is an error, not the end of the input."""
    data = b"".join(orjson.dumps({"prompt": f"{number * 7919 % 10007}"}) + b"\n" for number in range(5000))
    whole = {".gz": gzip.compress, ".zst": zstd.compress}[packed](data)
    (tmp_path / f"in{packed}").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(BatchError, match="packed data"):
        run(clock, world, tmp_path / f"in{packed}", tmp_path / "out.jsonl")


@pytest.mark.parametrize(("suffix", "sign"), [(".csv", ","), (".tsv", "\t")])
def test_a_table_with_a_template(clock: Clock, world: World, tmp_path: Path, suffix: str, sign: str) -> None:
    """A template makes each row's prompt of its columns, and a failure is written as a row of JSON lines."""
    world.model("m", poisoned)
    (tmp_path / f"in{suffix}").write_text(
        f'id{sign}text{sign}to\n1{sign}"two\nlines {{x}}"{sign}French\n2{sign}too long{sign}"Ewe"\n', "utf-8-sig"
    )

    run(clock, world, tmp_path / f"in{suffix}", tmp_path / "out.jsonl", prompt_template="{{}} {to}: {text}")

    assert asked(world) == ["{} French: two\nlines {x}", "{} Ewe: too long"]
    [failure] = read_lines(tmp_path / "out.errors.jsonl")
    assert (failure["id"], failure["prompt"]) == ("2", "{} Ewe: too long")


@pytest.mark.parametrize(
    ("template", "message"),
    [("{text.__class__}", "name of a column"), ("{0[a]}", "name of a column"), ("{}", "name of a column"),
     ("{text", "written twice"), ("{nope}", "the template names 'nope'; the columns are 'id', 'text'")],
)
def test_a_template_that_cannot_be_used(
    clock: Clock, world: World, tmp_path: Path, template: str, message: str
) -> None:
    """A template may only name columns of the table."""
    (tmp_path / "in.csv").write_text("id,text\n1,a\n")

    with pytest.raises(BatchError) as caught:
        run(clock, world, tmp_path / "in.csv", tmp_path / "out.jsonl", prompt_template=template)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("cells", "message"), [("1,a,b\n", "line 2: expected 2 columns"), ('1,"a\n', "line 2"), ("1\n", "2 columns")]
)
def test_a_malformed_table(clock: Clock, world: World, tmp_path: Path, cells: str, message: str) -> None:
    """A row with too few or too many cells, or with an open quote, is reported with its line."""
    (tmp_path / "in.csv").write_text(f"id,prompt\n{cells}")

    with pytest.raises(BatchError) as caught:
        run(clock, world, tmp_path / "in.csv", tmp_path / "out.jsonl")

    assert message in str(caught.value)


def test_input_output_and_errors_are_three_files(clock: Clock, world: World, tmp_path: Path) -> None:
    """Input, output and errors file must be three files, also through a link, and the output must not be compressed."""
    source = write_lines(tmp_path / "in.jsonl", rows(1))
    (tmp_path / "link").symlink_to(source)
    for output, errors, message in [
        ("in.jsonl", None, "is the input as well as the output"), ("link", None, "is the input as well as the output"),
        ("out", "in.jsonl", "is the input as well as the errors file"),
        ("out", "out", "is the output as well as the errors file: name another errors file"),
        ("out.jsonl.gz", None, "plain JSON lines"),
    ]:
        with pytest.raises(BatchError, match=message):
            run(clock, world, source, tmp_path / output, errors=None if errors is None else tmp_path / errors)

    assert b'{"id":"r0"' in source.read_bytes()


@pytest.mark.parametrize(
    ("table", "message"),
    [("prompt,prompt\na,b\n", "the column 'prompt' stands twice"),
     ("prompt;n\na;1\n", "line 1: expected a column \"prompt\", or a prompt template; the columns are 'prompt;n'")],
)
def test_a_table_with_other_columns(clock: Clock, world: World, tmp_path: Path, table: str, message: str) -> None:
    """A table without the column that is needed is an error that names its columns."""
    (tmp_path / "in.csv").write_text(table)

    with pytest.raises(BatchError) as caught:
        run(clock, world, tmp_path / "in.csv", tmp_path / "out.jsonl")

    assert message in str(caught.value)


def test_a_table_without_the_column_is_reported_once(clock: Clock, world: World, tmp_path: Path) -> None:
    """A column missing from the table is reported once, not for each row."""
    (tmp_path / "in.csv").write_text("id,text\n1,a\n2,b\n")

    with pytest.raises(BatchError) as caught:
        run(clock, world, tmp_path / "in.csv", tmp_path / "out.jsonl", prompt_template="{word}")

    assert str(caught.value) == f"{tmp_path}/in.csv: line 1: the template names 'word'; the columns are 'id', 'text'"


def test_a_file_that_is_not_there(clock: Clock, world: World, tmp_path: Path) -> None:
    """An input that does not exist is an error with its path."""
    with pytest.raises(BatchError, match=r"nowhere\.jsonl: No such file"):
        run(clock, world, tmp_path / "nowhere.jsonl", tmp_path / "out.jsonl")


def test_what_can_be_read_only_once_is_refused(clock: Clock, world: World, tmp_path: Path) -> None:
    """A pipe is refused before it is opened, because opening it would wait for a writer."""
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(BatchError, match="a batch reads its input twice: put it into a file"):
        run(clock, world, tmp_path / "pipe", tmp_path / "out.jsonl")


def test_an_unknown_tier_for_all_is_no_rows_problem(clock: Clock, world: World, tmp_path: Path) -> None:
    """An unknown tier for all rows is one `ConfigError`, not a problem of each row."""
    with pytest.raises(ConfigError, match="gold"):
        run(clock, world, write_lines(tmp_path / "in", rows(3)), tmp_path / "out.jsonl", tier="gold")


def test_rows_that_name_their_own_need_no_default_task(clock: Clock, world: World, tmp_path: Path) -> None:
    """No default task is needed when each row names its model, even with a deadline for all."""
    world.model("m")
    source = write_lines(tmp_path / "in", [{"prompt": "a", "model": "m"}])

    report = run(clock, world, source, tmp_path / "out.jsonl", config={"tasks": {}}, deadline=30)

    assert (report.done, report.failed) == (1, 0)


def test_an_invalid_deadline_for_all_is_no_rows_problem(clock: Clock, world: World, tmp_path: Path) -> None:
    """An invalid deadline for all rows is one `ConfigError`, not a problem of each row."""
    with pytest.raises(ConfigError, match="expected seconds, got '2s'"):
        run(clock, world, write_lines(tmp_path / "in", rows(3)), tmp_path / "out.jsonl", deadline="2s")


def test_an_estimate_counts_and_prices_without_sending(clock: Clock, world: World, tmp_path: Path) -> None:
    """An estimate counts tokens and money, names models without a price, and sends nothing."""
    write_lines(tmp_path / "in", [{"prompt": "x" * 39, "max_tokens": 100}, {"prompt": "x" * 3, "model": "n"}])

    async def scenario() -> batch.Estimate:
        async with router_of(world, models=PRICED) as router:
            return await batch.estimate(router, Source(tmp_path / "in"))

    estimate = clock.run(scenario())
    assert estimate == batch.Estimate(2, 11, 600, 110.0, 110.0, ["n"])
    assert world.requests == 0


def test_an_estimate_counts_tokens_as_the_router_does() -> None:
    """The two numbers that a door cannot import from the router are the router's."""
    assert (CHARACTERS_PER_TOKEN, USUAL_ANSWER) == (tokens.CHARACTERS_PER_TOKEN, claim.USUAL_ANSWER_TOKENS)
    for content in ("x" * 400, "中" * 400, "я" * 400, [{"type": "image_url", "image_url": {"url": "https://h.test"}}]):
        group = RowGroup(())
        group.add([{"role": "user", "content": content}], {}, 0)
        assert group.input_tokens == tokens.prompt_tokens(Call([{"content": content}], {}, {}, 0.0, 1.0))


TOOL = {"type": "function", "function": {"name": "f", "description": "d" * 6000, "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    ("messages", "params"),
    [
        ([{"role": "user", "content": "hi"}], {"tools": [TOOL]}),
        ([{"role": "user", "content": "hi"}], {"response_format": {"type": "json_schema", "json_schema": TOOL}}),
        ([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "x" * 4000}}]}], {}),
        ([{"role": "assistant", "content": "hi", "reasoning_content": "x" * 4000}], {}),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u", "detail": "low"}}]}], {}),
    ],
)
def test_an_estimate_counts_what_else_a_row_holds(
    messages: list[dict[str, object]], params: dict[str, object]
) -> None:
    """Tools, a schema, tool calls, thoughts and small pictures count as the router counts them."""
    group = RowGroup(())
    group.add(messages, {"params": params}, 0)

    assert group.input_tokens == pytest.approx(tokens.prompt_tokens(Call(messages, params, {}, 0.0, 1.0)), abs=1)


def test_an_estimate_prices_long_prompts_and_tiers(clock: Clock, world: World, tmp_path: Path) -> None:
    """A row whose prompt is over the step has the long price alone, and one at a tier has that tier's."""
    price = {
        "input": 1.0, "output": 10.0, "long_context_tokens": 1000, "long_context": {"input": 2.0, "output": 20.0},
        "tiers": {"priority": {"input": 4.0, "output": 40.0}, "flex": {"input": 0.5, "output": 5.0}},
    }
    write_lines(tmp_path / "in", [
        {"prompt": "x" * 3996, "max_tokens": 100}, {"prompt": "x" * 4000, "max_tokens": 100},
        {"prompt": "x" * 3996, "max_tokens": 100, "service_tier": "fast"},
        {"prompt": "x" * 3996, "max_tokens": 100, "service_tier": "flex"},
        {"prompt": "x" * 3996, "max_tokens": 100, "service_tier": "scale"},
    ])  # fmt: skip

    async def scenario() -> batch.Estimate:
        async with router_of(world, models={"m": {"provider": "sim", "id": "m", "usd_per_mtok": price}}) as router:
            return await batch.estimate(router, Source(tmp_path / "in"), model="m")

    estimate = clock.run(scenario())

    usd = [2000 * 1.0, 1001 * 2.0 + 100 * 20.0, 1000 * 4.0 + 100 * 40.0, 1000 * 0.5 + 100 * 5.0, 2000 * 1.0]
    assert estimate.cost_usd == pytest.approx(sum(usd) / 1e6)
    assert estimate.input_tokens == 5001
