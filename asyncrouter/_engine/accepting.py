"""What the caller's `accept` says of a whole answer: one answer at a time, limited by the deadline alone.

The attempt's other step runs go on meanwhile, but none of them can win: their whole answers wait for their turn. What
`accept` raises ends the call, and so does the deadline; everybody else is stopped then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from asyncrouter._errors import NotAccepted, RouterError

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter._engine.sent_attempt import SentAttempt
    from asyncrouter._engine.step_run import StepRun
    from asyncrouter._types import Reply


async def judge(
    sent: SentAttempt, step_run: StepRun, accept: Callable[[Reply], bool | Awaitable[bool]], reply: Reply
) -> NotAccepted | None:
    """What `accept` says, once it has judged the whole answer of another step that was sooner."""
    sent.clock.watch_task()
    sent.clock.restart(sent.entry.call.deadline, "deadline")
    step_run.is_whole = True
    if sent.attempt.first_content is not None:
        sent.attempt.last_content = sent.content_at - sent.entry.call.began
    reply = sent.complete(reply)
    sent.give_back_lease()  # `accept` may ask the same model, which may have this one slot
    while (turn := step_run.race.judging.take()) is not None:
        await turn
    try:
        return await _refusal(sent, accept, reply)
    except BaseException as error:
        by_caller = isinstance(error, asyncio.CancelledError) and sent.clock.was_cancelled()
        if step_run.stopped is None and (not by_caller or sent.clock.expired is not None):
            step_run.race.take_win(step_run)  # what `accept` raises, and the deadline, end the call
        raise
    finally:
        step_run.race.judging.give_back()


async def _refusal(
    sent: SentAttempt, accept: Callable[[Reply], bool | Awaitable[bool]], reply: Reply
) -> NotAccepted | None:
    """What the caller's `accept` says: `None` for yes. Only the deadline limits it.

    A `ValueError` that it raises says no, for that is how parsers and validators say it.
    """
    cancelled = False
    try:
        verdict = accept(reply)
        return None if (await verdict if isinstance(verdict, Awaitable) else verdict) else NotAccepted(reply=reply)
    except ValueError as error:
        if isinstance(error, RouterError):  # of a call that `accept` has made
            raise
        return NotAccepted(f"accept() raised {type(error).__name__}: {error}", reply)
    except asyncio.CancelledError:
        cancelled = True
        raise
    finally:
        if not cancelled:
            sent.clock.take_back_cancel()  # `accept` may have caught our cancellation and not raised it again
