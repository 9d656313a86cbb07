"""A `Config` from a TOML file, a mapping or a built-in table; every `ConfigError` has the path of the value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from asyncrouter._config.budget import budget_from
from asyncrouter._config.builtin_catalog import catalog
from asyncrouter._config.catalog import Model, Provider, model_from
from asyncrouter._config.checks import at, expected, join, quoted, unknown, withheld, without_locals
from asyncrouter._config.config import NOT_GIVEN, Chain, Config, Defaults, NotGiven, Retry
from asyncrouter._config.known_providers import known_provider
from asyncrouter._config.pool import Pool, is_pool_table, pool_from
from asyncrouter._config.settings import merge_hedge, merge_retry
from asyncrouter._config.tables import build, entries, override, read
from asyncrouter._errors import ConfigError

if TYPE_CHECKING:
    from os import PathLike

_KEY_HEADERS = {"authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key"}
"""Header fields that hold a key, in lower case; a file must not give them, because a key must not stand in it."""


MAX_FILE_BYTES = 16 << 20
"""Bytes that a configuration may have: a device, or the wrong file, would fill the memory."""


@without_locals
def load(source: Config | Mapping[str, object] | None = None, tables: str | NotGiven | None = NOT_GIVEN) -> Config:
    """The configuration of a router: `source` together with the built-in tasks and tiers of the table `tables`.

    If not given, `tables` is "current" without a source, and `None` (no table) with one. Raises `ConfigError`.
    """
    if source is not None and not isinstance(source, Config | Mapping):
        raise expected("a Config or a mapping (a file is read by Router.from_toml)", source)
    if isinstance(tables, NotGiven):
        tables = "current" if source is None else None
    config = source if isinstance(source, Config) else config_from_mapping(source or {})
    return config if tables is None else with_tables(config, tables)


@without_locals
def config_from_toml(path: str | PathLike[str]) -> Config:
    """The configuration in a TOML file. Raises `ConfigError`, also when the file cannot be read."""
    from tomllib import loads  # two milliseconds at import that only a file is worth

    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ConfigError(f"has more than {MAX_FILE_BYTES} bytes", str(path))
        given = loads(content.decode("utf-8-sig").replace("\r\n", "\n"))  # some editors begin a file with a mark
    except ConfigError:
        raise
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", str(path)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}", str(path)) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"is not TOML: {error}", str(path)) from None
    given.pop("serve", None)  # the table of `asyncrouter serve`, which reads it itself
    return config_from_mapping(_beside(Path(path).parent, given))


def _beside(folder: Path, given: dict[str, object]) -> Mapping[str, object]:
    """The same, with paths of certificates that are relative to the folder of the file as paths of the process."""
    providers = given.get("providers")
    if not isinstance(providers, Mapping):
        return given
    found = {
        name: {**one, "ca": str(folder / one["ca"])} for name, one in providers.items()
        if isinstance(one, Mapping) and isinstance(one.get("ca"), str) and one["ca"].strip() and one["ca"] != "none"
    }  # fmt: skip
    return {**given, "providers": {**providers, **found}}


@without_locals
def config_from_mapping(given: Mapping[str, object]) -> Config:
    """The configuration in a mapping that has a TOML file's shape. Raises `ConfigError`."""
    values = read(Config, given)
    for key, reader in _READERS.items():
        if key in values:
            with at(key):
                values[key] = reader(values[key])
    return build(Config, values)


def builtin(table: str = "current") -> Config:
    """The configuration of a built-in table alone: "current", or "classic" with older models. Raises `ConfigError`."""
    return with_tables(Config(), table)


def with_tables(config: Config, table: str) -> Config:
    """Add the tasks and tiers of a built-in table; those of `config` replace the table's of the same name.

    Tiers have an order, so the tiers of `config` are either some of the table's, or all of the table's and more; for
    any others nobody could say where they belong. Raises `ConfigError`.
    """
    known = catalog().tables
    if table not in known:
        raise unknown("table", table, known, "tables")
    # The table's names are OpenRouter's ids, whatever provider a bare id belongs to here.
    prefix = "" if config.default_provider == "openrouter" else "openrouter:"
    tasks, tiers = (
        {name: Chain([prefix + model for model in models]) for name, models in known[table][kind].items()}
        for kind in ("tasks", "tiers")
    )
    if config.tiers.keys() <= tiers.keys():
        tiers |= config.tiers
    elif tiers.keys() <= config.tiers.keys():
        tiers = dict(config.tiers)
    else:
        added = ", ".join(name for name in config.tiers if name not in tiers)
        raise ConfigError(f"expected all tiers in their order: where is {added} among {', '.join(tiers)}?", "tiers")
    return replace(config, tasks=tasks | dict(config.tasks), tiers=tiers)


def _each(reader: Callable[[str, object], object], *, secret: bool = False) -> Callable[[object], dict[str, object]]:
    def read_each(given: object) -> dict[str, object]:
        things = entries(given, secret=secret)
        for name, thing in things.items():
            with at(quoted(name)):
                things[name] = reader(name, thing)
        return things

    return read_each


def _provider(name: str, given: object) -> object:
    if isinstance(given, Provider):
        return given
    values = read(Provider, given, secret=True)
    _check_no_keys(values.get("headers"))
    known = None if "base_url" in values else known_provider(name)
    if known is None:  # a well-known provider's key goes to its own address and no other
        return build(Provider, values)
    return override(known, values, secret=True)


def _check_no_keys(headers: object) -> None:
    for name in headers if isinstance(headers, Mapping) else ():
        if isinstance(name, str) and name.lower() in _KEY_HEADERS:
            raise withheld('no key here but `key = "env:NAME"` beside `headers`', join("headers", quoted(name)))


def _model(name: str, given: object) -> object:
    if isinstance(given, Model | Pool):
        return given
    return pool_from(given) if is_pool_table(given) else model_from(given)


def _chain(name: str, given: object) -> object:
    if isinstance(given, Chain):
        return given
    if isinstance(given, Mapping):
        return build(Chain, read(Chain, given))
    return build(Chain, {"models": given})


def _defaults(given: object) -> object:
    if isinstance(given, Defaults):
        return given
    values = read(Defaults, given)
    if "retry" in values:
        values["retry"] = merge_retry(Retry(), values["retry"])
    if "hedge" in values:
        values["hedge"] = merge_hedge(None, values["hedge"])
    return build(Defaults, values)


_READERS: dict[str, Callable[[object], object]] = {
    "providers": _each(_provider, secret=True),
    "models": _each(_model),
    "defaults": _defaults,
    "tasks": _each(_chain),
    "tiers": _each(_chain),
    "budget": budget_from,
}
