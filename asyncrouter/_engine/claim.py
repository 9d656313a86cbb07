"""What an attempt asks of the limits of a model: a place among those who wait, and tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._config.tokens import prompt_tokens
from asyncrouter._engine.output_limit import output_limit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._config.plan import PlannedStep
    from asyncrouter._engine.engine import Engine
    from asyncrouter._policies.model_state import ModelState
    from asyncrouter._policies.pacing import Rank
    from asyncrouter._types import Call, Cause

USUAL_ANSWER_TOKENS = 500.0
"""Tokens that an answer is assumed to have when the caller set no maximum, for a provider's limit of tokens a minute.

The limit is corrected when the attempt ends and its usage is known.
"""

def claim(
    engine: Engine, call: Call, step: PlannedStep, params: Mapping[str, object], cause: Cause
) -> tuple[ModelState, Rank, float]:
    """What an attempt asks of whose limits: the model's state, its rank among those who wait, its tokens."""
    state = engine.policies.state_of(step.model)
    rank = engine.policies.rank(cause, call.priority)
    return state, rank, tokens_of(call, params) if state.limits.counts_tokens else 0.0


def tokens_of(call: Call, params: Mapping[str, object]) -> float:
    """About as many tokens as the request will count."""
    if call.embeds:
        return prompt_tokens(call)
    return prompt_tokens(call) + (output_limit(params) or USUAL_ANSWER_TOKENS)


def may_go_at_once(engine: Engine, call: Call, step: PlannedStep, now: float) -> bool:
    """Whether a hedge could be sent to a model now: nothing refuses it, nobody waits, and there are tokens for it."""
    params = {**call.params_for(step.model.provider), **step.params}
    _, rank, tokens = claim(engine, call, step, params, "hedge")
    return engine.policies.may_go_at_once(step.model, now, tokens, rank)
