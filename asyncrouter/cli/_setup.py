"""Where the configuration comes from: a file that was named, one that lies here, or the built-in tables."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import click

from asyncrouter import AiohttpTransport, ConfigError, Router

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter import Event

HERE = Path("asyncrouter.toml")


class Setup(NamedTuple):
    """A configuration file, the built-in tables to use with it, or both; `None` and `None`: the table "current"."""

    path: Path | None = None
    tables: Literal["current", "classic"] | None = None

    def __str__(self) -> str:
        table = self.tables or ("current" if self.path is None else None)
        parts = [None if self.path is None else str(self.path), None if table is None else f'built-in table "{table}"']
        return " over ".join(part for part in parts if part is not None)

    def router(self, *listeners: Callable[[Event], None]) -> Router:
        """A router with this configuration. Raises `ConfigError`, with the file's name in its path."""
        if self.path is None:
            return Router(tables=self.tables or "current", transport=transport(), listeners=listeners)
        try:
            return Router.from_toml(self.path, tables=self.tables, transport=transport(), listeners=listeners)
        except ConfigError as error:
            if error.path == str(self.path):
                raise
            raise ConfigError(str(error), str(self.path), error.value) from None


def transport() -> AiohttpTransport:
    """What a command sends with: through the proxy of HTTP_PROXY, HTTPS_PROXY and NO_PROXY, as curl does."""
    return AiohttpTransport(trust_env=True)


def configured(command: Callable[..., object]) -> Callable[..., object]:
    """Give a command --config and --tables; it gets `setup`."""

    @wraps(command)
    def with_setup(*, config: Path | None, tables: Literal["current", "classic"] | None, **rest: object) -> object:
        return command(setup=found(config, tables), **rest)

    tables = click.option(
        "--tables", type=click.Choice(["current", "classic"]),
        help="Built-in tasks and tiers: of today, or the first ones, most of whose models are retired.",
    )
    config = click.option(
        "--config", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", envvar="ASYNCROUTER_CONFIG",
        help="A TOML file.  [default: $ASYNCROUTER_CONFIG, ./asyncrouter.toml, the built-in tables]",
    )
    return config(tables(with_setup))


def found(config: Path | None, tables: Literal["current", "classic"] | None) -> Setup:
    """The configuration to use: the file that was named, or one that lies here."""
    if config is None and HERE.is_file():
        config = HERE
    return Setup(config, tables)
