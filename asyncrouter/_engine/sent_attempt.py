"""An attempt from the sending of its request on: its response, its cost, the new key after a 401, and its one end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from asyncrouter._config.cost import cost_of, estimate
from asyncrouter._config.secret_names import is_key_header
from asyncrouter._config.tokens import prompt_tokens
from asyncrouter._engine.clock import Clock
from asyncrouter._engine.failure import warn_unknown_end
from asyncrouter._engine.trace_entry import outcome_of
from asyncrouter._errors import (
    AttemptError,
    AttemptTimeout,
    BadReply,
    ConnectionFailed,
    ContextTooLong,
    Unauthorized,
)
from asyncrouter._policies.memory import WORD, Answer

if TYPE_CHECKING:
    from asyncrouter._credentials.secret import Secret
    from asyncrouter._engine.trace_entry import TraceEntry
    from asyncrouter._errors import ClockName
    from asyncrouter._policies.lease import Lease
    from asyncrouter._transport.api import Request, Response
    from asyncrouter._types import Chunk, Outcome, Reply
    from asyncrouter._wire.api import Decoder, Wire

MAX_BLOCKED_SHARE = 0.1
"""Share of an attempt's time for which the program may have blocked the event loop, so that it still says something
about the model."""
FORBIDDEN = 403
"""The status of a key that is valid, but not allowed to do this: another one is no use."""
GAVE_UP = 408
"""The status of a server that has waited too long for the rest of a request."""
NO_ANSWER = Answer(0, 0.0, 0.0)
"""An answer of which nothing has come."""


class SentAttempt:
    """An attempt that the policies have admitted: it has a lease, a key, a request and a clock from the beginning.

    It knows nothing of the race it runs in. `response` and `decoder` are set when the headers have come, `reply` when
    a whole answer is complete. `end()` releases everything, once, whoever calls it.

    `hard_limit` is the instant of the loop's clock by which the answer must be whole, and the name of that limit. The
    time for which the program has blocked the loop before the first content does not count towards the step's `total`:
    the request may have been written only after that.
    """

    __slots__ = (
        "answer_until", "apart", "attempt", "blocked_before", "clock", "content_at", "decoder", "engine", "entry",
        "first_size", "hard_limit", "key", "lease", "longest", "moved", "received", "reply", "request", "response",
        "sent_at", "shared_clock", "step", "untaken", "wire",
    )

    def __init__(
        self, entry: TraceEntry, lease: Lease, wire: Wire, key: Secret | None, request: Request, answer_until: float
    ) -> None:
        engine, step = entry.engine, entry.step
        self.entry = entry
        self.engine = engine
        self.step = step
        self.attempt = entry.attempt
        self.lease = lease
        self.key = key
        self.request = request
        self.wire = wire
        self.clock = Clock(engine.timers, engine.loop)
        self.sent_at = engine.time()
        self.blocked_before = engine.timers.blocked(self.sent_at)
        self.answer_until = answer_until
        self.hard_limit = _hard_limit(self.sent_at, step.total, answer_until, entry.call.deadline)
        self.received = 0
        self.moved: float | None = None  # seconds of an "auto" limit that has been reached, and is longer now
        self.content_at = 0.0  # the instant of the last content
        self.longest = 0.0  # seconds of the longest silence between two contents
        self.first_size = 0  # characters of the first content
        self.apart = 0.0  # characters of the content after the longest silence
        self.untaken = False  # the caller of a stream has not read at once what had come
        self.shared_clock = False  # the clock that fired was the deadline, or the step's share of it
        self.response: Response | None = None
        self.decoder: Decoder | None = None
        self.reply: Reply | None = None

    def __repr__(self) -> str:
        return f"<SentAttempt {self.attempt.number} {self.attempt.model} {self.attempt.outcome or 'running'}>"

    def mark_headers(self, response: Response) -> None:
        """The headers of the response are there."""
        attempt = self.attempt
        self.response = response
        attempt.status = response.status
        attempt.connected = response.connected_at - self.entry.call.began
        attempt.request_id = self.wire.request_id(response.headers)
        self.entry.keep_headers(response.headers, self.key)
        if not self.lease.own_key:  # else the limits are those of the caller's account
            self.engine.policies.read_limits(self.lease.state, response.headers)

    def feed(self, decoder: Decoder, data: bytes, chunks: list[Chunk] | None) -> None:
        """Decode the next bytes of the body. Raises `BadReply` when the body has become too long."""
        self.received += len(data)
        if self.received > self.step.max_response_bytes:
            error = BadReply(f"more than max_response_bytes = {self.step.max_response_bytes}")
            error.scope = "call"  # the limit is the caller's
            raise error
        decoder.feed(data, chunks)

    def mark_first_content(self) -> None:
        """The first content has come; how long that took is learned, unless the program has blocked the loop."""
        now = self.engine.time()
        self.content_at = now
        self.first_size = 0 if self.decoder is None else self.decoder.characters
        attempt = self.attempt
        attempt.first_content = attempt.last_content = now - self.entry.call.began
        if (blocked := self.engine.timers.blocked(now)) > self.blocked_before:
            self.lease.untimed = self._was_blocked(now, blocked)
            self.add_blocked_time()
        self.lease.began(now - self.sent_at, now)

    def add_blocked_time(self) -> float:
        """Seconds for which the loop has been blocked since the request was sent; the `hard_limit` is that much later.
        """
        blocked = self.blocked_time()
        if blocked > 0.0:
            begun = self.sent_at + blocked
            self.hard_limit = _hard_limit(begun, self.step.total, self.answer_until, self.entry.call.deadline)
        return blocked

    def blocked_time(self) -> float:
        """Seconds for which the loop has been blocked since the request was sent."""
        return self.engine.timers.blocked(self.engine.time()) - self.blocked_before

    def answer(self, now: float) -> Answer:
        """Its contents as far as they have come, and how they came."""
        first, decoder, last = self.attempt.first_content, self.decoder, self.content_at
        if decoder is None or first is None:
            return NO_ANSWER
        contents, characters = decoder.content, decoder.characters
        flowing = size = characters / WORD / contents
        rest = characters - self.first_size - self.apart
        if rest >= contents - 2 > 0:  # else most have come together with the first, or after the longest silence
            flowing = rest / WORD / (contents - 2)
        return Answer(contents, last - self.entry.call.began - first, self.longest, now - last, size, flowing)

    def was_blocked(self, now: float) -> bool:
        """Whether the program has blocked the loop for much of the time until now."""
        return self._was_blocked(now, self.engine.timers.blocked(now))

    def _was_blocked(self, now: float, blocked: float) -> bool:
        """Whether the program has blocked the loop for much of the time since the request was sent.

        `blocked` are the seconds for which the loop has been blocked until the instant `now`, since the router opened.
        """
        blocked -= self.blocked_before
        return blocked > 0.0 and blocked > MAX_BLOCKED_SHARE * (now - self.sent_at)

    def _silent_until(self, error: AttemptError | None, now: float) -> tuple[float, float]:
        """The instant at which a limit was reached, or else `now`; for how long the loop had been blocked then."""
        clock = self.clock
        if clock.expired is not None and isinstance(error, AttemptTimeout):
            return clock.expired_at, clock.blocked
        return now, self.engine.timers.blocked(now)

    def complete(self, reply: Reply) -> Reply:
        """Put on the reply what only the router knows: its model here, its cost and its trace."""
        self.reply = reply
        self._account()
        reply.model = self.attempt.model
        reply.cost_usd = self.attempt.cost_usd
        reply.trace = self.entry.trace
        if reply.finish_reason == "other":
            warn_unknown_end(self.engine, self.step, reply)
        return reply

    def give_back_lease(self) -> None:
        """Give back slot, permits and connection: the answer is whole, whatever its caller makes of it."""
        if self.response is not None:
            self.response.close()
        self.lease.end(self.engine.time(), "won", None, self.attempt.usage, answer=self._judged_answer())

    def _judged_answer(self, now: float | None = None) -> Answer | None:
        """What its contents teach; `None` where a slow reader of the stream has set their pace.

        `now`: when it was cut off; `None`: it is whole.
        """
        if self.untaken or self.attempt.first_content is None:
            return None
        return self.answer(self.content_at if now is None else now)

    # The end.

    def win(self, reply: Reply) -> Reply:
        """End as won; the reply, complete."""
        if self.reply is None:
            self.complete(reply)
        self.end("won")
        return reply

    def judge(self, error: AttemptError) -> AttemptError:
        """The error of a response beside its request: without quotes of it, and with its size."""
        error = self.wire.reconsider(error, self.request)
        limit = error.tokens_a_minute
        if limit is None or prompt_tokens(self.entry.call) <= limit:
            return error
        return ContextTooLong(error.message, status=error.status, code=error.code, request_id=error.request_id)

    def fail(self, error: AttemptError) -> AttemptError:
        """End because of `error`; the error with everything a reader needs on it."""
        hint = ""
        if isinstance(error, Unauthorized) and error.status != FORBIDDEN and self.key is not None:
            origin = self.engine.credentials[self.step.model.provider].origin
            hint = f" (key of {self.attempt.provider} from {origin})"
        self.entry.complete_error(error, self.key, hint)
        self.end(outcome_of(error), error)
        return error

    async def renew_key(self, error: Unauthorized, until: float) -> None:
        """Read the key again that was turned down, by the instant `until`; with another one, `error` may be retried."""
        self.clock.stop()
        self.lease.release(billed=False)
        credential, now = self.engine.credentials[self.step.model.provider], self.engine.time()
        if await credential.renew(self.key, self.sent_at, until - now):
            error.again = "quick"

    def withdraw(self) -> None:
        """Give everything back as if it had never been admitted: there was no room on this machine to send it."""
        self.clock.stop()
        self.lease.withdraw()
        self.entry.cancel_reservation()
        self.attempt.sent = None

    def end(self, outcome: Outcome, error: AttemptError | None = None) -> None:
        """Stop the clock, close the response, count the cost, give the lease back. Only the first call has an effect.

        It never awaits, so it can be called from a timer or from another task.
        """
        attempt, now = self.attempt, self.engine.time()
        if not self.entry.settle(outcome, error, now):
            return
        answer = None
        if attempt.first_content is not None and self.lease.streams:
            attempt.last_content = self.content_at - self.entry.call.began
            answer = self._judged_answer(None if outcome == "won" else now)
        if attempt.first_content is None or error is not None:
            self._excuse(error, now)  # before the clock stops, and with it the watch on the loop
        self.clock.stop()
        if self.response is not None:
            self.response.close()
        if self.reply is None:
            self._account()
        if self.entry.reserved is not None:
            self.entry.reserved.settle(attempt)
        renewed = isinstance(error, Unauthorized) and error.again == "quick"
        if error is None or renewed:
            self.lease.end(now, outcome, None, attempt.usage, answer=answer)
        else:
            self._end_failed(now, outcome, error, answer)
        if self.entry.call.observed:
            self.entry.announce_end(self.reply)
        if self.engine.room.waiting:
            self.engine.room.freed()

    def _excuse(self, error: AttemptError | None, now: float) -> None:
        """If the program has blocked the loop meanwhile, let silence teach nothing, and blame nobody for `error`."""
        if not self._was_blocked(*self._silent_until(error, now)):
            return
        if self.attempt.first_content is None:
            self.lease.untimed = True
        lost = isinstance(error, AttemptTimeout | ConnectionFailed) or (error is not None and error.status == GAVE_UP)
        if error is not None and lost and error.scope is None:
            error.scope = "local"

    def _end_failed(self, now: float, outcome: Outcome, error: AttemptError, answer: Answer | None) -> None:
        """Give the lease back with all that decides whose fault the error is."""
        attempt, step = self.attempt, self.step
        silence, clock_of_call = 0.0, True
        if isinstance(error, AttemptTimeout):
            since = self.sent_at if attempt.first_content is None else self.content_at
            idle = self.moved or step.idle or 0.0
            silence = idle if error.clock == "idle" else self._silent_until(error, now)[0] - since
            clock_of_call = self.shared_clock or step.clocks_of_call
        self.lease.end(
            now, outcome, error, attempt.usage, answer=answer,
            asked=self._asked(), silence=silence, clock_of_call=clock_of_call, billed=self._billed(),
        )
        attempt.scope = error.scope

    def _asked(self) -> int:
        """A hash of what the caller asks for: the same for all tries of a call, and for the same call made again.

        The request is not: it names the model, a step may add parameters, and the wire streams or does not. Where the
        caller brings a key of its own it is a hash of that: whatever one account asks for, it is one observation.
        """
        call = self.entry.call
        if self.lease.own_key:
            headers = call.headers_for(self.attempt.provider)
            return hash(frozenset(value for name, value in headers.items() if is_key_header(name)))
        try:
            return hash(orjson.dumps((call.messages, call.params_for(self.attempt.provider))))
        except TypeError:  # what only the wire can write
            return hash(self.request.body)

    def _account(self) -> None:
        """Enter the usage and the cost: what the provider says, else an estimate. Counts of nothing at all say nothing.
        """
        attempt, decoder, model = self.attempt, self.decoder, self.step.model
        reply = self.reply
        if reply is None and decoder is not None:
            decoder.close()  # what has been read is all there will be
            reply = decoder.reply
        usage = None if decoder is None or reply is None else reply.usage
        if usage is not None and (usage.input_tokens or usage.output_tokens):
            attempt.usage = usage
        if decoder is not None and decoder.cost_usd is not None:
            attempt.cost_usd = decoder.cost_usd
        elif attempt.usage is not None:
            attempt.cost_usd, attempt.cost_estimated = cost_of(model, attempt.usage)
        elif self._billed():
            attempt.cost_usd = estimate(model, self.entry.call, reply)
            attempt.cost_estimated = attempt.cost_usd is not None

    def _billed(self) -> bool:
        """Whether the provider may charge for an attempt without a usage report.

        It does not for an error response, nor for a request that never reached it.
        """
        if self.decoder is not None:
            return True
        error = self.attempt.error
        if error is None:
            return True
        if type(error) is AttemptError:  # what was raised says nothing about the request
            return True
        return isinstance(error, AttemptTimeout) and error.clock != "connect"


def _hard_limit(
    sent_at: float, total: float | None, answer_until: float, deadline: float
) -> tuple[float, ClockName]:
    until = answer_until if total is None else min(answer_until, sent_at + total)
    return (until, "total") if until < deadline else (deadline, "deadline")
