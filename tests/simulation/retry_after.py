"""Retry-After headers in all their forms, and the pause that a careful client makes of each."""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from random import Random


class RetryAfter(NamedTuple):
    """The headers and their meaning: seconds from when they are read, or an instant of the wall clock."""

    headers: dict[str, str]
    seconds: float | None = None
    instant: float | None = None

    def pause(self, wall: float) -> float:
        """Seconds from now for a client whose wall clock says `wall`; 0.0 for none."""
        return max(0.0, self.instant - wall) if self.instant is not None else self.seconds or 0.0


NONE = RetryAfter({})


def in_seconds(seconds: float) -> RetryAfter:
    """A Retry-After in seconds."""
    return RetryAfter({"retry-after": f"{seconds:g}"}, seconds)


def draw_retry_after(random: Random, wall: float) -> RetryAfter:
    """Draw one of the forms; `wall` is the provider's clock."""
    match random.randrange(10):
        case 0:
            return NONE
        case 1:
            return in_seconds(0.0)
        case 2 | 3:
            return in_seconds(round(random.uniform(0.1, 3.0), 2))
        case 4:
            return in_seconds(float(random.randint(1, 30)))
        case 5:
            return RetryAfter({"retry-after": random.choice(["-5", "abc", ""])})
        case 6:
            return in_seconds(float(random.choice([120, 121, 3600])))
        case 7:
            instant = int(wall) + random.randint(-60, 60)
            return RetryAfter({"retry-after": formatdate(instant, usegmt=True)}, instant=float(instant))
        case 8:
            millis = random.randint(50, 5000)
            return RetryAfter({"retry-after-ms": f"{millis}"}, millis / 1000.0)
        case _:
            millis = random.randint(50, 5000)
            return RetryAfter({"retry-after-ms": f"{millis}", "retry-after": "60"}, millis / 1000.0)
