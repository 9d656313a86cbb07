"""Synthetic prompts: a given number of tokens in and out, with or without a prefix that all of them share.

No tokenizer is needed: a prompt is made of short everyday English words, nearly all of which are one token in the usual
vocabularies. So its length is right to some percent; the true one is in each answer's usage.
"""

from __future__ import annotations

import re
from random import Random
from typing import NamedTuple

from asyncrouter.bench.sample import Sample

PROMPTS = 1000
"""Synthetic prompts unless their number is given: as many as a run has calls unless told otherwise."""
_TEXT = """
the of and to in is that for it was on are as with his they at be this from have or by one had not but what all were
when we there can an your which their said if do will each about how up out them then she many some so these would other
into has more her two like him see time could no make than first been its who now people my made over did down only way
find use may water long little very after words called just where most know get through back much go good new write our
me man too any day same right look think also around another came come work three word must because does part even place
well such here take why help put different away again off went old number
"""
WORDS = _TEXT.split()
"""Words that are one token after a space in the vocabularies of GPT, Llama and most others."""
_SHAPE = re.compile(r"(\d+):(\d+)")


class Shape(NamedTuple):
    """The tokens of synthetic calls: `prompt` in, of which all prompts share the first `prefix`, and `output` out."""

    prompt: int
    output: int
    prefix: int = 0


def parse_shape(text: str, prefix: int = 0) -> Shape:
    """`1000:100`, tokens in and out. Raises `ValueError`."""
    found = _SHAPE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"expected TOKENS_IN:TOKENS_OUT such as 1000:100, got {text!r}")
    return Shape(int(found[1]), int(found[2]), prefix)


def synthetic(shape: Shape, *, prompts: int = PROMPTS, seed: int = 0) -> list[Sample]:
    """So many prompts of one shape; the same for the same seed, each with another beginning after the shared prefix.

    `max_tokens` of each is the shape's output. A model may stop before: vLLM and llama.cpp go on with the parameter
    `ignore_eos=True` in the arm's call. Raises `ValueError` for a shape that cannot be.
    """
    if not shape.output > 0 or not shape.prompt > 0 or prompts < 1:
        raise ValueError(f"expected at least one token in and out and one prompt, got {shape}, {prompts} prompts")
    if not 0 <= shape.prefix < shape.prompt:
        raise ValueError(f"expected a shared prefix shorter than the prompt of {shape.prompt} tokens, "
                         f"got {shape.prefix}")
    shared = _words(Random(f"{seed}:prefix"), shape.prefix)
    return [
        Sample(prompt=" ".join(shared + _words(Random(f"{seed}:prompt {number}"), shape.prompt - shape.prefix)),
               id=f"synthetic-{number}", parameters={"max_tokens": shape.output})
        for number in range(prompts)
    ]


def _words(random: Random, count: int) -> list[str]:
    return random.choices(WORDS, k=count)
