"""One try at one model: ask the policies, send, reach the first content, validate the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from asyncrouter._config.cost import prompt_tokens
from asyncrouter._engine.clock import Clock
from asyncrouter._engine.reading import ReplyReader, hard_limit, timed_out
from asyncrouter._engine.running_attempt import RunningAttempt
from asyncrouter._errors import AttemptError, ConnectionFailed, NotAccepted, NotSent, RouterClosed

if TYPE_CHECKING:
    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.step_run import StepRun
    from asyncrouter._errors import ClockName
    from asyncrouter._policies.lease import Lease
    from asyncrouter._transport.api import Response
    from asyncrouter._types import Call, Chunk, Reply, Trace
    from asyncrouter._wire.api import Decoder

USUAL_ANSWER = 500.0
"""Tokens an answer is taken to have, for a limit of tokens, when the caller gave no limit of its own."""
ERROR_BYTES = 65_536
"""How much of an error response is read: its first words say what is wrong."""


async def attempt(engine: Engine, call: Call, trace: Trace, lane: StepRun) -> Reply | ReplyReader | AttemptError:
    """Try once; what came of it, the attempt already accounted for.

    A `Reply` is whole, accepted and final; a `ReplyReader` (only when the caller reads a stream) has won and is to be
    read on. Raises only what is not the provider's doing: a cancellation, an exception of `accept`, a request that
    cannot be written.
    """
    task = asyncio.current_task(engine.loop)
    assert task is not None
    cancelling = task.cancelling()
    flight = RunningAttempt(engine, call, trace, lane, Clock(engine.timers, task.cancel))
    try:
        try:
            answer = await _reach(flight)
        except AttemptError as error:
            fired = flight.clock.fired
            if fired is not None and isinstance(error, ConnectionFailed):  # we closed it
                error = timed_out(flight, fired)
            return flight.fail(error)
        if isinstance(answer, ReplyReader):
            return answer
        if call.accept is None or await _accepted(flight, answer, task):
            return flight.answer(answer)
        return flight.fail(NotAccepted(reply=answer))
    except asyncio.CancelledError:
        fired = flight.clock.fired
        if fired is not None and flight.clock.strike == task.cancel and task.uncancel() <= cancelling:
            return flight.fail(timed_out(flight, fired))
        flight.end(lane.stopped or "cancelled")
        raise
    except BaseException:
        flight.end("failed")
        raise


async def _reach(flight: RunningAttempt) -> Reply | ReplyReader:
    """Send and read: a whole answer for `chat()`, the won beginning of one for `stream()`."""
    call, step = flight.call, flight.step
    flight.attempt.queued = flight.now()
    flight.lease = await _admitted(flight)
    flight.key = flight.credential.get()
    request = flight.wire.encode(
        call, step.model, flight.params, flight.key, stream=flight.streams, connect=step.connect
    )
    flight.clock.move(*_silent_limit(flight, flight.depart(request)))
    response = await flight.engine.transport.send(request)
    # From here on the clock closes the response: a read that is woken by that can tell what happened.
    flight.clock.strike = response.close
    flight.arrive(response)
    if not 200 <= response.status < 300:
        raise flight.wire.failure(response.status, response.headers, await _error_body(flight, response))
    chunks: list[Chunk] | None = [] if call.stream else None
    decoder = flight.decoder = flight.wire.decoder(response.headers, flight.params)
    whole = await _first_content(flight, response, decoder, chunks)
    if not flight.lane.won():
        raise asyncio.CancelledError
    if call.stream:
        return ReplyReader(flight, chunks)
    # After a `[DONE]` the body still has an end to be read.
    return decoder.reply if whole and not decoder.done else await ReplyReader(flight, chunks).read()


async def _admitted(flight: RunningAttempt) -> Lease:
    """Wait until the policies let the attempt go. Raises `NotSent` when they do not, or not in time."""
    policies, call = flight.engine.policies, flight.call
    state, rank = policies.state_of(flight.step.model), policies.rank(flight.lane.cause, call.priority)
    while True:
        while hold := _hold(flight):  # nobody tells when a hold has grown longer
            await flight.engine.pause(hold)
        tokens = _tokens(call, flight) if state.limits.counts_tokens else 0.0
        if (lease := policies.lease_now(state, rank, tokens)) is not None:
            return lease
        if flight.lane.hedged:
            raise NotSent("a hedge does not wait for its turn")
        ticket = state.pacer.join(rank, tokens, flight.lane.silent_until, flight.lane.patience())
        try:
            await ticket.done
            held = _hold(flight)  # much may have happened since
        except BaseException:
            state.pacer.leave(ticket)
            raise
        if not held:
            return policies.lease_granted(state, ticket)
        state.pacer.leave(ticket)


def _hold(flight: RunningAttempt) -> float:
    """Seconds to wait before the model may be tried, 0 for none. Raises `NotSent`: why it is not tried at all now."""
    engine, model = flight.engine, flight.step.model
    if engine.closed:
        raise RouterClosed("the router was closed while the call was running")
    now = engine.loop.time()
    refusal = engine.policies.refusal(model, now)
    if refusal is not None and refusal.forcible and flight.lane.last():
        refusal = engine.policies.refusal(model, now, forced=True)
    if refusal is None:
        return 0.0
    if refusal.hold is None or not flight.lane.waits(refusal.hold):
        raise refusal.error()
    return refusal.hold


def _tokens(call: Call, flight: RunningAttempt) -> float:
    """About what this request will count for a limit of tokens; put right when its usage is known."""
    asked = flight.params.get("max_completion_tokens") or flight.params.get("max_tokens")
    return prompt_tokens(call) + (float(asked) if isinstance(asked, int | float) else USUAL_ANSWER)


def _silent_limit(flight: RunningAttempt, sent: float) -> tuple[float, ClockName]:
    """Until when this attempt may go without content, and the clock that says so."""
    step, lane, streams = flight.step, flight.lane, flight.streams
    until, word = hard_limit(flight)
    if lane.silent_until < until:
        until, word = lane.silent_until, "first_token" if streams else "total"
    if streams and step.first_token is not None and sent + step.first_token < until:
        until, word = sent + step.first_token, "first_token"
    return until, word


async def _first_content(
    flight: RunningAttempt, response: Response, decoder: Decoder, chunks: list[Chunk] | None
) -> bool:
    """Read until there is content; whether it is a whole answer already. Raises when there will be neither."""
    whole = False
    while not (decoder.content or whole):
        data = await response.read()
        flight.take(data, chunks)
        if not data or decoder.done:
            if (error := decoder.close()) is not None:
                raise error
            whole = True
    if not whole and (fired := flight.clock.fired) is not None:
        raise timed_out(flight, fired)  # the loop was late: content came in the turn in which the clock closed it
    if decoder.content:
        flight.attempt.first_content = flight.attempt.last_content = flight.now()
    return whole


async def _error_body(flight: RunningAttempt, response: Response) -> bytes:
    body = b""
    try:
        while len(body) < ERROR_BYTES and (data := await response.read()):
            body += data
    except ConnectionFailed:
        if flight.clock.fired is not None:
            raise  # otherwise the status has said enough
    return body[:ERROR_BYTES]


async def _accepted(flight: RunningAttempt, reply: Reply, task: asyncio.Task[object]) -> bool:
    """What the caller's `accept` says, under nothing but the deadline."""
    call, clock = flight.call, flight.clock
    assert call.accept is not None
    clock.fired = None  # it may have cut off what came after the end of the reply
    clock.strike = task.cancel
    clock.move(call.deadline, "deadline")
    passed = False
    try:
        verdict = call.accept(flight.dress(reply))
        return bool(await verdict if isinstance(verdict, Awaitable) else verdict)
    except asyncio.CancelledError:
        passed = True
        raise
    finally:
        if clock.fired is not None and not passed:
            task.uncancel()  # ours, and `accept` has kept it to itself
