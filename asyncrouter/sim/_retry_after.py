"""How a provider says when to come back: in a header, in a field of its error's body, or in a sentence.

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

    from asyncrouter.sim._request import Wire
    from asyncrouter.sim.act import Act, RetryAs


def in_headers(act: Act, wire: Wire) -> Mapping[str, str]:
    """The headers that say when to come back, none where something else says it."""
    pause = act.retry_after
    if pause is None:
        return {}
    if isinstance(pause, str):
        return {"retry-after": pause}
    match _form(act, wire):
        case "seconds":
            return {"retry-after": f"{pause}"}
        case "ms":
            return {"retry-after-ms": f"{pause * 1000.0:g}"}
        case "duration":
            return {"retry-after": duration(pause)}
        case "date":
            return {"retry-after": format_datetime(_date_in(pause), usegmt=True)}
        case "iso":
            return {"retry-after": timestamp_in(pause)}
        case "reset":
            return {"x-ratelimit-reset": f"{_wall_time() + pause:.0f}"}
        case "reset_ms":
            return {"x-ratelimit-reset": f"{(_wall_time() + pause) * 1000.0:.0f}"}
    return {}


def in_body(act: Act, wire: Wire) -> float | None:
    """The seconds for the field of the error's body, `None` where something else says it."""
    pause = act.retry_after
    return float(pause) if isinstance(pause, int | float) and _form(act, wire) == "body" else None


def in_message(act: Act, wire: Wire) -> str:
    """The sentence for the end of the error's message, empty where something else says it."""
    pause = act.retry_after
    if isinstance(pause, int | float) and _form(act, wire) == "text":
        return f" Please try again in {duration(pause)}."
    return ""


def duration(seconds: float) -> str:
    """Seconds as Go writes a duration: "1m2.5s", "20ms"."""
    if 0.0 < seconds < 1.0:
        return f"{seconds * 1000.0:g}ms"
    sign, (minutes, rest) = "-" * (seconds < 0.0), divmod(abs(seconds), 60.0)
    hours, minutes = divmod(int(minutes), 60)
    return f"{sign}{f'{hours}h' if hours else ''}{f'{minutes}m' if hours or minutes else ''}{rest:g}s"


def timestamp_in(seconds: float) -> str:
    """The time so many seconds from now, in the format of RFC 3339."""
    return _date_in(seconds).isoformat().replace("+00:00", "Z")


def _form(act: Act, wire: Wire) -> RetryAs:
    """The form an act asks for, else the usual one of this wire."""
    return act.retry_as or ("body" if wire == "gemini" else "seconds")


def _date_in(seconds: float) -> datetime:
    return datetime.fromtimestamp(_wall_time() + seconds, UTC)


def _wall_time() -> float:
    """Seconds since the epoch: those of a virtual event loop where one runs, else the machine's."""
    loop = asyncio.get_running_loop()
    return loop.wall() if isinstance(loop, VirtualLoop) else time.time()
