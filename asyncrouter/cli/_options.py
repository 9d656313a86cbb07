"""Options that say which models a call may use, and for how long: common to `chat`, `batch` and `explain`."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click
import orjson

from asyncrouter import Router, RouterError
from asyncrouter.cli._configuration import find_configuration

if TYPE_CHECKING:
    from collections.abc import Callable

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
"""The seconds of each unit that may stand behind a number: 90m, 6h."""
DEFAULT_TIER = "standard"
"""The tier of a bare `--tier`."""


class CallOptions(TypedDict, total=False):
    """Arguments of `Router.chat`: those that were given on the command line."""

    task: str
    tier: str
    model: str
    chain: list[str]
    deadline: float | None
    hedge: float | dict[str, object] | None
    response_format: dict[str, object]


def call_options(command: Callable[..., object]) -> Callable[..., object]:
    """Add the options that say which models to a command, which gets them as the argument `call`."""

    @wraps(command)
    def wrapped(
        *, task: str | None, tier: str | None, model: str | None, chain: str | None,
        deadline: float | str | None, hedge: float | str | None, schema: dict[str, object] | None, **rest: object,
    ) -> object:
        call = _call(task, tier, model, chain, deadline, hedge)
        if schema is not None:
            call["response_format"] = schema
        return command(call=call, **rest)

    decorated = wrapped
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def check_call(router: Router, call: CallOptions) -> None:
    """Raise `ConfigError` or `click.UsageError` for options that no call could be made with."""
    config = router.config
    if config.unknown_task is None:  # typed, it is a slip
        router = Router(replace(config, unknown_task="error"))
    try:
        router.explain(**call)
    except RouterError:
        raise
    except (TypeError, ValueError, ImportError) as wrong:
        raise click.UsageError(str(wrong)) from None


def _call(
    task: str | None, tier: str | None, model: str | None, chain: str | None,
    deadline: float | str | None, hedge: float | str | None,
) -> CallOptions:
    call = CallOptions()
    if task is not None:
        call["task"] = task
    if tier is not None:
        call["tier"] = tier
    if model is not None:
        call["model"] = model
    if chain is not None:
        call["chain"] = [name.strip() for name in chain.split(",")]
    if deadline is not None:
        call["deadline"] = None if isinstance(deadline, str) else deadline
    if hedge is not None:
        call["hedge"] = None if hedge == "none" else {"after": hedge} if isinstance(hedge, str) else hedge
    return call


def _seconds_or(*words: str) -> Callable[[click.Context, click.Parameter, str | None], float | str | None]:
    """A callback that reads seconds or one of these words; whether the number is possible is checked by the router."""

    def read(ctx: click.Context, param: click.Parameter, given: str | None) -> float | str | None:
        if given is None or given in words:
            return given
        number, unit = (given[:-1], _UNITS[given[-1]]) if given[-1:] in _UNITS else (given, 1.0)
        try:
            return float(number) * unit
        except ValueError:
            raise click.BadParameter(f"expected seconds or {' or '.join(words)}, got {given!r}") from None

    return read


def _hedge(ctx: click.Context, param: click.Parameter, given: str | None) -> float | str | None:
    """Read seconds, "none", "auto" or a quantile; whether the number is possible is checked by the router."""
    if given is not None and re.fullmatch(r"p[\d.]+", given):
        return given
    return _seconds_or("p95", "auto", "none")(ctx, param, given)


def _schema(ctx: click.Context, param: click.Parameter, given: str | None) -> dict[str, object] | None:
    """Read a JSON schema from a file; whether it is one is checked with the call."""
    if given is None:
        return None
    try:
        read: object = orjson.loads(Path(given).read_bytes())
    except OSError as error:
        raise click.BadParameter(f"{given}: {error.strerror}") from None
    except ValueError as error:
        raise click.BadParameter(f"{given}: not JSON: {error}") from None
    if not isinstance(read, dict):
        raise click.BadParameter(f"{given}: expected a JSON schema, which is an object")
    return read


def _names(kind: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Shell completion for the names of the configuration's `kind`: tasks, tiers or models."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        try:
            config = find_configuration(ctx.params.get("config"), ctx.params.get("tables")).router().config
        except RouterError:
            return []
        names = {"tasks": config.tasks, "tiers": config.tiers, "models": config.models}[kind]
        return [name for name in names if name.startswith(incomplete)]

    return complete


_OPTIONS = [
    click.option("--task", metavar="NAME", shell_complete=_names("tasks"),
                 help="Use the chain of this task.  [default: default]"),
    click.option(
        "--tier", metavar="NAME", is_flag=False, flag_value=DEFAULT_TIER, shell_complete=_names("tiers"),
        help=f"Use the tiers up to this one, cheapest first; with --task, the task's models up to it.  "
        f"[without a name: {DEFAULT_TIER}]",
    ),
    click.option("--model", metavar="NAME", shell_complete=_names("models"),
                 help="Use one model: an entry of the configuration, an id, or provider:id."),
    click.option("--chain", metavar="A,B,…", shell_complete=_names("models"), help="Use these models in this order."),
    click.option(
        "--deadline", metavar="SECONDS", callback=_seconds_or("none"),
        help='Time limit of the whole call: 30, 90s, 5m, 6h; "none": no limit.',
    ),
    click.option(
        "--hedge", metavar="SECONDS", callback=_hedge,
        help='Start the next model in parallel after so many seconds without content; "p95" ("p99" …): later than 95 % '
        'of the model\'s answers; "auto": where the time is worth a request; "none": only when it is far slower than '
        "usual.",
    ),
    click.option(
        "--schema", metavar="FILE", callback=_schema,
        help="A JSON schema that every answer has to fit; after one that does not, the next model is asked.",
    ),
]
