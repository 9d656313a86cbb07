"""Where a command's configuration comes from: a file that was named, ./asyncrouter.toml, or the built-in tables.

A file that was not named but found may be somebody else's: it came with a checkout. So which file is used is said, and
such a file may send a variable only where it belongs (`check_found`).
"""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import click

from asyncrouter import AiohttpTransport, ConfigError, Router, visible
from asyncrouter.cli._found_file import check_found
from asyncrouter.cli._output import print_note

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter import Event, Shared

DEFAULT_FILE = Path("asyncrouter.toml")
"""The file that is used, if it exists, when none is named."""


class Configuration(NamedTuple):
    """A configuration file, built-in tables to use with it, or both; without either, the built-in table "current"."""

    path: Path | None = None
    tables: Literal["current", "classic"] | None = None
    found: bool = False
    """Whether the file was found in the working directory, and nobody has named it."""

    def __str__(self) -> str:
        table = self.tables or ("current" if self.path is None else None)
        parts = [None if self.path is None else str(self.path), None if table is None else f'built-in table "{table}"']
        return " over ".join(part for part in parts if part is not None)

    def router(self, *listeners: Callable[[Event], None], shared: Shared | None = None) -> Router:
        """A router with this configuration. Raises `ConfigError`, whose path begins with the file's name.

        A file that was found is named on standard error.
        """
        if self.path is None:
            return Router(
                tables=self.tables or "current", transport=make_transport(), listeners=listeners, shared=shared
            )
        if self.found:
            print_note(f"using ./{self.path}, found in the working directory")
        try:
            router = Router.from_toml(
                self.path, tables=self.tables, transport=make_transport(), listeners=listeners, shared=shared
            )
            if self.found:
                check_found(router.config, self.path)
            return router
        except ConfigError as error:
            if error.path == visible(str(self.path)):
                raise
            raise ConfigError(str(error), str(self.path), error.value) from None


def make_transport() -> AiohttpTransport:
    """What a command sends with: through the proxies of HTTP_PROXY, HTTPS_PROXY and NO_PROXY, as curl does."""
    return AiohttpTransport(trust_env=True)


def shared_option(command: Callable[..., object]) -> Callable[..., object]:
    """Add --shared to a command, which gets the store, or `None`, as the argument `shared`."""

    @wraps(command)
    def wrapped(*, shared: str | None, **rest: object) -> object:
        return command(shared=None if shared is None else _store(shared), **rest)

    return click.option(
        "--shared", metavar="URL", envvar="ASYNCROUTER_SHARED",
        help="Keep limits, holds and the budget as one with all processes that name the same Redis: redis://host:6379/0.",
    )(wrapped)


def _store(url: str) -> Shared:
    try:
        from asyncrouter.integrations.redis import RedisState
    except ModuleNotFoundError as missing:
        raise click.UsageError(f"--shared: {missing}") from None
    return RedisState(url)


def config_options(command: Callable[..., object]) -> Callable[..., object]:
    """Add --config and --tables to a command, which gets them as the argument `configuration`."""

    @wraps(command)
    def wrapped(*, config: Path | None, tables: Literal["current", "classic"] | None, **rest: object) -> object:
        return command(configuration=find_configuration(config, tables), **rest)

    tables_option = click.option(
        "--tables", type=click.Choice(["current", "classic"]),
        help="Built-in tasks and tiers: with today's models, or with the first ones, most of which are retired.",
    )
    config_option = click.option(
        "--config", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", envvar="ASYNCROUTER_CONFIG",
        help="Configuration in TOML.  [default: $ASYNCROUTER_CONFIG, ./asyncrouter.toml, the built-in tables]",
    )
    return config_option(tables_option(wrapped))


def find_configuration(config: Path | None, tables: Literal["current", "classic"] | None) -> Configuration:
    """The configuration to use: the file that was named, or ./asyncrouter.toml if there is one."""
    if config is None and DEFAULT_FILE.is_file():
        return Configuration(DEFAULT_FILE, tables, found=True)
    return Configuration(config, tables)
