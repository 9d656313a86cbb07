"""What all simulated batch APIs share: the files, the batches, the bill, and when what goes wrong."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from asyncrouter.sim._batches.faults import Faults
from asyncrouter.sim._batches.job import ENDS, MISSING, Answered, Asked, Job
from asyncrouter.sim.distributions import draw, lognormal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from asyncrouter.sim._batches.faults import Chance
    from asyncrouter.sim._request import Wire
    from asyncrouter.sim.distributions import Seconds

    Answer = Callable[[str, Wire, Mapping[str, object], float], tuple[int, object, float]]

DAY = 86_400.0
"""Seconds in which a batch is done or expires."""
WINDOWS = {"openai": DAY, "anthropic": DAY, "gemini": 2 * DAY, "openrouter": 4 * DAY}
"""After how many seconds a batch expires, by vendor."""
LATE = 90.0
"""Seconds for which a new batch, or its results, cannot be found, where that fault strikes."""
STUCK_AFTER_CANCEL = 20 * 3600.0
"""Seconds for which a batch may go on although it was cancelled."""
HALF_SHARE = 0.1
"""The share of the results that are missing, where that fault strikes; they are not billed."""
KEPT = 100_000
"""Calls of the log that are kept."""


@dataclass(slots=True)
class StoredFile:
    """A file at a vendor."""

    id: str
    vendor: str
    name: str
    data: bytes
    made: float
    deleted: bool = False


class Call(NamedTuple):
    """A request to a batch API: `at` an instant of the loop's clock, the vendor, the method, the path, the status."""

    at: float
    vendor: str
    method: str
    path: str
    status: int


class Batches:
    """The batch APIs of OpenAI, Anthropic, Gemini and OpenRouter, as `World.batches` makes them.

    `takes` are the seconds that a batch runs. `usd` is what all batches have billed, at half of the models' prices;
    `left` what has not been deleted: files, and batches of the vendors that can delete them. `log` has the calls.
    """

    def __init__(self, seed: str, answer: Answer, wall: float) -> None:
        self.takes: Seconds = lognormal(1200.0, 0.8)
        self.faults: Faults = Faults(seed)
        self.files: dict[str, StoredFile] = {}
        self.jobs: dict[str, Job] = {}
        self.log: deque[Call] = deque(maxlen=KEPT)
        self.usd: float = 0.0
        self.epoch = wall
        self._seed = seed
        self._answer = answer
        self._count = 0

    def __repr__(self) -> str:
        return f"<Batches {len(self.jobs)} batches, {len(self.files)} files, ${self.usd:.6f}>"

    @property
    def left(self) -> list[str]:
        """The ids of what has not been deleted."""
        files = [file.id for file in self.files.values() if not file.deleted]
        return files + [job.id for job in self.jobs.values() if not job.deleted and job.vendor != "openai"]

    def set(self, takes: Seconds | None, chances: Mapping[str, Chance]) -> None:
        """Set how long batches take, and how often each fault strikes."""
        if takes is not None:
            self.takes = takes
        self.faults.set(chances)

    # What the vendors' modules use.

    def number(self) -> int:
        """A number for the next id."""
        self._count += 1
        return self._count

    def wall(self, at: float) -> float:
        """An instant as seconds since the epoch."""
        return self.epoch + at

    def store(self, vendor: str, id: str, name: str, data: bytes, at: float) -> StoredFile:  # noqa: A002  # the file's
        """Keep a file."""
        file = self.files[id] = StoredFile(id, vendor, name, data, at)
        return file

    def file(self, id: str) -> StoredFile | None:  # noqa: A002  # the file's
        """A file that is there."""
        file = self.files.get(id)
        return None if file is None or file.deleted else file

    def job(self, id: str, at: float) -> Job | None:  # noqa: A002  # the job's
        """A batch that is there and can be seen; one that has ended has its results."""
        job = self.jobs.get(id)
        if job is None or job.deleted or at < job.visible_at:
            return None
        if job.state(at) in ENDS:
            self.results(job, at)
        return job

    def create(
        self, vendor: str, id: str, model: str, endpoint: str, rows: Sequence[Asked], at: float, *,  # noqa: A002
        mark: str = "", file: str = "", failure: tuple[str, str] | None = None,
    ) -> Job:
        """Begin a batch, with all that will happen to it."""
        number, strikes = len(self.jobs), self.faults.strikes
        random = self.faults.random("life", number)
        takes = draw(self.takes, random, {})
        valid_at = at + random.uniform(5.0, 60.0)
        done_at = valid_at + takes
        over_at = done_at + random.uniform(1.0, 30.0)
        expires_at = at + WINDOWS[vendor]
        stuck, expires = strikes("stuck"), strikes("expires")
        if stuck:
            where = random.randrange(3)
            valid_at = inf if where == 0 else valid_at
            done_at = inf if where <= 1 else done_at
            over_at = expires_at = inf if vendor != "openrouter" else at + STUCK_AFTER_CANCEL
        elif expires:
            done_at = expires_at + takes
            over_at = done_at + 1.0
        if strikes("token_limit") and failure is None:
            failure = ("token_limit_exceeded", "Enqueued token limit reached for this model in organization org-1.")
        if strikes("fails") and failure is None:
            failure = ("internal_error", "The batch could not be processed.")
        job = Job(
            id, vendor, model, endpoint, rows, at, valid_at if failure is None else at + 10.0, done_at, over_at,
            expires_at, mark, file, failure, strikes("nothing_out"),
            cancel_takes=STUCK_AFTER_CANCEL if stuck and strikes("stuck_cancelling") else random.uniform(5.0, 540.0),
            visible_at=at + LATE if strikes("late_batch") else at,
            results_at=LATE if strikes("late_results") else 0.0,
        )
        self.jobs[id] = job
        return job

    def results(self, job: Job, at: float) -> list[Answered]:
        """All results of an ended batch, the rows that were not processed included."""
        billed = job.usd
        if job.answers is None and self.faults.strikes("half"):
            random = self.faults.random(f"half:{job.id}", 0)
            job.missing = frozenset(row.id for row in job.rows if random.random() < HALF_SHARE)
        answers = job.results(at, lambda row: self._process(job, row, at))
        self.usd += job.usd - billed
        return answers

    def told(self, job: Job, at: float) -> list[Answered]:
        """The results as they are delivered: with those twice, missing, in disorder and of nobody."""
        answers: list[Answered] = self.results(job, at)
        random = self.faults.random(f"told:{job.id}", 0)
        wrongs = job.outputs.get("wrongs")
        if wrongs is None:
            names = ("duplicates", "reordered", "wrong_ids")
            wrongs = job.outputs["wrongs"] = ",".join(name for name in names if self.faults.strikes(name))
        answers = [each for each in answers if each.status != MISSING]
        if "duplicates" in wrongs:
            answers += random.sample(answers, len(answers) // 10)
        if "wrong_ids" in wrongs:
            answers += [each._replace(id=f"{each.id}x") for each in answers[:3]]
        if "reordered" in wrongs:
            random.shuffle(answers)
        return answers

    def _process(self, job: Job, row: Asked, at: float) -> tuple[Answered, float]:
        if self.faults.strikes("row_errors"):
            return Answered(row.id, 500), 0.0
        if self.faults.strikes("row_zero"):
            return Answered(row.id, 0), 0.0
        status, body, usd = self._answer(job.model, _wire_of(job.endpoint), row.body, at)
        return Answered(row.id, status, body), usd if status == 200 else 0.0


def _wire_of(endpoint: str) -> Wire:
    if endpoint.endswith("/responses"):
        return "responses"
    if endpoint.endswith("/messages"):
        return "anthropic"
    return "gemini" if endpoint == "generateContent" else "openai"
