"""A sample: one prompt of a data set, with the answer that is expected and the parameters that belong to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asyncrouter.files import json_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One prompt of a run, sent as it stands.

    `prompt` is a text or the messages of a chat. `expected` is what scorers compare the answer with (`None`: nothing is
    expected). `id` names the sample in files and messages. `parameters` are arguments of the call (`max_tokens`,
    `tools`, …); those of an arm override them. `row` is the whole row that it was read from, for scorers of your own.
    """

    prompt: str | Sequence[Mapping[str, object]]
    expected: object = None
    id: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
    row: Mapping[str, object] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text of the last message."""
        if isinstance(self.prompt, str):
            return self.prompt
        return str(self.prompt[-1].get("content")) if self.prompt else ""

    @property
    def written(self) -> str:
        """All that is sent as the prompt, as text: of several messages, their JSON. It bounds the input tokens."""
        return self.prompt if isinstance(self.prompt, str) else json_bytes(list(self.prompt)).decode()
