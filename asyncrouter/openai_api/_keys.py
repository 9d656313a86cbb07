"""The keys of a server's clients: who a client is, what it may use, how often, and for how much.

Limits count in this process alone. A call's cost is known when it has ended, so calls in flight are reckoned at the
dearest one so far: a budget is overdrawn at most by what calls cost more than any before them.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from typing import TYPE_CHECKING, Final

from asyncrouter import ConfigError
from asyncrouter.openai_api._failure import problem_answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from asyncrouter import Trace
    from asyncrouter.openai_api._answer import Answer

_PERIODS: Final = {"hour": 3600.0, "day": 86400.0, "run": None}
"""Seconds of each period of a budget; hours and days begin when those of UTC do."""
_MINUTE: Final = 60.0
_ENV: Final = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]{0,199})")
_BEARER: Final = "bearer "


class ClientKey:
    """A key of a client, and what is left of its limits.

    - `name`: for logs and metrics; never the key.
    - `secret`: the key itself, of which only a digest is kept.
    - `models`: what it may use: names of models, `task:NAME`, `tier:NAME`; `None`: everything.
    - `rpm`: requests a minute, in a row up to as many; `None`: no limit.
    - `usd`, `per`: US dollars for each "hour", "day" (UTC) or for the "run" of the process; `None`: no limit.
    """

    __slots__ = ("_dearest", "_digest", "_full_at", "_in_flight", "_models", "_per", "_period", "_rpm", "_spent",
                 "_usd", "name")

    def __init__(
        self, name: str, secret: str, *, models: Sequence[str] | None = None, rpm: float | None = None,
        usd: float | None = None, per: str = "day",
    ) -> None:
        if not secret or secret != secret.strip():
            raise ConfigError("expected a key without blanks around it", name)
        if per not in _PERIODS:
            raise ConfigError('expected "hour", "day" or "run"', f"{name}.per", per)
        self.name = name
        self._digest = _digest(secret)
        self._models = None if models is None else frozenset(models)
        self._rpm, self._usd, self._per = rpm, usd, _PERIODS[per]
        self._full_at = 0.0  # when the bucket of requests is full again, by the caller's clock
        self._period, self._spent, self._dearest, self._in_flight = -1.0, 0.0, 0.0, 0

    def __repr__(self) -> str:
        return f"<ClientKey {self.name}>"

    def matches(self, digest: bytes) -> bool:
        """Whether this is the digest of the key, in constant time."""
        return hmac.compare_digest(self._digest, digest)

    def may_use(self, name: str) -> bool:
        """Whether it may use a model, `task:NAME` or `tier:NAME`."""
        return self._models is None or name in self._models

    def admit(self, now: float, wall: float) -> Answer | None:
        """Count a request that begins, or return the answer that turns it away.

        `now` and `wall` are in seconds: of a clock that only goes forward, and since the epoch.
        """
        if self._usd is not None and (refusal := self._over_budget(wall)) is not None:
            return refusal
        if self._rpm is not None:
            gap, due = _MINUTE / self._rpm, max(self._full_at, now)
            if (wait := due + gap - now - max(_MINUTE, gap)) > 1e-9:
                return problem_answer(429, "this key's requests a minute are used up", "rate_limit_exceeded",
                                      retry_after=wait)
            self._full_at = due + gap
        self._in_flight += 1
        return None

    def settle(self, trace: Trace | None, wall: float) -> None:
        """Count the cost of an admitted request that has ended; `trace` is `None` if it was no call."""
        self._in_flight -= 1
        cost = (trace.cost_usd or 0.0) if trace is not None else 0.0
        self._renew(wall)
        self._spent += cost
        self._dearest = max(self._dearest, cost)

    def _over_budget(self, wall: float) -> Answer | None:
        self._renew(wall)
        assert self._usd is not None
        if self._spent + self._in_flight * self._dearest < self._usd:
            return None
        wait = None if self._per is None else self._per - wall % self._per
        message = f"this key's budget of ${self._usd:g} is used up"
        if wait is None:
            return problem_answer(429, message, "budget_exceeded")
        fields = {"x-should-retry": "false"}
        return problem_answer(429, message, "budget_exceeded", retry_after=wait, headers=fields)

    def _renew(self, wall: float) -> None:
        period = 0.0 if self._per is None else wall // self._per
        if period != self._period:
            self._period, self._spent = period, 0.0


class KeyRing:
    """The keys of all clients. An empty one lets everybody in."""

    __slots__ = ("keys",)

    def __init__(self, keys: Iterable[ClientKey] = ()) -> None:
        self.keys = tuple(keys)

    def __bool__(self) -> bool:
        return bool(self.keys)

    def find(self, headers: Mapping[str, str]) -> ClientKey | None:
        """The key that a request has in `authorization: Bearer …` or `api-key`; `None` for none or a wrong one.

        Every key is compared, whether or not one has matched, so the time says nothing.
        """
        given = headers.get("authorization", "")
        secret = given[len(_BEARER) :] if given[: len(_BEARER)].lower() == _BEARER else headers.get("api-key", "")
        digest, found = _digest(secret.strip()), None
        for key in self.keys:
            if key.matches(digest):
                found = key
        return found


def secret_of(given: object, path: str) -> str:
    """The key that `env:NAME` stands for. Raises `ConfigError`, without what was given: it may be a key itself."""
    found = _ENV.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        given = None  # no traceback shows it, either
        raise ConfigError('expected "env:NAME", the environment variable that has the key', path)
    if not (secret := os.environ.get(found[1], "").strip()):
        raise ConfigError(f"the environment variable {found[1]} is not set", path)
    return secret


def _digest(secret: str) -> bytes:
    """What is kept of a key: of one length, so that comparing says nothing about the key's."""
    return hashlib.blake2b(secret.encode("utf-8", "surrogateescape"), digest_size=32, key=_PEPPER).digest()


_PEPPER: Final = os.urandom(32)
"""Makes digests of this process useless elsewhere."""


