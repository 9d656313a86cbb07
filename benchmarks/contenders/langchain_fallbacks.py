"""LangChain: `ChatOpenAI(...).with_fallbacks([...])`, each with its default retries."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from _contender import KEY, Client, Job, main
from langchain_openai import ChatOpenAI


@asynccontextmanager
async def contender(job: Job) -> AsyncIterator[Client]:
    first, *others = [
        ChatOpenAI(model=model, base_url=job.base_url, api_key=KEY, timeout=job.timeout) for model in job.models
    ]
    chain = first.with_fallbacks(others)

    async def chat(prompt: str) -> str:
        return str((await chain.ainvoke(prompt)).content)

    async def stream(prompt: str) -> AsyncIterator[str]:
        async for chunk in chain.astream(prompt):
            yield str(chunk.content)

    yield Client(chat, stream)


if __name__ == "__main__":
    main(contender)
