"""The openai SDK with its own retries (2, its default), and a loop over the models around it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from _contender import KEY, Ask, Job, main
from openai import AsyncOpenAI, OpenAIError


@asynccontextmanager
async def contender(job: Job) -> AsyncIterator[Ask]:
    async with AsyncOpenAI(base_url=job.base_url, api_key=KEY, timeout=job.timeout) as client:

        async def ask(prompt: str) -> str:
            for model in job.models:
                try:
                    done = await client.chat.completions.create(
                        model=model, messages=[{"role": "user", "content": prompt}]
                    )
                except OpenAIError:
                    if model == job.models[-1]:
                        raise
                else:
                    return done.choices[0].message.content or ""
            raise AssertionError("no models")

        yield ask


if __name__ == "__main__":
    main(contender)
