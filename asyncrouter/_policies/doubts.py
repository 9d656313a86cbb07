"""Failures of which the provider's words leave open whether they are about one request or about the model or its key.

They count against the model or the key only when three different requests in a row have met the same on the same
model, with no success between. Requests are equal when their callers have asked the same, with the same parameters: so
all tries of one call are, whatever its steps add to the body. An equal request counts again after 30 seconds. What was
in flight together counts once: a burst of requests is one observation. What callers' own keys have met is counted apart
from what ours has: there it takes three different keys.
"""

from __future__ import annotations

IN_A_ROW = 3
"""Different requests in a row that must have met the same."""
SAME_REQUEST_SECONDS = 30.0
"""Seconds after which the same request counts again: by then its caller has had time to change something."""
MAX_REQUESTS = 256
"""Hashes of requests that are kept at most; the oldest is dropped."""


class Requests:
    """The requests whose failures have counted lately, by hashes of what was asked."""

    __slots__ = ("_counted_at",)

    def __init__(self) -> None:
        self._counted_at: dict[int, float] = {}

    def __repr__(self) -> str:
        return f"<Requests {len(self._counted_at)}>"

    def is_new(self, asked: int, now: float) -> bool:
        """Whether this request's failure counts now; if so that is noted."""
        counted = self._counted_at
        last = counted.pop(asked, None)
        if last is not None and now < last + SAME_REQUEST_SECONDS:
            counted[asked] = last
            return False
        if len(counted) >= MAX_REQUESTS:
            del counted[next(iter(counted))]
        counted[asked] = now
        return True


class Doubts:
    """The doubtful failures of one model since its last success.

    `observations` grows with each one that counts. An attempt notes it when it is sent; if it has grown since, the
    attempt was in flight together with the one that counted.
    """

    __slots__ = ("_counts", "_requests", "observations")

    def __init__(self) -> None:
        self.observations = 0
        self._counts: dict[tuple[bool, object], int] = {}  # by whether it was under callers' keys, and what it was
        self._requests = Requests()

    def __repr__(self) -> str:
        return f"<Doubts {self._counts!r}>"

    def met(self, kind: object, asked: int, observed: int, now: float, *, own_key: bool = False) -> bool:
        """Note a failure of this kind; `observed` were the observations when its request was sent.

        Whether it is more than that request's own, or (`own_key`) that caller's key's own. Once three have counted that
        stays so until the next success.
        """
        met = own_key, kind
        count = self._counts.get(met, 0)
        if count < IN_A_ROW and observed == self.observations and self._requests.is_new(asked, now):
            self.observations += 1
            count += 1
            self._counts[met] = count
        return count >= IN_A_ROW

    def succeeded(self, *, own_key: bool = False) -> None:
        """Note that the model has answered; under a caller's key (`own_key`) that says nothing about ours."""
        if self._counts:
            self._counts = {kind: count for kind, count in self._counts.items() if own_key and not kind[0]}
