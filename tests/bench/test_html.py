"""report.html, opened in a headless browser without a network: every chart is drawn, in light and in dark."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from asyncrouter import bench
from asyncrouter.bench import Arm, Load, charts, html
from tests.helpers.browser import DARK, browse, overflow

if TYPE_CHECKING:
    from pathlib import Path

    from asyncrouter.bench import Run

ARMS = [Arm("direct", {"chain": ["primary"], "retry": {"attempts": 1}}),
        Arm("<b>hedged</b>", {"chain": ["primary", "secondary"], "hedge": {"after": 1.2, "budget": 0.2}})]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = bench.run(ARMS, Load.poisson(10, calls=300), scenario="outage", slo={"e2e": 3.0})
    return run.write(tmp_path_factory.mktemp("report")) / "report.html"


def opened(page: Path, *options: str) -> str:
    """The document after its scripts have run in a browser that can reach no host."""
    text = browse(page.as_uri(), page.parent / "profile", "--virtual-time-budget=10000", *options, "--dump-dom")
    return re.sub(r"<script\b.*?</script>", "", text, flags=re.DOTALL)


@pytest.fixture(scope="module")
def drawn(page: Path) -> str:
    """The document in light colours; a browser takes some seconds to start."""
    return opened(page)


def test_every_chart_is_drawn(drawn: str) -> None:
    """Curves, points and bars are there, each in its own chart, and names of arms are text, not markup."""
    parts = re.split(r'id="(tail|timeline|cost|waterfall-0|waterfall-1)" class', drawn)
    figures = dict(zip(parts[1::2], parts[2::2], strict=True))

    assert set(figures) == {"tail", "timeline", "cost", "waterfall-0", "waterfall-1"}
    assert figures["tail"].count('class="js-line"') >= 2
    assert figures["timeline"].count('class="point"') > 400
    assert figures["cost"].count('class="point"') >= 1
    assert figures["waterfall-0"].count('class="point"') >= 8
    assert "p95" in figures["tail"]
    assert "<b>hedged</b>" not in drawn
    assert "&lt;b&gt;hedged&lt;/b&gt;" in drawn


def test_dark_mode_has_light_axes(page: Path, drawn: str) -> None:
    """Where dark is preferred the axes are drawn in a light colour (a second browser: 3 s)."""
    dark = opened(page, *DARK)
    colours = [set(re.findall(r"fill: (rgb\([\d, ]+\))", document)) for document in (drawn, dark)]

    assert "rgb(24, 33, 47)" in colours[0]
    assert "rgb(230, 234, 240)" in colours[1]
    assert "rgb(24, 33, 47)" not in colours[1]


@pytest.fixture(scope="module")
def outage() -> Run:
    arms = [*ARMS, Arm("again", {"chain": ["primary", "secondary"]})]
    return bench.run(arms, Load.poisson(10, calls=1000), scenario="outage")


def test_a_log_axis_is_labelled_with_seconds(outage: Run) -> None:
    """Labels are written in full: plotly would write 0.2 as a bare 2."""
    axis = charts.timeline(outage.arms).layout.yaxis
    labels = dict(zip(axis.ticktext, axis.tickvals, strict=True))

    assert {text: at for text, at in labels.items() if 0.1 <= at <= 10} == {"0.1": 0.1, "1": 1.0, "10": 10.0}


def test_a_row_of_the_time_line_has_its_arm_as_title(outage: Run) -> None:
    """The title stands above the row, as text and not as markup."""
    drawn = charts.timeline(outage.arms)

    assert [title.text for title in drawn.layout.annotations] == ["direct", "&lt;b&gt;hedged&lt;/b&gt;", "again"]
    assert {points.name for points in drawn.data} == {"answered", "failed", "fallback", "hedged", "hedge won"}


def test_an_arm_that_never_answers_is_not_left_out_of_the_cost(outage: Run) -> None:
    """It stands above all others, and its name says why; markers of arms that coincide are nested."""
    never, *others = charts.cost(outage.report()).data

    assert (never.name, never.marker.symbol) == ("direct, p99 never", "triangle-up")
    assert never.y[0] > max(other.y[0] + other.error_y.array[0] for other in others)
    assert never.marker.size > others[0].marker.size > others[1].marker.size


def test_a_p99_of_too_few_calls_is_hollow() -> None:
    """The name of the arm says that n is too small."""
    [drawn] = charts.cost(bench.run(ARMS[1:], Load.poisson(10, calls=30), scenario="healthy").report()).data

    assert (drawn.marker.symbol, drawn.name.endswith(", n too small")) == ("circle-open", True)


def test_the_table_has_a_column_for_each_arm(outage: Run) -> None:
    """It has a line with its definition for each measure that an arm has."""
    text = html.page(outage.report(), outage)
    [head] = re.findall(r"<thead><tr><th>(<th>.*?)</thead>", text)

    assert re.findall(r"</i>([^<]+(?:&gt;)?)", head) == ["direct", "&lt;b&gt;hedged&lt;/b&gt;", "again"]
    assert f"<th title='{bench.DEFINITIONS['p99_e2e']}'>p99<td>never<td>" in text


def test_the_page_needs_no_network(page: Path) -> None:
    """No element of it loads anything."""
    text = re.sub(r"<script\b.*?</script>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)

    assert re.findall(r"""(?:src|href)=["']?[^"'>]*""", text) == []
    assert re.findall(r"<script[^>]+src=", page.read_text(encoding="utf-8")) == []


def test_the_page_fits_a_narrow_window(page: Path) -> None:
    """At 500 and at 800 pixels there is no sideways scroll, with two arms and all charts (two browsers: 6 s)."""
    assert [overflow(page, pixels) for pixels in (500, 800)] == [0, 0]


def test_the_head_says_how_it_was_measured(page: Path) -> None:
    """Load, world and SLO stand under the title, the verdict below, and the method under the table."""
    text = page.read_text(encoding="utf-8")

    assert ("<p>300 calls an arm; 10 calls a second, Poisson arrivals; scenario outage (the first model answers 503 in "
            "the middle third, then recovers), virtual time; SLO: e2e ≤ 3.0 s; seed 0; the first arm is the baseline"
            ) in text
    assert text.count("<p class=verdict>") == 1
    assert "verdicts with Holm&#x27;s correction" in text


def test_a_line_ends_where_nothing_can_be_stated(outage: Run) -> None:
    """Of a thousand calls p99 is the last quantile that is drawn."""
    [line] = [one for one in charts.tail(outage.arms).data if one.name == "again"]

    assert line.customdata[-1] == "99.000%"


def test_small_differences_look_small() -> None:
    """A logarithmic axis of latencies between 1.0 and 1.2 s shows a decade."""
    low, high = charts.log_seconds([1.0, 1.2], 400)["range"]

    assert high - low >= 1.0
