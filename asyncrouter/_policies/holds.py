"""Which models and keys may not be tried until a certain instant, because their provider has said so.

Three kinds, the first that applies is reported: a disabled key (401, 402, a 429 about money), a disabled model (404, or
403 with this key), and a model that is held until its Retry-After is over. They hold for every call of the router.
Guaranteed: no request is sent before a Retry-After is over (ten minutes at most), and a later, shorter one does not
shorten it. Who waits for the end of a hold is woken at once when it comes to last too long, or the model is disabled.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

from asyncrouter._errors import AttemptError, RateLimited
from asyncrouter._events import MAX_NAMES
from asyncrouter._policies.refusal import DISABLED, HELD, KEY_DISABLED, Refusal
from asyncrouter._policies.scope import asks_for_pause, rule_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from asyncrouter._config.catalog import Model

K = TypeVar("K")
Key = str | tuple[str, str, bool]
"""What a hold is about: a provider's key, or a model, and whether that is about our key alone."""

MAX_HOLD = 600.0
"""Seconds that a Retry-After holds a model at most: there are providers that send a day, and recover sooner."""
NOT_FOUND_SECONDS = 300.0
"""Seconds that a model is disabled after a 404: it seldom comes back, but a deployment of it may."""
FORBIDDEN_SECONDS = 60.0
"""Seconds that a model is disabled after a 403: a permission may be granted at any time."""
KEY_DISABLED_SECONDS = 60.0
"""Seconds that a key is disabled the first time; twice as long each time until it works again."""
MAX_KEY_DISABLED_SECONDS = 600.0
"""Seconds that a key is disabled at most: ten minutes after its owner has paid at the latest, it serves again."""


@dataclass(slots=True)
class Hold:
    """Something that may not be tried until an instant of the loop's clock, why, and for how many seconds in all."""

    until: float
    why: str
    seconds: float
    of_key: bool = True
    """Whether it is about the provider's key, so that a caller with a key of its own need not mind it."""


class Holds:
    """The models and keys of a router that are held or disabled."""

    __slots__ = ("_waiting", "held", "keys", "models", "on_change", "on_new")

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], dict[asyncio.Future[None], float]] = {}
        self.held: dict[tuple[str, str, bool], Hold] = {}
        """By provider, model, and whether it is about our key alone: neither hides the other."""
        self.models: dict[tuple[str, str, bool], Hold] = {}
        self.keys: dict[str, Hold] = {}
        self.on_new: Callable[[str, Key, Hold, float], None] | None = None
        """Is told of each hold that an attempt of this process has met: its kind, key, itself, and the instant."""
        self.on_change: Callable[[], object] | None = None
        """Is told that something was held or disabled, by an attempt of this process or of another."""

    def __repr__(self) -> str:
        return f"<Holds held: {len(self.held)}, disabled: {len(self.models)}, keys: {len(self.keys)}>"

    def refusal(self, model: Model, now: float, *, own_key: bool = False) -> Refusal | None:
        """Why a request to `model` would be pointless now; `None` when it would not. `own_key`: with a caller's key."""
        key = (model.provider, model.id)
        if (hold := _current(self.keys, model.provider, now, own_key)) is not None:
            return Refusal(KEY_DISABLED, hold.why, hold.until - now, model.provider, key_out=True)
        if (hold := _longest(self.models, key, now, own_key)) is not None:
            return Refusal(DISABLED, hold.why, hold.until - now)
        if (hold := _longest(self.held, key, now, own_key)) is not None:
            return Refusal(HELD, hold.why, hold.until - now, hold=hold.until - now)
        return None

    def learn(self, model: Model, error: AttemptError, now: float) -> tuple[str, str] | None:
        """Remember a failure that is the model's or its key's (`scope.py`); what that changed, and why."""
        rule = rule_of(error)
        if rule.remembered == "key out":
            return self.disable_key(model.provider, error, now)
        if rule.remembered == "model out":
            seconds = NOT_FOUND_SECONDS if rule.scope == "model" else FORBIDDEN_SECONDS
            return self._disable(model, error, seconds, now, of_key=rule.scope == "key")
        if asks_for_pause(error):
            return self._hold(model, error, now)
        return None

    def succeeded(self, model: Model, now: float) -> None:
        """Note that the model's key works: the next time it is disabled begins with the shortest span again."""
        # An answer that comes while the key is disabled was asked for before that, and proves nothing.
        if (hold := self.keys.get(model.provider)) is not None and now >= hold.until:
            del self.keys[model.provider]

    def forget(self, providers: AbstractSet[str]) -> None:
        """Forget all about providers whose entries in the configuration have changed."""
        for holds in (self.held, self.models):
            for key in [key for key in holds if key[0] in providers]:
                del holds[key]
        for provider in providers:
            self.keys.pop(provider, None)

    def adopt(
        self, kind: str, key: Key, seconds: float, span: float, why: str, now: float, *, of_key: bool
    ) -> None:
        """Take a hold that another process has met, from now on for so many seconds; it shortens none."""
        hold = Hold(now + seconds, why, span, of_key)
        if kind == "key" and isinstance(key, str):
            if (last := self.keys.get(key)) is None or last.until < hold.until:
                self.keys[key] = hold
                self._lengthened_key(key)
        elif kind in {"held", "model"} and isinstance(key, tuple):
            holds = self.held if kind == "held" else self.models
            if (known := holds.get(key)) is None or known.until < hold.until:
                _keep(holds, key, hold, now)
                self._lengthened((key[0], key[1]), hold.until if kind == "held" else inf)

    # Who waits for the end of a hold.

    def watch(self, model: Model, sleeper: asyncio.Future[None], limit: float) -> None:
        """Resolve `sleeper` as soon as it is known that `model` cannot be tried before the instant `limit`."""
        self._waiting.setdefault((model.provider, model.id), {})[sleeper] = limit

    def unwatch(self, model: Model, sleeper: asyncio.Future[None]) -> None:
        """Forget a sleeper."""
        key = (model.provider, model.id)
        if (waiting := self._waiting.get(key)) is not None:
            waiting.pop(sleeper, None)
            if not waiting:
                del self._waiting[key]

    def _lengthened(self, key: tuple[str, str], until: float) -> None:
        self._changed()
        for sleeper, limit in self._waiting.get(key, {}).items():
            if limit < until and not sleeper.done():
                sleeper.set_result(None)

    def _lengthened_key(self, provider: str) -> None:
        self._changed()
        for key in self._waiting:
            if key[0] == provider:
                self._lengthened(key, inf)

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()

    # Learning.

    def _new(self, kind: str, key: tuple[str, str, bool], hold: Hold, now: float) -> None:
        _keep(self.held if kind == "held" else self.models, key, hold, now)
        if self.on_new is not None:
            self.on_new(kind, key, hold, now)

    def _hold(self, model: Model, error: AttemptError, now: float) -> tuple[str, str] | None:
        key, of_key = (model.provider, model.id), isinstance(error, RateLimited)
        until = now + min(error.retry_after or 0.0, MAX_HOLD)
        if (held := self.held.get((*key, of_key))) is not None and held.until >= until:
            return None
        self._new("held", (*key, of_key), Hold(until, error.message, until - now, of_key), now)
        self._lengthened(key, until)
        return f"held for {until - now:g} s", error.message

    def _disable(
        self, model: Model, error: AttemptError, seconds: float, now: float, *, of_key: bool
    ) -> tuple[str, str]:
        key = (model.provider, model.id)
        self._new("model", (*key, of_key), Hold(now + seconds, error.message, seconds, of_key), now)
        self._lengthened(key, inf)
        return f"disabled for {seconds:g} s", error.message

    def disable_key(self, provider: str, error: AttemptError, now: float) -> tuple[str, str] | None:
        """Disable a key because of an error; what that changed, and why."""
        last = self.keys.get(provider)
        if last is not None and now < last.until:
            return None  # sent before the key was disabled: the same news
        seconds = KEY_DISABLED_SECONDS if last is None else min(last.seconds * 2, MAX_KEY_DISABLED_SECONDS)
        self.keys[provider] = hold = Hold(now + seconds, error.message, seconds)
        if self.on_new is not None:
            self.on_new("key", provider, hold, now)
        self._lengthened_key(provider)
        return f"key of {provider} disabled for {seconds:g} s", error.message


def _keep(holds: dict[K, Hold], key: K, hold: Hold, now: float) -> None:
    """Remember a hold. Ids of models come from callers: beyond `MAX_NAMES` those that are over are forgotten."""
    if key not in holds and len(holds) >= MAX_NAMES:
        over = [each for each, one in holds.items() if one.until <= now]
        for each in over or [min(holds, key=lambda kept: holds[kept].until)]:
            del holds[each]
    holds[key] = hold


def _current(holds: dict[K, Hold], key: K, now: float, own_key: bool) -> Hold | None:
    hold = holds.get(key)
    return hold if hold is not None and now < hold.until and not (own_key and hold.of_key) else None


def _longest(
    holds: dict[tuple[str, str, bool], Hold], model: tuple[str, str], now: float, own_key: bool
) -> Hold | None:
    """What keeps a model from being tried for longest: what is about the model itself, or about our key."""
    found = (holds.get((*model, of_key)) for of_key in ((False,) if own_key else (False, True)))
    return max((hold for hold in found if hold is not None and now < hold.until), key=attrgetter("until"), default=None)
