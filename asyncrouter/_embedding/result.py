"""The result of `Router.embed`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

from asyncrouter._pickles.by_name import PickledByName
from asyncrouter._types import Trace

if TYPE_CHECKING:
    from asyncrouter._types import Usage


@dataclass(slots=True, repr=False)
class Embeddings(PickledByName, Sequence[list[float]]):
    """The vectors of some texts, in their order: a sequence of lists of numbers, all of one length.

    - `vectors`: the same as a list.
    - `model`: the name of the model in the configuration.
    - `served_model`: the model that answered, in the provider's words; `None` if it does not say.
    - `usage`: the tokens of all texts; `None` if the provider did not report them.
    - `cost_usd`: US dollars for these vectors; `None` if unknown. `trace.cost_usd` is the cost of all attempts.
    - `trace`: the record of the call, of all its requests.
    """

    vectors: list[list[float]] = field(default_factory=list)
    model: str = ""
    served_model: str | None = None
    usage: Usage | None = None
    cost_usd: float | None = None
    trace: Trace = field(default_factory=lambda: Trace(None, 0.0))

    @property
    def dimensions(self) -> int:
        """The length of each vector."""
        return len(self.vectors[0]) if self.vectors else 0

    @overload
    def __getitem__(self, index: int) -> list[float]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[float]]: ...
    def __getitem__(self, index: int | slice) -> list[float] | list[list[float]]:
        return self.vectors[index]

    def __len__(self) -> int:
        return len(self.vectors)

    def __repr__(self) -> str:
        return f"<Embeddings of {len(self)} texts by {self.model}, {self.dimensions} dimensions>"
