"""The settings of a server: its address and bounds, and the keys in the table `[serve.keys]` of a configuration."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from asyncrouter import ConfigError
from asyncrouter.openai_api import MAX_CALLS, PERIODS, ClientKey, KeyRing, secret_of

if TYPE_CHECKING:
    from os import PathLike

    from asyncrouter import Router

MAX_BODY: Final = 32 << 20
"""Bytes of a request, if nothing else is said: some pictures in base64."""
LONGEST: Final = 600.0
"""Seconds of a call, if nothing else is said, whatever a client asks for."""
_FIELDS: Final = ("key", "models", "rpm", "usd", "per")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """Where a server listens, and its bounds.

    - `host`, `port`: where it listens; port 0 is a free one.
    - `max_body`: bytes of a request.
    - `max_calls`: requests that are answered at once; another one gets a 503.
    - `max_connections`: open connections; another one is closed at once.
    - `longest`: seconds of a call, whatever a client asks for.
    - `body_seconds`: within which a body has to come.
    - `idle_seconds`: after which a connection is closed that sends no request, or only a part of its head.
    - `drain`: seconds that requests in flight have to end when the server stops.

    Raises `ConfigError` for a value that cannot be used.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    max_body: int = MAX_BODY
    max_calls: int = MAX_CALLS
    max_connections: int = 10_000
    longest: float = LONGEST
    body_seconds: float = 30.0
    idle_seconds: float = 75.0
    drain: float = 5.0

    def __post_init__(self) -> None:
        for name in ("max_body", "max_calls", "max_connections", "longest", "body_seconds", "idle_seconds"):
            if getattr(self, name) <= 0:
                raise ConfigError("expected a number above 0", name, getattr(self, name))
        if not 0 <= self.port <= 65535:
            raise ConfigError("expected 0 to 65535", "port", self.port)
        if not (isfinite(self.drain) and self.drain >= 0):
            raise ConfigError("expected seconds", "drain", self.drain)


class Loaded(NamedTuple):
    """What is read again at SIGHUP: the router, of which only the configuration counts then, and the clients' keys."""

    router: Router
    keys: KeyRing = KeyRing()


Load = Callable[[], Loaded]
"""Reads the configuration. Raises `ConfigError`."""


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine and no other reaches it."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def read_serve_table(path: str | PathLike[str]) -> Mapping[str, object]:
    """The table `serve` of a configuration file, `{}` if it has none. Raises `ConfigError`."""
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8-sig")).get("serve", {})
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", str(path)) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"is not TOML: {error}", str(path)) from None
    if not isinstance(table, dict):
        raise ConfigError("expected a table", "serve")
    if unknown := table.keys() - {"keys"}:
        raise ConfigError("unknown; there is serve.keys", f"serve.{min(unknown)}")
    return table


def read_keys(table: Mapping[str, object], given: Mapping[str, str]) -> KeyRing:
    """The keys of a table `serve`, and of `given`: "env:NAME" by name. Raises `ConfigError`, with no key in it."""
    try:
        return _ring(table, given)
    except ConfigError as error:
        failed = error.with_traceback(None)
    table, given = {}, {}  # a key may stand where its variable should, and no traceback shows it
    raise failed


def _ring(table: Mapping[str, object], given: Mapping[str, str]) -> KeyRing:
    keys = table.get("keys", {})
    if not isinstance(keys, Mapping):
        raise ConfigError("expected a table for each key", "serve.keys")
    found = [_key(name, value) for name, value in keys.items()]
    found += [ClientKey(name, secret_of(value, f"--key {name}")) for name, value in given.items()]
    return KeyRing(found)


def _key(name: str, table: object) -> ClientKey:
    path = f"serve.keys.{name}"
    if not isinstance(table, Mapping):
        raise ConfigError('expected a table: key = "env:NAME", and models, rpm, usd, per', path)
    if unknown := table.keys() - set(_FIELDS):
        raise ConfigError(f"unknown; there are {', '.join(_FIELDS)}", f"{path}.{min(unknown)}")
    secret = secret_of(table.get("key"), f"{path}.key")
    return ClientKey(
        name, secret, models=_names(table.get("models"), f"{path}.models"), rpm=_above_0(table, "rpm", path),
        usd=_above_0(table, "usd", path), per=_period(table.get("per", "day"), f"{path}.per"),
    )


def _names(given: object, path: str) -> list[str] | None:
    if given is None:
        return None
    if not isinstance(given, list) or not given or not all(isinstance(one, str) for one in given):
        raise ConfigError("expected a list of models, task:NAME or tier:NAME", path, given)
    return given


def _above_0(table: Mapping[str, object], name: str, path: str) -> float | None:
    given = table.get(name)
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not (isfinite(given) and given > 0):
        raise ConfigError("expected a number above 0", f"{path}.{name}", given)
    return given


def _period(given: object, path: str) -> str:
    if not isinstance(given, str) or given not in PERIODS:
        raise ConfigError(f"expected {', '.join(PERIODS)}", path, given)
    return given
