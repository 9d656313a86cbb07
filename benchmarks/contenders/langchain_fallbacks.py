"""LangChain: `ChatOpenAI(...).with_fallbacks([...])`, each with its default retries."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from _contender import KEY, Ask, Job, main
from langchain_openai import ChatOpenAI


@asynccontextmanager
async def contender(job: Job) -> AsyncIterator[Ask]:
    first, *others = [
        ChatOpenAI(model=model, base_url=job.base_url, api_key=KEY, timeout=job.timeout) for model in job.models
    ]
    chain = first.with_fallbacks(others)

    async def ask(prompt: str) -> str:
        return str((await chain.ainvoke(prompt)).content)

    yield ask


if __name__ == "__main__":
    main(contender)
