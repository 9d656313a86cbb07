"""Why a model may not be tried now, as a plain value: no text is written before somebody reads it."""

from __future__ import annotations

from typing import NamedTuple

from asyncrouter._errors import NotSent

HELD = "held for {left:.2f} s more: {why}"
"""The text about a model whose provider asked for a pause that is not over yet."""
DISABLED = "disabled for {left:.0f} s more: {why}"
"""The text about a model that was not found, or not allowed with this key."""
KEY_DISABLED = "the key of {provider} is disabled for {left:.0f} s more: {why}"
"""The text about a provider whose key was turned down, or whose account has no credit."""
BREAKER_OPEN = "breaker open for {left:.2f} s more: {why}"
"""The text about a breaker whose open time is not over yet."""
PROBE_RUNNING = "breaker half-open, a probe is under way: {why}"
"""The text about a half-open breaker whose only permit is lent."""


class Refusal(NamedTuple):
    """One reason, with what a caller can do about it.

    `template` is one of the texts above, `why` the last error and `left` the seconds until it is over. `hold` is the
    seconds after which the request may be sent, `None` when waiting does not help. `forcible` says that the model is
    tried all the same when no other one is left; `key_out` that its key was turned down. `host` is set on the refusal
    of a provider's breaker.
    """

    template: str
    why: str
    left: float = 0.0
    provider: str = ""
    hold: float | None = None
    forcible: bool = False
    key_out: bool = False
    host: bool = False

    def __str__(self) -> str:
        text = self.template.format(left=self.left, why=self.why, provider=self.provider)
        return f"{self.provider}: {text}" if self.host else text

    def error(self) -> NotSent:
        """The error of an attempt that was not sent for this reason."""
        return NotSent(str(self), hold=self.hold, key_out=self.key_out, forcible=self.forcible)
