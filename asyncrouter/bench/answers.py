"""answers.jsonl: each answer of a run beside its prompt, what was expected, and its scores.

It is for people and their tools, and for scoring again without asking again (`bench score`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter.files import json_bytes

if TYPE_CHECKING:
    from asyncrouter.bench.arm_run import RunData
    from asyncrouter.bench.sample import Sample


def prompt_text(sample: Sample) -> str:
    """A prompt for people: a text as it is, of messages the text of each."""
    if isinstance(sample.prompt, str):
        return sample.prompt
    return "\n\n".join(f"{one.get('role')}: {one.get('content')}" for one in sample.prompt)


def answer_lines(run: RunData) -> bytes:
    """The text of answers.jsonl: a line for each measured call, one prompt after the other, arm beside arm."""
    rows = [row for arm in run.arms for row in arm.measured]
    rows.sort(key=lambda row: (row.prompt or 0, row.number))  # stable: arms stay in their order
    lines = []
    for row in rows:
        sample = run.samples[row.prompt or 0]
        lines.append(json_bytes({
            "id": sample.id or str((row.prompt or 0) + 1), "arm": row.arm, "prompt": sample.prompt,
            "expected": sample.expected, "answer": row.answer, "scores": row.scores, "outcome": row.outcome,
            "model": row.model, "number": row.number, "row": sample.row,
        }, line=True))
    return b"".join(lines)
