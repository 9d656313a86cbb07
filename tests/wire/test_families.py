"""The table of what models take, found by the family that their ids name."""

from __future__ import annotations

import pytest

from asyncrouter._config.families import family_of
from asyncrouter._wire.families import EFFORTS, NOTHING_KNOWN, ROWS, closest_effort, rules_of


@pytest.mark.parametrize(("model_id", "efforts", "default"), [
    ("gpt-4o", "", "none"),
    ("gpt-4.1-mini", "", "none"),
    ("gpt-3.5-turbo", "", "none"),
    ("o1", "low medium high", "medium"),
    ("o4-mini", "low medium high", "medium"),
    ("gpt-5", "minimal low medium high", "medium"),
    ("gpt-5-nano", "minimal low medium high", "medium"),
    ("gpt-5-pro", "high", "high"),
    ("gpt-5.2-pro", "medium high xhigh", "medium"),
    ("gpt-5-chat-latest", "", "none"),
    ("gpt-5.3-chat-latest", "medium", "medium"),
    ("gpt-5.1", "none low medium high", "none"),
    ("gpt-5.2", "none low medium high xhigh", "none"),
    ("gpt-5.3", "none low medium high", "none"),
    ("gpt-5.4-mini", "none low medium high xhigh", "none"),
    ("gpt-5.5", "none low medium high xhigh", "medium"),
    ("gpt-5.6-sol", "none low medium high xhigh max", "medium"),
    ("gpt-6-sol", "none low medium high xhigh max", "medium"),
    ("gpt-6-luna", "none low medium high xhigh max", "medium"),
    ("gpt-6.1-terra", "none low medium high xhigh max", "medium"),
    ("gpt-6-astra", "low medium high xhigh max", "medium"),
    ("gpt-6.1-sol", "low medium high xhigh max", "medium"),
    ("gpt-6.2-astra", "low medium high xhigh max", "medium"),
    ("gpt-7-nova", "low medium high xhigh max", "medium"),  # nobody knows it yet: the newest rules
    ("~openai/gpt-sol-latest", "low medium high xhigh max", "medium"),
    ("grok-4.3", "none low medium high", "low"),
    ("grok-4.7", "low medium high xhigh", "low"),
    ("grok-4.20", "", "none"),
    ("grok-build-0.1", "", "none"),
])
def test_efforts_by_family(model_id: str, efforts: str, default: str) -> None:
    """What a model takes as `reasoning_effort`, and how much it reasons by itself."""
    rules = rules_of(model_id)

    assert (rules.efforts, rules.default_effort) == (tuple(efforts.split()), default)


@pytest.mark.parametrize(("model_id", "takes"), [
    # effort:              not given, none, low
    ("gpt-4o", (True, True, True)),
    ("o3", (True, True, True)),
    ("gpt-5-mini", (True, True, True)),
    ("gpt-5.1", (True, True, True)),
    ("gpt-5.2", (True, True, False)),
    ("gpt-5.4", (True, True, False)),
    ("gpt-5.5", (False, True, False)),
    ("gpt-5.6-luna", (False, True, False)),
    ("gpt-6-sol", (False, True, False)),
    ("gpt-6-luna-2026-09-22", (False, True, False)),
    ("gpt-6.1-terra", (False, True, False)),
    ("gpt-6-astra", (False, False, False)),
    ("openai.gpt-6.1-sol", (False, False, False)),
    ("gpt-6.2-sol", (False, False, False)),
    ("gpt-5-codex", (False, False, False)),
    ("o3-pro", (False, False, False)),
    ("my-deployment", (True, True, True)),
])
def test_whether_chat_completions_takes_function_tools(model_id: str, takes: tuple[bool, bool, bool]) -> None:
    """By family and effort: not given, "none", "low"."""
    rules = rules_of(model_id)

    assert tuple(rules.chat_takes_tools(effort) for effort in (None, "none", "low")) == takes


@pytest.mark.parametrize("model_id", [
    "gpt-5-pro", "gpt-5.5-pro-2026-04-23", "gpt-5-codex", "gpt-5.1-codex-max", "o1-pro", "o3-pro-2025-06-10",
    "o3-deep-research", "o4-mini-deep-research-2025-06-26", "computer-use-preview", "gpt-5.6-cyber", "gpt-6-rosalind",
    "gpt-daybreak-blue-latest", "gpt-rosalind-research", "gpt-6.2-astra-law", "codex-mini-latest",
])
def test_models_that_only_the_responses_api_serves(model_id: str) -> None:
    """OpenAI's SDK lists them for Responses and not for Chat Completions."""
    assert rules_of(model_id).responses_only


@pytest.mark.parametrize(("asked", "model_id", "sent"), [
    ("low", "gpt-6-sol", "low"),
    ("minimal", "gpt-6-sol", "low"),  # "none" would be another thing
    ("none", "gpt-6-astra", "low"),
    ("none", "gpt-5-pro", "high"),
    ("max", "gpt-5.5", "xhigh"),
    ("xhigh", "gpt-5", "high"),
    ("max", "o3", "high"),
    ("none", "gpt-6-sol", "none"),
    ("high", "gpt-4o", "high"),  # no efforts at all: leaving it out is another question
    ("high", "my-deployment", "high"),
    ("enormous", "gpt-6-sol", "enormous"),
    (3, "gpt-6-sol", 3),
])
def test_the_closest_effort(asked: object, model_id: str, sent: object) -> None:
    """An effort the model does not know becomes the next lower one that reasons, else the lowest."""
    assert closest_effort(asked, rules_of(model_id).efforts) == sent


def test_an_unknown_family_has_no_rules() -> None:
    """Nothing of a request is changed on a guess."""
    assert rules_of("smollm2") is NOTHING_KNOWN
    assert not NOTHING_KNOWN.can_reason


def test_every_row_has_a_source_and_can_be_reached() -> None:
    """A row that no id reaches, or whose efforts are out of order, is a slip of the pen."""
    assert all(row.source for row in ROWS)
    assert [row for row in ROWS if row.rules.efforts != tuple(
        effort for effort in EFFORTS if effort in (row.rules.efforts or ())) and row.rules.efforts is not None] == []
    family = family_of("gpt-6.1-sol")
    assert family is not None
    assert [row.rules for row in ROWS if row.fits(family)] == [rules_of("gpt-6.1-sol")]
