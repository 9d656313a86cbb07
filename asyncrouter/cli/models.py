"""`asyncrouter models`: the models of the configuration, or those that a provider lists now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from asyncrouter import visible
from asyncrouter.cli._configuration import Configuration, config_options
from asyncrouter.cli._console import write_table
from asyncrouter.cli._event_loop import run
from asyncrouter.cli._format import dollars_per_million, tokens
from asyncrouter.cli._json import JsonObject, json_line, price_json
from asyncrouter.cli._output import print_warning, write
from asyncrouter.cli._used_models import UsedModel, retirement, used_models

if TYPE_CHECKING:
    from asyncrouter import Model, Router


@click.command(
    "models",
    epilog="""\b
Examples:
  asyncrouter models
  asyncrouter models --remote --provider groq | grep llama
""",
)
@click.option("--remote", is_flag=True, help="Ask the provider what it lists now, and print one id a line.")
@click.option("--provider", metavar="NAME", help="Only models of this provider.  [with --remote: the default one]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each model, one a line.")
@config_options
def command(remote: bool, provider: str | None, as_json: bool, configuration: Configuration) -> None:
    """List the models of the configuration, with context window, price, and the tasks and tiers that use them."""
    router = configuration.router()
    if remote:
        ids = run(_list(router, provider))
        write("".join(json_line({"id": model}, one_line=True) if as_json else f"{visible(model)}\n" for model in ids))
        return
    if provider is not None:
        router.config.provider(provider)  # an unknown name is an error; an unused one is an empty list
    listed = [used for used in used_models(router.config) if provider is None or provider in used.providers]
    if as_json:
        write("".join(json_line(_record(used), one_line=True) for used in listed))
        return
    rows = [row for used in listed for row in _rows(used)]
    if provider is not None and not rows:
        print_warning(f"no model of {provider} is an entry or in a chain; --remote asks what it serves")
    write_table(["model", "provider", "tokens", "$/M in", "$/M out", "used by", ""], rows)


async def _list(router: Router, provider: str | None) -> list[str]:
    async with router:
        return await router.models(provider)


def _record(used: UsedModel) -> JsonObject:
    model = used.model
    members = [f"{one.name}" for one in used.members] if len(used.members) > 1 else []
    return {
        "model": model.name, "provider": ", ".join(used.providers), "id": model.id, "context": model.context,
        "max_output": model.max_output, "usd_per_mtok": price_json(model.usd_per_mtok), "used_by": list(used.used_by),
        "retired": None if model.retired is None else model.retired.isoformat(), "successor": model.successor,
        "members": members,
    }


def _rows(used: UsedModel) -> list[tuple[str, ...]]:
    """The line of a model; of a pool its own, and one for each member."""
    used_by = ", ".join(used.used_by)
    if len(used.members) == 1:
        return [_row(used.model, used.model.name, ", ".join(used.providers), used_by)]
    head = _row(used.model, used.model.name, f"pool of {len(used.members)}", used_by)
    return [head, *(_row(one, f"  {one.name}", one.provider.partition("[")[0], "") for one in used.members)]


def _row(model: Model, name: str, provider: str, used_by: str) -> tuple[str, ...]:
    return (
        name, provider, tokens(model.context), *dollars_per_million(model.usd_per_mtok), used_by,
        retirement(model) or "",
    )
