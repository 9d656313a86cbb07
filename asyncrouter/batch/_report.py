"""What a caller learns of a batch: `Progress` while it runs, `Report` at its end."""

from __future__ import annotations

from dataclasses import dataclass, field

from asyncrouter.batch._older_pickles import OlderPickles


@dataclass(slots=True)
class Progress:
    """Where a batch stands now. Times are in seconds, rates in rows a second, money in US dollars.

    `rows` is the length of the input; of these, `skipped` were answered by an earlier run. `done`, `failed`,
    `input_tokens`, `output_tokens`, `cost_usd` and `hedges` count this run; `in_flight` rows are being asked now.
    `rate` is of the last 15 seconds, `seconds_left` is the rest at that rate; both are `None` before they are known.
    `cost_known` is `False` when an attempt had no known price; `projected_usd` is the cost of this run at its end, at
    the mean cost of a row so far, `None` before the first row has ended. `models` is each model's share of the answers,
    from 0 to 1, `errors` counts the failed rows by the class of their error, `retries` calls that were made again.
    `copied` and `failed_before` are as in `Report`.

    `waiting_for` says what the rows wait for while no answers come: nobody who answers and why, a limit; `None` while
    they come. `stopping` is why no more rows are begun while those in flight are finished.
    """

    rows: int
    skipped: int
    done: int
    failed: int
    in_flight: int
    seconds: float
    rate: float | None
    seconds_left: float | None
    input_tokens: int
    output_tokens: int
    cost_usd: float
    cost_known: bool
    projected_usd: float | None
    hedges: int
    models: dict[str, float]
    errors: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    copied: int = 0
    failed_before: int = 0
    waiting_for: str | None = None
    stopping: str | None = None


@dataclass(slots=True)
class Report(OlderPickles):
    """The result of a run of a batch. Times are in seconds, money in US dollars.

    `rows` is the length of the input; of these, `skipped` were answered by an earlier run, `failed_before` have failed
    for good in one, `done` and `failed` are this run's, and `left` have no result yet. `copied` of those that are done
    or have failed have the result of an identical row (`dedupe`). `stopped` is the reason why the run ended early,
    `None` when it did not; `interrupted` says that the reason was the caller's `stop`.

    `attempts` counts the requests that were sent, `hedges` those of them that were hedges. `cost_usd` is the cost of
    all of them, `None` when one has no known price; `cost_estimated` says that a part of it is an estimate. `errors`
    counts failures by the name of their class, `ends` answers by their finish reason, `retries` calls that were made
    again after an outage, a limit, a timeout or a failing server. `models` has `answered`, `attempts` and `cost_usd` of
    each model. `latency` has the quantiles "p50", "p90", "p95" and "p99" of the answered calls, to within 2.5 %,
    without their waits for a limit. `output` and `errors_file` are paths, "-" for standard output.

    With `via="provider"`: `wasted_usd` is the part of the cost that was paid for answers which were not needed any
    more, and `vendors` has, by provider, the `batches` and `rows` that were sent, the rows `answered` so, and `left`:
    how many batches had not ended yet.
    """

    rows: int
    skipped: int
    done: int
    failed: int
    stopped: str | None
    interrupted: bool
    seconds: float
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    cost_estimated: bool
    attempts: int
    hedges: int
    errors: dict[str, int]
    models: dict[str, dict[str, float]]
    latency: dict[str, float] = field(default_factory=dict)
    output: str = ""
    errors_file: str = ""
    failed_before: int = 0
    retries: int = 0
    copied: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    wasted_usd: float = 0.0
    vendors: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """Rows without a result: not sent by any run yet, or sent and not answered when the run stopped."""
        return self.rows - self.skipped - self.failed_before - self.done - self.failed

    @property
    def exit_status(self) -> int:
        """The command's exit status: 0 all rows answered, 1 some failed, 3 some left, 130 interrupted."""
        if self.interrupted:
            return 130
        if self.stopped is not None or self.left:
            return 3
        return 1 if self.failed or self.failed_before else 0
