"""asyncrouter: a chain with the same time for one try, no hedge; the other settings are the defaults."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from _contender import Asked, Job, main

from asyncrouter import Router


@asynccontextmanager
async def contender(job: Job, **task: object) -> AsyncIterator[Asked]:
    # Under load everybody gets one JSON body where the answer is wanted whole.
    wire = {} if job.kind == "day" else {"wire_stream": False}
    config = {
        "default_provider": "sim", "providers": {"sim": {"base_url": job.base_url}},
        "defaults": {"total": job.timeout, "deadline": job.patience, **wire},
        "tasks": {"default": {"models": job.models, **task}},
    }
    async with Router(config) as router:

        async def chat(prompt: str) -> str:
            return (await router.chat(prompt)).text

        async def stream(prompt: str) -> AsyncIterator[str]:
            async with router.stream(prompt) as reply:
                async for chunk in reply:
                    yield chunk.text

        yield Asked(chat, stream)


if __name__ == "__main__":
    main(contender)
