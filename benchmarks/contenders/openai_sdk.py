"""The openai SDK with its own retries (2, its default), and a loop over the models around it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from _contender import KEY, Client, Job, main
from openai import AsyncOpenAI, OpenAIError


def chain_client(client: AsyncOpenAI, job: Job) -> Client:
    """A loop over the models, with one client of the SDK."""

    async def chat(prompt: str) -> str:
        for model in job.models:
            try:
                done = await client.chat.completions.create(model=model, messages=[{"role": "user", "content": prompt}])
            except OpenAIError:
                if model == job.models[-1]:
                    raise
            else:
                return done.choices[0].message.content or ""
        raise AssertionError("no models")

    async def stream(prompt: str) -> AsyncIterator[str]:
        messages = [{"role": "user", "content": prompt}]
        async for chunk in await client.chat.completions.create(model=job.models[0], messages=messages, stream=True):
            if chunk.choices and (text := chunk.choices[0].delta.content):
                yield text

    return Client(chat, stream)


@asynccontextmanager
async def contender(job: Job) -> AsyncIterator[Client]:
    async with AsyncOpenAI(base_url=job.base_url, api_key=KEY, timeout=job.timeout) as client:
        yield chain_client(client, job)


if __name__ == "__main__":
    main(contender)
