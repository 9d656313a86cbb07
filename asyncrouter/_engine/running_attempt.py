"""One attempt in flight: it begins in a lane, is accounted for while it runs, and ends once, whoever ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._config.cost import estimate, price
from asyncrouter._credentials import secrets_in
from asyncrouter._errors import AttemptTimeout, BadReply, NotAccepted, NotSent, Unauthorized
from asyncrouter._events import AttemptEnded, AttemptStarted
from asyncrouter._types import Attempt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._engine.clock import Clock
    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.step_run import StepRun
    from asyncrouter._errors import AttemptError
    from asyncrouter._policies.lease import Lease
    from asyncrouter._transport.api import Request, Response
    from asyncrouter._types import Call, Chunk, Outcome, Reply, Trace
    from asyncrouter._wire.api import Decoder

_OUTCOMES: Mapping[type, Outcome] = {NotSent: "not_sent", NotAccepted: "not_accepted"}


class RunningAttempt:
    """One attempt from its place in the trace to its end."""

    __slots__ = (
        "attempt", "call", "clock", "credential", "decoder", "engine", "key", "lane", "lease", "params", "reply",
        "response", "sent_at", "size", "step", "streams", "trace", "wire",
    )

    def __init__(self, engine: Engine, call: Call, trace: Trace, lane: StepRun, clock: Clock) -> None:
        step = lane.step
        self.clock = clock
        self.engine = engine
        self.call = call
        self.trace = trace
        self.lane = lane
        self.step = step
        self.wire = engine.wires[step.model.provider]
        self.credential = engine.credentials[step.model.provider]
        self.params: Mapping[str, object] = {**call.params, **step.params} if step.params else call.params
        self.streams = call.stream or step.streams
        self.key: str | None = None
        self.size = 0
        self.sent_at: float | None = None
        self.lease: Lease | None = None
        self.response: Response | None = None
        self.decoder: Decoder | None = None
        self.reply: Reply | None = None
        self.attempt = Attempt(len(trace.attempts) + 1, step.name, step.model.provider, lane.cause)
        trace.attempts.append(self.attempt)
        lane.flight = self

    def __repr__(self) -> str:
        return f"<RunningAttempt {self.attempt.number} {self.attempt.model} {self.attempt.outcome or 'running'}>"

    def now(self) -> float:
        """Seconds since the call began."""
        return self.engine.loop.time() - self.call.began

    def depart(self, request: Request) -> float:
        """Note that the request is being sent; the instant of the loop's clock."""
        now, size = self.engine.loop.time(), len(request.body)
        assert self.lease is not None
        self.lease.mark_sent(now, size, self.step.total, streams=self.streams)
        self.sent_at = self.lane.sent_at = now
        self.lane.size = size
        self.lane.arbiter.sent(self.lane)
        self.attempt.sent = now - self.call.began
        if not self.engine.events.quiet:
            self.engine.events.emit(AttemptStarted(self.trace, self.attempt))
        return now

    def arrive(self, response: Response) -> None:
        """Note the headers."""
        attempt = self.attempt
        self.response = response
        attempt.status = response.status
        attempt.connected = response.connected_at - self.call.began
        attempt.request_id = self.wire.request_id(response.headers)
        assert self.lease is not None
        self.engine.policies.read_limits(self.lease.state, response.headers)

    def be_slow(self) -> None:
        """Note that another model would have been raced by now."""
        if self.lease is not None:
            self.lease.mark_slow(self.engine.loop.time())

    def fail(self, error: AttemptError) -> AttemptError:
        """End as failed (or never sent); the error, with everything a reader wants to know on it."""
        attempt = self.attempt
        error.model, error.provider = attempt.model, attempt.provider
        error.message = self._mask(error.message)
        unknown = isinstance(error, Unauthorized) and error.status != 403
        if unknown and self.key is not None and not self.call.headers:  # these may bring a key of their own
            error.message += f" (key of {attempt.provider} from {self.credential.origin})"
        error.args = (error.message,)
        if error.code is not None:
            error.code = self._mask(error.code)
        error.__traceback__ = None  # a kept trace would keep our frames alive
        error.request_id = error.request_id or attempt.request_id
        attempt.status = attempt.status or error.status
        if unknown and self.credential.renew(self.key):
            error.again = "quick"
        self.end(_OUTCOMES.get(type(error), "failed"), error)
        return error

    def answer(self, reply: Reply) -> Reply:
        """End as won; the reply, complete."""
        if self.reply is None:
            self.dress(reply)
        self.end("won")
        return reply

    def dress(self, reply: Reply) -> Reply:
        """The reply with what only the router knows on it."""
        self.reply = reply
        self._account()
        reply.model = self.attempt.model
        reply.cost_usd = self.attempt.cost_usd
        reply.trace = self.trace
        return reply

    def take(self, data: bytes, chunks: list[Chunk] | None) -> None:
        """Feed the decoder. Raises `BadReply` when it has become too much."""
        assert self.decoder is not None
        self.size += len(data)
        if self.size > self.step.max_response_bytes:
            raise BadReply(f"more than max_response_bytes = {self.step.max_response_bytes}")
        self.decoder.feed(data, chunks)

    def end(self, outcome: Outcome, error: AttemptError | None = None) -> None:
        """Settle everything this attempt holds; the first call counts."""
        attempt = self.attempt
        if attempt.outcome is not None:
            return
        now = self.engine.loop.time()
        self.clock.stop()
        self.lane.flight = None
        attempt.outcome = outcome
        attempt.error = error
        attempt.ended = now - self.call.began
        if self.response is not None:
            self.response.close()
        if attempt.sent is not None and self.reply is None:
            self._account()
        if self.lease is not None:
            renewed = error is not None and isinstance(error, Unauthorized) and error.again == "quick"
            first = attempt.first_content
            taken = None if first is None or attempt.sent is None else first - attempt.sent
            self.lease.end(now, outcome, None if renewed else error, taken, attempt.usage)
        if not self.engine.events.quiet:
            self.engine.events.emit(AttemptEnded(self.trace, attempt))

    def _mask(self, text: str) -> str:
        # The credential may hold another key by now.
        return self.credential.mask(text, self.key, *secrets_in(self.call.headers))

    def _account(self) -> None:
        attempt, decoder, model = self.attempt, self.decoder, self.step.model
        if decoder is not None:
            decoder.close()  # what has been read is all there will be
        reply = self.reply or (decoder.reply if decoder is not None else None)
        if decoder is not None and reply is not None and reply.usage is not None:
            attempt.usage = reply.usage
            told = decoder.cost_usd
            attempt.cost_usd = told if told is not None else price(model, reply.usage)
        elif self._billed():
            attempt.cost_usd = estimate(model, self.call, reply)
            attempt.cost_estimated = attempt.cost_usd is not None

    def _billed(self) -> bool:
        """Whether the provider may charge for an attempt that told no usage.

        It does not for an error response, nor for what never reached it.
        """
        if self.decoder is not None:
            return True
        error = self.attempt.error
        if error is None:
            return True
        return isinstance(error, AttemptTimeout) and error.clock != "connect"
