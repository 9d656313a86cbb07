"""Mutants that blame a model or a key for what is one request's, one caller's key's or one caller's clock's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from asyncrouter import AttemptError
from asyncrouter._credentials.credential import Credential
from asyncrouter._engine.sent_attempt import SentAttempt
from asyncrouter._policies import lease as leases
from asyncrouter._policies.breaker import Breaker
from asyncrouter._policies.doubts import Doubts, Requests
from asyncrouter._policies.lease import Lease
from asyncrouter._policies.scope import asks_for_pause, rule_of
from asyncrouter._wire.failure import classify

from .mutation import around, mutant

if TYPE_CHECKING:
    from collections.abc import Iterator


@mutant
def doubtful_failures_count_at_once() -> Iterator[None]:
    """One prompt's 404, 402 or 403 disables the model or the key for everybody (litellm)."""
    with patch.object(Doubts, "met", lambda *_, **__: True):
        yield


@mutant
def doubts_are_never_settled() -> Iterator[None]:
    """A model that is gone, in words that leave open whether it is, is asked by every call."""
    with patch.object(Doubts, "met", lambda *_, **__: False):
        yield


@mutant
def equal_requests_count() -> Iterator[None]:
    """The same request counts again each time it is tried."""
    with patch.object(Requests, "is_new", lambda *_: True):
        yield


@mutant
def each_body_is_another_request() -> Iterator[None]:
    """The tries of one call count as different requests where its steps write different bodies."""
    with patch.object(SentAttempt, "_asked", lambda sent: hash(sent.request.body)):
        yield


@mutant
def one_request_opens_a_breaker() -> Iterator[None]:
    """A prompt that makes a model answer 500 opens its breaker, if it is only tried often enough."""

    def make(failed: Any) -> Any:
        return lambda breaker, generation, now, why, _=None: failed(breaker, generation, now, why)

    with around(Breaker, "failed", make):
        yield


@mutant
def pauses_count_as_failures() -> Iterator[None]:
    """A 503 or 500 that asks for a pause counts against its model."""

    def make(judge: Any) -> Any:
        def judges(lease: Lease, error: AttemptError, *args: Any, **settings: Any) -> None:
            judge(lease, error, *args, **settings)
            if asks_for_pause(error):
                lease._counts = "breaker" in rule_of(error).remembered

        return judges

    with around(Lease, "_judge", make):
        yield


@mutant
def own_size_limits_count() -> Iterator[None]:
    """An answer that is longer than its caller allows counts against its model."""

    def make(feed: Any) -> Any:
        def feeds(sent: SentAttempt, *args: Any) -> None:
            try:
                feed(sent, *args)
            except AttemptError as error:
                error.scope = None
                raise

        return feeds

    with around(SentAttempt, "feed", make):
        yield


@mutant
def new_keys_are_not_asked_for() -> Iterator[None]:
    """A key that was turned down is disabled, although its owner has renewed it meanwhile."""

    async def renew(*_: Any) -> bool:
        return False

    with patch.object(Credential, "renew", renew):
        yield


@mutant
def a_burst_counts_as_many() -> Iterator[None]:
    """Requests that were in flight together count each for itself."""

    def make(met: Any) -> Any:
        def counts(doubts: Doubts, kind: object, asked: int, _: int, now: float, *, own_key: bool) -> bool:
            return bool(met(doubts, kind, asked, doubts.observations, now, own_key=own_key))

        return counts

    with around(Doubts, "met", make):
        yield


@mutant
def answers_between_do_not_matter() -> Iterator[None]:
    """Three doubtful failures disable a model, whatever it has answered between them."""
    with patch.object(Doubts, "succeeded", lambda *_, **__: None):
        yield


@mutant
def definite_words_are_doubted() -> Iterator[None]:
    """What names the model or the key counts only when three requests have met it."""
    with patch.object(classify, "_is_definite", lambda *_: False):
        yield


@mutant
def a_callers_key_is_ours() -> Iterator[None]:
    """What a caller's own key meets is remembered of ours (litellm #17115)."""
    with patch.object(leases, "is_the_calls", lambda *_, **__: False):
        yield


@mutant
def a_callers_clock_blames_the_model() -> Iterator[None]:
    """Any limit of time that a call brings counts against the model (litellm #41223)."""
    with patch.object(leases, "usual_silence_is_over", lambda *_, **__: True):
        yield


@mutant
def a_callers_limit_paces_the_others() -> Iterator[None]:
    """A 429 for a caller's own key paces everybody."""

    def make(end: Any) -> Any:
        def ended(lease: Lease, *args: Any, **settings: Any) -> None:
            lease.own_key = False
            end(lease, *args, **settings)

        return ended

    with around(Lease, "end", make):
        yield


@mutant
def a_callers_tokens_are_ours() -> Iterator[None]:
    """What is used under a caller's own key is charged to the limits of ours."""

    def make(release: Any) -> Any:
        def releases(lease: Lease, *args: Any, **settings: Any) -> None:
            own_key, lease.own_key = lease.own_key, False
            release(lease, *args, **settings)
            lease.own_key = own_key

        return releases

    with around(Lease, "release", make):
        yield
