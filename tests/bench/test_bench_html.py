"""report.html, opened in a headless browser without a network: everything is drawn, in the light and in the dark."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from asyncrouter import bench
from asyncrouter.bench import Arm, Load

if TYPE_CHECKING:
    from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
ARMS = [Arm("direct", {"chain": ["primary"], "retry": {"attempts": 1}}),
        Arm("<b>hedged</b>", {"chain": ["primary", "secondary"], "hedge": {"after": 1.2, "budget": 0.2}})]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = bench.run(ARMS, Load.poisson(10, calls=300), scenario="outage", slo={"e2e": 3.0})
    return run.write(tmp_path_factory.mktemp("report")) / "report.html"


def opened(page: Path, *options: str) -> str:
    """The document as a browser has it when its scripts have run. No host can be reached from it."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None and "CI" not in os.environ:
        pytest.skip("the report is tested in a browser: apt-get install chromium")
    assert browser is not None, "CI must have a browser: apt-get install chromium"
    profile = page.parent / "profile"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
               f"--user-data-dir={profile}", "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=10000",
               *options, "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return re.sub(r"<script\b.*?</script>", "", done.stdout, flags=re.DOTALL)


@pytest.fixture(scope="module")
def drawn(page: Path) -> str:
    """As it looks in the light; a browser takes some seconds to start."""
    return opened(page)


def test_every_picture_is_drawn(drawn: str) -> None:
    """Curves, points, bars with their attempts, in figures of their own; the arms' names are text, not markup."""
    parts = re.split(r'id="(tail|timeline|cost|waterfall-0|waterfall-1)" class', drawn)
    figures = dict(zip(parts[1::2], parts[2::2], strict=True))

    assert {"tail", "timeline", "cost", "waterfall-0", "waterfall-1"} == set(figures)
    assert 2 <= figures["tail"].count('class="js-line"')
    assert figures["timeline"].count('class="point"') > 400
    assert figures["cost"].count('class="point"') >= 1
    assert figures["waterfall-0"].count('class="point"') >= 8
    assert "p99" in figures["tail"]
    assert "<b>hedged</b>" not in drawn
    assert "&lt;b&gt;hedged&lt;/b&gt;" in drawn


def test_the_dark_has_ink_of_its_own(page: Path, drawn: str) -> None:
    """Where dark is preferred the axes are written in light ink (a second browser: 3 s)."""
    dark = opened(page, "--force-dark-mode", "--blink-settings=preferredColorScheme=0")
    inks = [set(re.findall(r"fill: (rgb\([\d, ]+\))", document)) for document in (drawn, dark)]

    assert "rgb(24, 33, 47)" in inks[0]
    assert "rgb(230, 234, 240)" in inks[1]
    assert "rgb(24, 33, 47)" not in inks[1]


def test_the_page_needs_no_network(page: Path) -> None:
    """No element of it loads anything from anywhere."""
    text = re.sub(r"<script\b.*?</script>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)

    assert [] == re.findall(r"""(?:src|href)=["']?[^"'>]*""", text)
    assert [] == re.findall(r"<script[^>]+src=", page.read_text(encoding="utf-8"))
