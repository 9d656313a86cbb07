"""The hand-written client: what a careful engineer writes on aiohttp without a library. It is the baseline.

One session, no limit on connections, no cookie jar, orjson, server-sent events split by hand; no checks, no retries.
"""

from __future__ import annotations

import aiohttp
import orjson

HEADERS = {"Authorization": "Bearer secret", "Content-Type": "application/json"}


def open_session() -> aiohttp.ClientSession:
    """The session, with aiohttp's own timeouts."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=HEADERS,
        skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
    )


async def chat(session: aiohttp.ClientSession, url: str, body: dict[str, object]) -> str:
    """The text of a buffered completion."""
    async with session.post(url, data=orjson.dumps(body)) as response:
        completion = orjson.loads(await response.read())
        text: str = completion["choices"][0]["message"]["content"]
    return text


async def stream(session: aiohttp.ClientSession, url: str, body: dict[str, object]) -> str:
    """The text of a streamed completion, joined as it comes."""
    words: list[str] = []
    rest = b""
    async with session.post(url, data=orjson.dumps(body)) as response:
        async for data in response.content.iter_any():
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if line.startswith(b"data: ") and line != b"data: [DONE]":
                    choices = orjson.loads(line[6:])["choices"]
                    if choices and (word := choices[0]["delta"].get("content")):
                        words.append(word)
    return "".join(words)
