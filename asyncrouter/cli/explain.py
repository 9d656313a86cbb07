"""`asyncrouter explain`: the plan of a call, before it is made."""

from __future__ import annotations

import click

from asyncrouter.cli._choice import Choice, check, choosing
from asyncrouter.cli._keys import missing
from asyncrouter.cli._say import write
from asyncrouter.cli._screen import write_table
from asyncrouter.cli._setup import Setup, configured
from asyncrouter.cli._words import dollars_per_million, seconds


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

    Nothing is sent. The clocks: connect, until the socket is ready; first, from sending until the first content; idle,
    between contents; total, the whole attempt.
    """
    router = setup.router()
    check(router, choice)
    plan = router.explain(**choice)
    write(f"{plan.task or 'chain'}: deadline {seconds(plan.deadline)}, hedge {plan.hedge or 'none'}  ({setup})\n")
    rows = [
        (
            str(number), step.model, step.provider, missing(router.config.provider(step.provider)) or step.standing,
            seconds(step.connect), seconds(step.first_token), seconds(step.idle), seconds(step.total),
            *dollars_per_million(step.usd_per_mtok),
        )
        for number, step in enumerate(plan.steps, 1)
    ]
    write_table(
        ["", "model", "provider", "standing", "connect", "first", "idle", "total", "$/M in", "$/M out"], rows
    )
