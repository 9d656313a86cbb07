"""`asyncrouter check`: is this configuration fit to be used?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal, NamedTuple

import click
from rich.text import Text

from asyncrouter import ConfigError, Router, RouterError
from asyncrouter.cli._endings import ANSWERED, FAILED, USAGE
from asyncrouter.cli._inventory import Used, retirement, used_models
from asyncrouter.cli._keys import missing, variable
from asyncrouter.cli._loop import run
from asyncrouter.cli._say import safe, write
from asyncrouter.cli._screen import write_table
from asyncrouter.cli._setup import Setup, configured
from asyncrouter.cli._words import count, dollars

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter import Config, Model, Provider

Verdict = Literal["fine", "look", "wrong"]
_MARKS = {"fine": Text("ok", "green"), "look": Text("look", "yellow"), "wrong": Text("wrong", "red")}

CALL_LIMIT = 30.0
"""Seconds for one of the calls of --call."""


class Finding(NamedTuple):
    """Something that was looked at, and what is to be said of it."""

    verdict: Verdict
    subject: str
    told: str


@click.command(
    "check",
    epilog="""\b
Examples:
  asyncrouter check
  asyncrouter check --config router.toml --call

\b
Exit status: 0 usable, 1 a call failed, 2 something in the configuration is wrong or a key is missing.
""",
)
@click.option("--call", is_flag=True, help="One small call to each provider, of its cheapest model here.")
@configured
def command(call: bool, setup: Setup) -> int:
    """Look the configuration over: can it be read, are the keys set, are the models known and in service?

    Keys are looked for and never shown. A model that is retired, or that nothing is known of, is worth a look but not
    wrong.
    """
    router = setup.router()
    config, used = router.config, used_models(router.config)
    counts = [count(len(config.tasks), "task"), count(len(config.tiers), "tier"), count(len(used), "model")]
    write(f"{setup}: {', '.join(counts)}\n")
    providers = {name: config.provider(name) for name in _provider_names(config, used)}
    keys = [_key(name, provider) for name, provider in providers.items()]
    _show("provider", keys)
    if "default" not in config.tasks:
        _show("task", [Finding("look", "default", "no task default: a call has to name a task, tier, chain or model")])
    _show("model", [_model(entry) for entry in used])
    calls: list[Finding] = []
    if call:
        able = [name for name, provider in providers.items() if not missing(provider)]
        calls = run(_calls(router, [_cheapest(name, used) for name in able]))
        _show("call", calls)
    if any(found.verdict == "wrong" for found in keys):
        return USAGE
    return FAILED if any(found.verdict == "wrong" for found in calls) else ANSWERED


def _provider_names(config: Config, used: Sequence[Used]) -> list[str]:
    return list(dict.fromkeys([*config.providers, *(entry.model.provider for entry in used)]))


def _key(name: str, provider: Provider) -> Finding:
    if (problem := missing(provider)) is not None:
        return Finding("wrong", name, f"{provider.base_url}  {problem}")
    key = variable(provider)
    return Finding("fine", name, f"{provider.base_url}  {'needs no key' if key is None else f'{key} is set'}")


def _model(used: Used) -> Finding:
    model = used.model
    if (gone := retirement(model)) is not None:
        return Finding("look", model.name, gone)
    if model.context is None and model.usd_per_mtok is None:
        return Finding("look", model.name, "window and price unknown: say context and usd_per_mtok under [models]")
    return Finding("fine", model.name, ", ".join(used.by) or "in no task or tier")


def _cheapest(provider: str, used: Sequence[Used]) -> tuple[str, Model | None]:
    """Of a provider's models that are in service the cheapest one; an unknown price is the dearest."""
    ours = [entry.model for entry in used if entry.model.provider == provider and entry.model.retired is None]
    return provider, min(ours, key=_price, default=None)


def _price(model: Model) -> float:
    rates = model.usd_per_mtok
    return float("inf") if rates is None else rates.input + rates.output


async def _calls(router: Router, models: list[tuple[str, Model | None]]) -> list[Finding]:
    async with router:
        return await asyncio.gather(*(_call(router, provider, model) for provider, model in models))


async def _call(router: Router, provider: str, model: Model | None) -> Finding:
    if model is None:
        return Finding("look", provider, "no model of it is used here")
    try:
        # Sixteen tokens: the least that OpenAI takes.
        reply = await router.chat("Say ok.", model=model, deadline=CALL_LIMIT, retry={"attempts": 1}, max_tokens=16)
    except ConfigError as error:
        return Finding("wrong", provider, str(error))
    except RouterError as error:
        return Finding("wrong", provider, safe(str(error).partition("\n")[0]))
    paid = dollars(reply.cost_usd, estimated=reply.trace.cost_estimated)
    return Finding("fine", provider, f"{model.name} answered in {reply.trace.seconds:.2f} s, {paid}")


def _show(kind: str, findings: Sequence[Finding]) -> None:
    write("\n")
    write_table(["", kind, ""], [(_MARKS[verdict], subject, told) for verdict, subject, told in findings])
