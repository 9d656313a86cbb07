"""The part of `Router` that makes embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._config.arguments_embed import Texts, check_texts, new_embed_call, plan_of_one_model
from asyncrouter._config.arguments_headers import seal_headers
from asyncrouter._config.settings import NOT_GIVEN, NotGiven
from asyncrouter._credentials.secret import forget_locals
from asyncrouter._errors import ConfigError
from asyncrouter._router_base import RouterBase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._config.aliases import ChainLike, Headers, RetryLike
    from asyncrouter._config.catalog import Model
    from asyncrouter._embedding.result import Embeddings
    from asyncrouter._types import Priority


class EmbeddingRouter(RouterBase):
    """The part of `Router` that makes embeddings."""

    async def embed(
        self,
        texts: Texts,
        *,
        model: str | Model | None = None,
        task: str | None = None,
        chain: ChainLike | None = None,
        deadline: float | NotGiven | None = NOT_GIVEN,
        retry: RetryLike | NotGiven = NOT_GIVEN,
        connect: float | NotGiven | None = NOT_GIVEN,
        total: float | NotGiven | None = NOT_GIVEN,
        priority: Priority = "interactive",
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, object] | None = None,
        headers: Headers | None = None,
        **provider_params: object,
    ) -> Embeddings:
        """Turn texts into vectors (embeddings), with one model.

        ```python
        vectors = await router.embed(["a red fox", "a blue whale"], model="openai:text-embedding-3-small")
        print(len(vectors), vectors[0][:3], vectors.usage, vectors.cost_usd)
        ```

        - `texts`: one text, or any number; a text may also be a list of tokens. So many go into one request as its
          provider takes; several requests run at once, and one that turns out to be too long is halved.
        - `model`: a name or `Model`; or `task` or `chain`, which must come to one model: the vectors of two models
          cannot be compared. Providers of the wires "openai", "responses" and "gemini" have embeddings.
        - `deadline`, `retry`, `connect`, `total`, `priority`, `tags`, `params`, `headers`: as for `chat()`.
        - Any other keyword is a parameter for the provider: `dimensions=256`, `task_type="RETRIEVAL_QUERY"`.

        The vectors come in the order of the texts, all of one length: with `dimensions`, of that one. Limits, retries,
        costs, events and trace are those of `chat()`. Raises

        - `AllModelsFailed` or `DeadlineExceeded`, with the trace; where other requests of the call have been answered,
          `vectors` of the error has their vectors in place, and `None` for the rest;
        - `RouterClosed`; `ConfigError` for two models, or none; `TypeError` or `ValueError` for what cannot be sent.
        """
        sealed, headers = seal_headers(headers), None  # first: nothing that can raise holds them in plain text
        try:
            if model is task is chain is None:
                raise ConfigError("embed() has to name a model: model=, or a task= or chain= of one", "model")
            plan = plan_of_one_model(self._plan(
                task, None, chain, model, None, retry, connect, NOT_GIVEN, NOT_GIVEN, total, NOT_GIVEN, None
            ))
            messages = check_texts(texts)
            engine = self._life.open()
            call = new_embed_call(
                self.config, plan, engine.loop.time(), messages, deadline=deadline, priority=priority, tags=tags,
                params=params, headers=sealed, provider_params=provider_params,
                observed=not self._events.quiet,
            )
        except Exception as error:
            params, provider_params = None, {}  # a credential may stand among them, which is why this was raised
            forget_locals(error)
            raise
        del params, provider_params
        # As an open router's other parts, it is imported when the first call needs it.
        from asyncrouter._embedding.run import EmbedRun

        trace = self._begin(engine, call, plan, tags)
        try:
            vectors = await EmbedRun(self._life, engine, call, plan, trace).run()
        except BaseException as error:
            self._end(engine, call, trace, error)
            raise
        self._end(engine, call, trace, None)
        return vectors


EmbeddingRouter.embed.__qualname__ = "Router.embed"  # the name that a `TypeError` about its arguments has
