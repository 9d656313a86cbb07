"""Haystack: a `FallbackChatGenerator` over `OpenAIChatGenerator`s, each with its default retries."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from _contender import KEY, Client, Job, main
from haystack.components.generators.chat import FallbackChatGenerator, OpenAIChatGenerator
from haystack.dataclasses import ChatMessage, StreamingChunk
from haystack.utils import Secret


@asynccontextmanager
async def contender(job: Job) -> AsyncIterator[Client]:
    chain = FallbackChatGenerator([
        OpenAIChatGenerator(Secret.from_token(KEY), model=model, api_base_url=job.base_url, timeout=job.timeout)
        for model in job.models
    ])

    async def chat(prompt: str) -> str:
        return (await chain.run_async([ChatMessage.from_user(prompt)]))["replies"][0].text or ""

    async def stream(prompt: str) -> AsyncIterator[str]:
        chunks: asyncio.Queue[str | None] = asyncio.Queue()

        async def take(chunk: StreamingChunk) -> None:
            chunks.put_nowait(chunk.content)

        call = asyncio.ensure_future(chain.run_async([ChatMessage.from_user(prompt)], streaming_callback=take))
        call.add_done_callback(lambda _: chunks.put_nowait(None))
        while (text := await chunks.get()) is not None:
            yield text
        await call

    yield Client(chat, stream)


if __name__ == "__main__":
    main(contender)
