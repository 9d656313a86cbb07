"""Remembers thoughts that a provider has refused to take back, and keeps them out of later requests.

A thought goes back with a proof of who had it: Anthropic's signature, Google's. The proof is bound to the model, the
account and what stands before it, so a conversation that was changed, or that goes on elsewhere, may hold one that is
refused, and with it the whole request. Without the thoughts it goes on, at the price of quality. So all thoughts of a
refused request are left out from then on, and the model is asked again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from asyncrouter._events import MAX_NAMES
from asyncrouter._wire.tool_ids import digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter._errors import AttemptError

NO_SIGNATURE: Final = "skip_thought_signature_validator"
"""The signature for what another model made (Google's page "Thought signatures"): Gemini 3 refuses a call without one.
"""

_WORDS: Final = re.compile(
    r"invalid `?signature`? in `?(?:redacted_)?thinking`?"
    r"|`?thinking`? or `?redacted_thinking`? blocks in the latest assistant message cannot be modified"
    r"|(?:corrupted|invalid) thought[ _]?signature|thought[ _]?signature is not valid", re.IGNORECASE,
)
"""What Anthropic and Google say of such thoughts (anthropics/anthropic-sdk-python#1598, anomalyco/opencode#48637,
anthropics/claude-code#63284; google-gemini/gemini-cli#13467, decolua/9router#301)."""

_BLOCKS: Final = ("signature", "data")
"""The fields of a thought that hold its proof; one that came with another model's details is left out like it."""

_ON_PARTS: Final = frozenset({"thoughtSignature", "thought_signature"})
"""The fields of a part, or of a tool call, that hold the proof of the thoughts before it."""

_DEEPEST: Final = 8
"""Levels of a request's body down to which thoughts stand."""

_MAX_PROOFS: Final = 10 * MAX_NAMES


class LostThoughts:
    """The proofs that one provider has refused, as digests."""

    __slots__ = ("_marks",)

    def __init__(self) -> None:
        self._marks: dict[str, None] = {}  # a dict for its order

    def __repr__(self) -> str:
        return f"<LostThoughts, {len(self._marks)} proofs>"

    def learn(self, body: object, error: AttemptError) -> bool:
        """Remember the proofs in a refused request, if it was refused on their account; whether there are any."""
        if not _WORDS.search(" ".join(error.message.split())):
            return False
        marks = dict.fromkeys(digest(proof) for proof in _proofs(body) if proof != NO_SIGNATURE)
        self._marks.update(marks)
        while len(self._marks) > _MAX_PROOFS:
            del self._marks[next(iter(self._marks))]
        return bool(marks)

    def without(self, value: object, depth: int = 0) -> object:
        """What stands in a request without lost thoughts; copied as far as it changes, the same object if it does not.
        """
        if depth > _DEEPEST:
            return value
        if isinstance(value, list | tuple):
            kept = [self.without(item, depth + 1) for item in value if not self.holds(item)]
            same = len(kept) == len(value) and all(new is old for new, old in zip(kept, value, strict=True))
            return value if same else kept
        if not isinstance(value, dict):
            return value
        changed = {name: new for name, old in value.items() if (new := self._field(name, old, depth)) is not old}
        return {**value, **changed} if changed else value

    def _field(self, name: str, value: object, depth: int) -> object:
        if name in _ON_PARTS and isinstance(value, str):
            return NO_SIGNATURE if digest(value) in self._marks else value
        return self.without(value, depth + 1)

    def holds(self, item: object) -> bool:
        """Whether this is a thought that has been refused."""
        return _is_thought(item) and any(digest(proof) in self._marks for proof in _proofs_of(item))


def _is_thought(item: object) -> bool:
    kind = item.get("type") if isinstance(item, dict) else None
    return isinstance(kind, str) and (kind in {"thinking", "redacted_thinking"} or kind.startswith("reasoning."))


def _proofs_of(thought: object) -> list[str]:
    """The proofs of one thought."""
    values = [thought.get(name) for name in _BLOCKS] if isinstance(thought, dict) else []
    return [value for value in values if isinstance(value, str) and value]


def _proofs(value: object, depth: int = 0) -> Iterator[str]:
    """All proofs in a request."""
    if depth > _DEEPEST:
        return
    if _is_thought(value):
        yield from _proofs_of(value)
    elif isinstance(value, list):
        for item in value:
            yield from _proofs(item, depth + 1)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name in _ON_PARTS and isinstance(inner, str) and inner:
                yield inner
            else:
                yield from _proofs(inner, depth + 1)
