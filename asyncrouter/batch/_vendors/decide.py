"""What is to be done next for a chunk: one plain function of its state and the time. Pure."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from asyncrouter.batch._vendors.chunk import Chunk

Do = Literal[
    "upload", "find_file", "create", "find_batch", "look", "cancel", "release", "fetch", "merge", "clean", "close",
    "fail", "leave",
]
"""What to do. `release` asks the rows without a result live, `fail` gives the vendor up, `leave` looks no longer."""

FIRST_LOOKS, LATER_LOOKS = 30.0, 300.0
"""Seconds between two looks at a batch: in its first hour, and later. Vendors limit looks; Together at 30 s."""
EAGER = 3600.0
"""Seconds after its creation from which on a batch is looked at less often."""
FILE_SEARCHES = (5.0, 30.0)
"""Seconds after an upload without an answer before the vendor's list of files is searched for it, first and second
time; then it is uploaded again. A file that is there twice costs nothing, and is deleted."""
BATCH_SEARCHES = (5.0, 60.0, 300.0)
"""The same for a new batch, which need not be on the list at once. One that is there twice is paid twice."""
GONE_AFTER = 600.0
"""Seconds for which a vendor must say that there is no such batch: it does so for a while after creating it, and after
its end (anthropic-sdk#1432)."""
UPLOADS, CREATES = 3, 4
"""How often each is tried before the rows are asked live."""
FETCH_TROUBLE = 100
"""The same for errors in a row in fetching results, which are paid: about eight hours."""
TROUBLE = 12
"""Errors in a row, with growing pauses between them, after which a step is given up: about 40 minutes."""
CANCEL_SHARE, CANCEL_SECONDS = 0.1, 600.0
"""A batch is cancelled so long before the deadline, so that what it has answered is there in time: a cancellation takes
up to 10 minutes (OpenAI). Of a short deadline it is this share."""
LINGER = 3600.0
"""Seconds after the deadline for which the end of a batch is awaited; a later run looks on."""


class Times(NamedTuple):
    """The instants of a run, in seconds since the epoch: when batches are cancelled, when rows are asked live without
    waiting for them any longer, and until when their end is awaited. `inf`: never.
    """

    cancel: float = inf
    release: float = inf
    leave: float = inf

    @classmethod
    def of(cls, began: float, deadline: float | None) -> Times:
        """The instants of a run that began then and may take `deadline` seconds."""
        if deadline is None:
            return cls()
        release = began + deadline
        return cls(release - min(CANCEL_SECONDS, CANCEL_SHARE * deadline), release, release + LINGER)


class Action(NamedTuple):
    """What to do, not before the instant `at`, and why."""

    do: Do
    at: float = 0.0
    why: str = ""


def decide(chunk: Chunk, now: float, times: Times, *, by_file: bool, cancels: bool, keep: bool) -> Action:
    """The next thing to do for a chunk that is not closed."""
    if chunk.step in {"planned", "uploading", "uploaded", "creating"}:
        return _to_create(chunk, now, times, by_file=by_file)
    match chunk.step:
        case "created":
            return _to_end(chunk, now, times, cancels=cancels)
        case "ended":
            return _to_fetch(chunk, now, times)
        case "fetched":
            return Action("merge")
        case "merged" if not keep and chunk.trouble < TROUBLE and chunk.remains:
            return Action("clean", chunk.reserve or 0.0)
        case _:
            return Action("close")


def _to_create(chunk: Chunk, now: float, times: Times, *, by_file: bool) -> Action:
    asked = chunk.step in {"uploading", "creating"}  # and not answered: it may exist
    if now >= times.release and not chunk.released:
        return Action("release", why="the deadline has come")
    if not asked and (now >= times.cancel or chunk.released):
        return Action("fail", why=chunk.why or "the deadline came before there was room for it")
    if asked and now >= times.leave:
        return Action("leave")
    if chunk.trouble >= TROUBLE or chunk.uploads > UPLOADS or chunk.creates > CREATES:
        return Action("fail", why=chunk.why or "the vendor did not take it")
    at = min(chunk.reserve or 0.0, times.cancel if not asked else times.leave)
    if chunk.step == "planned":
        return Action("upload" if by_file else "create", at)
    if chunk.step == "uploaded":
        return Action("create", at)
    searches = searches_of(chunk)
    search_at = chunk.began + searches[min(chunk.searches, len(searches) - 1)]
    return Action("find_file" if chunk.step == "uploading" else "find_batch", max(at, search_at))


def searches_of(chunk: Chunk) -> tuple[float, ...]:
    """When what was asked of the vendor and not answered is looked for, in seconds after it was asked."""
    return FILE_SEARCHES if chunk.step == "uploading" else BATCH_SEARCHES


def _to_end(chunk: Chunk, now: float, times: Times, *, cancels: bool) -> Action:
    if (released := _released(chunk, now, times)) is not None:
        return released
    if now >= times.leave:
        return Action("leave")
    if cancels and chunk.cancelled is None and now >= times.cancel:
        return Action("cancel", min(chunk.reserve or 0.0, times.leave))
    return Action("look", _next_look(chunk, times, cancels=cancels))


def _to_fetch(chunk: Chunk, now: float, times: Times) -> Action:
    """Results that are there are paid: they are fetched again and again."""
    if not chunk.outputs:
        return Action("merge")
    if (released := _released(chunk, now, times)) is not None:
        return released
    if chunk.trouble >= FETCH_TROUBLE:
        return Action("fail", why="its results could not be fetched")
    if now >= times.leave:
        return Action("leave")
    return Action("fetch", min(chunk.reserve or 0.0, times.leave if chunk.released else times.release))


def _released(chunk: Chunk, now: float, times: Times) -> Action | None:
    due = now >= times.release and not chunk.released
    return Action("release", why="it was not back by the deadline") if due else None


def _next_look(chunk: Chunk, times: Times, *, cancels: bool) -> float:
    created = chunk.created or chunk.began
    eager = chunk.looked < created + EAGER or chunk.cancelled is not None
    at = max(chunk.looked + (FIRST_LOOKS if eager else LATER_LOOKS), chunk.reserve or 0.0)
    limits = [times.leave] if chunk.released else [times.release]
    if cancels and chunk.cancelled is None:
        limits.append(times.cancel)
    return min(at, *limits)


def pause(trouble: int) -> float:
    """Seconds before the next try after so many errors in a row."""
    return float(min(15.0 * 2.0 ** min(trouble, 10), 300.0))
