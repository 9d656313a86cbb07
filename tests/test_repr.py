"""The `repr` of configurations and records."""

from __future__ import annotations

import pytest

from asyncrouter import Attempt, Chain, Chunk, Defaults, Hedge, Model, Reply, Retry, Step, Trace, Usage


@pytest.mark.parametrize(("record", "shown"), [
    (Defaults(), "Defaults()"),
    (Retry(attempts=3), "Retry(attempts=3)"),
    (Defaults(total=None, retry=Retry(attempts=3)), "Defaults(total=None, retry=Retry(attempts=3))"),
    (Chain(["a", Step(model="b", total=20.0)], hedge=Hedge(after=1.5)),
     "Chain(models=('a', Step(total=20.0, model='b')), hedge=Hedge(after=1.5))"),
    (Model(provider="p", id="a", rpm=60.0), "Model(provider='p', id='a', rpm=60.0)"),
    (Usage(0, 7), "Usage(input_tokens=0, output_tokens=7)"),
    (Chunk("x"), "Chunk(text='x')"),
    (Attempt(1, "a", "p", "first"), "Attempt(number=1, model='a', provider='p', cause='first')"),
    (Trace(None, 5.0), "Trace(task=None, started=5.0)"),
    (Reply("b", usage=Usage(1, 1)), "Reply(text='b', usage=Usage(input_tokens=1, output_tokens=1))"),
])
def test_a_repr_leaves_out_default_values(record: object, shown: str) -> None:
    """A field with its default value is left out; one without a default is shown always."""
    assert repr(record) == shown
