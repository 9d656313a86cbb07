"""What a careful engineer writes on aiohttp: each model is tried twice at most, with jitter, then the next one."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import orjson
from _contender import KEY, Client, Job, main

RETRIED = {408, 409, 429, 500, 502, 503, 504, 529}


@asynccontextmanager
async def contender(job: Job) -> AsyncIterator[Client]:
    timeout = aiohttp.ClientTimeout(total=job.timeout, sock_connect=5.0)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    url = f"{job.base_url}/chat/completions"
    jar, connector = aiohttp.DummyCookieJar(), aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, headers=headers, cookie_jar=jar,
        skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
    ) as session:

        async def once(model: str, prompt: str) -> str:
            body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
            async with session.post(url, data=orjson.dumps(body)) as response:
                response.raise_for_status()
                text = orjson.loads(await response.read())["choices"][0]["message"]["content"]
                if not text:
                    raise ValueError("an empty answer")
                return str(text)

        async def chat(prompt: str) -> str:
            last: Exception | None = None
            for model in job.models:
                for pause in (random.uniform(0.0, 0.5), None):
                    try:
                        return await once(model, prompt)
                    except aiohttp.ClientResponseError as error:
                        last = error
                        if error.status not in RETRIED:
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

        async def stream(prompt: str) -> AsyncIterator[str]:
            """From the first model only: a fallback in the middle of a stream is left to the caller."""
            body = {"model": job.models[0], "messages": [{"role": "user", "content": prompt}], "stream": True}
            rest = b""
            async with session.post(url, data=orjson.dumps(body)) as response:
                response.raise_for_status()
                async for data in response.content.iter_any():
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        if line.startswith(b"data: ") and line != b"data: [DONE]":
                            choices = orjson.loads(line[6:])["choices"]
                            if choices and (word := choices[0]["delta"].get("content")):
                                yield word

        yield Client(chat, stream)


if __name__ == "__main__":
    main(contender)
