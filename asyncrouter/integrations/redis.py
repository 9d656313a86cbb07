"""Limits, holds and budgets of many processes as one, kept in Redis (or Valkey). Needs the extra `redis`.

```python
shared = RedisState("redis://localhost:6379/0")
async with Router(config, shared=shared) as router:
    ...
```

Processes that name the same server, database and `namespace` share, by the names of provider and model: `rpm`, `tpm`
and `max_concurrent` of the configuration, pauses that a provider has asked for, keys that are turned down (known by a
hash), and `[budget]`. Limits that are learned from 429s, latencies, breakers and turns by weight stay with each
process. A model without limits of its own costs no round trip.

How it behaves:

- One question at a time for each model and process, for all calls that wait; 0.25 s at most. Clocks are the server's.
- A process that dies gives its slots back after 15 s; what it had reserved of a budget counts as spent, when its
  attempts should have ended.
- Redis away, or answering nonsense: no call fails of it. Each process goes on with its last share of the limits, and of
  what was left of the budget, says so once (`Notice`, `StateChanged`), asks again about every second, and all return
  together. A Redis that was emptied begins with no burst.
- Not reachable at the start: `ConfigError`, or with `required=False` as above, each of `processes` with an even share.
- A later version of asyncrouter that needs other keys uses other names: the two do not share, and do no harm.

Keys begin with `asyncrouter:1:` and the namespace, and expire 15 minutes after their last use; those of a budget after
two of its spans. Names of models and values of tags stand in them as hashes only; the reasons of holds as they are.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from uuid import uuid4

import orjson

try:
    from redis import exceptions
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        f"{_missing.name} is not installed: pip install 'asyncrouter[redis]'", name=_missing.name
    ) from None

from asyncrouter import ConfigError
from asyncrouter.integrations import _redis_replies as replies
from asyncrouter.integrations import _redis_scripts as scripts
from asyncrouter.shared import (
    ALIVE_SECONDS,
    HORIZON_SECONDS,
    JOIN_SECONDS,
    LAPSE_SECONDS,
    Account,
    Ask,
    Grant,
    Reservation,
    SharedHold,
    Short,
    Spent,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.commands.core import AsyncScript

VERSION: Final = 1
"""The version of the keys: it is raised when an older asyncrouter could not read them."""
TIMEOUT_SECONDS: Final = 0.25
"""Seconds that connecting, or an answer, may take."""
OPEN_SECONDS: Final = 2.0
"""The same for the first answer, for which a call can wait."""
CONNECTIONS: Final = 4
"""Connections of one process at most."""
_FOREIGN: Final = "WRONGTYPE", "@user_script"
"""What Redis says when a key of ours holds what our scripts cannot read."""


class RedisState:
    """Shared state in Redis. One belongs to one router; it is made before an event loop runs, and can be pickled.

    - `url`: "redis://host:6379/0", "rediss://…" for TLS, "unix://…"; a user and password in it are shown nowhere.
    - `namespace`: processes with the same one share. Letters, digits, dots, dashes and underscores.
    - `required`: whether the server must be reachable when the router makes its first call.
    - `processes`: how many processes there are, as long as the server has never been reached.
    - `run`: which run a budget `per = "run"` is about: those with the same name share it. `None`: a new one; copies by
      pickle, as in worker processes, belong to it.

    Raises `ConfigError` for a URL or a name that cannot be used.
    """

    def __init__(
        self, url: str, *, namespace: str = "default", required: bool = True, processes: int = 1,
        run: str | None = None,
    ) -> None:
        _check_url(url)
        if not isinstance(namespace, str) or not re.fullmatch(r"[\w.-]+", namespace):
            raise ConfigError(f"expected letters, digits, dots, dashes and underscores, got {namespace!r}", "namespace")
        if not isinstance(processes, int) or processes < 1:
            raise ConfigError(f"expected a whole number, 1 or more, got {processes!r}", "processes")
        self._url = url
        self._namespace = namespace
        self._required = required
        self.processes = processes
        self._run = run or uuid4().hex
        self._prefix = f"asyncrouter:{VERSION}:{namespace}"
        self._process = ""
        self._last_id = 0
        self._ahead = 0.0  # the server's clock, less the loop's; 0: not known
        self._redis: Redis | None = None
        self._scripts: dict[str, AsyncScript] = {}

    def __repr__(self) -> str:
        return f"<RedisState {self._shown_url()}, namespace {self._namespace!r}>"

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (self._url, self._namespace, self._required, self.processes, self._run)

    async def open(self) -> None:
        """Connect, on the running event loop. Raises `ConfigError` if the server must be reachable and is not."""
        await self._disconnect()
        self._process, self._ahead = uuid4().hex[:16], 0.0
        self._redis, self._scripts = Redis.from_pool(self._pool(OPEN_SECONDS)), {}
        try:
            await self.news()
        except OSError as error:
            if self._required:
                text = f"{self._shown_url()} cannot be used: {error}; check URL and server, or set required=False"
                raise ConfigError(text, "shared") from None
            raise
        finally:
            await self._disconnect()
            self._redis, self._scripts = Redis.from_pool(self._pool(TIMEOUT_SECONDS)), {}

    async def admit(self, ask: Ask) -> Grant:
        """Say how a place stands here, and ask for turns."""
        reply = await self._ask(scripts.ADMIT, [self._place(ask.place)], [
            self._process, ask.running, ask.waiting, ask.interactive, _number(ask.rate), _number(ask.tokens_rate),
            ask.most or 0, int(ask.known), int(ask.back), ask.unused, _number(ask.more_tokens), HORIZON_SECONDS,
            LAPSE_SECONDS, JOIN_SECONDS, ALIVE_SECONDS,
        ], [*map(_number, ask.wanted)])
        return replies.read(replies.grant, reply)

    async def tell(self, hold: SharedHold) -> None:
        """Let all processes know of a hold."""
        if hold.place:
            await self._run_script(scripts.HOLD, [self._place(hold.place)], [_number(hold.seconds), hold.why])
        named = orjson.dumps([hold.kind, list(hold.key), hold.span, hold.why, hold.of_key])
        field = _hash(hold.kind, *map(str, hold.key))
        await self._run_script(scripts.TELL, [self._key("{news}")], [field, _number(hold.seconds), named])

    async def news(self) -> tuple[int, list[SharedHold]]:
        """How many processes there are, and all holds that are not over."""
        keys = [self._key("{news}"), self._key("{news}:p")]
        return replies.read(replies.news, await self._run_script(scripts.NEWS, keys, [self._process, LAPSE_SECONDS]))

    async def reserve(self, wanted: Sequence[tuple[tuple[Account, ...], int, float]]) -> list[Reservation | Short]:
        """Reserve amounts in accounts, each in all of them or in none."""
        keys: list[str] = []
        arguments: list[str | int | float] = []
        ids = []
        for accounts, amount, seconds in wanted:
            self._last_id += 1
            ids.append(f"{self._process}.{self._last_id}")
            arguments += [ids[-1], amount, seconds, len(accounts)]
            for account in accounts:
                arguments += [self._index(keys, account), account.limit, account.span]
        reply = await self._ask(scripts.RESERVE, keys, [], arguments)

        def parse(found: Sequence[object]) -> list[Reservation | Short]:
            return [
                replies.reservation(one, accounts, amount, name)
                for one, (accounts, amount, _), name in zip(found, wanted, ids, strict=True)
            ]

        return replies.read(parse, reply)

    async def settle(self, ended: Sequence[tuple[Reservation, int]]) -> None:
        """Replace reservations by what was spent, each once."""
        keys: list[str] = []
        arguments: list[str | int | float] = []
        for reservation, cost in ended:
            arguments += [reservation.id, cost, len(reservation.accounts)]
            for account in reservation.accounts:
                arguments += [self._index(keys, account), account.span]
        await self._run_script(scripts.SETTLE, keys, arguments)

    async def read(self, account: Account) -> Spent:
        """An account as it is now."""
        keys: list[str] = []
        self._index(keys, account)
        return replies.read(replies.spent, await self._run_script(scripts.READ, keys, [account.span]))

    async def aclose(self) -> None:
        """Close the connections."""
        if self._redis is not None:
            with suppress(exceptions.RedisError, OSError):  # it lapses
                await self._redis.zrem(self._key("{news}:p"), self._process)
        await self._disconnect()

    def _pool(self, seconds: float) -> BlockingConnectionPool:
        """A pool of few connections that neither wait nor try again by themselves: the router knows better when."""
        return BlockingConnectionPool.from_url(
            self._url, max_connections=CONNECTIONS, timeout=seconds, socket_timeout=seconds,
            socket_connect_timeout=seconds, retry=Retry(NoBackoff(), 0), health_check_interval=0,
        )

    async def _disconnect(self) -> None:
        redis, self._redis = self._redis, None
        if redis is not None:
            await redis.aclose(close_connection_pool=True)

    async def _ask(
        self, text: str, keys: Sequence[str], before: Sequence[str | int | float],
        after: Sequence[str | int | float],
    ) -> Sequence[object]:
        """Ask for something that is given to us; between the arguments stands when, by the server's clock."""
        loop = asyncio.get_running_loop()
        for _ in range(2):
            sent = _number(self._ahead and self._ahead + loop.time())
            reply = await self._run_script(text, keys, [*before, sent, *after])
            told, stale = replies.read(replies.time_in, reply)
            self._ahead = told - loop.time()
            if not stale:
                return reply[1:]
        raise ConnectionError("its clock leaps")

    async def _run_script(
        self, text: str, keys: Sequence[str], arguments: Sequence[str | bytes | int | float]
    ) -> Sequence[object]:
        if self._redis is None:
            raise ConnectionError("not connected")
        script = self._scripts.get(text)
        if script is None:
            script = self._scripts[text] = self._redis.register_script(text)
        try:
            reply = await script(keys=keys, args=arguments)
        except (TimeoutError, exceptions.RedisError, OSError) as error:
            found = f"{type(error).__name__}: {error}"
            if any(sign in found for sign in _FOREIGN):
                cure = "delete it, or use another namespace"
                found = f"{' or '.join(keys)} holds what asyncrouter has not written; {cure} ({found})"
            raise ConnectionError(found) from None
        except Exception as error:  # what a server that speaks no Redis makes the client raise
            raise ConnectionError(f"its answer is nonsense: {type(error).__name__}") from None
        return reply if isinstance(reply, list) else []

    def _key(self, name: str) -> str:
        return f"{self._prefix}:{name}"

    def _place(self, place: str) -> str:
        return self._key(f"{{{place}}}")

    def _index(self, keys: list[str], account: Account) -> int:
        """The place of an account's keys among those of a script; all accounts of a namespace lie in one slot."""
        run = self._run if account.span == 0 else ""
        name = self._key(f"{{budget}}:{_hash(account.tag, account.value, str(account.span), run)}")
        if name not in keys:
            keys += [name, f"{name}:open"]
        return keys.index(name) + 1

    def _shown_url(self) -> str:
        parts = urlsplit(self._url)
        host = parts.hostname or ""
        return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _again(url: str, namespace: str, required: bool, processes: int, run: str) -> RedisState:
    return RedisState(url, namespace=namespace, required=required, processes=processes, run=run)


def _number(value: float | None) -> str:
    return repr(float(value)) if value else "0"


def _hash(*names: str) -> str:
    return blake2b("\0".join(names).encode(), digest_size=16, person=b"asyncrouter").hexdigest()


def _check_url(url: object) -> None:
    """Check the URL of a server; what is wrong with it is said without showing it, as it may have a password."""
    expected = 'expected a URL like "redis://localhost:6379/0"'
    if not isinstance(url, str):
        raise ConfigError(f"{expected}, got {type(url).__name__}", "shared")
    try:
        scheme, _ = urlsplit(url).scheme, urlsplit(url).port
    except ValueError:  # which shows a part of it
        scheme = None
    if scheme is None:
        raise ConfigError(f"{expected}; its host or port cannot be read", "shared")
    if scheme not in {"redis", "rediss", "unix"}:
        raise ConfigError(f"{expected}; it has to begin with redis://, rediss:// or unix://", "shared")
    if scheme != "unix" and not re.fullmatch(r"/?[0-9]*", urlsplit(url).path):  # redis-py would take database 0
        raise ConfigError(f"{expected}; its path has to be the number of a database", "shared")
