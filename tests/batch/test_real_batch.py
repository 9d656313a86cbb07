"""A batch through the real local model, killed once and resumed. 500 rows: `ROWS=500 pytest` and this file."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from asyncrouter import local
from tests.batch.kills import start
from tests.helpers.batching import ids, read_lines, write_lines

if TYPE_CHECKING:
    import pytest

ROWS = int(os.environ.get("ROWS", "50"))
FILE = """
default_provider = "local"
tasks = {{ default = ["{alias}"] }}
defaults = {{ first_token = 120.0, idle = 120.0, total = 240.0 }}
[providers.local]
base_url = "{base_url}"
[models.{alias}]
provider = "local"
id = "{alias}"
"""


def test_a_killed_batch_of_real_answers_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a kill the finished answers stay as they are, and every row has one answer. (Over 1 s: a model answers.)"""
    monkeypatch.chdir(tmp_path)
    output = Path("out.jsonl")
    write_lines(Path("in.jsonl"), ({"id": n, "prompt": f"Tell me about {n}.", "max_tokens": 12} for n in range(ROWS)))
    # As many at a time as the model has slots: a queue in its server would be silence.
    with local.serve() as server:
        Path("asyncrouter.toml").write_text(FILE.format(alias=server.alias, base_url=server.base_url))
        first = start(tmp_path, "--max-concurrency", "8")
        limit = time.monotonic() + 60
        while time.monotonic() < limit and not (output.exists() and output.read_bytes().count(b"\n") >= ROWS // 4):
            time.sleep(0.02)
        first.send_signal(signal.SIGKILL)
        first.wait(10)
        before = output.read_bytes()
        assert 0 < before.count(b"\n") < ROWS

        second = start(tmp_path, "--max-concurrency", "8")
        assert second.wait(60 + ROWS) == 0, Path("log").read_text()

    whole = before[: before.rfind(b"\n") + 1]
    assert output.read_bytes().startswith(whole)
    assert sorted(ids(output)) == list(range(ROWS))  # type: ignore[type-var]
    assert all(line["text"] and line["usage"] for line in read_lines(output))
