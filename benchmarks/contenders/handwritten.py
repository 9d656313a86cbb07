"""What a careful engineer writes on aiohttp: each model twice at most, with jitter, the next one after that."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from _contender import KEY, Ask, Job, main

AGAIN = {408, 409, 429, 500, 502, 503, 504, 529}


@asynccontextmanager
async def contender(job: Job) -> AsyncIterator[Ask]:
    timeout = aiohttp.ClientTimeout(total=job.timeout, sock_connect=5.0)
    headers = {"Authorization": f"Bearer {KEY}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:

        async def once(model: str, prompt: str) -> str:
            body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
            async with session.post(f"{job.base_url}/chat/completions", json=body) as response:
                response.raise_for_status()
                text = (await response.json())["choices"][0]["message"]["content"]
                if not text:
                    raise ValueError("an empty answer")
                return str(text)

        async def ask(prompt: str) -> str:
            last: Exception | None = None
            for model in job.models:
                for pause in (random.uniform(0.0, 0.5), None):
                    try:
                        return await once(model, prompt)
                    except aiohttp.ClientResponseError as error:
                        last = error
                        if error.status not in AGAIN:
                            break
                    except TimeoutError as error:
                        last = error
                        break
                    except (aiohttp.ClientError, ValueError, KeyError) as error:
                        last = error
                    if pause is not None:
                        await asyncio.sleep(pause)
            assert last is not None
            raise last

        yield ask


if __name__ == "__main__":
    main(contender)
