"""Who may come in: keys, their limits, and how many requests are answered at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncrouter.openai_api._failure import problem_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter import Trace
    from asyncrouter.openai_api._answer import Answer
    from asyncrouter.openai_api._keys import ClientKey, KeyRing
    from asyncrouter.openai_api._request import MayUse

MAX_CALLS: Final = 1000
"""Requests that are answered at once, if nothing else is said: each may hold a body and an answer."""
_BUSY_SECONDS: Final = 1.0
"""Seconds after which a client may come back to a server without room."""


class Visit:
    """An admitted request: what its key may use, and what is to be counted when it ends."""

    __slots__ = ("_gate", "_key", "_over")

    def __init__(self, gate: Gate, key: ClientKey | None) -> None:
        self._gate = gate
        self._key = key
        self._over = False

    @property
    def may_use(self) -> MayUse | None:
        """Whether it may use a model; `None`: all."""
        return None if self._key is None else self._key.may_use

    def end(self, trace: Trace | None) -> None:
        """Count the cost of its call (`None`: there was none) and make room for another one. May be called again."""
        if not self._over:
            self._over = True
            self._gate.leave(self._key, trace)


class Gate:
    """Lets requests in: `visit = gate.enter(headers)`, then `visit.end(trace)`.

    - `keys`: of the clients; may be replaced at any time. An empty ring lets everybody in.
    - `max_calls`: requests that are answered at once.
    - `clock`, `wall`: functions that return seconds, of a clock that only goes forward and since the epoch.
    """

    __slots__ = ("_clock", "_wall", "keys", "max_calls", "running")

    def __init__(
        self, keys: KeyRing, *, max_calls: int, clock: Callable[[], float], wall: Callable[[], float]
    ) -> None:
        self.keys: KeyRing = keys
        self.max_calls: int = max_calls
        self.running: int = 0
        self._clock = clock
        self._wall = wall

    def check_page(self, headers: Mapping[str, str]) -> Answer | None:
        """The answer to whoever may not see a page about all clients; `None` for those who may.

        Without keys that is everybody, else who has a key that is not limited to some models. A browser asks for it as
        the password of any user (Basic).
        """
        if not self.keys:
            return None
        if (key := self.keys.find(headers, basic=True)) is None:
            return _no_key(headers, 'Basic realm="asyncrouter"')
        if key.all_models:
            return None
        return problem_answer(403, "the page is about all clients, and this key is limited to some models")

    def enter(self, headers: Mapping[str, str]) -> Visit | Answer:
        """Let a request in, or return the answer that turns it away: 401, 429 or 503."""
        key = None
        if self.keys and (key := self.keys.find(headers)) is None:
            return _no_key(headers, "Bearer")
        if self.running >= self.max_calls:
            message = f"{self.max_calls} requests are being answered already"
            return problem_answer(503, message, "busy", retry_after=_BUSY_SECONDS)
        if key is not None and (turned_away := key.admit(self._clock(), self._wall())) is not None:
            return turned_away
        self.running += 1
        return Visit(self, key)

    def leave(self, key: ClientKey | None, trace: Trace | None) -> None:
        """Count the end of a visit."""
        self.running -= 1
        if key is not None:
            key.settle(trace, self._wall())


def _no_key(headers: Mapping[str, str], scheme: str) -> Answer:
    message = "the key is wrong" if headers.get("authorization") else "a key is needed: authorization: Bearer …"
    return problem_answer(401, message, "invalid_api_key", headers={"www-authenticate": scheme})
