"""Type aliases for the arguments of calls, for annotations in a user's code."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from asyncrouter._config.catalog import Model
from asyncrouter._config.config import Chain, Step
from asyncrouter._config.settings import Hedge, Retry
from asyncrouter._types import Reply


class ModelDump(Protocol):
    """A message object of another library: anything that `model_dump()` makes a dict of, as pydantic's do."""

    def model_dump(self) -> dict[str, Any]:
        """The message as a dict."""
        ...


Prompt = str | Sequence[Mapping[str, object] | Reply | ModelDump]
"""A text, which is one message of the user, or messages: dicts, replies, or message objects of other libraries."""
Accept = Callable[[Reply], bool | Awaitable[bool]]
"""A check of an answer, sync or async."""
ChainLike = Chain | Sequence[str | Model | Step]
"""The models of a call."""
HedgeLike = Hedge | Mapping[str, object] | float | str | None
"""When the next model is started in parallel: seconds, a quantile, a `Hedge`, a mapping of its fields, or never."""
RetryLike = Retry | Mapping[str, object] | int
"""How often one model is asked: a number, a `Retry`, or a mapping of its fields."""
Headers = Mapping[str, str | Mapping[str, str]]
"""Header fields by name, and of one provider under its name."""
