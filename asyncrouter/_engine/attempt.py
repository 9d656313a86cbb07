"""One attempt: wait for admission, send the request, read until the first content, check the whole answer.

Theory of operation
===================

An attempt is one HTTP request to one model. The coroutine `attempt()` carries it out in the task of its step run and
returns what came of it.

States:

    queued      The attempt is a `TraceEntry` and holds nothing. It waits for admission (`admission.py`), or, before
                that, for room on this machine (`local_room.py`): back in this state if the transport finds no room.
    sent        The attempt is a `SentAttempt`. It holds a lease (a slot, tokens, breaker permits), a clock and, from
                the headers on, a response (its connection) and a decoder.
    answering   The first content has come, and the race knows. For `chat()` the rest is read here, and another step
                may run beside it until its answer is whole. For `stream()` the caller gets a `ChunkReader`
                (`reading.py`), and `attempt()` is over.
    ended       The entry in the trace has its outcome, and everything held has been given back.

Who ends it. One plain call ends an attempt: `end()` of the entry or of the sent attempt. It never awaits, and only the
first call has an effect. `attempt()` calls it on success, failure and cancellation. The race calls it when another step
has won ("superseded") or the call is over ("cancelled"): from another task, while this coroutine is suspended at one of
its awaits. So a loser is settled before the winner goes on. The loser's own coroutine, when the cancellation reaches
it, finds nothing left to do.

Who may cancel. Three parties may cancel the task that runs an attempt:

    the caller    or a scope around the call. The attempt ends as "cancelled", and the `CancelledError` goes on. A hedge
                  runs in a task of its own, so the race cancels it for the caller.
    the race      It ends the attempt first, notes the outcome in `step_run.stopped`, and then cancels. The
                  `CancelledError` goes on to the race, which knows that it is its own.
    the clock     until the headers have come, and while `accept` runs. The cancellation is taken back here, as
                  `asyncio.timeout` does, and the attempt fails with an `AttemptTimeout`; unless somebody else has
                  cancelled as well. (The connect timeout is the transport's, not the clock's.)

While a body is read, the clock cancels nobody. It closes the response, the pending read raises `ConnectionFailed`, and
`clock.expired` says that this was a timeout.

At each await:

    room.wait()        Caller or race may cancel, or the deadline has come. No request was made.
    admit_later()      (at a pool `admit_to_pool()`) Caller or race may cancel. No request was made, and the place in a
                       queue is given back. It ends by itself when the step's share of the deadline does, at the latest.
    shared.ready()     Only with a store that is shared, and before the first attempt. Caller or race may cancel.
    reserve_cost()     Only with a budget. Caller or race may cancel. No request was made, and the lease is given back.
    transport.send()   Caller, race or clock may cancel. The transport gives up the connection.
    response.read()    Caller or race may cancel, and the clock may close the response; `end()` closes it in any case.
    fetch(), renew_key() Caller or race may cancel. A key function that runs goes on for the other calls. While a key is
                       renewed the attempt is sent; its slot has been given back.
    judging.take()     Caller, race or deadline may cancel: `accept` judges another answer.
    accept(reply)      Only the caller (of a hedge: the race, for the caller) or the deadline cancels; nobody else wins
                       meanwhile. If `accept` catches the deadline's cancellation and returns, its verdict counts.

Errors of the provider (`AttemptError`) are returned, never raised; so is an `OSError` of a transport. What is raised is
not the provider's doing: a cancellation, an exception of `accept`, a request that cannot be written, `RouterClosed`.
Such an exception is kept on the attempt, too.

Closing the router cancels what its transport waits for, such as a name look-up, and a transport of the caller's own may
wait for something that others cancel. A task then gets a `CancelledError` that nobody has asked for; its attempt has
failed. `accept` may raise one of its own, which goes on.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from asyncrouter._engine.accepting import judge
from asyncrouter._engine.admission import admit_later, admit_now, reserve_cost
from asyncrouter._engine.answer_check import check_answer
from asyncrouter._engine.local_room import MAX_WAIT_SECONDS, OUT_OF_ROOM
from asyncrouter._engine.pool_admission import admit_to_pool_later, admit_to_pool_now, fetch_key
from asyncrouter._engine.reading import GIVEN_UP, ChunkReader, ReplyReader
from asyncrouter._engine.sent_attempt import FORBIDDEN, SentAttempt
from asyncrouter._engine.step_run import request_kind
from asyncrouter._engine.timeouts import lost, timeout_error, wait_longer
from asyncrouter._engine.trace_entry import TraceEntry
from asyncrouter._errors import AttemptError, ConnectionFailed, NotSent, Unauthorized
from asyncrouter._events import Notice

if TYPE_CHECKING:

    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.step_run import StepRun
    from asyncrouter._errors import ClockName
    from asyncrouter._policies.lease import Lease
    from asyncrouter._transport.api import Response
    from asyncrouter._types import Call, Chunk, Reply, Trace
    from asyncrouter._wire.api import Decoder

ERROR_BODY_SECONDS = 1.0
"""Seconds given to the body of an error response. It comes with its headers, or something is wrong with the server."""
MAX_ERROR_BYTES = 65_536
"""Bytes of an error response that are read at most. What is wrong stands at the beginning of an error response."""


async def attempt(engine: Engine, call: Call, trace: Trace, step_run: StepRun) -> Reply | ChunkReader | AttemptError:
    """Make one attempt and return what came of it.

    A `Reply` is whole and accepted, and its attempt has ended; so has that of an error. A `ChunkReader` (for a caller
    that reads a stream) has won the race, and its attempt goes on in the caller's hands.
    """
    queued = None if step_run.ticket is None else step_run.ticket.joined
    entry = step_run.attempt = TraceEntry(engine, call, trace, step_run.step, step_run.cause, queued)
    if step_run.beside is not None and step_run.cause == step_run.beside.cause:
        entry.attempt.why = step_run.beside.why
    no_room: AttemptError | None = None
    waits_since: float | None = None  # for room on this machine; waiting for admission in between is not counted
    while True:
        try:
            if no_room is not None or engine.room.waiting:
                step_run.leave_queue()
                waits_since = engine.time() if waits_since is None else waits_since
                await _wait_for_room(entry, step_run, no_room, waits_since)
            if engine.shared is not None and not engine.shared.opened:
                await engine.shared.ready()
            if (pool := step_run.pool) is not None and step_run.member is None:
                lease = admit_to_pool_now(pool, step_run) or await admit_to_pool_later(pool, step_run)
                credential = engine.credentials[step_run.step.model.provider]
                if credential.due(engine.time()) and not step_run.own_key:
                    await fetch_key(credential, engine, step_run, lease)
            else:
                credential, now = engine.credentials[step_run.step.model.provider], engine.time()
                if credential.due(now) and not step_run.own_key:
                    await credential.fetch(step_run.silent_until - now)  # a turn that has been granted is kept
                if (found := admit_now(engine, call, step_run)) is None:
                    began = engine.time()
                    found = await admit_later(engine, call, step_run)
                    waits_since = None if waits_since is None else waits_since + engine.time() - began
                lease = found
            if engine.spending is not None:
                await reserve_cost(engine.spending, entry, step_run, lease)
            sent = step_run.attempt = _prepare(entry, step_run, lease)
        except AttemptError as error:
            return entry.fail(error)
        except asyncio.CancelledError:
            entry.end(step_run.stopped or "cancelled")
            raise
        except BaseException as error:
            entry.end("failed", entry.note_raised(error))
            raise
        finally:
            if step_run.ticket is not None:  # it has not been used
                step_run.leave_queue()
        result = await _run(sent, step_run)
        if not isinstance(result, AttemptError) or entry.attempt.outcome is not None:
            return result
        no_room, step_run.attempt = result, entry


async def _wait_for_room(
    entry: TraceEntry, step_run: StepRun, no_room: AttemptError | None, since: float
) -> None:
    """Wait until there may be room on this machine for the attempt, which waits for it since the instant `since`.

    Raises `no_room` when that takes too long: without a deadline `MAX_WAIT_SECONDS`, and no second time in a call.
    A hedge does not wait, but gives way: raises `NotSent`.
    """
    if step_run.hedged:
        raise NotSent("a hedge does not wait for room on this machine", hold=0.0)
    engine, call, began = entry.engine, entry.call, entry.engine.time()
    until = call.deadline
    if not call.deadline_given:
        waited = any(one.scope == "local" and one.sent is None for one in entry.trace.attempts)
        until = min(until, began if waited else since + MAX_WAIT_SECONDS)
    if no_room is not None:
        engine.events.notice(Notice("this machine", OUT_OF_ROOM), entry.trace)
    if until <= began or not await engine.room.wait(until, again=no_room is not None):
        if no_room is not None:
            no_room.again = "never"
            raise no_room
        return  # others wait, this one has not tried yet
    step_run.delay(engine.time() - began, call.deadline)


def _prepare(entry: TraceEntry, step_run: StepRun, lease: Lease) -> SentAttempt:
    """The attempt with its key and its request. If either cannot be had, that is raised and the lease given back."""
    engine, call, step = entry.engine, entry.call, entry.step
    provider = step.model.provider
    try:
        key = None if step_run.own_key else engine.credentials[provider].get()
        own = engine.embeddings_of(step.provider) if call.embeds else engine.wires[provider]
        wire = own.for_call(call, step.model, step_run.params)
        request = wire.encode(
            call, step.model, step_run.params, key, stream=step_run.streams, connect=step.connect
        )
        step_run.streams = step_run.streams and wire.streams(request)
        for told in wire.adaptations(step.model, step_run.params, request) if step_run.params else ():
            engine.events.notice(Notice(step.name, f"{step.name}: {told}"), entry.trace)
    except BaseException as error:
        lease.end(engine.time(), "not_sent")
        if isinstance(error, TypeError | ValueError) and any(one.sent is not None for one in entry.trace.attempts):
            # Another API has taken the arguments, so it is too late to refuse them: only this model cannot be asked.
            raise NotSent(f"the request cannot be written for it: {error}") from None
        raise
    return SentAttempt(entry, lease, wire, key, request, step_run.answer_until)


async def _run(sent: SentAttempt, step_run: StepRun) -> Reply | ChunkReader | AttemptError:
    """Carry out an attempt that has been admitted, and end it."""
    call = sent.entry.call
    accept, parse = call.accept, call.parse
    try:
        try:
            answer = await _reach(sent, step_run)
        except AttemptError as error:
            if sent.clock.expired is not None and isinstance(error, ConnectionFailed):  # the clock closed it
                return sent.fail(timeout_error(sent, sent.clock.expired))
            error = sent.judge(error)
            if isinstance(error, Unauthorized) and error.status != FORBIDDEN and not step_run.own_key:
                await sent.renew_key(error, step_run.silent_until)
            return _failed(sent, step_run, error)
        except (OSError, EOFError) as error:
            return _failed(sent, step_run, lost(sent, error))
        if isinstance(answer, ChunkReader):
            return answer
        if parse is not None and (misfit := check_answer(parse, sent.complete(answer))) is not None:
            return sent.fail(misfit)
        if accept is not None and (refusal := await judge(sent, step_run, accept, answer)) is not None:
            return sent.fail(refusal)
        if step_run.race.raced and not step_run.race.take_win(step_run):  # as at its first content
            raise asyncio.CancelledError
        return sent.win(answer)
    except asyncio.CancelledError:
        expired = sent.clock.expired
        if expired is not None and sent.clock.take_back_cancel():
            return sent.fail(timeout_error(sent, expired))
        if sent.reply is None and step_run.stopped is None and not sent.clock.was_cancelled():
            return sent.fail(ConnectionFailed("the router was closed" if sent.engine.closed else GIVEN_UP))
        sent.end(step_run.stopped or "cancelled")
        raise
    except BaseException as error:
        sent.end("failed", sent.entry.note_raised(error))
        raise


def _failed(sent: SentAttempt, step_run: StepRun, error: AttemptError) -> AttemptError:
    """End the attempt because of `error`; or, if there was no room to send it, put it back into the queue."""
    if error.scope != "local" or sent.response is not None or error.again == "never" or sent.engine.closed:
        return sent.fail(error)
    if sent.attempt.outcome is None:
        sent.withdraw()
        step_run.sent_at = None  # so it is not late
    return error


async def _reach(sent: SentAttempt, step_run: StepRun) -> Reply | ChunkReader:
    """Send and read: the whole answer for `chat()`; for `stream()` a reader that begins with its first content."""
    _send(sent, step_run)
    response = await sent.engine.transport.send(sent.request)
    sent.clock.watch_response(response)
    sent.mark_headers(response)
    if not 200 <= response.status < 300:
        raise sent.wire.failure(response.status, response.headers, await _error_body(sent, response))
    decoder = sent.decoder = sent.wire.decoder(response.headers, step_run.params)
    chunks: list[Chunk] | None = [] if sent.entry.call.stream else None
    whole = await _first_content(sent, response, decoder, chunks)
    if not step_run.race.won(step_run):
        # The race has cancelled this task before. Only a transport that swallowed the cancellation leads here.
        raise asyncio.CancelledError
    if chunks is not None:
        return ChunkReader(sent, response, decoder, chunks)
    if whole and not decoder.done:
        return decoder.reply
    step_run.race.reading(sent)
    # After a `[DONE]` the body still has an end to be read.
    return await ReplyReader(sent, response, decoder, step_run).read()


def _send(sent: SentAttempt, step_run: StepRun) -> None:
    """Note everywhere that the request is sent now, and start the clock."""
    now, size = sent.sent_at, len(sent.request.body)
    sent.lease.mark_sent(now, size, sent.step.total, streams=step_run.streams, kind=request_kind(step_run.params))
    step_run.sent_at, step_run.size, step_run.is_whole = now, size, False
    step_run.race.sent(step_run, sent)
    sent.entry.mark_sent(now)
    sent.clock.restart(*_silent_limit(sent, step_run, 0.0), partial(_limit_reached, sent, step_run))


def _limit_reached(sent: SentAttempt, step_run: StepRun) -> bool:
    """Called when the limit for the first content comes due: whether it is reached.

    It comes later by the time for which the program has blocked the loop: perhaps the request is written only now.
    """
    blocked, moved = sent.add_blocked_time(), False
    until, limit_name = _silent_limit(sent, step_run, blocked)
    own = limit_name == "first_token" and until < step_run.silent_until and until <= sent.engine.time()
    if own and (moved := wait_longer(sent, limit_name, step_run, blocked)):
        until, limit_name = _silent_limit(sent, step_run, blocked)
    if not (moved or blocked > 0.0) or until <= sent.engine.time():
        return True
    sent.clock.restart(until, limit_name, partial(_limit_reached, sent, step_run))
    return False


def _silent_limit(sent: SentAttempt, step_run: StepRun, blocked: float) -> tuple[float, ClockName]:
    """Until when this attempt may go without content, and the name of that limit; `blocked` seconds do not count."""
    until, limit_name = sent.hard_limit
    if step_run.silent_until < until:
        until, limit_name = step_run.silent_until, "first_token" if step_run.streams else "total"
    first_token = sent.moved or sent.step.first_token
    if step_run.streams and first_token is not None and sent.sent_at + first_token + blocked < until:
        until, limit_name = sent.sent_at + first_token + blocked, "first_token"
    return until, limit_name


async def _first_content(sent: SentAttempt, response: Response, decoder: Decoder, chunks: list[Chunk] | None) -> bool:
    """Read until there is content; whether that is the whole answer already. Raises when the body ends without one."""
    whole = False
    while not (decoder.content or whole):
        if data := await response.read():
            sent.feed(decoder, data, chunks)
        if not data or decoder.done:
            if (error := decoder.close()) is not None:
                raise error
            whole = True
    if not whole and (expired := sent.clock.expired) is not None:
        # The loop was late: the content arrived in the same turn of the loop in which the clock closed the response.
        raise timeout_error(sent, expired)
    if decoder.content:
        sent.mark_first_content()
    return whole


async def _error_body(sent: SentAttempt, response: Response) -> bytes:
    """The body of an error response, as far as it comes within `ERROR_BODY_SECONDS`.

    The status has said enough: a body that breaks off, or does not end, changes nothing about the error.
    """
    body, sooner = b"", sent.engine.time() + ERROR_BODY_SECONDS < sent.hard_limit[0]
    if sooner:
        sent.clock.restart(sent.engine.time() + ERROR_BODY_SECONDS, "total")
    try:
        while len(body) < MAX_ERROR_BYTES and (data := await response.read()):
            body += data
    except (ConnectionFailed, OSError, EOFError):
        if sent.clock.expired is not None and not sooner:
            raise  # the time of the attempt itself is up
    sent.clock.stop()
    return body[:MAX_ERROR_BYTES]
