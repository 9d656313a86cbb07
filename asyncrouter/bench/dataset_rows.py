"""Rows of a data set: which forms are read, and what a call takes from each.

- `{"prompt": …}`, also `input`, `question` or `text`: a text, or messages. The expected answer stands in `expected`,
  `target`, `answer` or `ideal`; `max_tokens` and the other columns of `PARAMETERS` are sent, too.
- `{"messages": […]}`: the same with messages.
- A row of OpenAI's batch form, `{"custom_id": …, "body": {"messages": […], …}}`: all of the body is sent but model and
  stream, which the arm decides. The expected answer may stand beside the body.
- ShareGPT, `{"conversations": [{"from": "human", "value": …}, …]}`: the first question, after a system turn if there is
  one. `max_tokens` is the length of the recorded answer.

The names are those of the usual data sets: inspect_ai has `input` and `target`, GSM8K `question` and `answer`, OpenAI's
evals `input` and `ideal`. Other columns are not sent; a scorer of your own gets them in `Sample.row`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from asyncrouter.bench.sample import Sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Messages = Sequence[Mapping[str, object]]

PROMPTS = ("messages", "prompt", "input", "question", "text")
"""The columns that a prompt is read from; the first one that a row has counts."""
EXPECTED = ("expected", "target", "answer", "ideal")
"""The columns that the expected answer is read from; the first one that a row has counts."""
PARAMETERS = (
    "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "seed", "tools", "tool_choice",
    "response_format", "reasoning_effort",
)
"""Columns that are parameters of the call. Others, such as a category, are not sent."""
NOT_OF_THE_CALL = {"model", "stream", "stream_options", "messages", "n"}
"""Fields of a batch row's body that the arm decides, or that are no parameters."""
CHARACTERS_PER_TOKEN = 4.0
"""Characters of a recorded answer for one token: English text with the usual tokenizers."""
ROLES = {"system": "system", "human": "user", "user": "user"}
"""Who speaks in a turn of ShareGPT that is sent, as the role of a message."""


def read_row(row: object, place: str) -> Sample | None:
    """The sample of a row; `None` for a ShareGPT conversation without an answer, which has no length to ask for.

    `place` says where the row stands, for messages. Raises `ValueError`.
    """
    if isinstance(row, str):
        return Sample(prompt=_prompt(row, place), id=place.rpartition(" ")[2])
    if not isinstance(row, dict):
        raise ValueError(f"{place}: expected an object such as {{\"prompt\": …}}, got {row!r:.60}")
    name = next((str(row[key]) for key in ("id", "custom_id") if row.get(key) is not None), place.rpartition(" ")[2])
    if "conversations" in row:
        return _of_share_gpt(row, name, place)
    body = row.get("body")
    given = body if isinstance(body, dict) else row
    column = next((name for name in PROMPTS if name in given), None)
    if column is None:
        names = ", ".join(map(str, given)) or "none"
        raise ValueError(f"{place}: no prompt: expected one of the columns {', '.join(PROMPTS)}, got {names}")
    parameters = {
        key: value for key, value in given.items()
        if value is not None and (key not in NOT_OF_THE_CALL if given is body else key in PARAMETERS)
    }
    expected = next((row[key] for key in EXPECTED if key in row), None)
    return Sample(prompt=_prompt(given[column], place), expected=expected, id=name, parameters=parameters, row=row)


def _prompt(given: object, place: str) -> str | Messages:
    if isinstance(given, str):
        if not given.strip():
            raise ValueError(f"{place}: the prompt is empty")
        return given
    if not isinstance(given, list) or not given:
        raise ValueError(f"{place}: expected a text or a list of messages as the prompt, got {given!r:.60}")
    for number, message in enumerate(given):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise ValueError(f"{place}: messages[{number}]: expected {{\"role\": …, \"content\": …}}, "
                             f"got {message!r:.60}")
    return given


def _of_share_gpt(row: Mapping[str, object], name: str, place: str) -> Sample | None:
    """The first question of a conversation, and the length of its recorded answer: what `vllm bench` sends, too."""
    turns = row["conversations"]
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise ValueError(f"{place}: conversations: expected a list of {{\"from\": …, \"value\": …}}, got {turns!r:.60}")
    said = [(str(turn.get("from")), str(turn.get("value") or "")) for turn in turns]
    first = 1 if said and said[0][0] == "system" else 0
    if len(said) < first + 2 or not said[first][1].strip() or not said[first + 1][1]:
        return None
    messages = [{"role": ROLES.get(who, "user"), "content": text} for who, text in said[: first + 1]]
    tokens = math.ceil(len(said[first + 1][1]) / CHARACTERS_PER_TOKEN)
    prompt = said[first][1] if first == 0 else messages
    return Sample(prompt=prompt, id=name, parameters={"max_tokens": tokens}, row=row)
