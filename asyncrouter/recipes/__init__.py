'''Recipes: a tool loop, a service with structured output, and the ways to Azure, Bedrock, Vertex AI and local servers.

This module is its text: `help("asyncrouter.recipes")`. Copy what you need; a test runs every block as it stands.

A tool loop
===========

The functions are async and called by name. What one raises goes back to the model, which may try again otherwise. The
number of rounds is limited, because a model may ask for tools without end.

```python
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from asyncrouter import Message, Reply, Router, tool_result

async def answer_with_tools(
    router: Router, history: list[Message], functions: Mapping[str, Callable[..., Awaitable[object]]],
    tools: Sequence[Mapping[str, object]], *, task: str = "default", rounds: int = 8,
) -> Reply:
    """The answer to a conversation, after as many rounds of tool calls as it takes. `history` grows."""
    for _ in range(rounds):
        reply = await router.chat(history, task=task, tools=tools)
        history.append(reply.message)
        if not reply.tool_calls:
            return reply
        for call in reply.tool_calls:
            name, arguments = call["function"]["name"], call["function"]["arguments"]
            value: object
            try:
                value = await functions[name](**json.loads(arguments))
            except Exception as error:  # also a function or an argument that does not exist
                value = error
            history.append(tool_result(call, value))
    raise RuntimeError(f"no answer within {rounds} rounds of tool calls")

async def weather(city: str) -> dict[str, object]:
    return {"city": city, "sky": "clear", "celsius": 21}

TOOLS: list[dict[str, object]] = [{"type": "function", "function": {
    "name": "weather", "description": "The weather in a city now.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}}]

async def main() -> None:
    history: list[Message] = [{"role": "user", "content": "What is the weather in Paris?"}]
    async with Router() as router:
        reply = await answer_with_tools(router, history, {"weather": weather}, TOOLS, task="fast")
        print(reply.text)
```

Add `response_format=` to `chat()` and the last answer is checked; those that only call tools pass.

Structured output with FastAPI
==============================

One router lives as long as the application. A client that leaves cancels its call, and with it the request to the
provider. Errors become statuses that a client can act upon: 504 the deadline passed, 429 rate limits everywhere (with
Retry-After), 400 every model rejected the request, 503 nothing could be sent, 502 anything else, such as answers that
do not fit; 422 is a prompt that the provider refuses. Texts of providers stay in the log.

```python
import asyncio
import math
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from asyncrouter import CallError, Refused, Router

T = TypeVar("T")

class Letter(BaseModel):
    text: str

class Invoice(BaseModel):
    number: str
    total: float

@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with Router() as app.state.router:
        yield

app = FastAPI(lifespan=lifespan)

async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled as soon as the client has left."""
    async def left() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task, watch = asyncio.create_task(work), asyncio.create_task(left())
    try:
        await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
    finally:
        watch.cancel()
        task.cancel()  # does nothing if it is done
        await asyncio.wait((task, watch))
    if task.cancelled():
        raise HTTPException(499)  # nobody reads it
    return task.result()

@app.post("/invoice")
async def invoice(letter: Letter, request: Request) -> Invoice:
    router: Router = request.app.state.router
    prompt = f"Find the invoice in this letter:\\n\\n{letter.text}"
    reply = await unless_gone(request, router.chat(prompt, task="fast", response_format=Invoice, deadline=20))
    found: Invoice = reply.parsed
    return found

@app.exception_handler(CallError)
async def call_failed(request: Request, error: CallError) -> JSONResponse:
    wait = error.retry_after
    headers = {} if wait is None else {"Retry-After": str(math.ceil(wait))}
    return JSONResponse({"detail": type(error).__name__}, error.http_status, headers)

@app.exception_handler(Refused)
async def refused(request: Request, error: Refused) -> JSONResponse:
    return JSONResponse({"detail": "the provider refuses this text"}, 422)
```

`help(asyncrouter.Router.stream)` has the route that streams to a browser.

Azure OpenAI
============

With `AZURE_OPENAI_ENDPOINT` (`https://RESOURCE.openai.azure.com`) and `AZURE_OPENAI_API_KEY` in the environment no
configuration is needed. What stands behind the colon is the name of the deployment, whatever model it is; the v1 API is
used, so there is no API version.

```python
async with Router() as router:
    reply = await router.chat("Say hello.", model="azure:my-deployment")
```

Two resources as one chain, with tokens of Microsoft Entra ID instead of keys: the function that gives them is called
again every five minutes, and after a 401. An entry has the model's limits and price, which the name of a deployment
does not tell.

```python
from azure.identity import DefaultAzureCredential, get_bearer_token_provider
from asyncrouter import Config, Model, Price, Provider, Router

token = get_bearer_token_provider(DefaultAzureCredential(), "https://ai.azure.com/.default")
config = Config(
    providers={
        "europe": Provider(base_url="https://eu.openai.azure.com/openai/v1", key=token),
        "america": Provider(base_url="https://us.openai.azure.com/openai/v1", key=token),
    },
    models={
        "gpt-eu": Model(provider="europe", id="my-deployment", usd_per_mtok=Price(input=0.25, output=2.0)),
        "gpt-us": Model(provider="america", id="my-deployment", usd_per_mtok=Price(input=0.25, output=2.0)),
    },
)
async with Router(config) as router:
    reply = await router.chat("Say hello.", chain=["gpt-eu", "gpt-us"])
```

Amazon Bedrock
==============

With an API key of Bedrock in `AWS_BEARER_TOKEN_BEDROCK` and the region in `AWS_REGION`. The names of the models are
Bedrock's own, as its console lists them.

```python
async with Router() as router:
    reply = await router.chat("Say hello.", model="bedrock:openai.gpt-oss-20b-1:0")
```

Google Vertex AI
================

An access token lives for an hour, so a service gives a function that renews it. For a first try it is enough to set
`GOOGLE_CLOUD_PROJECT`, `GOOGLE_CLOUD_LOCATION`, and `VERTEX_ACCESS_TOKEN` to what `gcloud auth print-access-token`
prints; the model is then `vertex:google/gemini-3-flash`.

```python
import google.auth
from google.auth.transport.requests import Request as TokenRequest
from asyncrouter import Config, Provider, Router

credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])

def token() -> str:
    credentials.refresh(TokenRequest())
    return str(credentials.token)

base = f"https://us-central1-aiplatform.googleapis.com/v1/projects/{project}/locations/us-central1/endpoints/openapi"
config = Config(default_provider="vertex", providers={"vertex": Provider(base_url=base, key=token)})
async with Router(config) as router:
    reply = await router.chat("Say hello.", model="google/gemini-3-flash")
```

Ollama, vLLM, LM Studio
=======================

On this machine, at their usual ports (11434, 8000, 1234), they need nothing but the name of a model that is loaded.
They cost nothing, so they make a good first step of a chain; the first answer of a cold model takes long, so give it
time.

```python
from asyncrouter import Step

async with Router() as router:
    await router.chat("Say hello.", model="ollama:llama3.2")
    await router.chat("Say hello.", model="vllm:Qwen/Qwen3-8B")
    await router.chat("Say hello.", model="lmstudio:qwen3-8b")
    local = Step("ollama:llama3.2", first_token=60)
    reply = await router.chat("Say hello.", chain=[local, "anthropic/claude-haiku-5.5"])
```

At another address, or behind a key, they are a provider of their own, here in a file:

```toml
[providers.gpu]
base_url = "http://gpu.lan:8000/v1"
key = "env:VLLM_API_KEY"

[models.qwen]
provider = "gpu"
id = "Qwen/Qwen3-8B"
context = 32768
usd_per_mtok = { input = 0.0, output = 0.0 }

[tasks.default]
models = ["qwen"]
```
'''
