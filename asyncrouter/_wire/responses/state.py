"""An answer of the Responses API as far as it has come, with the views that its readers share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncrouter._wire.responses.output import CALLS, PARAGRAPH

if TYPE_CHECKING:
    from asyncrouter._types import Message
    from asyncrouter._wire.origin import Origin
    from asyncrouter._wire.responses.output import OutputItem


_ACTIONS: Final = frozenset({
    "apply_patch_call", "computer_call", "local_shell_call", "mcp_approval_request", "shell_call",
})
"""The items, beside calls of functions, that wait for the caller (openai 3.57, `ResponseOutputItem`)."""


class AnswerState:
    """The items and the response around them. What adds to it is `ResponseAnswer`."""

    __slots__ = ("broken", "created", "items", "limit", "origin", "response", "status")

    def __init__(self, origin: Origin, created: int, limit: int | None) -> None:
        self.origin = origin
        """The host it comes from."""
        self.created = created
        """Seconds since the epoch, for a response that does not say when it was made."""
        self.limit = limit
        """The most tokens it may have; `None` also where the host says itself that an answer was cut there."""
        self.items: list[OutputItem] = []
        self.response: Message = {}
        """The fields beside the items, as they were given last."""
        self.status = ""
        """The status with which it ended; "" until then."""
        self.broken = ""
        """What was lost of it; "" for nothing."""

    @property
    def started(self) -> bool:
        """Whether anything of an answer has come."""
        return bool(self.response or self.items)

    @property
    def text(self) -> str:
        """All that the model says, refusals included."""
        return "".join([item.said + item.refused for item in self.items if item.kind == "message"])

    @property
    def said(self) -> str:
        """What the model says, refusals not included."""
        return "".join([item.said for item in self.items if item.kind == "message"])

    @property
    def refused(self) -> str:
        """The refusals."""
        return "".join([item.refused for item in self.items if item.refusals])

    @property
    def reasoning(self) -> str:
        """The reasoning that the provider shows: the summaries, or the thoughts themselves."""
        return PARAGRAPH.join([item.said for item in self.items if item.kind == "reasoning" and item.pieces])

    @property
    def calls(self) -> list[OutputItem]:
        """The tool calls."""
        return [item for item in self.items if item.kind in CALLS]

    @property
    def pictures(self) -> list[OutputItem]:
        """The pictures that the model has drawn."""
        return [item for item in self.items if item.kind == "image_generation_call" and item.given.get("result")]

    @property
    def wants_action(self) -> bool:
        """Whether there is an item that the caller has to act on, for which Chat Completions has no place."""
        return any(item.kind in _ACTIONS for item in self.items)

    @property
    def served_model(self) -> str | None:
        """The model that answered, in the provider's words."""
        served = self.response.get("model")
        return served if isinstance(served, str) else None
