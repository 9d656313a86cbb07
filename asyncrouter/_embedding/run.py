"""Carries out a call for embeddings: one race for each part, some at once, and one result.

Theory of operation
===================

A part is a call of its own, over the same steps, under the same deadline: it is queued, paced, retried and recorded as
any other. Its attempts stand in a trace of its own, so that what one part does changes nothing of another's retries; at
the end they all stand in the trace of the call, in the order in which they began.

A single part, the usual case, runs in the caller's task. Several run in up to `PARTS_AT_ONCE` tasks of a group, each
of which takes the next part until none is left. A part that was refused because it is too long is halved, and its
halves are the next ones; what that says about the provider's limits is learned.

When a part fails, no further one begins. Those that are under way are finished, because they will be paid for, and the
error carries all vectors that are done. A cancelled caller cancels every part.
"""

from __future__ import annotations

from asyncio import TaskGroup
from collections import deque
from operator import attrgetter
from typing import TYPE_CHECKING, Final, cast

from asyncrouter._embedding.parts import Part, split
from asyncrouter._embedding.result import Embeddings
from asyncrouter._errors import AllModelsFailed, CallError
from asyncrouter._types import Trace, Usage
from asyncrouter._wire.embeddings.limits import may_fit_in_two

if TYPE_CHECKING:
    from asyncrouter._config.plan import Plan
    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.lifecycle import Lifecycle
    from asyncrouter._types import Attempt, Call
    from asyncrouter._wire.embeddings.decoder import VectorsReply

PARTS_AT_ONCE: Final = 8
"""Requests of one call that run at once; a model's own limits may let fewer run."""


class EmbedRun:
    """One call for embeddings while it runs. `replies` are those of the parts that are done, by their first text."""

    __slots__ = ("_call", "_engine", "_failure", "_life", "_parts", "_plan", "_replies", "_trace", "_traces")

    def __init__(self, life: Lifecycle, engine: Engine, call: Call, plan: Plan, trace: Trace) -> None:
        self._life = life
        self._engine = engine
        self._call = call
        self._plan = plan
        self._trace = trace
        self._traces: list[Trace] = []
        self._parts: deque[Part] = deque()
        self._replies: dict[int, VectorsReply] = {}
        self._failure: Exception | None = None

    def __repr__(self) -> str:
        return f"<EmbedRun {len(self._replies)} parts done, {len(self._parts)} to go>"

    async def run(self) -> Embeddings:
        """The vectors of all texts. Raises `CallError`, with those that are done; or what is no provider's doing."""
        wire, model = self._engine.embeddings_of(self._plan.steps[0].provider), self._plan.steps[0].model
        self._parts.extend(split(Part(0, self._call.messages), wire.limits(model)))
        try:
            if len(self._parts) == 1:
                await self._work()
            else:
                async with TaskGroup() as group:
                    for _ in range(min(PARTS_AT_ONCE, len(self._parts))):
                        group.create_task(self._work())
        finally:
            self._merge_traces()
        if self._failure is not None:
            raise self._told(self._failure)
        return self._result()

    async def _work(self) -> None:
        """Take one part after the other until none is left, or one has failed."""
        wire, model = self._engine.embeddings_of(self._plan.steps[0].provider), self._plan.steps[0].model
        while self._parts and self._failure is None:
            part, *others = split(self._parts.popleft(), wire.limits(model))
            self._parts.extendleft(reversed(others))
            try:
                self._replies[part.start] = await self._ask(part)
            except CallError as error:
                if (last := error.last) is None or len(part.messages) == 1 or not may_fit_in_two(last):
                    self._failure = self._failure or error
                    return
                wire.learn_limits(model, last, len(part.messages))
                self._parts.extendleft(reversed(part.halves()))
            except Exception as error:
                self._failure = self._failure or error
                return

    async def _ask(self, part: Part) -> VectorsReply:
        trace = Trace(self._trace.task, self._trace.started, tags=self._trace.tags, id=self._trace.id)
        self._traces.append(trace)
        call = self._call._replace(messages=part.messages)
        return cast("VectorsReply", await self._life.race(self._engine, call, self._plan, trace).run())

    # The end.

    def _merge_traces(self) -> None:
        began: attrgetter[float] = attrgetter("queued")
        attempts: list[Attempt] = sorted((one for trace in self._traces for one in trace.attempts), key=began)
        for number, attempt in enumerate(attempts, 1):
            attempt.number = number
        self._trace.attempts[:] = attempts

    def _vectors(self) -> list[list[float] | None]:
        """The vectors that are done, in the places of their texts."""
        vectors: list[list[float] | None] = [None] * len(self._call.messages)
        for start, reply in self._replies.items():
            vectors[start : start + len(reply.vectors)] = reply.vectors
        return vectors

    def _told(self, failure: Exception) -> Exception:
        """The error of a part as that of the call."""
        if isinstance(failure, CallError):
            failure.trace = self._trace
            if self._replies:
                failure.vectors = vectors = self._vectors()
                done = sum(vector is not None for vector in vectors)
                failure.message += f" ({done} of {len(vectors)} texts are done: `vectors` of this error)"
                failure.args = (failure.message,)
        return failure

    def _result(self) -> Embeddings:
        replies = [reply for _, reply in sorted(self._replies.items())]
        vectors = [vector for reply in replies for vector in reply.vectors]
        lengths = sorted({len(vector) for vector in vectors})
        if len(lengths) > 1:
            raise AllModelsFailed(
                f"the parts of the call have come back in {lengths[0]} and {lengths[-1]} dimensions: the provider has "
                "answered with two models", self._trace,
            )
        costs = [reply.cost_usd for reply in replies]
        return Embeddings(
            vectors, replies[0].model, replies[0].served_model, _total([reply.usage for reply in replies]),
            None if None in costs else sum(cost for cost in costs if cost is not None), self._trace,
        )


def _total(usages: list[Usage | None]) -> Usage | None:
    """The tokens of all parts; `None` if those of one are not known."""
    if len(usages) == 1 or usages[0] is None:
        return usages[0]
    total = Usage(0, 0, service_tier=usages[0].service_tier)
    for usage in usages:
        if usage is None:
            return None
        total.input_tokens += usage.input_tokens
        total.output_tokens += usage.output_tokens
        total.cached_tokens += usage.cached_tokens
    return total
