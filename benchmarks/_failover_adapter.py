"""asyncrouter as a system of Failover Bench: an adapter that works in its `failoverbench/adapters/` as it stands."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from failoverbench.adapters.base import Adapter, CallResult  # of the bench's repository

from asyncrouter import Reply, Router, RouterError

if TYPE_CHECKING:
    from asyncrouter import Usage


class AsyncRouterAdapter(Adapter):
    """One router for all scenarios. The parameters are the keys of `[defaults]`: `total`, `idle`, `retry` …"""

    name = "asyncrouter"
    capabilities: ClassVar = {"fallback": True, "streaming": True}

    async def start(self) -> None:
        self._router = Router({
            "default_provider": "wall",
            "providers": {"wall": {"base_url": f"{self.wall_base}/v1"}},
            "defaults": self.params,
            "tasks": {"default": {"models": ["fb-ok"]}},
        })

    async def complete(
        self, primary: str, fallback: str | None, stream: bool, messages: list[dict[str, Any]], deadline_s: float
    ) -> CallResult:
        """One call. `deadline_s`, the bench's own limit, is not told to the router, as it is not to the others."""
        chain = [primary, *([fallback] if fallback else [])]
        call = self._read if stream else self._chat
        began = time.monotonic()
        first: list[float] = []
        try:
            text, reply = await call(messages, chain, first)
        except RouterError as error:
            result = CallResult(ok=False, error=f"{type(error).__name__}: {str(error)[:300]}")
        else:
            result = CallResult(ok=True, content=text, reported_model=reply.model, usage=_usage(reply.usage))
        result.elapsed_s = round(time.monotonic() - began, 3)
        result.ttft_s = round(first[0] - began, 3) if first else None
        return result

    async def close(self) -> None:
        await self._router.aclose()

    async def _chat(self, messages: list[dict[str, Any]], chain: list[str], first: list[float]) -> tuple[str, Reply]:
        reply = await self._router.chat(messages, chain=chain)
        first.append(time.monotonic())
        return reply.text, reply

    async def _read(self, messages: list[dict[str, Any]], chain: list[str], first: list[float]) -> tuple[str, Reply]:
        """The text as a reader has it who drops what came before a restart."""
        parts: list[str] = []
        async with self._router.stream(messages, chain=chain, on_interrupt="restart") as stream:
            async for chunk in stream:
                if chunk.restart:
                    parts.clear()
                if chunk.text and not parts:
                    first.append(time.monotonic())
                parts.append(chunk.text)
            return "".join(parts), stream.reply


def _usage(usage: Usage | None) -> dict[str, int] | None:
    if usage is None:
        return None
    return {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens}
