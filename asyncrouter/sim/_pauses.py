"""How a provider says when to come back: in headers, in the body of its error, or in a sentence.

Forms: RFC 9110, 10.2.3 (`Retry-After`); OpenAI's `retry-after-ms`; OpenRouter's `X-RateLimit-Reset` and
`availability`; Google's `RetryInfo`; "Please try again in 5.289s" at Groq and OpenAI.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

from asyncrouter.sim.clock import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter.sim._prompt import Wire
    from asyncrouter.sim.act import Act, RetryAs


def wall() -> float:
    """Seconds since the epoch: a virtual loop's own, otherwise the machine's."""
    loop = asyncio.get_running_loop()
    return loop.wall() if isinstance(loop, VirtualLoop) else time.time()


def form(act: Act, wire: Wire) -> RetryAs:
    """How an act says it on this wire."""
    return act.retry_as or ("body" if wire == "gemini" else "seconds")


def in_headers(act: Act, wire: Wire) -> Mapping[str, str]:
    """The headers that say when to come back."""
    pause = act.retry_after
    if pause is None:
        return {}
    if isinstance(pause, str):
        return {"retry-after": pause}
    match form(act, wire):
        case "seconds":
            return {"retry-after": f"{pause}"}
        case "ms":
            return {"retry-after-ms": f"{pause * 1000.0:g}"}
        case "duration":
            return {"retry-after": duration(pause)}
        case "date":
            return {"retry-after": format_datetime(_instant(pause), usegmt=True)}
        case "iso":
            return {"retry-after": instant(pause)}
        case "reset":
            return {"x-ratelimit-reset": f"{wall() + pause:.0f}"}
        case "reset_ms":
            return {"x-ratelimit-reset": f"{(wall() + pause) * 1000.0:.0f}"}
    return {}


def in_body(act: Act, wire: Wire) -> float | None:
    """The seconds that the error itself names, in its provider's field for them."""
    told = act.retry_after
    return float(told) if isinstance(told, int | float) and form(act, wire) == "body" else None


def in_words(act: Act, wire: Wire) -> str:
    """What is added to the message."""
    told = act.retry_after
    if isinstance(told, int | float) and form(act, wire) == "text":
        return f" Please try again in {duration(told)}."
    return ""


def duration(seconds: float) -> str:
    """As Go writes it: "1m2.5s", "20ms"."""
    if 0.0 < seconds < 1.0:
        return f"{seconds * 1000.0:g}ms"
    sign, (minutes, rest) = "-" * (seconds < 0.0), divmod(abs(seconds), 60.0)
    hours, minutes = divmod(int(minutes), 60)
    return f"{sign}{f'{hours}h' if hours else ''}{f'{minutes}m' if hours or minutes else ''}{rest:g}s"


def instant(seconds: float) -> str:
    """So many seconds from now, in RFC 3339."""
    return _instant(seconds).isoformat().replace("+00:00", "Z")


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(wall() + seconds, UTC)
