"""The key of a provider: read when it is first needed, kept for a while, and read again after a 401.

A key is a name of an environment variable (`env:NAME`) or a function, sync or async. A variable is read in place. A
function may be slow, so it does not run on the event loop unless it is async (`key_function.py`); `fetch()` waits.
Calls that need the key at the same time share one run of the function, and one that is cancelled or out of time leaves
it to the others.

States of a key from a function: none yet (`due()`, and calls wait for it); known; and old `KEPT_SECONDS` later (due,
but calls wait for the new one only `OLD_KEY_SECONDS`, and use the old one then, or where the function fails). A 401
(`renew()`) makes the key old at once, and the attempt waits for the next one.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from asyncrouter._credentials.key_function import MAX_SECONDS, KeyFunction
from asyncrouter._credentials.masking import mask, secrets_in, secrets_in_url
from asyncrouter._credentials.secret import Secret, key_from, reveal
from asyncrouter._errors import NotSent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter._config.catalog import Key, Provider
    from asyncrouter._credentials.secret import Sealed

KEPT_SECONDS: Final = 300.0
"""Seconds after which the key that a function returned is asked for again: short against the hour for which tokens of
clouds are valid."""
OLD_KEY_SECONDS: Final = 1.0
"""Seconds that a call waits for the new key where it has an old one."""
FAILED_SECONDS: Final = 10.0
"""Seconds after which the function is asked again where it failed and there is an old key."""


_NAME: Final = re.compile(r"^[A-Z][A-Z0-9_]*$|(?i:key|token|secret|pass|auth|api)")
"""A name of a variable; anything else may be a key that was typed in its place, and is not shown."""


class Credential:
    """The key of one provider. `keep_task` holds a reference to a task until it is done."""

    __slots__ = ("_asked_at", "_due_at", "_fetching", "_function", "_keep_task", "_key", "_secrets", "_variable")

    def __init__(self, provider: Provider, keep_task: Callable[[asyncio.Task[None]], None] | None = None) -> None:
        key: Key = provider.keys[0]  # one that has several is asked with each of them under a name of its own
        self._variable = key.removeprefix("env:") if isinstance(key, str) else None
        self._function = KeyFunction(key) if callable(key) else None
        self._key: Secret | None = None
        self._due_at = math.inf if self._function is None else -math.inf
        self._asked_at = -math.inf  # when it was last known what the function returns
        self._fetching: asyncio.Task[None] | None = None
        self._keep_task = keep_task
        found = *secrets_in(provider.headers), *secrets_in(provider.query), *secrets_in_url(provider.proxy)
        self._secrets = tuple(map(Secret, found))

    def __repr__(self) -> str:
        return f"<Credential {self.origin}>"

    @property
    def origin(self) -> str | None:
        """Where the key comes from, without showing it: "env:NAME" or "the key function"; `None` for no key."""
        return f"env:{self._variable}" if self._variable is not None else "the key function" if self._function else None

    def get(self) -> Secret | None:
        """The key, or `None` when the provider wants none. Raises `NotSent` when there is none that can be sent."""
        if self._key is None:
            if self._variable is not None:
                self._key = _from_environment(self._variable)
            elif self._function is not None:
                raise NotSent(self._function.failure or "the key function has not been called yet", actionable=True)
        return self._key

    def missing(self) -> str | None:
        """Why its environment variable has no key that can be sent; `None` if it has one, or there is no variable."""
        if self._variable is None or self._key is not None:
            return None
        found = key_from(os.environ.get(self._variable, ""))
        return None if isinstance(found, Secret) else _no_key(self._variable, found)

    def has_changed(self) -> bool:
        """Whether its environment variable has another value than the one that is used, or had none."""
        return (found := self._set_now()) is not None and found != self._key

    def mark(self) -> str:
        """A hash by which processes know whether they use the same key; "" while there is none."""
        key = self._key or self._set_now()
        if key is None:
            return ""
        return blake2b(reveal(key).encode(), digest_size=8, person=b"asyncrouter").hexdigest()

    def _set_now(self) -> Secret | None:
        """The key in its environment variable at this moment."""
        found = None if self._variable is None else key_from(os.environ.get(self._variable, ""))
        return found if isinstance(found, Secret) else None

    def due(self, now: float) -> bool:
        """Whether `fetch()` should be awaited before `get()`. `now` is the time of the loop's clock."""
        return now >= self._due_at

    async def fetch(self, seconds: float = math.inf, *, turned_down: bool = False) -> None:
        """Ask the key function, for so many seconds and its time limit at most; `get()` raises when there is no key.

        With an old key, unless that was turned down, it waits for a second only. Raises `NotSent` when out of time.
        """
        function = self._function
        if function is None:
            return
        if self._fetching is None:
            loop = asyncio.get_running_loop()
            if function.begin():
                self._take(function, loop.time())
                return
            self._fetching = loop.create_task(self._finish(function))
            if self._keep_task is not None:
                self._keep_task(self._fetching)
        old = self._key is not None and not turned_down
        limit = min(seconds, OLD_KEY_SECONDS if old else MAX_SECONDS + 1.0)  # the function has a limit of its own
        done, _ = await asyncio.wait((self._fetching,), timeout=limit)
        if not done and not old:
            raise NotSent(f"the key function gave no key within {limit:.3g} s", actionable=True)

    async def renew(self, used: Secret | None, sent_at: float, seconds: float = math.inf) -> bool:
        """Read the key again after `used` was turned down; whether it is another one now.

        Waits for a key function `seconds` at most, or for a run of it that has begun already. It is not asked when it
        has been since `sent_at`, the time of the loop's clock at which the request was sent.
        """
        if used is None or (self._variable is None and self._function is None):
            return False
        if self._key == used and self._asked_at <= sent_at:
            try:
                await self._read_again(seconds)
            except NotSent:
                return False
        return self._key != used

    async def _read_again(self, seconds: float) -> None:
        if self._variable is not None:
            self._key = _from_environment(self._variable)
            return
        self._due_at = -math.inf  # whoever needs the key now had better wait for the new one
        await self.fetch(seconds, turned_down=True)

    async def _finish(self, function: KeyFunction) -> None:
        try:
            await function.finish()
        finally:
            self._fetching = None
            self._take(function, asyncio.get_running_loop().time())

    def _take(self, function: KeyFunction, now: float) -> None:
        """Keep the key that the function has returned; the old one if it has not."""
        self._asked_at = now
        if function.key is not None:
            self._key, self._due_at = function.key, now + KEPT_SECONDS
        else:
            self._due_at = now + FAILED_SECONDS if self._key is not None else -math.inf

    def close(self) -> None:
        """Wait for the function no longer."""
        if self._fetching is not None:
            self._fetching.cancel()

    def mask(self, text: str, *others: Sealed | None) -> str:
        """`text` without the key, any secret of the provider's headers, query and proxy, or `others`."""
        if self._key is None and self._variable is not None:  # nobody has needed it yet, but it can be quoted
            others = (*others, os.environ.get(self._variable, "").strip())
        return mask(text, [reveal(secret) for secret in (self._key, *self._secrets, *others) if secret is not None])


def secrets_of_call(headers: Mapping[str, Sealed]) -> list[str]:
    """What may be secret in the header fields of a call."""
    return secrets_in({name: reveal(value) for name, value in headers.items()}) if headers else []


def _from_environment(name: str) -> Secret:
    found = key_from(os.environ.get(name, ""))
    if isinstance(found, Secret):
        return found
    raise NotSent(_no_key(name, found), actionable=True)


def _no_key(name: str, found: str) -> str:
    shown = name if _NAME.search(name) else "the variable named by the provider's `key`"
    return f"{shown} is not set" if found == "is empty" else f"the key in {shown} {found}"
