"""The names of OpenTelemetry's conventions for generative AI: the latest ones and older ones, in one table each.

Both are "Development" and move; most back ends read the older ones. Which are used, the official switch says:
`OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental`. Latest: semantic-conventions-genai 0.1.0 (2026-11); older:
semantic-conventions 1.36.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

SWITCH: Final = "OTEL_SEMCONV_STABILITY_OPT_IN"
_LATEST: Final = "gen_ai_latest_experimental"

OPERATION: Final = "gen_ai.operation.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_ID: Final = "gen_ai.response.id"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
ERROR: Final = "error.type"
STATUS: Final = "http.response.status_code"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105  # tokens of texts

SECONDS_BUCKETS: Final = tuple(0.01 * 2**step for step in range(14))
"""The buckets of histograms of seconds, as the conventions have them: 0.01 to 81.92."""
TOKEN_BUCKETS: Final = tuple(4**step for step in range(14))
"""The buckets of histograms of tokens, as the older conventions have them: 1 to 67,108,864."""
LOG_TRACE_ID: Final = "otelTraceID"
"""The attribute of log records in which OpenTelemetry's instrumentation of `logging` puts a trace's id."""


class SemanticNames(NamedTuple):
    """Names that differ between the versions of the conventions. `None`: that version has none.

    - `provider`: the attribute that names the provider.
    - `first_chunk_attribute`: of spans: seconds until the first content.
    - `usage`: attributes of spans, by the field of `Usage`.
    - `duration`, `first_chunk`: histograms of seconds.
    - `token_usage`: a histogram of tokens of each type; `token_counters`: a counter by the field of `Usage`.
    """

    provider: str
    first_chunk_attribute: str | None
    usage: Mapping[str, str]
    duration: str
    first_chunk: str | None
    token_usage: str | None
    token_counters: Mapping[str, str]


LATEST: Final = SemanticNames(
    provider="gen_ai.provider.name",
    first_chunk_attribute="gen_ai.response.time_to_first_chunk",
    usage={
        "input_tokens": "gen_ai.usage.input_tokens", "output_tokens": "gen_ai.usage.output_tokens",
        "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
        "cache_write_tokens": "gen_ai.usage.cache_write.input_tokens",
        "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    },
    duration="gen_ai.client.inference.duration",
    first_chunk="gen_ai.client.inference.time_to_first_chunk",
    token_usage=None,
    token_counters={
        "input_tokens": "gen_ai.client.inference.usage.input_tokens",
        "output_tokens": "gen_ai.client.inference.usage.output_tokens",
        "cached_tokens": "gen_ai.client.inference.usage.cache_read.input_tokens",
        "cache_write_tokens": "gen_ai.client.inference.usage.cache_write.input_tokens",
        "reasoning_tokens": "gen_ai.client.inference.usage.reasoning.output_tokens",
    },
)
OLDER: Final = SemanticNames(
    provider="gen_ai.system",
    first_chunk_attribute=None,
    usage={"input_tokens": "gen_ai.usage.input_tokens", "output_tokens": "gen_ai.usage.output_tokens"},
    duration="gen_ai.client.operation.duration",
    first_chunk=None,
    token_usage="gen_ai.client.token.usage",  # noqa: S106  # tokens of texts
    token_counters={},
)

PROVIDERS: Final[Mapping[str, str]] = {
    "gemini": "gcp.gemini", "vertex": "gcp.vertex_ai", "mistral": "mistral_ai", "xai": "x_ai",
    "bedrock": "aws.bedrock", "azure": "azure.ai.openai",
}
"""The conventions' names of providers that have another one here."""


def semantic_names() -> SemanticNames:
    """The names that the official switch in the environment asks for."""
    return LATEST if _LATEST in os.environ.get(SWITCH, "").replace(" ", "").split(",") else OLDER
