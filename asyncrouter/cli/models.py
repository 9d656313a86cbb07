"""`asyncrouter models`: what is known here, or what a provider lists now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from asyncrouter.cli._inventory import Used, retirement, used_models
from asyncrouter.cli._loop import run
from asyncrouter.cli._say import safe, tell, write
from asyncrouter.cli._screen import write_table
from asyncrouter.cli._setup import Setup, configured
from asyncrouter.cli._words import dollars_per_million, tokens

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
@click.option("--remote", is_flag=True, help="Ask the provider what it lists now: an id a line.")
@click.option("--provider", metavar="NAME", help="Only this provider's.  [--remote: the default provider]")
@configured
def command(remote: bool, provider: str | None, setup: Setup) -> None:
    """List the models of the configuration with their windows and prices, and the tasks and tiers they serve."""
    router = setup.router()
    if remote:
        write("".join(f"{safe(model)}\n" for model in run(_listed(router, provider))))
        return
    if provider is not None:
        router.config.provider(provider)  # an unknown name is an error, an idle one an empty list
    rows = [_row(used) for used in used_models(router.config) if provider in {None, used.model.provider}]
    if provider is not None and not rows:
        tell(f"no model of {provider} is an entry or in a chain; --remote asks what it serves", style="yellow")
    write_table(["model", "provider", "tokens", "$/M in", "$/M out", "serves", ""], rows)


async def _listed(router: Router, provider: str | None) -> list[str]:
    async with router:
        return await router.models(provider)


def _row(used: Used) -> tuple[str, ...]:
    model = used.model
    return (
        model.name, model.provider, tokens(model.context), *dollars_per_million(model.usd_per_mtok),
        ", ".join(used.by), retirement(model) or "",
    )
