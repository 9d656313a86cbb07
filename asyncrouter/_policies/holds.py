"""Which models and keys are not to be tried now, and until when: told by the provider, kept for every task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from asyncrouter._errors import AttemptError, NotSent, OutOfCredit, RateLimited, Rejected, ServerFailed, Unauthorized

if TYPE_CHECKING:
    from asyncrouter._config.catalog import Model

K = TypeVar("K")

LONGEST_HOLD = 600.0
MODEL_OUT = 300.0
FORBIDDEN_OUT = 60.0
KEY_OUT = 60.0
LONGEST_KEY_OUT = 600.0


@dataclass(slots=True)
class Hold:
    """Something that is out until an instant of the loop's clock, and why; `span` is how long the next time."""

    until: float
    why: str
    span: float = KEY_OUT


class Holds:
    """A model held until its Retry-After, a model out (404, 403), a key out (401, 402)."""

    __slots__ = ("held", "keys", "models")

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], Hold] = {}
        self.models: dict[tuple[str, str], Hold] = {}
        self.keys: dict[str, Hold] = {}

    def __repr__(self) -> str:
        return f"<Holds held: {len(self.held)}, out: {len(self.models)}, keys out: {len(self.keys)}>"

    def refusal(self, model: Model, now: float) -> NotSent | None:
        """Why a request to `model` would be pointless now; `hold` is set when waiting helps. `None`: go ahead."""
        if not (self.held or self.models or self.keys):
            return None
        key = (model.provider, model.id)
        if (out := _current(self.keys, model.provider, now)) is not None:
            return NotSent(
                f"the key of {model.provider} is disabled for {out.until - now:.0f} s more: {out.why}", key_out=True
            )
        if (out := _current(self.models, key, now)) is not None:
            return NotSent(f"disabled for {out.until - now:.0f} s more: {out.why}")
        if (out := _current(self.held, key, now)) is not None:
            return NotSent(f"held for {out.until - now:.2f} s more: {out.why}", hold=out.until - now)
        return None

    def learn(self, model: Model, error: AttemptError, now: float) -> tuple[str, str] | None:
        """Remember what a failed attempt says about the model and its key; what that changed, and why."""
        key = (model.provider, model.id)
        if isinstance(error, RateLimited | ServerFailed) and error.retry_after:
            until = now + min(error.retry_after, LONGEST_HOLD)
            # Never shorter: a later, smaller hint does not take an earlier promise back.
            if (held := self.held.get(key)) is not None and held.until >= until:
                return None
            self.held[key] = Hold(until, error.message)
            return f"held for {until - now:g} s", error.message
        if isinstance(error, OutOfCredit) or (isinstance(error, Unauthorized) and error.status != 403):
            return self._key_out(model.provider, error, now)
        if isinstance(error, Unauthorized) or (isinstance(error, Rejected) and error.gone):
            span = FORBIDDEN_OUT if isinstance(error, Unauthorized) else MODEL_OUT
            self.models[key] = Hold(now + span, error.message)
            return f"disabled for {span:g} s", error.message
        return None

    def succeeded(self, model: Model, now: float) -> None:
        """The key works: the next time it is out it begins with the shortest span again."""
        # An answer that comes while the key is out was asked for before that, and proves nothing.
        if (out := self.keys.get(model.provider)) is not None and now >= out.until:
            del self.keys[model.provider]

    def _key_out(self, provider: str, error: AttemptError, now: float) -> tuple[str, str] | None:
        last = self.keys.get(provider)
        if last is not None and now < last.until:
            return None  # sent before the key was known to be out: the same news
        span = KEY_OUT if last is None else min(last.span * 2, LONGEST_KEY_OUT)
        self.keys[provider] = Hold(now + span, error.message, span)
        return f"key of {provider} disabled for {span:g} s", error.message


def _current(outs: dict[K, Hold], key: K, now: float) -> Hold | None:
    out = outs.get(key)
    return out if out is not None and now < out.until else None
