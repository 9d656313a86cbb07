"""asyncrouter: a chain without a hedge, with the same timeout for one try as the others; else default settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from _contender import Client, Job, main

from asyncrouter import Router


@asynccontextmanager
async def contender(job: Job, **task: object) -> AsyncIterator[Client]:
    # Under load every contender gets one JSON body where the whole answer is wanted.
    wire = {} if job.kind == "scenario" else {"wire_stream": False}
    config = {
        "default_provider": "sim", "providers": {"sim": {"base_url": job.base_url}},
        "defaults": {"total": job.timeout, "deadline": job.call_timeout, **wire},
        "tasks": {"default": {"models": job.models, **task}},
    }
    async with Router(config) as router:

        async def chat(prompt: str) -> str:
            return (await router.chat(prompt)).text

        async def stream(prompt: str) -> AsyncIterator[str]:
            async with router.stream(prompt) as reply:
                async for chunk in reply:
                    yield chunk.text

        yield Client(chat, stream)


if __name__ == "__main__":
    main(contender)
