"""asyncrouter: a chain with the same time for one try, no hedge; the other settings are the defaults."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from _contender import Ask, Job, main

from asyncrouter import Router


@asynccontextmanager
async def contender(job: Job) -> AsyncIterator[Ask]:
    config = {
        "default_provider": "sim", "providers": {"sim": {"base_url": job.base_url}},
        "defaults": {"total": job.timeout, "deadline": job.patience}, "tasks": {"default": {"models": job.models}},
    }
    async with Router(config) as router:

        async def ask(prompt: str) -> str:
            return (await router.chat(prompt)).text

        yield ask


if __name__ == "__main__":
    main(contender)
