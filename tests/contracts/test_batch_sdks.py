"""Contract with the vendors' SDKs: over a mock transport they ask for a batch as we do, and read the same answers.

Their parameter types drop unknown keys without a word, so what is compared is what they send: method, path, query and
body. What they read are the answers of our simulated vendors.
"""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import anthropic
import httpx
import httpx2
import openai
import orjson
import pytest
from google import genai
from openrouter import OpenRouter as OpenRouterClient

from asyncrouter import FileRequest, Request
from asyncrouter.batch._vendors.answer import Answer
from asyncrouter.batch._vendors.anthropic import Anthropic
from asyncrouter.batch._vendors.api import Group, Sent
from asyncrouter.batch._vendors.gemini import Gemini
from asyncrouter.batch._vendors.openai import OpenAI
from asyncrouter.batch._vendors.openrouter import OpenRouter
from asyncrouter.batch._vendors.place import Place
from asyncrouter.sim import Act, World

if TYPE_CHECKING:
    from pathlib import Path

    from asyncrouter.batch._vendors.answer import Steps

MESSAGES = [{"role": "user", "content": "Hi"}]
CHAT = {"model": "m", "messages": MESSAGES, "max_tokens": 5}
MARK = "asyncrouter-ab12-1"
NOT_COMPARED = re.compile(r"boundary=\S+|-{2,}[0-9a-zA-Z_-]+")
"""What each client draws for itself: the boundary of a form."""


class Desk:
    """A world's batch APIs behind whatever client asks; `sent` has method, path and query, and body of each request."""

    def __init__(self) -> None:
        self.world = World()
        self.world.model("m", Act(text="hello there"))
        self.batches = self.world.batches(takes=10.0)
        self.now = 0.0
        self.sent: list[tuple[str, str, object]] = []

    def respond(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Answer:
        parts = urlsplit(url)
        query = "&".join(f"{name}={value}" for name, value in sorted(parse_qsl(parts.query)) if name != "key")
        self.sent.append((method, f"{parts.path}?{query}" if query else parts.path, _plain(body)))
        request, play = self.world.begin(url, headers, body, self.now, method)
        self.world.end(request, self.now)
        data = b"".join(part.data for part in play.body)
        return Answer(play.status, play.headers, data)

    def run(self, steps: Steps[Any]) -> Any:
        """Carry out one of our operations."""
        try:
            request = next(steps)
            while True:
                request = steps.send(self.ask(request))
        except StopIteration as done:
            return done.value

    def ask(self, request: Request) -> Answer:
        body = request.body
        assert not isinstance(request, FileRequest) or request.headers["Content-Length"] == str(len(body))
        return self.respond(request.method, request.url, dict(request.headers), body)

    def mock(self, module: Any) -> Any:
        """A client of httpx or httpx2 whose requests come here."""

        def handle(request: Any) -> Any:
            answer = self.respond(request.method, str(request.url), dict(request.headers), request.read())
            return module.Response(answer.status, headers=dict(answer.headers), content=answer.body)

        return module.Client(transport=module.MockTransport(handle))

    def take(self) -> list[tuple[str, str, object]]:
        """What was sent since the last time."""
        sent, self.sent = self.sent, []
        return sent


@pytest.fixture
def desk() -> Desk:
    return Desk()


def place(url: str, path: str, **headers: str) -> Place:
    return Place(Request("POST", f"{url}{path}", headers, b""), path)


def lines_file(folder: Path, vendor: Any, path: str, body: dict[str, object], *ids: str) -> tuple[Path, Group]:
    """A file of lines in a vendor's form."""
    encoded = [vendor.encode(each, path, orjson.dumps(body)) for each in ids]
    form, file = vendor.form(encoded[0].group), folder / f"{MARK}.jsonl"
    file.write_bytes(form.before + form.between.join(one.line for one in encoded) + form.after)
    return file, encoded[0].group


def test_openai_s_sdk_sends_the_same_and_reads_our_vendor(desk: Desk, tmp_path: Path) -> None:
    """Upload, create, look, list, cancel, fetch, delete: the same requests, and every answer is read."""
    vendor, at = OpenAI(), place("http://sim.test/v1", "/chat/completions", Authorization="Bearer k")
    file, group = lines_file(tmp_path, vendor, "/v1/chat/completions", CHAT, "ab12-0", "ab12-1")
    sdk = openai.OpenAI(api_key="k", base_url="http://sim.test/v1", http_client=desk.mock(httpx2), max_retries=0)

    uploaded = desk.run(vendor.upload(at, Sent(MARK, group, 2, file, None, 0.0)))
    ours = desk.take()
    theirs_file = sdk.files.create(purpose="batch", file=(file.name, file.read_bytes(), "application/octet-stream"))
    assert desk.take() == ours

    batch = desk.run(vendor.create(at, Sent(MARK, group, 2, file, uploaded, 0.0)))
    ours = desk.take()
    made = sdk.batches.create(
        input_file_id=uploaded, endpoint="/v1/chat/completions", completion_window="24h",
        metadata={"asyncrouter": MARK},
    )
    assert desk.take() == ours

    desk.now = 200.0
    look = desk.run(vendor.look(at, batch))
    ours = desk.take()
    found = sdk.batches.retrieve(batch)
    assert desk.take() == ours
    assert (found.status, found.output_file_id, found.request_counts.completed) == (  # type: ignore[union-attr]
        look.word, look.outputs[0], look.counts["completed"]
    )

    [download] = vendor.downloads(at, batch, look.outputs)
    content = desk.ask(download).body
    ours = desk.take()
    assert sdk.files.content(look.outputs[0]).read() == content
    assert desk.take() == ours

    path = tmp_path / "results"
    path.write_bytes(content)
    assert [(one.id, one.status) for one in vendor.results(path)] == [("ab12-0", 200), ("ab12-1", 200)]

    listed = desk.run(vendor.find(at, Sent(MARK, group, 2, file, uploaded, 0.0), frozenset()))
    ours = desk.take()
    assert [one.id for one in sdk.batches.list(limit=100)] == [made.id, batch] or listed in {batch, made.id}
    assert desk.take() == ours

    desk.run(vendor.clean(at, batch, uploaded, ()))
    ours = desk.take()
    assert sdk.files.delete(theirs_file.id).deleted
    assert [(method, path.replace(theirs_file.id, uploaded), body) for method, path, body in desk.take()] == ours


def test_openai_s_sdk_cancels_as_we_do(desk: Desk, tmp_path: Path) -> None:
    """The cancellation is an empty POST, and the answer a batch that is being cancelled."""
    vendor, at = OpenAI(), place("http://sim.test/v1", "/chat/completions", Authorization="Bearer k")
    file, group = lines_file(tmp_path, vendor, "/v1/chat/completions", CHAT, "ab12-0")
    uploaded = desk.run(vendor.upload(at, Sent(MARK, group, 1, file, None, 0.0)))
    batch = desk.run(vendor.create(at, Sent(MARK, group, 1, file, uploaded, 0.0)))
    sdk = openai.OpenAI(api_key="k", base_url="http://sim.test/v1", http_client=desk.mock(httpx2), max_retries=0)
    desk.take()

    desk.run(vendor.cancel(at, batch))
    ours = desk.take()
    assert sdk.batches.cancel(batch).status == "cancelling"
    assert desk.take() == ours


def test_anthropic_s_sdk_sends_the_same_and_reads_our_vendor(desk: Desk, tmp_path: Path) -> None:
    """Create, look, list, cancel, results, delete: the same requests, and every answer is read."""
    headers = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
    vendor, at = Anthropic(), place("http://sim.test/v1", "/messages", **headers)
    file, group = lines_file(tmp_path, vendor, "/v1/messages", CHAT, "ab12-0", "ab12-1")
    sent = Sent(MARK, group, 2, file, None, 0.0)
    sdk = anthropic.Anthropic(api_key="k", base_url="http://sim.test", http_client=desk.mock(httpx2), max_retries=0)

    batch = desk.run(vendor.create(at, sent))
    ours = desk.take()
    made = sdk.messages.batches.create(
        requests=[{"custom_id": each, "params": CHAT} for each in ("ab12-0", "ab12-1")]  # type: ignore[typeddict-item]
    )
    assert desk.take() == ours
    assert (made.processing_status, made.request_counts.processing) == ("in_progress", 2)

    desk.run(vendor.cancel(at, made.id))
    ours = desk.take()
    assert sdk.messages.batches.cancel(made.id).processing_status == "canceling"
    assert desk.take() == ours

    desk.now = 700.0
    look = desk.run(vendor.look(at, batch))
    ours = desk.take()
    assert (sdk.messages.batches.retrieve(batch).processing_status, look.phase) == ("ended", "ended")
    assert desk.take() == ours

    [download] = vendor.downloads(at, batch, look.outputs)
    content = desk.ask(download).body
    ours = desk.take()
    path = tmp_path / "results"
    path.write_bytes(content)
    assert [(one.id, one.status) for one in vendor.results(path)] == [("ab12-0", 200), ("ab12-1", 200)]
    assert ours == [("GET", f"/v1/messages/batches/{batch}/results", "")]

    assert desk.run(vendor.find(at, sent, frozenset({made.id}))) == batch
    ours = desk.take()
    assert {one.id for one in sdk.messages.batches.list(limit=100)} == {made.id, batch}
    assert desk.take() == ours

    desk.run(vendor.clean(at, batch, None, ()))
    ours = desk.take()
    assert sdk.messages.batches.delete(made.id).id == made.id
    assert [(method, path.replace(made.id, batch), body) for method, path, body in desk.take()] == ours


def test_google_s_sdk_sends_the_same_and_reads_our_vendor(desk: Desk, tmp_path: Path) -> None:
    """Create, look, list, cancel, fetch, delete: the same paths and bodies, and every answer is read."""
    vendor = Gemini()
    at = place("http://sim.test/v1beta", "/models/m:generateContent", **{"x-goog-api-key": "k"})
    body: dict[str, object] = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    file, group = lines_file(tmp_path, vendor, "/v1beta/models/m:generateContent", body, "ab12-0", "ab12-1")
    uploaded = desk.run(vendor.upload(at, Sent(MARK, group, 2, file, None, 0.0)))
    ours = desk.take()
    sdk = genai.Client(api_key="k", http_options=genai.types.HttpOptions(
        base_url="http://sim.test", api_version="v1beta", httpx_client=desk.mock(httpx)
    ))

    theirs = sdk.files.upload(
        file=io.BytesIO(file.read_bytes()),
        config=genai.types.UploadFileConfig(display_name=MARK, mime_type="application/jsonl"),
    )
    assert theirs.name != uploaded
    assert desk.take() == [*((method, path, _in_snake_case(sent)) for method, path, sent in ours)]

    sent = Sent(MARK, group, 2, file, uploaded, 0.0)
    batch = desk.run(vendor.create(at, sent))
    ours = desk.take()
    made = sdk.batches.create(model="m", src=uploaded, config={"display_name": MARK})
    assert desk.take() == ours
    assert made.display_name == MARK

    desk.now = 200.0
    look = desk.run(vendor.look(at, batch))
    ours = desk.take()
    found = sdk.batches.get(name=batch)
    assert desk.take() == ours
    assert found.state is not None
    assert found.dest is not None
    assert (found.state.name, found.dest.file_name) == ("JOB_STATE_SUCCEEDED", look.outputs[0])

    [download] = vendor.downloads(at, batch, look.outputs)
    path = tmp_path / "results"
    path.write_bytes(desk.ask(download).body)
    [(_, address, _)] = desk.take()
    # As documented; the SDK leaves /download out.
    assert address == f"/download/v1beta/{look.outputs[0]}:download?alt=media"
    assert sdk.files.download(file=look.outputs[0]) == path.read_bytes()
    desk.take()
    assert [(one.id, one.status) for one in vendor.results(path)] == [("ab12-0", 200), ("ab12-1", 200)]

    desk.run(vendor.cancel(at, batch))
    ours = desk.take()
    sdk.batches.cancel(name=batch)
    assert [one[:2] for one in desk.take()] == [one[:2] for one in ours]

    desk.run(vendor.clean(at, batch, None, ()))
    ours = desk.take()
    sdk.batches.delete(name=made.name or "")
    assert [(method, path.replace(made.name or "", batch)) for method, path, _ in desk.take()] == [
        one[:2] for one in ours
    ]


def test_openrouter_s_sdk_sends_the_same_and_reads_our_vendor(desk: Desk, tmp_path: Path) -> None:
    """Create, look and delete: the same requests, with the rows last, and every answer is read."""
    vendor, at = OpenRouter(), place("http://sim.test/api/v1", "/chat/completions", Authorization="Bearer k")
    file, group = lines_file(tmp_path, vendor, "/api/v1/chat/completions", CHAT, "ab12-0")
    sent = Sent(MARK, group, 1, file, None, 0.0)
    sdk: Any = OpenRouterClient(api_key="k", server_url="http://sim.test/api/v1", client=desk.mock(_httpx_of_sdk()))

    batch = desk.run(vendor.create(at, sent))
    [(_, path, ours)] = desk.take()
    assert [*json.loads(file.read_text())][-1] == "requests"
    made = _created(sdk, CHAT)
    assert [(one[1], one[2]) for one in desk.take()] == [(path, ours)]
    assert made.status == "validating"

    desk.now = 200.0
    look = desk.run(vendor.look(at, batch))
    [sent_by_us] = desk.take()
    found = sdk.batch.get_batches(id=batch)
    assert desk.take() == [sent_by_us]
    assert (found.status, len(found.results)) == (look.word, 1)


def _created(sdk: Any, body: dict[str, object]) -> Any:
    request = {name: value for name, value in body.items() if name != "model"}
    return sdk.batch.create_batches(
        endpoint="/v1/chat/completions", model=body["model"], completion_window="24h",
        requests=[{"custom_id": "ab12-0", "body": request}],
    )


def _httpx_of_sdk() -> Any:
    """The httpx that OpenRouter's SDK is written for."""
    import openrouter.httpclient

    return openrouter.httpclient.httpx


def _in_snake_case(body: object) -> object:
    """A body with field names as Google's SDK writes them in an upload; the API takes both spellings."""
    if not isinstance(body, dict):
        return body
    return {re.sub("([A-Z])", r"_\1", name).lower(): _in_snake_case(value) for name, value in body.items()}


def _plain(body: bytes) -> object:
    """A body that can be compared: parsed JSON, or a form without its boundary."""
    try:
        return orjson.loads(body)
    except ValueError:
        return NOT_COMPARED.sub("BOUNDARY", body.decode())


