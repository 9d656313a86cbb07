"""Planning one response: which bytes an act sends to a request, and when. Pure; both fronts send just this.

What is random is drawn when the plan is made, but for the gaps and cuts of a stream, which are drawn as it is read.
"""

from __future__ import annotations

import gzip
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asyncrouter.sim._anthropic import AnthropicEncoder
from asyncrouter.sim._bodies import Scene, TimedBytes, buffered_body, streamed_body
from asyncrouter.sim._embeddings import EMBEDDERS
from asyncrouter.sim._encoder import HTML_PAGE
from asyncrouter.sim._gemini import GeminiEncoder
from asyncrouter.sim._oddities import SPLITTING, ended_after, split, with_oddities
from asyncrouter.sim._openai import OpenAIEncoder
from asyncrouter.sim._responses import ResponsesEncoder
from asyncrouter.sim._retry_after import in_headers
from asyncrouter.sim.act import CONNECT_FAULTS, Act
from asyncrouter.sim.distributions import draw

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from random import Random

    from asyncrouter.sim._bodies import Ending
    from asyncrouter.sim._encoder import Encoder
    from asyncrouter.sim._request import Wire
    from asyncrouter.sim._request_log import LoggedRequest

STREAM, JSON, HTML = "text/event-stream; charset=utf-8", "application/json", "text/html; charset=utf-8"
"""The values of Content-Type."""
ENCODERS: Mapping[Wire, type[Encoder]] = {
    "openai": OpenAIEncoder, "responses": ResponsesEncoder, "anthropic": AnthropicEncoder, "gemini": GeminiEncoder,
}
"""The encoder of each wire."""


@dataclass(slots=True)
class Play:
    """The plan of one response. Times are in seconds, `inf` is never.

    `connect` is how long the connection takes; `connect_fault` is how it fails then, `None` if it does not. The other
    times count from then on. The headers come at `headers_at`, or the connection is lost then (`headers_fault`). `body`
    are the bytes after the headers; if it runs out without an ending, silence follows. A body without a Content-Length
    is chunked. With `separate_pieces` each of its parts is written, and read, by itself.

    `encoder` is the model's, `None` where the response is no answer of a model. `contents` is how many contents the
    model generates by `generated_at` when the client does not stop it.
    """

    connect: float = 0.0
    connect_fault: str | None = None
    headers_at: float = 0.0
    headers_fault: Ending | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Iterator[TimedBytes] = field(default_factory=lambda: iter(()))
    separate_pieces: bool = False
    encoder: Encoder | None = None
    contents: int = 0
    generated_at: float = 0.0


def plan(act: Act, request: LoggedRequest, random: Random) -> Play:
    """Plan the response to a request."""
    connect = draw(act.connect, random, request.body)
    if act.fault in CONNECT_FAULTS:
        return Play(connect, connect_fault=act.fault)
    if act.at == "connect":
        return Play(math.inf)
    headers_after = None if act.headers_after is None else draw(act.headers_after, random, request.body)
    encoders = EMBEDDERS if request.embeds else ENCODERS
    scene = Scene(encoders[request.wire](act, request), request, random)
    if act.at == "headers":
        at = math.inf if act.fault == "hang" else headers_after or 0.0
        fault: Ending | None = "reset" if act.fault == "reset" else "cut" if act.fault == "cut" else None
        play = Play(connect, None, at, fault)
    else:
        play = _response(act, scene, random, connect, headers_after)
    if scene.encoder.status == 200 and act.body is None and act.fault != "html":
        play.encoder, play.contents = scene.encoder, scene.contents
        if act.deaf:
            play.generated_at = scene.end_at()
    return play


def json_response(status: int, body: bytes) -> Play:
    """A JSON response at once, for requests that no model answers."""
    headers = {"content-type": JSON, "content-length": f"{len(body)}"}
    return Play(status=status, headers=headers, body=iter((TimedBytes(0.0, body), TimedBytes(0.0, ending="end"))))


def _response(act: Act, scene: Scene, random: Random, connect: float, headers_after: float | None) -> Play:
    encoder = scene.encoder
    length: int | None = None
    body: Iterable[TimedBytes]
    if encoder.streaming and act.body is None and act.fault != "html":
        content_type = "text/plain" if "as_text" in act.sse else JSON if "as_json" in act.sse else STREAM
        headers_at = headers_after or 0.0
        body = streamed_body(scene, headers_at)
        if act.sse:
            body = with_oddities(body, act.sse)
    else:
        stream = encoder.streaming or (encoder.asked_for_stream and encoder.status == 200 and "one_body" in act.sse)
        content_type = HTML if act.fault == "html" else STREAM if stream else JSON
        headers_at, body, length = buffered_body(scene, _given_body(act, encoder), headers_after)
    headers = {"content-type": content_type}
    if encoder.id_header is not None:
        headers[encoder.id_header] = f"req-{encoder.number}"
    if act.fault == "gzip_cut":
        body, length = _cut_gzip(body)
        headers["content-encoding"] = "gzip"
    if act.byte is not None and act.fault is not None:
        body = ended_after(body, act.byte, act.fault)
    separate_pieces = not SPLITTING.isdisjoint(act.sse)
    if separate_pieces:
        body = split(body, act.sse, random)
    if length is not None:
        headers["content-length"] = f"{length}"
    if act.retry_after is not None:
        headers |= in_headers(act, encoder.wire)
    if act.headers:
        headers |= {name.lower(): value for name, value in act.headers.items()}
    return Play(connect, None, headers_at, None, encoder.status, headers, iter(body), separate_pieces)


def _given_body(act: Act, encoder: Encoder) -> bytes | None:
    """The body that an act sends in the place of a model's answer, `None` where it sends the answer."""
    if act.body is not None:
        return act.body
    if act.fault == "html":
        return HTML_PAGE
    return encoder.error_body() if encoder.status != 200 else None


def _cut_gzip(body: Iterable[TimedBytes]) -> tuple[list[TimedBytes], int]:
    """The first half of a compressed body, which ends as if it were whole; and its length."""
    parts = list(body)
    at, contents = parts[-1].at, sum(part.contents for part in parts)
    # A constant mtime: the same seed gives the same bytes.
    packed = gzip.compress(b"".join(part.data for part in parts), mtime=0)
    half = packed[: len(packed) // 2]
    return [TimedBytes(at, half, contents), TimedBytes(at, ending="end")], len(half)
