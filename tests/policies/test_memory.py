"""The memory of whole answers: first content, silence, pace and length, by size and kind of request."""

from __future__ import annotations

import pytest

from asyncrouter._engine.step_run import request_kind
from asyncrouter._policies.memory import ANY_KIND, MAX_KINDS, Answer, Memory, RequestKind, Usual

TOOLS = RequestKind(tools=True)


def filled(memory: Memory, seconds: float, count: int, size: int = 100, kind: RequestKind = ANY_KIND) -> None:
    """Count so many whole answers with 60 contents."""
    for _ in range(count):
        memory.add(seconds, size, 0.0, kind=kind)
        memory.add_answer(Answer(60, 59 * seconds / 10, seconds / 10), size, 0.0, kind=kind, whole=True)


@pytest.mark.parametrize(("answer", "pace", "silence"), [
    (Answer(2, 1.0, 1.0), None, 1.0),
    (Answer(3, 2.0, 1.5), 0.5, 1.5),
    (Answer(10, 4.0, 0.0), 0.5, 0.0),
    (Answer(10, 4.0, 0.5, quiet=7.0), 0.4375, 7.0),
])
def test_a_pace_leaves_out_the_longest_silence(answer: Answer, pace: float | None, silence: float) -> None:
    """The pace is that of the other contents: a tool call that comes in one piece is a silence and no slow pace."""
    assert (answer.pace, answer.silence) == (pace, silence)


def test_a_whole_answer_is_six_samples() -> None:
    """A hundred answers alike are what is usual."""
    memory = Memory()
    filled(memory, 0.5, 100)
    usual = memory.usual(100)

    assert usual.first.median == pytest.approx(0.5, rel=0.02)
    assert usual.pace.median == pytest.approx(0.05, rel=0.02)
    assert usual.silence.median == pytest.approx(0.05, rel=0.02)
    assert usual.words.mean_above(0.0) == pytest.approx(60.0, rel=0.02)
    assert usual.whole() == pytest.approx(0.5 + 60 * 0.05, rel=0.03)


def test_an_answer_that_was_cut_off_teaches_what_it_can() -> None:
    """Of a cancelled crawler the pace is known and the silence is a lower bound; its length says nothing."""
    usual = Usual()
    usual.add_answer(Answer(9, 8.0, 1.0, quiet=2.0), 0.0, whole=False)
    usual.add_answer(Answer(4, 3.0, 1.0), 0.0, whole=False)

    assert (usual.pace.seen, usual.silence.seen, usual.silence.histogram.count, usual.length.weight) == (1, 0, 2, 0.0)


def test_kinds_are_told_apart_once_each_has_enough() -> None:
    """A kind with a hundred samples is judged by its own, one with fewer by all."""
    memory = Memory()
    filled(memory, 0.5, 300)
    filled(memory, 5.0, 99, kind=TOOLS)
    assert memory.usual(100, TOOLS).first.median < 1.0

    filled(memory, 5.0, 1, kind=TOOLS)
    assert memory.usual(100, TOOLS).first.median == pytest.approx(5.0, rel=0.02)
    assert memory.usual(100).first.median == pytest.approx(0.5, rel=0.02)
    assert memory.every.first.seen == 400


def test_what_was_learned_before_a_second_kind_is_kept() -> None:
    """The samples of the first kind are its own when a second one comes."""
    memory = Memory()
    filled(memory, 0.5, 150)
    filled(memory, 5.0, 150, size=100_000)

    assert memory.usual(100).first.seen == 150
    assert memory.usual(100_000).first.median == pytest.approx(5.0, rel=0.02)


def test_the_number_of_kinds_is_bounded() -> None:
    """Kinds met after many others are only counted with all."""
    memory = Memory()
    for decade in range(2 * MAX_KINDS):
        filled(memory, 0.5, 1, kind=RequestKind(decade=decade))

    assert len(memory._kinds) == MAX_KINDS
    assert memory.every.first.seen == 2 * MAX_KINDS


@pytest.mark.parametrize(("params", "kind"), [
    ({"temperature": 0.2}, ANY_KIND),
    ({"reasoning_effort": "high", "max_tokens": 4000}, RequestKind(effort="high", decade=4)),
    ({"reasoning": {"effort": "low"}, "tools": [{}]}, RequestKind(effort="low", tools=True)),
    ({"response_format": {"type": "json_object"}, "max_completion_tokens": 99}, RequestKind(formatted=True, decade=2)),
    ({"max_tokens": "many", "tools": []}, ANY_KIND),
])
def test_what_makes_a_kind(params: dict[str, object], kind: RequestKind) -> None:
    """Effort, tools, a format and the decade of the longest answer make a kind."""
    assert request_kind(params) == kind


@pytest.mark.parametrize(("answer", "measure", "seconds"), [
    (Answer(20, 1.9, 0.1), "pace", 0.1),  # as slow by both
    (Answer(20, 1.9, 0.1, size=0.5, flowing=0.5), "pace", 0.1),  # another kind of text
    (Answer(20, 1.9, 0.1, size=0.25, flowing=0.25), "word_pace", 0.4),  # too small for any text
    (Answer(7, 0.6, 0.1, size=0.25, flowing=0.25), "pace", 0.1),  # so few may be small by chance
    (Answer(20, 15.2, 0.8, size=8.0, flowing=8.0), "word_pace", 0.1),  # larger and rarer
    (Answer(4, 0.3, 0.1, size=50.0, flowing=2.0), "word_pace", 0.05),  # the large one came after the silence
])
def test_a_pace_is_judged_by_what_is_less_slow(answer: Answer, measure: str, seconds: float) -> None:
    """By contents or by characters, unless the contents are too small for any kind of text."""
    usual = Usual()
    for _ in range(20):
        usual.add_answer(Answer(20, 0.95, 0.05), 0.0, whole=True)

    assert usual.pace_of(answer) == (getattr(usual, measure), pytest.approx(seconds))
    assert usual.pace_of(Answer(2, 1.0, 1.0)) is None
