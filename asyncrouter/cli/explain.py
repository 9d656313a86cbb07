"""`asyncrouter explain`: the plan of a call, before it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from asyncrouter.cli._choice import Choice, check, choosing
from asyncrouter.cli._keys import missing
from asyncrouter.cli._say import write
from asyncrouter.cli._screen import write_table
from asyncrouter.cli._setup import Setup, configured
from asyncrouter.cli._words import dollars_per_million, seconds

if TYPE_CHECKING:
    from asyncrouter import ExplainedStep, Router


@click.command(
    "explain",
    epilog="""\b
Example:
  asyncrouter explain --task coding --tier standard --hedge 1.5
""",
)
@choosing
@configured
def command(choice: Choice, setup: Setup) -> None:
    """Show what a call would do: its models in order, their clocks, how they stand, what they cost.

    Nothing is sent. The clocks are seconds: until the socket is ready, from sending until the first content, between
    contents, and for the whole attempt. Prices are dollars for a million tokens in and out.
    """
    router = setup.router()
    check(router, choice)
    plan = router.explain(**choice)
    write(f"{plan.task or 'chain'}: deadline {seconds(plan.deadline)}, hedge {plan.hedge or 'none'}  ({setup})\n")
    rows = [
        (str(number), step.model, step.provider, _standing(router, step), _clocks(step), _price(step))
        for number, step in enumerate(plan.steps, 1)
    ]
    write_table(["", "model", "provider", "standing", "clocks", "$/M"], rows)
    for problem in dict.fromkeys(missing(router.config.provider(step.provider)) for step in plan.steps):
        if problem is not None:
            write(f"no key: {problem}\n")


def _standing(router: Router, step: ExplainedStep) -> str:
    return step.standing if missing(router.config.provider(step.provider)) is None else "no key"


def _clocks(step: ExplainedStep) -> str:
    clocks = (step.connect, step.first_token, step.idle, step.total)
    return "/".join("–" if clock is None else f"{clock:g}" for clock in clocks)


def _price(step: ExplainedStep) -> str:
    return "/".join(dollars_per_million(step.usd_per_mtok))
