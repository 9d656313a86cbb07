"""Contract with OpenAI's SDK on batches: its types take the rows that we read, and read the answers that we write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openai.types.responses import Response

from asyncrouter.sim import Act
from tests.batch.test_openai_lines import CALL, TOOL, answered, line

if TYPE_CHECKING:
    from pathlib import Path

    from asyncrouter.sim import Clock, World


def test_the_answer_of_a_responses_row_is_a_response(clock: Clock, world: World, tmp_path: Path) -> None:
    """Text, calls, reasoning, usage and an incomplete end are read by the SDK's own type."""
    world.model("m", Act(text="hi", reasoning="hm", finish_reason="length"), Act(text="", tool_calls=[CALL]))

    lines = answered(clock, world, tmp_path, line("1", input="a"), line("2", input="b", tools=[TOOL]))

    first, second = (Response.model_validate(each["response"]["body"]) for each in lines)
    assert first.incomplete_details is not None
    assert (first.output_text, first.status, first.incomplete_details.reason) == (
        "hi", "incomplete", "max_output_tokens"
    )
    assert [item.type for item in first.output] == ["reasoning", "message"]
    assert [item.type for item in second.output] == ["function_call"]
