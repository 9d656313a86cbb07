"""A real browser, headless and without a way to any other host: what it makes of a page, and what it shows."""

from __future__ import annotations

import os
import shutil
import subprocess
import zlib
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
DARK = ("--force-dark-mode", "--blink-settings=preferredColorScheme=0")
"""The options for somebody who prefers dark colours."""


def browse(url: str, profile: Path, *options: str) -> str:
    """Run the browser on a page and return what it prints. Skips the test where there is none, except in CI."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None and "CI" not in os.environ:
        pytest.skip("a page is tested in a browser: apt-get install chromium")
    assert browser is not None, "CI must have a browser: apt-get install chromium"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
               f"--user-data-dir={profile}", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", *options, url]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def overflow(page: Path, pixels: int) -> int:
    """The pixels by which a page is wider than a window of this width: more than 0 is a sideways scroll.

    The page stands in a frame of that width: a window of a headless browser has a least width of its own.
    """
    frame = page.with_name(f"frame-{pixels}.html")
    frame.write_text(f"""<iframe src="{page.name}" style="width:{pixels}px;height:900px;border:0"></iframe><script>
      const frame = document.querySelector("iframe");
      frame.onload = () => setTimeout(() => {{
        const root = frame.contentDocument.documentElement;
        document.title = root.scrollWidth - root.clientWidth;
      }}, 500);
    </script>""")
    text = browse(frame.as_uri(), page.parent / "profile", "--allow-file-access-from-files",
                  "--virtual-time-budget=10000", "--dump-dom")
    return int(text.partition("<title>")[2].partition("</title>")[0])


def corner(picture: Path) -> tuple[int, int, int]:
    """The colour at the top left of a PNG: the first pixel after the filter byte, which no filter changes there."""
    data, at, packed = picture.read_bytes(), 8, b""
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + size]
        at += size + 12
    red, green, blue = zlib.decompressobj().decompress(packed, 4)[1:4]
    return red, green, blue
