"""`asyncrouter check`: whether a configuration can be used."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import click
from rich.text import Text

from asyncrouter import ConfigError, Router, RouterError, visible
from asyncrouter.cli._configuration import Configuration, config_options
from asyncrouter.cli._console import write_table
from asyncrouter.cli._event_loop import run
from asyncrouter.cli._exit import FAILED, OK, USAGE
from asyncrouter.cli._format import count, dollars
from asyncrouter.cli._json import json_line
from asyncrouter.cli._keys import has_no_key, key_problem, key_variables
from asyncrouter.cli._output import write
from asyncrouter.cli._used_models import UsedModel, retirement, used_models

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter import Config, Model, Provider

Verdict = Literal["ok", "warn", "error"]
_LABELS = {"ok": Text("ok", "green"), "warn": Text("warn", "yellow"), "error": Text("error", "red")}

CALL_LIMIT = 30.0
"""Deadline in seconds of each call of --call: a small answer that takes longer is a failure here."""
CALL_TOKENS = 16
"""Output tokens of each call of --call: the fewest that OpenAI accepts."""


class Finding(NamedTuple):
    """The result of one check: of what, and what was found."""

    verdict: Verdict
    subject: str
    text: str


@click.command(
    "check",
    epilog="""\b
Examples:
  asyncrouter check
  asyncrouter check --config router.toml --call

\b
Exit status: 0 usable, 1 a call failed, 2 an error in the configuration or a missing key.
""",
)
@click.option("--call", is_flag=True, help="Send one small call to each provider, to its cheapest model here.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: what was checked, and the verdicts.")
@config_options
def command(call: bool, as_json: bool, configuration: Configuration) -> int:
    """Check the configuration: that it can be read, keys are set, and models are known and in service.

    Keys are looked up and never shown. A model that is retired, or unknown to the catalog, is a warning, not an error.
    """
    router = configuration.router()
    config, used = router.config, used_models(router.config)
    counts = [count(len(config.tasks), "task"), count(len(config.tiers), "tier"), count(len(used), "model")]
    kinds: dict[str, list[Finding]] = {}
    if not as_json:
        write(f"{visible(str(configuration))}: {', '.join(counts)}\n")
    providers = {name: config.provider(name) for name in _provider_names(config, used)}
    keys = [_check_key(name, provider) for name, provider in providers.items()]
    kinds["provider"] = keys
    if "default" not in config.tasks:
        text = "no task default: a call has to name a task, tier, chain or model"
        kinds["task"] = [Finding("warn", "default", text)]
    if fixed := _fixed_clocks(config):
        kinds["clock"] = fixed
    kinds["model"] = [finding for entry in used for finding in _check_model(entry, used)]
    if not as_json:
        for kind, findings in kinds.items():
            _write_findings(kind, findings)
    calls: list[Finding] = []
    if call:
        with_key = [name for name, provider in providers.items() if not has_no_key(provider)]
        calls = run(_call_all(router, [(name, _cheapest(name, used)) for name in with_key]))
        kinds["call"] = calls
        if not as_json:
            _write_findings("call", calls)
    if as_json:
        found = [{"kind": kind, **one._asdict()} for kind, findings in kinds.items() for one in findings]
        write(json_line({"configuration": str(configuration), "findings": found}))
    if any(found.verdict == "error" for found in keys):
        return USAGE
    return FAILED if any(found.verdict == "error" for found in calls) else OK


def _fixed_clocks(config: Config) -> list[Finding]:
    """The places where a number is given for a limit that could follow what a model usually does."""
    places: dict[str, object] = {"defaults": config.defaults}
    for kind, chains in (("tasks", config.tasks), ("tiers", config.tiers)):
        for name, chain in chains.items():
            places[f"{kind}.{name}"] = chain
            places |= {f"{kind}.{name}.models[{at}]": one for at, one in enumerate(chain.models)}
    return [
        Finding("ok", f"{place}.{clock}", f'{value:g} s, a fixed limit: it always cuts ("auto" races a late answer)')
        for place, settings in places.items()
        for clock in ("first_token", "idle")
        if isinstance(value := getattr(settings, clock, None), int | float)
    ]


def _provider_names(config: Config, used: Sequence[UsedModel]) -> list[str]:
    return list(dict.fromkeys([*config.providers, *(name for entry in used for name in entry.providers)]))


def _check_key(name: str, provider: Provider) -> Finding:
    if (problem := key_problem(provider)) is not None:
        return Finding("error" if has_no_key(provider) else "warn", name, f"{provider.base_url}  {problem}")
    if provider.ca is not None and not Path(provider.ca).is_file():
        return Finding("error", name, f"{provider.base_url}  ca: there is no file {provider.ca}")
    variables = key_variables(provider)
    state = f"{' and '.join(variables)} {'is' if len(variables) == 1 else 'are'} set" if variables else "needs no key"
    return Finding("ok", name, f"{provider.base_url}  {state}")


def _check_model(used: UsedModel, others: Sequence[UsedModel]) -> list[Finding]:
    """What is to be said of a model; of a pool also of each member."""
    used_by = ", ".join(used.used_by) or "in no task or tier"
    if len(used.members) == 1:
        return [_check_place(used.model, used_by)]
    findings = [Finding("ok", used.model.name, f"{len(used.members)} members; {used_by}")]
    for member in used.members:
        shared = [
            other.model.name for other in others
            if other is not used and len(other.members) > 1 and _place(member) in map(_place, other.members)
        ]
        found = _check_place(member, "")
        said = [found.text, f"also in {', '.join(shared)}: limits, holds and health are one" if shared else ""]
        findings.append(Finding(found.verdict, f"  {member.name}", "; ".join(filter(None, said))))
    return findings


def _place(model: Model) -> tuple[str, str]:
    return model.provider, model.id


def _check_place(model: Model, text_if_ok: str) -> Finding:
    if (retired := retirement(model)) is not None:
        return Finding("warn", model.name, retired)
    if model.context is None and model.usd_per_mtok is None:
        text = "window and price unknown: set context and usd_per_mtok under [models]"
        return Finding("warn", model.name, text)
    return Finding("ok", model.name, text_if_ok)


def _cheapest(provider: str, used: Sequence[UsedModel]) -> Model | None:
    """The cheapest model of a provider that is in service; one of unknown price comes last. `None`: there is none."""
    models = [
        model for entry in used for model in entry.members
        if model.provider.partition("[")[0] == provider and model.retired is None
    ]
    return min(models, key=_price, default=None)


def _price(model: Model) -> float:
    rates = model.usd_per_mtok
    return float("inf") if rates is None else rates.input + rates.output


async def _call_all(router: Router, models: list[tuple[str, Model | None]]) -> list[Finding]:
    async with router:
        return await asyncio.gather(*(_call(router, provider, model) for provider, model in models))


async def _call(router: Router, provider: str, model: Model | None) -> Finding:
    if model is None:
        return Finding("warn", provider, "none of its models is used here")
    try:
        reply = await router.chat(
            "Say ok.", model=model, deadline=CALL_LIMIT, retry={"attempts": 1}, max_tokens=CALL_TOKENS
        )
    except ConfigError as error:
        return Finding("error", provider, str(error))
    except RouterError as error:
        return Finding("error", provider, visible(str(error).partition("\n")[0]))
    paid = dollars(reply.cost_usd, estimated=reply.trace.cost_estimated)
    return Finding("ok", provider, f"{model.name} answered in {reply.trace.seconds:.2f} s, {paid}")


def _write_findings(kind: str, findings: Sequence[Finding]) -> None:
    write("\n")
    write_table(["", kind, ""], [(_LABELS[verdict], subject, text) for verdict, subject, text in findings])
