"""The keys of a server's clients: who a client is, what it may use, how often, and for how much.

Limits count in this process alone. A call's cost is known when it has ended, so calls in flight are reckoned at the
dearest one so far: a budget is overdrawn at most by what calls cost more than any before them.
"""

from __future__ import annotations

import base64
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

PERIODS: Final[dict[str, float | None]] = {"hour": 3600.0, "day": 86400.0, "run": None}
"""Seconds of each period of a budget; hours and days begin when those of UTC do."""
_MINUTE: Final = 60.0
_ROUNDING: Final = 1e-9
"""Seconds by which a sum of times may be off."""
_ENV: Final = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]{0,199})")


class Account:
    """What the requests of a key have used. It outlives the key when a server reads its configuration again."""

    __slots__ = ("dearest", "full_at", "in_flight", "period", "spent")

    def __init__(self) -> None:
        self.full_at: float = 0.0  # when the bucket of requests is full again
        self.period: float = -1.0  # which hour or day it is
        self.spent: float = 0.0  # its US dollars
        self.dearest: float = 0.0  # US dollars of the dearest call so far
        self.in_flight: int = 0


class ClientKey:
    """A key of a client, and what is left of its limits.

    - `name`: for logs and metrics; never the key.
    - `secret`: the key itself, of which only a digest is kept.
    - `models`: what it may use: names of models, `task:NAME`, `tier:NAME`; `None`: everything.
    - `rpm`: requests a minute, in a row up to as many; `None`: no limit.
    - `usd`, `per`: US dollars for each "hour", "day" (UTC) or for the "run" of the process; `None`: no limit.
    """

    __slots__ = ("_digest", "_models", "_per", "_rpm", "_usd", "account", "name")

    def __init__(
        self, name: str, secret: str, *, models: Sequence[str] | None = None, rpm: float | None = None,
        usd: float | None = None, per: str = "day",
    ) -> None:
        self.name: str = name
        self._digest = _digest(secret)
        self._models = None if models is None else frozenset(models)
        self._rpm, self._usd, self._per = rpm, usd, PERIODS[per]
        self.account: Account = Account()

    def __repr__(self) -> str:
        return f"<ClientKey {self.name}>"

    @property
    def all_models(self) -> bool:
        """Whether it may use everything."""
        return self._models is None

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
        account = self.account
        if self._usd is not None:
            self._renew(wall)
            if account.spent + account.in_flight * account.dearest >= self._usd:
                return self._over_budget(wall)
        if self._rpm is not None:
            gap, due = _MINUTE / self._rpm, max(account.full_at, now)
            if (wait := due + gap - now - max(_MINUTE, gap)) > _ROUNDING:
                message = "this key's requests a minute are used up"
                return problem_answer(429, message, "rate_limit_exceeded", retry_after=wait)
            account.full_at = due + gap
        account.in_flight += 1
        return None

    def settle(self, trace: Trace | None, wall: float) -> None:
        """Count the cost of an admitted request that has ended; `trace` is `None` if it was no call."""
        account = self.account
        account.in_flight -= 1
        cost = (trace.cost_usd or 0.0) if trace is not None else 0.0
        self._renew(wall)
        account.spent += cost
        account.dearest = max(account.dearest, cost)

    def _over_budget(self, wall: float) -> Answer:
        wait = None if self._per is None else self._per - wall % self._per
        message = f"this key's budget of ${self._usd:g} is used up"
        headers = {"x-should-retry": "false"}  # no client should wait for tomorrow
        return problem_answer(429, message, "budget_exceeded", retry_after=wait, headers=headers)

    def _renew(self, wall: float) -> None:
        period = 0.0 if self._per is None else wall // self._per
        if period != self.account.period:
            self.account.period, self.account.spent = period, 0.0


class KeyRing:
    """The keys of all clients. An empty one lets everybody in."""

    __slots__ = ("keys",)

    def __init__(self, keys: Iterable[ClientKey] = ()) -> None:
        self.keys: tuple[ClientKey, ...] = tuple(keys)

    def __bool__(self) -> bool:
        return bool(self.keys)

    def adopt(self, before: KeyRing) -> None:
        """Go on with what the keys of the same names have used until now."""
        accounts = {key.name: key.account for key in before.keys}
        for key in self.keys:
            key.account = accounts.get(key.name, key.account)

    def find(self, headers: Mapping[str, str], *, basic: bool = False) -> ClientKey | None:
        """The key that a request has in `authorization: Bearer …` or `api-key`; `None` for none or a wrong one.

        With `basic` it may also be the password of Basic. A browser sends that by itself, whichever page has made the
        request, so it is for what changes nothing. Every key is compared, whether or not one has matched, so the time
        says nothing.
        """
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            secret = given
        elif basic and scheme.lower() == "basic":
            secret = _password(given)
        else:
            secret = headers.get("api-key", "")
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


def _password(given: str) -> str:
    """The password in the credentials of Basic: base64 of "user:password"; "" for what is none."""
    try:
        return base64.b64decode(given, validate=True).partition(b":")[2].decode()
    except ValueError:
        return ""


def _digest(secret: str) -> bytes:
    """What is kept of a key: of one length, so that comparing says nothing about the key's."""
    return hashlib.blake2b(secret.encode("utf-8", "surrogateescape"), digest_size=32, key=_PEPPER).digest()


_PEPPER: Final = os.urandom(32)
"""Makes digests of this process useless elsewhere."""


