"""What a job asks of every row, and how; it is sent to each worker process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asyncrouter.batch._patience import PATIENCE
from asyncrouter.batch._stop_rules import StopRules

if TYPE_CHECKING:
    from asyncrouter.batch._lines import Format


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """What a job asks of every row, and how.

    `chat` are the arguments of `Router.chat` for all rows. `format` is the form of the lines, `raw` adds the provider's
    own to answers. At most `concurrency` rows are in flight. After `patience` seconds without any answer the job stops.
    `limit` is how many rows are asked at most, over all processes; `None` for no limit. `rows` is how many the input
    had when it was checked: what has been added since is not asked. `dedupe`: identical rows are asked once. `share` is
    the number of this process, from 0, and how many share the rows.
    """

    chat: dict[str, object] = field(default_factory=dict)
    format: Format = "native"
    raw: bool = False
    concurrency: int = 1024
    patience: float = PATIENCE
    limit: int | None = None
    rows: int | None = None
    dedupe: bool = False
    rules: StopRules = field(default_factory=StopRules)
    share: tuple[int, int] = (0, 1)
