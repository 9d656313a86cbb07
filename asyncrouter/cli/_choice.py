"""Which models a call may use and for how long, as options: what `chat` and `explain` have in common."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, TypedDict

import click

from asyncrouter import RouterError
from asyncrouter.cli._setup import found

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter import Router

DEFAULT_TIER = "standard"


class Choice(TypedDict, total=False):
    """Arguments of `Router.chat`, those that were given."""

    task: str
    tier: str
    model: str
    chain: list[str]
    deadline: float | None
    hedge: float | dict[str, object] | None


def choosing(command: Callable[..., object]) -> Callable[..., object]:
    """Give a command the options that say which models; it gets `choice`."""

    @wraps(command)
    def with_choice(
        *, task: str | None, tier: str | None, model: str | None, chain: str | None,
        deadline: float | str | None, hedge: float | str | None, **rest: object,
    ) -> object:
        return command(choice=_choice(task, tier, model, chain, deadline, hedge), **rest)

    given = with_choice
    for option in reversed(_OPTIONS):
        given = option(given)
    return given


def check(router: Router, choice: Choice) -> None:
    """Raise for a choice that no call could be made with. Raises `ConfigError`, `click.UsageError`."""
    try:
        router.explain(**choice)
    except RouterError:
        raise
    except (TypeError, ValueError) as wrong:
        raise click.UsageError(str(wrong)) from None


def _choice(
    task: str | None, tier: str | None, model: str | None, chain: str | None,
    deadline: float | str | None, hedge: float | str | None,
) -> Choice:
    choice = Choice()
    if task is not None:
        choice["task"] = task
    if tier is not None:
        choice["tier"] = tier
    if model is not None:
        choice["model"] = model
    if chain is not None:
        choice["chain"] = [name.strip() for name in chain.split(",")]
    if deadline is not None:
        choice["deadline"] = None if isinstance(deadline, str) else deadline
    if hedge is not None:
        choice["hedge"] = _HEDGES[hedge] if isinstance(hedge, str) else hedge
    return choice


_HEDGES: Mapping[str, dict[str, object] | None] = {"p95": {"after": "p95"}, "none": None}


def _seconds_or(*words: str) -> Callable[[click.Context, click.Parameter, str | None], float | str | None]:
    """Reads seconds, or one of these words; whether the number makes sense is the router's to say."""

    def read(ctx: click.Context, param: click.Parameter, given: str | None) -> float | str | None:
        if given is None or given in words:
            return given
        try:
            return float(given)
        except ValueError:
            raise click.BadParameter(f"expected seconds or {' or '.join(words)}, got {given!r}") from None

    return read


def _names(kind: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Completes names of the configuration's `kind`: tasks, tiers or models."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        try:
            config = found(ctx.params.get("config"), ctx.params.get("tables")).router().config
        except RouterError:
            return []
        names = {"tasks": config.tasks, "tiers": config.tiers, "models": config.models}[kind]
        return [name for name in names if name.startswith(incomplete)]

    return complete


_OPTIONS = [
    click.option("--task", shell_complete=_names("tasks"), help="The task whose chain is used.  [default: default]"),
    click.option(
        "--tier", is_flag=False, flag_value=DEFAULT_TIER, shell_complete=_names("tiers"),
        help=f"Tiers up to this one, cheapest first; with --task, its models up to it.  [bare: {DEFAULT_TIER}]",
    ),
    click.option("--model", shell_complete=_names("models"), help="One model: an entry, an id, or provider:id."),
    click.option("--chain", metavar="A,B,…", shell_complete=_names("models"), help="Models in this order."),
    click.option(
        "--deadline", metavar="SECONDS", callback=_seconds_or("none"), help='For the whole call; "none": no limit.',
    ),
    click.option(
        "--hedge", metavar="SECONDS", callback=_seconds_or("p95", "none"),
        help='Race the next model when one is so late; also "p95".',
    ),
]
