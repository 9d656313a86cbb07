"""asyncrouter: the same chain with its adaptive hedge and the hedge's default budget."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from _contender import Asked, Job, main

from asyncrouter import Router


@asynccontextmanager
async def contender(job: Job) -> AsyncIterator[Asked]:
    config = {
        "default_provider": "sim", "providers": {"sim": {"base_url": job.base_url}},
        "defaults": {"total": job.timeout, "deadline": job.patience},
        "tasks": {"default": {"models": job.models, "hedge": {"after": "p95"}}},
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
