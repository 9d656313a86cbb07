"""What to expect of a model that stands in for a slow one and is hardly known.

A model is late, and slow, by what is usual for itself. One that was never needed has no usual, and what it does on its
first day would become it: with the first two models of a chain in trouble every call would go to the second, while the
third could answer. So until a few of its contents are known, it is judged by what is usual for the model whose place it
takes. Models of one chain differ, so it may take several times as long. One that takes even longer by nature is passed
over while the first is slow, as if it were in trouble; that is forgotten with the first trouble, or when its probes
answer before the model that is asked instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._policies.slowness import FEW_SAMPLES

if TYPE_CHECKING:
    from asyncrouter._policies.memory import Usual
    from asyncrouter._policies.model_state import ModelState

TIMES = 3.0
"""How many times as long as the slow model's usual it may take: the fast and the large models of one vendor differ by
about as much."""


def expected(state: ModelState, chain: list[ModelState], *, streams: bool) -> Usual | None:
    """What to expect of a model beside those of its chain; `None`: what is usual for itself.

    It is `None`, too, when no other model could be asked instead: then nothing would be won by finding it slow.
    """
    usual = state.memory(streams=streams).every
    seen = min(usual.first.seen, usual.pace.seen) if streams else usual.first.seen
    if not state.breakers_on or seen >= FEW_SAMPLES:
        return None
    others = [other for other in chain if other is not state]
    if not any(not other.slow and not other.slowness.doubted for other in others):
        return None
    known = (other.memory(streams=streams) for other in others if other.slow)
    return next((memory.slower(TIMES) for memory in known if not memory.every.first.is_young), None)
