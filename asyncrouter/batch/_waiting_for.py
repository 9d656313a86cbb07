"""What the rows of a job wait for, in words: nobody who answers, a limit, or answers that take long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter import CallError
from asyncrouter.batch._failure import cause_of

if TYPE_CHECKING:
    from asyncrouter import Router
    from asyncrouter.batch._asker import Asker

SILENCE = 3.0
"""Seconds without an answer from which on failures are named as the reason."""
LONG_SILENCE = 15.0
"""The same where nothing has failed, and requests are on the wire."""
_ROUTERS_NOTE = "; not tried again, because"
"""What the router adds to an error after which the same call does not ask the model again: the batch does."""
MAX_TEXT = 160
"""Characters of an error that are shown."""


def waiting_for(asker: Asker, router: Router, now: float, patience: float) -> str | None:
    """What the rows wait for at this instant of the loop's clock; `None` while answers come.

    `patience` is how many seconds without an answer the job bears.
    """
    silent = now - asker.heard_at
    if not asker.in_flight:
        return None
    if asker.availability.down:
        rest = max(0.0, patience - silent)
        again = "asking again now" if asker.availability.probing else f"asking again in {_until(asker, now):.0f} s"
        return f"nobody answers, for {silent:.0f} s now: {reason(asker, router)}; {again}, giving up in {_time(rest)}"
    if silent >= SILENCE and (asker.last_error is not None or not asker.requests()):
        return f"no answer for {silent:.0f} s: {reason(asker, router)}"
    if (limited := _limited(asker, router)) is not None:
        return limited
    if silent >= LONG_SILENCE:
        return f"answers that take long: {asker.requests():,} requests on the wire, no answer for {silent:.0f} s"
    return None


def reason(asker: Asker, router: Router) -> str:
    """Why the last call failed whose row is asked again, or else why the first model that cannot be asked cannot."""
    if asker.last_error is None:
        held = (f"{one.model}: {one.standing}" for one in router.health().values() if one.standing != "ready")
        return next(held, "all requests wait for their turn")
    cause = cause_of(asker.last_error)
    text = (cause.message if isinstance(cause, CallError) else str(cause)).partition(_ROUTERS_NOTE)[0]
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def _limited(asker: Asker, router: Router) -> str | None:
    """The model at whose limit most of the rows in flight queue."""
    models = [model for model in router.health().values() if model.waiting]
    most = max(models, key=lambda model: model.waiting, default=None)
    if most is None or 2 * most.waiting < asker.pool.in_flight:
        return None
    rate = "" if most.rate is None else f", {most.rate * 60:,.4g} requests a minute"
    held = "" if most.standing == "ready" else f"; {most.standing}"
    return f"the limit of {most.model}{rate}: {most.waiting:,} rows wait for their turn{held}"


def _until(asker: Asker, now: float) -> float:
    return max(0.0, asker.availability.probe_at - now)


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
