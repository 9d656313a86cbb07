"""`asyncrouter explain`: what a call would do, without making it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from asyncrouter import Notice, visible
from asyncrouter.cli._configuration import Configuration, config_options
from asyncrouter.cli._console import write_table
from asyncrouter.cli._format import dollars_per_million, seconds
from asyncrouter.cli._json import json_line, plan_json
from asyncrouter.cli._keys import key_problem
from asyncrouter.cli._options import CallOptions, call_options, check_call
from asyncrouter.cli._output import print_warning, write

if TYPE_CHECKING:
    from asyncrouter import Event, ExplainedStep, Router

LEGEND = """
timeouts: connect / first token / idle / total, seconds
price: input / output, dollars for a million tokens
"""
"""What the numbers of a line are; it stands below the table."""


@click.command(
    "explain",
    epilog="""\b
Example:
  asyncrouter explain --task coding --tier standard --hedge 1.5
""",
)
@call_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: task, deadline, hedge, steps.")
@config_options
def command(call: CallOptions, as_json: bool, configuration: Configuration) -> None:
    """Show what a call would do: its models in order, their timeouts, their state, their prices.

    Nothing is sent. Timeouts are in seconds: until the connection is ready, from sending to the first content, between
    contents, and for the whole attempt. Prices are dollars for a million input and output tokens.
    """
    router = configuration.router(_print_notice)
    check_call(router, call)
    plan = router.explain(**call)
    if as_json:
        write(json_line(plan_json(plan)))
        return
    hedge = plan.hedge or "none"
    head = f"{plan.task or 'chain'}: deadline {seconds(plan.deadline)}, hedge {hedge}  ({configuration})"
    write(f"{visible(head)}\n")
    numbers = [*map(str, range(1, len(plan.steps) + 1)), *["long"] * len(plan.on_context)]
    steps = zip(numbers, (*plan.steps, *plan.on_context), strict=True)
    rows = [
        (number if index == 0 else "", f"  {line.model}" if index else line.model, line.provider, _state(router, line),
         _timeouts(line), _price(line))
        for number, step in steps for index, line in enumerate((step, *step.members))
    ]
    write_table(["", "model", "provider", "state", "timeouts", "price"], rows)
    write(LEGEND)
    if plan.on_context:
        write("long: asked only when a prompt is too long\n")
    for step in plan.steps:
        if step.members:
            write(visible(f"{step.model}: {step.pick} of {len(step.members)} members") + "\n")
    places = [place for step in plan.steps for place in step.members or (step,)]
    for text in dict.fromkeys(_wire(step) for step in places if step.wire_reason):
        write(visible(text, lines=True))
    for text in dict.fromkeys(f"{step.model}: {note}" for step in places for note in step.notes):
        write(f"{visible(text)}\n")
    for problem in dict.fromkeys(key_problem(router.config.provider(step.provider)) for step in places):
        if problem is not None:
            write(f"no key: {visible(problem)}\n")


def _print_notice(event: Event) -> None:
    if isinstance(event, Notice):
        print_warning(event.text)


def _state(router: Router, step: ExplainedStep) -> str:
    if step.members or len(router.config.provider(step.provider).keys) > 1:
        return step.standing
    return step.standing if key_problem(router.config.provider(step.provider)) is None else "no key"


def _wire(step: ExplainedStep) -> str:
    """Which API of a provider that serves two is asked, and why."""
    return f"{step.model} is asked on the wire {step.wire}: {step.wire_reason}\n"


def _timeouts(step: ExplainedStep) -> str:
    timeouts = (step.connect, step.first_token, step.idle, step.total)
    return "/".join(map(_timeout, timeouts))


def _timeout(seconds: float | None) -> str:
    if type(seconds).__name__ == "AutoSeconds":
        return "auto"
    return "–" if seconds is None else f"{seconds:g}"


def _price(step: ExplainedStep) -> str:
    return "/".join(dollars_per_million(step.usd_per_mtok))
