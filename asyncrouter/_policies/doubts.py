"""Failures of which the provider's words leave open whether they are about one request or about the model or its key.

They count against the model or the key only when three requests in a row with different bodies have met the same on
the same model, with no success between. An equal body counts again after 30 seconds. What was in flight together
counts once: a burst of requests is one observation.
"""

from __future__ import annotations

IN_A_ROW = 3
"""Different requests in a row that must have met the same."""
SAME_BODY_SECONDS = 30.0
"""Seconds after which the same body counts again: by then its caller has had time to change something."""
MAX_BODIES = 256
"""Hashes of bodies that are kept at most; the oldest is dropped."""


class Bodies:
    """The bodies whose failures have counted lately, by their hashes."""

    __slots__ = ("_counted_at",)

    def __init__(self) -> None:
        self._counted_at: dict[int, float] = {}

    def __repr__(self) -> str:
        return f"<Bodies {len(self._counted_at)}>"

    def is_new(self, body: int, now: float) -> bool:
        """Whether this body's failure counts now; if so that is noted."""
        counted = self._counted_at
        last = counted.pop(body, None)
        if last is not None and now < last + SAME_BODY_SECONDS:
            counted[body] = last
            return False
        if len(counted) >= MAX_BODIES:
            del counted[next(iter(counted))]
        counted[body] = now
        return True


class Doubts:
    """The doubtful failures of one model since its last success.

    `observations` grows with each one that counts. An attempt notes it when it is sent; if it has grown since, the
    attempt was in flight together with the one that counted.
    """

    __slots__ = ("_bodies", "_counts", "observations")

    def __init__(self) -> None:
        self.observations = 0
        self._counts: dict[object, int] = {}
        self._bodies = Bodies()

    def __repr__(self) -> str:
        return f"<Doubts {self._counts!r}>"

    def met(self, kind: object, body: int, observed: int, now: float) -> bool:
        """Note a failure of this kind; `observed` were the observations when its request was sent.

        Whether it is more than that request's own. Once three have counted that stays so until the next success.
        """
        count = self._counts.get(kind, 0)
        if count < IN_A_ROW and observed == self.observations and self._bodies.is_new(body, now):
            self.observations += 1
            count += 1
            self._counts[kind] = count
        return count >= IN_A_ROW

    def succeeded(self) -> None:
        """Note that the model has answered."""
        if self._counts:
            self._counts.clear()
