"""What a notebook shows of a trace, a plan and the state of the models: tables, in which nothing from outside acts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as Xml

import pytest

from asyncrouter import AttemptError, Router, Trace
from asyncrouter._types import Attempt
from asyncrouter.sim import Act
from tests.helpers.failing import HEALTHY, ONCE, ask, play, script

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World


def cells(html: str) -> list[list[str]]:
    """The rows of a table, its head first."""
    return [[cell.text or "" for cell in row] for row in Xml.fromstring(html).iter("tr")]


def test_the_table_of_a_trace(clock: Clock, world: World) -> None:
    """One row for each attempt, with its error."""
    script(world, Act(status=500, message="no <b>luck</b>"), HEALTHY)

    trace: Any = play(clock, world, lambda router: ask(router, chain=["a", "b"], retry=ONCE)).trace

    head, first, second = cells(trace._repr_html_())
    assert head[:4] == ["", "model", "cause", "outcome"]
    assert (first[:4], first[-1]) == (["1", "a", "first", "failed"], "a: no <b>luck</b> (HTTP 500)")
    assert second[:4] == ["2", "b", "fallback", "won"]


def test_the_tables_of_a_plan_and_of_the_models(clock: Clock, world: World) -> None:
    """One row for each step, and for each model."""
    script(world, HEALTHY, HEALTHY)

    async def scenario(router: Router) -> tuple[Any, Any]:
        await ask(router, chain=["a", "b"])
        return router.explain(chain=["a", "b"], on_context="c", hedge=1.5), router.health()

    plan, health = play(clock, world, scenario)

    assert [row[:3] for row in cells(plan._repr_html_())[1:]] == [
        ["1", "a", "sim"], ["2", "b", "sim"], ["too long", "c", "sim"],
    ]
    assert "hedge after 1.5 s" in plan._repr_html_()
    assert [row[0] for row in cells(health._repr_html_())[1:]] == list(health)
    assert "c (sim): ready; 0 in flight, 0 wait" in str(health).splitlines()
    assert health == dict(health)


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", "\x1b[31m", "a\u202eb", '"><img src=x>'])
def test_nothing_from_outside_acts(hostile: str) -> None:
    """Marks of HTML and hidden characters in names and errors are shown as text."""
    trace = Trace(hostile, 0.0, [Attempt(1, hostile, hostile, "first", "failed", AttemptError(hostile))])

    html = trace._repr_html_()

    assert hostile not in html
    assert cells(html)[1][0] == "1"


def test_a_stream_says_where_it_is(clock: Clock, world: World) -> None:
    """Its `repr`, which a notebook shows, is a state and no address."""
    script(world, HEALTHY)

    async def scenario(router: Router) -> list[str]:
        stream = router.stream("x", model="a")
        seen = [repr(stream)]
        async with stream:
            seen.append(repr(stream))
            async for _ in stream:
                pass
        return [*seen, repr(stream)]

    states = ["<ReplyStream not entered>", "<ReplyStream open>", "<ReplyStream ended>"]
    assert play(clock, world, scenario) == states
