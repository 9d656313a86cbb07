"""TensorZero (discontinued in July 2026): its embedded gateway, in Rust; a model with two providers, tried in order."""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from _contender import KEY, Client, Job, main

# Both are read at import; without the second, every failure is logged.
os.environ |= {"CONTENDER_KEY": KEY, "RUST_LOG": "off"}

from tensorzero import AsyncTensorZeroGateway

CONFIG = """
[gateway]
observability.enabled = false

[models.chain]
routing = [{routing}]
"""
PROVIDER = """
[models.chain.providers."{model}"]
type = "openai"
model_name = "{model}"
api_base = "{base_url}/"
api_key_location = "env::CONTENDER_KEY"
timeouts = {{ non_streaming = {{ total_ms = {timeout} }} }}
"""


@asynccontextmanager
async def contender(job: Job) -> AsyncIterator[Client]:
    text = CONFIG.format(routing=", ".join(f'"{model}"' for model in job.models)) + "".join(
        PROVIDER.format(model=model, base_url=job.base_url, timeout=round(job.timeout * 1000)) for model in job.models
    )
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as config:
        config.write(text)
        config.flush()
        gateway = await AsyncTensorZeroGateway.build_embedded(config_file=config.name, async_setup=True)
    async with gateway:

        def arguments(prompt: str) -> dict[str, object]:
            return {"model_name": "chain", "input": {"messages": [{"role": "user", "content": prompt}]}}

        async def chat(prompt: str) -> str:
            return (await gateway.inference(**arguments(prompt))).content[0].text

        async def stream(prompt: str) -> AsyncIterator[str]:
            async for chunk in await gateway.inference(**arguments(prompt), stream=True):
                for block in chunk.content:
                    yield block.text

        yield Client(chat, stream)


if __name__ == "__main__":
    main(contender)
