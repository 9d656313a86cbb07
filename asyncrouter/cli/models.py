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
    from asyncrouter import Router


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
    listed = [used for used in used_models(router.config) if provider in {None, used.model.provider}]
    if as_json:
        write("".join(json_line(_record(used), one_line=True) for used in listed))
        return
    rows = [_row(used) for used in listed]
    if provider is not None and not rows:
        print_warning(f"no model of {provider} is an entry or in a chain; --remote asks what it serves")
    write_table(["model", "provider", "tokens", "$/M in", "$/M out", "used by", ""], rows)


async def _list(router: Router, provider: str | None) -> list[str]:
    async with router:
        return await router.models(provider)


def _record(used: UsedModel) -> JsonObject:
    model = used.model
    return {
        "model": model.name, "provider": model.provider, "id": model.id, "context": model.context,
        "max_output": model.max_output, "usd_per_mtok": price_json(model.usd_per_mtok), "used_by": list(used.used_by),
        "retired": None if model.retired is None else model.retired.isoformat(), "successor": model.successor,
    }


def _row(used: UsedModel) -> tuple[str, ...]:
    model = used.model
    return (
        model.name, model.provider, tokens(model.context), *dollars_per_million(model.usd_per_mtok),
        ", ".join(used.used_by), retirement(model) or "",
    )
