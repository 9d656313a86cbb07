"""Estimates of a batch: the length of an answer is what its prompt asks for, where it says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from asyncrouter import batch
from asyncrouter.batch._answer_length import asked_length
from asyncrouter.sim import Act
from tests.helpers.batching import router_of, run, write_lines

if TYPE_CHECKING:
    from pathlib import Path

    from asyncrouter.batch import Estimate
    from asyncrouter.sim import Clock, World


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        ("Is this review positive or negative? Answer with one word. Review: it broke.", 3),
        ("Classify the ticket below as billing, bug or other.\n\nI paid twice.", 3),
        ("Answer yes or no: is Paris in France?", 3),
        ("Reply only with the label.", 3),
        ("Give me a number only.", 3),
        ("Summarize this in one sentence: …", 28),
        ("Summarize this in two sentences: …", 56),
        ("Write a product text of 150 words.", 200),
        ("Write three paragraphs on bees.", 360),
        ("Is this positive or negative? Explain why.", None),
        ("Write a poem about the sea.", None),
        ([{"role": "system", "content": "Answer with a single word."}, {"role": "user", "content": "sky?"}], 3),
        ([{"role": "user", "content": [{"type": "text", "text": "a picture"}]}], None),
    ],
)
def test_what_a_prompt_asks_for(prompt: object, tokens: int | None) -> None:
    """A label, a sentence, so many words: the answer counts as that long."""
    assert asked_length(prompt) == tokens


def test_what_is_asked_for_at_the_end_of_a_long_prompt_is_seen() -> None:
    """An instruction behind a long text counts, and words in the middle of it do not."""
    text = "x " * 1000

    assert asked_length(f"{text} in one word {text} Write a poem.") is None
    assert asked_length(f"{text} Answer with one word.") == 3


def test_an_estimate_of_labels_is_within_a_factor_of_two(clock: Clock, world: World, tmp_path: Path) -> None:
    """A thousand one-word labels cost at most twice as much, and at least half as much, as was estimated."""
    world.model("m", Act(text="positive"))
    models = {"m": {"provider": "sim", "id": "m", "usd_per_mtok": {"input": 1.0, "output": 4.0}}}
    question = "Is this review positive or negative? Answer with one word.\n\nThe parcel came late and wet."
    source = write_lines(tmp_path / "in", [{"id": n, "prompt": question} for n in range(300)])

    async def estimated() -> Estimate:
        async with router_of(world, models=models) as router:
            return await batch.estimate(router, source)

    estimate = clock.run(estimated())
    report = run(clock, world, source, tmp_path / "out", config={"models": models})

    assert report.cost_usd is not None
    assert 0.5 <= estimate.cost_usd / report.cost_usd <= 2.0
