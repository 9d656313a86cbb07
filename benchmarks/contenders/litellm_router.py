"""LiteLLM's Router with `fallbacks` and its default retries; its cool-down is on, as it is by default."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from _contender import KEY, Client, Job, main

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # otherwise the import fetches a file from the network

import litellm

litellm.suppress_debug_info = True
litellm.telemetry = False
logging.disable(logging.CRITICAL)


@asynccontextmanager
async def contender(job: Job) -> AsyncIterator[Client]:
    first, *others = job.models
    router = litellm.Router(
        model_list=[
            {"model_name": model, "litellm_params": {"model": f"openai/{model}", "api_base": job.base_url,
                                                     "api_key": KEY, "timeout": job.timeout}}
            for model in job.models
        ],
        fallbacks=[{first: others}],
    )

    async def chat(prompt: str) -> str:
        done = await router.acompletion(model=first, messages=[{"role": "user", "content": prompt}])
        return done.choices[0].message.content or ""

    async def stream(prompt: str) -> AsyncIterator[str]:
        messages = [{"role": "user", "content": prompt}]
        async for chunk in await router.acompletion(model=first, messages=messages, stream=True):
            yield chunk.choices[0].delta.content or ""

    yield Client(chat, stream)


if __name__ == "__main__":
    main(contender)
