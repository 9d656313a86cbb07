"""The openai SDK on aiohttp (`openai[aiohttp]`), otherwise as in openai_sdk.py."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from _contender import KEY, Client, Job, main
from openai import AsyncOpenAI, DefaultAioHttpClient
from openai_sdk import chain_client


@asynccontextmanager
async def contender(job: Job) -> AsyncIterator[Client]:
    async with (
        DefaultAioHttpClient() as http,
        AsyncOpenAI(base_url=job.base_url, api_key=KEY, timeout=job.timeout, http_client=http) as client,
    ):
        yield chain_client(client, job)


if __name__ == "__main__":
    main(contender)
