"""Invariants of blame: what one request, one caller's key or one caller's clock has met is remembered for nobody.

A model or key may be disabled by definite words of its provider. Where these leave it open, it takes three requests in
a row with different bodies that have met the same, one after the other, with no answer between.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from .expected_holds import KEY_OUT, LONGEST
from .fault_kinds import PROMPTS
from .own_troubles import TENANT

if TYPE_CHECKING:
    from collections.abc import Callable

    from .checks import FinishedRun, MatchedAttempt

NEAR = 1e-9
IN_A_ROW = 3
SAME_BODY = 30.0
"""Seconds after which the same body may count again."""
OUT_KINDS = frozenset({"404_prompt", "402_prompt", "403_prompt"})
"""Failures that disable a model or a key once it is clear that they are not about one request."""
REMEMBERED = "disabled for", "the key of"
CALLS_OWN = frozenset({"401", "402", "403", "404", "429", "429_money", "402_soon"})
"""What is the call's own where it came with a key of its own."""


def nobody_pays_for_another(run: FinishedRun) -> None:
    """A model or key is disabled only by definite words, or by three different requests in a row."""
    if not run.record.has_listener:
        return  # nobody has the traces of calls that were cancelled: what they have met counts, too
    doubts = {name: _proven(run, name) for name in run.config.models}
    for one in run.tries:
        told = getattr(one.attempt.error, "message", "")
        if one.attempt.outcome != "not_sent" or not any(words in told for words in REMEMBERED):
            continue
        provider = run.scenario.models[one.attempt.model].provider
        definite = run.world.expected.was_out(provider, one.attempt.model, one.ended)
        of_provider = [name for name, model in run.scenario.models.items() if model.provider == provider]
        names = of_provider if "the key of" in told else [one.attempt.model]
        if not definite and not any(at - NEAR <= one.ended < at + LONGEST for name in names for at in doubts[name]):
            run.flag("blame", f"{one} at {one.ended!r}: {told}")


def three_are_enough(run: FinishedRun) -> None:
    """What three different requests have met, one after the other and nothing else between, is out for a minute."""
    for name, profile in run.scenario.models.items():
        for at, kind in _beyond_doubt(run, name):
            of_key = kind == "402_prompt"
            if of_key and run.world.expected.was_held(profile.provider, name, -inf, at - NEAR):
                continue  # its key may be disabled already, and not for a minute more
            for exchange in run.record.exchanges:
                ours = exchange.provider == profile.provider if of_key else exchange.model == name
                if ours and at + NEAR < exchange.at < at + KEY_OUT and not exchange.key.startswith(TENANT):
                    run.flag("in doubt", f"{exchange.model} for call {exchange.call.number} at {exchange.at!r}: "
                                         f"the third {kind} was at {at!r}")
                    break


def _beyond_doubt(run: FinishedRun, name: str) -> list[tuple[float, str]]:
    """The instants at which a third different request in a row has met the same, and what; none that is arguable."""
    mine = sorted((one for one in run.tries if one.attempt.model == name and one.exchange is not None), key=_told)
    failed = [one for one in mine if one.attempt.outcome == "failed"]
    found, row, last = [], 0, ""
    for one in mine:
        kind = _clearly(one, failed)
        if kind:
            row, last = row + 1 if kind == last else 1, kind
        elif one.attempt.outcome != "cancelled":
            row, last = 0, ""
        if row == IN_A_ROW:
            found.append((one.ended, kind))
            row = 0
    return found


def _clearly(one: MatchedAttempt, failed: list[MatchedAttempt]) -> str:
    """What an attempt has met, if that counts for sure: alone, the first failure of its call, and with our key."""
    kind = _met(one)
    if kind not in OUT_KINDS or one.call.behaviour.key:
        return ""
    before = [other for other in failed if other is not one and other.ended <= one.ended + NEAR]
    met = any(other.call is one.call or other.ended >= (one.sent or 0.0) - NEAR for other in before)
    return "" if met else kind


def holds_are_the_providers(run: FinishedRun) -> None:
    """A model is held only because its provider has asked for a pause, and not for the pause of a caller's own key."""
    for one in run.tries:
        told = getattr(one.attempt.error, "message", "")
        if one.attempt.outcome == "not_sent" and told.startswith("held for") and not run.was_held(
            one.attempt.model, one.queued, one.ended + NEAR
        ):
            run.flag("blame", f"{one} at {one.ended!r}: {told}")


def own_keys_are_the_calls(run: FinishedRun) -> None:
    """What a key of the caller's has met is the call's."""
    for one in run.tries:
        own = one.exchange is not None and one.call.behaviour.key is not None
        lost = type(one.attempt.error).__name__ in {"AttemptTimeout", "ConnectionFailed"}  # before it was read
        if own and one.attempt.outcome == "failed" and not lost:
            assert one.exchange is not None
            if one.exchange.script.kind in CALLS_OWN and one.attempt.scope != "call":
                run.flag("scope", f"{one}: {one.attempt.scope} for {one.exchange.script.kind}")


def _proven(run: FinishedRun, name: str) -> list[float]:
    """The instants at which a doubtful failure of this model was at least the third in a row of different requests.

    What came of a caller's own key says nothing for ours, neither a failure nor an answer.
    """
    mine = [
        one for one in run.tries
        if one.attempt.model == name and one.exchange is not None and one.call.behaviour.key is None
    ]  # fmt: skip
    return _third_in_a_row(sorted(mine, key=_told))


def _third_in_a_row(tries: list[MatchedAttempt]) -> list[float]:
    """What was in flight when a failure counted, of whatever kind, does not count itself, whoever has answered since.

    Nor does what a call has met again, of whatever kind, within `SAME_BODY` seconds.
    """
    proven, counts, counted, last = [], dict[str, int](), dict[int, float](), -1.0
    for one in tries:
        if one.answered_at is not None and (one.attempt.outcome != "cancelled" or one.answered_at < one.ended - NEAR):
            counts = {}  # who was cancelled at the instant of its end may have had no answer
        elif kind := _met(one):
            known, count = counted.get(one.call.number), counts.get(kind, 0)
            new = known is None or one.ended >= known + SAME_BODY - NEAR
            if new and (one.sent or 0.0) >= last - NEAR and count < IN_A_ROW:
                counted[one.call.number] = last = one.ended
                counts[kind] = count + 1
            if counts.get(kind, 0) >= IN_A_ROW:
                proven.append(one.ended)
    return proven


def _met(one: MatchedAttempt) -> str:
    """The doubtful failure that an attempt has met; "" for none, or where a limit was sooner."""
    kind = "" if one.exchange is None else one.exchange.script.kind
    return kind if kind in PROMPTS and type(one.attempt.error).__name__ == PROMPTS[kind][1] else ""


def _told(one: MatchedAttempt) -> tuple[float, int]:
    """When it was known whether its model had answered; of several at one instant, who was read first."""
    return round(one.told_at, 9), 0 if one.exchange is None else one.exchange.place


CHECKS: list[Callable[[FinishedRun], None]] = [
    nobody_pays_for_another, three_are_enough, holds_are_the_providers, own_keys_are_the_calls,
]
