"""The part of report.html on quality: what it says, and that a phone shows it without scrolling sideways."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from asyncrouter import bench
from asyncrouter.bench import Arm, Load, Sample, Scenario, Scorer
from asyncrouter.sim import Act
from tests.helpers.browser import browse

if TYPE_CHECKING:
    from pathlib import Path

    from asyncrouter.bench import Day
    from asyncrouter.sim import World

ARMS = [Arm(name, {"model": name}) for name in ("primary", "secondary")]
LONG = "a-word-of-one-piece-" * 30
SAMPLES = [Sample(prompt=f"<b>question</b>\n{number} {LONG}", expected=["yes", "Yes"]) for number in range(40)]


def furnish(world: World, day: Day) -> None:
    world.model("primary", Act(text="yes"))
    world.model("secondary", Act(text=f"no & {LONG}"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = bench.run(ARMS, Load.constant(5, calls=40), scenario=Scenario("", "", furnish), prompts=SAMPLES,
                    scorers=[Scorer.exact(), Scorer.regex("^(yes|no)", name="form")])
    return run.write(tmp_path_factory.mktemp("report")) / "report.html"


def test_it_says_which_arm_and_shows_answers(page: Path) -> None:
    """The choice, a line for each arm, and what missed a check, beside what was asked; none of it is markup."""
    text = page.read_text(encoding="utf-8")
    [section] = re.findall(r"<h2>Which one is good enough\?</h2>.*?<h2>All figures", text, re.DOTALL)

    assert "<b>Choose primary: 100.0% right over 40 prompts (95 % interval: 91.2% to 100.0%)." in section
    assert re.findall(r"<td class='place[^>]*>([^<]*)", section) == [
        "the choice", "beaten: primary is better in its answers and cheaper, in nothing shown worse"]
    assert re.findall(r"<td data-label='form'>([^<]*)", section) == ["100.0%", "100.0%"]
    assert "Answers that missed a check: 40 of 40 prompts, 24 of them here" in section
    assert "<small>secondary ✗ exact</small> no &amp; a-word" in section
    assert "<small>primary ✓</small> yes" in section
    assert "&lt;b&gt;question&lt;/b&gt;\n0 a-word" in section
    assert "<small>expected</small> [&quot;yes&quot;,&quot;Yes&quot;]" in section


def test_a_narrow_page_does_not_scroll_sideways(page: Path, tmp_path: Path) -> None:
    """At 500 pixels nothing is wider than the window, also with the answers open (a browser: 3 s)."""
    script = ("<script>document.querySelectorAll('details').forEach(box => box.open = true);"
              "document.title = `width ${document.documentElement.scrollWidth}`</script>")
    copy = tmp_path / "narrow.html"
    copy.write_text(page.read_text(encoding="utf-8") + script, encoding="utf-8")
    shown = browse(copy.as_uri(), tmp_path / "profile", "--virtual-time-budget=10000", "--window-size=500,900",
                   "--hide-scrollbars", "--dump-dom")
    [width] = re.findall(r"<title>width (\d+)</title>", shown)

    assert int(width) <= 500
