"""pydantic-ai: an agent on a `FallbackModel`, over the openai SDK with its default retries."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from _contender import KEY, Client, Job, main
from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


@asynccontextmanager
async def contender(job: Job) -> AsyncIterator[Client]:
    async with AsyncOpenAI(base_url=job.base_url, api_key=KEY, timeout=job.timeout) as client:
        provider = OpenAIProvider(openai_client=client)
        agent = Agent(FallbackModel(*(OpenAIChatModel(model, provider=provider) for model in job.models)))

        async def chat(prompt: str) -> str:
            return (await agent.run(prompt)).output

        async def stream(prompt: str) -> AsyncIterator[str]:
            async with agent.run_stream(prompt) as reply:
                async for text in reply.stream_text(delta=True, debounce_by=None):
                    yield text

        yield Client(chat, stream)


if __name__ == "__main__":
    main(contender)
