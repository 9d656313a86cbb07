"""How much load an arm can take: searches by streams and by rate, sweeps, and what too few calls cannot say."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter import bench
from asyncrouter.bench import Arm
from asyncrouter.bench.capacity import search
from asyncrouter.bench.crossing import crossing
from asyncrouter.bench.probes import Probe, Prober
from asyncrouter.bench.rows import Row
from asyncrouter.bench.saturation import knee
from asyncrouter.bench.slo import parse_slo
from tests.helpers.browser import overflow

if TYPE_CHECKING:
    from asyncrouter.bench.probes import By
    from tests.helpers.commandline import Shell

JSON_ARM = Arm("first", {"chain": ["primary"], "retry": {"attempts": 1}})
COMMAND = ("--scenario", "one-server", "--arm", "first: chain=primary retry=1")


class Server(Prober):
    """Answers in 0.1 s up to `streams` at once, a share of `late` calls in 1 s above; or calls fail beyond `rate`."""

    def __init__(self, slo: str, by: By, limit: float, *, seconds: float | None = None, seed: int = 0) -> None:
        super().__init__(Arm("server"), by, parse_slo(slo), max_seconds=seconds)
        self.limit = limit
        self.random = Random(seed)

    def run(self, level: float, calls: int, warmup: int, left: float | None) -> tuple[list[Row], float, str | None]:
        """One second for each call and level; the share of late calls grows with the tenth power of the load."""
        rows = []
        late = min(1.0, 0.05 * (level / self.limit) ** 10)
        for number in range(calls):
            at = number / level
            took = 1.0 if self.random.random() < late else 0.1
            rows.append(Row("server", number, at, at, at + took, at + took, warmup=number < warmup))
        return rows, calls / level, None


def test_streams_are_bracketed() -> None:
    """The search doubles until the objective is missed, then closes in to 5 % of the streams."""
    found = search(Server("p95_e2e<0.5", "streams", 40.5), max_calls=100_000, probe_calls=4000)

    assert [probe.level for probe in found.probes][:7] == [1, 2, 4, 8, 16, 32, 64]
    assert (found.streams, found.failed_at) in {(40, 41), (40, 42), (39, 40), (39, 41), (41, 42), (41, 43)}
    assert found.verdict.startswith(f"Up to {found.streams} streams at once meet p95_e2e < 0.5, and ")


def test_the_interval_of_a_rate_holds_the_truth() -> None:
    """Probes on both sides of the limit give the rate at which 5 % of the calls are late."""
    found = [search(Server("p95_e2e<0.5", "poisson", 20.0, seed=seed), max_calls=12_000).rate for seed in range(20)]
    ends = [(one.low, one.high) for one in found if one.low is not None and one.high is not None]

    assert len(ends) == 20
    assert max(high - low for low, high in ends) < 2.0
    assert sum(low <= 20.0 <= high for low, high in ends) >= 17


def test_a_load_that_not_even_one_stream_meets_has_no_number() -> None:
    """The verdict says so, and the value is None."""
    found = search(Server("p95_e2e<0.05", "streams", 1e9), max_calls=100_000)

    assert (found.rate.value, found.streams, found.failed_at) == (None, None, 1)
    assert found.verdict == "No number of streams was seen to meet p95_e2e < 0.05; 1 missed it."


@pytest.mark.parametrize(("slo", "by", "calls", "why"), [
    ("success>0.999", "streams", {"probe_calls": 1000}, "success > 0.999 needs at least 4,000 calls"),
    ("p99_ttft<1 and success>0.9", "streams", {"probe_calls": 1000}, "p99_ttft < 1 needs at least 1,334 calls"),
    ("p99.9_e2e<1", "poisson", {"max_calls": 30_000}, "p99.9_e2e < 1 needs at least 13,334 calls"),
])
def test_what_too_few_calls_cannot_say_is_refused(slo: str, by: By, calls: dict[str, int], why: str) -> None:
    """Nothing is sent, and the message says how many calls the objective needs."""
    with pytest.raises(ValueError, match=why):
        bench.max_rate(JSON_ARM, slo, by=by, scenario="one-server", **calls)


@pytest.mark.parametrize("slo", ["mean_e2e<1", "success<0.9", "p95_ttft>0.5", "a: success>0.9", "goodput>3"])
def test_other_conditions_are_refused(slo: str) -> None:
    """An objective is an upper limit on a quantile of seconds, or a lower one on the share of answered calls."""
    with pytest.raises(ValueError, match="slo: "):
        parse_slo(slo)


def test_seconds_end_a_search() -> None:
    """What is known until then is said: a lower bound."""
    found = search(Server("p95_e2e<0.5", "streams", 1e9, seconds=1600.0), max_calls=100_000)

    assert (found.streams, found.failed_at) == (4, None)
    assert found.stopped == "the 1600 s of --max-seconds are used up"
    assert found.verdict.startswith("At least 4 streams at once meet")


def test_failed_calls_miss_every_objective() -> None:
    """A failure is no answer within 0.5 s, though it came at once."""
    [objective] = parse_slo("p95_e2e<0.5")

    assert objective.missed(Row("a", 0, 0.0, 0.0, ended=0.1, outcome="AllModelsFailed"))
    assert not objective.missed(Row("a", 0, 0.0, 0.0, ended=0.1))


def test_the_first_slots_of_a_server_are_its_knee() -> None:
    """Beyond eight streams the one server with eight slots answers no more a second, only later."""
    found = bench.sweep(JSON_ARM, [2, 8, 16], probe_calls=400, scenario="one-server")

    assert [round(probe.rate) for probe in found.probes] == [4, 16, 16]
    assert (found.knee, knee(found.probes[:2])) == (8, None)


def test_max_rate_is_shown_and_written(shell: Shell) -> None:
    """A line for each level, the verdict, and three files; the second probe is half of the way."""
    done = shell.run("bench", "max-rate", *COMMAND, "--slo", "p95_e2e<1.5", "--start", "16", "--calls", "600",
                     "--out", "out")

    assert done.status == 0
    assert "streams at once meet p95_e2e < 1.5" in done.out
    assert {path.name for path in Path("out").iterdir()} == {"capacity.html", "capacity.json", "capacity.csv"}
    assert overflow(Path("out/capacity.html").absolute(), 500) == 0
    assert orjson.loads(Path("out/capacity.json").read_bytes())["by"] == "streams"
    assert Path("out/capacity.csv").read_text().startswith("level,calls,seconds,answered_per_second,success,")


def test_too_few_calls_are_a_usage_error(shell: Shell) -> None:
    """Status 2 with the number of calls that the SLO needs."""
    done = shell.run("bench", "max-rate", *COMMAND, "--slo", "success>0.999", "--calls", "100")

    assert done.status == 2
    assert "success > 0.999 needs at least 4,000 calls" in done.err


def test_a_sweep_is_shown(shell: Shell) -> None:
    """A line for each level of the rate, and the knee."""
    done = shell.run("bench", "sweep", *COMMAND, "--rates", "4,8,12", "--calls", "200", "--json")
    table = shell.run("bench", "sweep", *COMMAND, "--concurrency", "1,2", "--calls", "200")

    assert [probe["level"] for probe in orjson.loads(done.out)["probes"]] == [4.0, 8.0, 12.0]
    assert (table.status, table.out.splitlines()[-1]) == (0, "Too few levels for a knee.")


def test_a_lucky_short_probe_is_not_believed() -> None:
    """Where all long probes miss the limit, it is looked for below them, though a short one above has met it."""
    def probe(level: float, calls: int, missed: int) -> Probe:
        return Probe(level, calls, 1.0, 1.0, (), ((missed,),), (calls,), {})

    lucky = [probe(16.0, 300, 3), probe(17.0, 3000, 2900), probe(16.2, 3000, 2500)]
    found = crossing([*lucky, probe(32.0, 400, 400)], 0, 0.05)

    assert (round(math.exp(found.at), 2), found.fitted) == (14.66, False)
