"""Options that say what is asked, and how answers are judged."""

from __future__ import annotations

from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from asyncrouter import bench
from asyncrouter.bench.dataset import SEPARATOR
from asyncrouter.bench.synthetic_prompts import PROMPTS, parse_shape
from asyncrouter.cli._bench_usage import COUNT, NATURAL, checked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


_PROMPTS = (
    click.option("--prompts", type=click.File(encoding="utf-8"), metavar="FILE",
                 help="A file with one prompt a line; each call makes its prompt unique, against caches (not with "
                 "--score)."),
    click.option("--dataset", type=click.Path(exists=True, path_type=Path), metavar="PATH",
                 help='Prompts sent as they stand: JSON lines of {"prompt": …} or {"messages": […]}, perhaps with '
                 '"expected" and max_tokens; OpenAI batch rows; ShareGPT; a directory of .txt or .md files; or a text '
                 "with --separator between prompts of many lines."),
    click.option("--separator", metavar="LINE", default=SEPARATOR, show_default=True,
                 help="The line between two prompts of a --dataset that is a text."),
    click.option("--synthetic", metavar="IN:OUT",
                 help="Made-up prompts of IN tokens that ask for OUT tokens: 1000:100. A model may stop earlier; vLLM "
                 "and llama.cpp go on with ignore_eos=true in the arm."),
    click.option("--shared-prefix", type=NATURAL, metavar="TOKENS", default=0,
                 help="Tokens at the beginning of all --synthetic prompts that are the same.  [default: 0]"),
)
score_option = click.option(
    "--score", "scorers", multiple=True, metavar="SCORER",
    help="Judge the answers: exact, contains (the row's \"expected\"), contains:TEXT, regex:PATTERN, schema:FILE, "
    "module:function or path.py:function, called with (text), (text, expected) or (text, expected, row). NAME=… names "
    "one. May be repeated.",
)
good_enough_option = click.option(
    "--good-enough", metavar="SHARE", type=click.FloatRange(min=0.0, max=1.0, min_open=True, max_open=True),
    help="The least quality of an arm to choose, such as 0.9; the whole 95 % interval must lie above it.  [default: "
    "not shown to be below the best one's]",
)
_JUDGING = (
    score_option,
    click.option("--epochs", type=COUNT, metavar="N",
                 help="Ask each prompt so many times; standard errors are clustered by prompt.  [default: 1 with "
                 "--score]"),
    good_enough_option,
    click.option("--keep-answers", is_flag=True,
                 help="Write the answers' texts to answers.jsonl, also without --score."),
)
ENDS = ("calls", "duration", "ramp_to", "recorded")
"""Options of a load that say when it ends."""


class Judging(NamedTuple):
    """How answers are judged: the options of `judging_options`, read."""

    scorers: list[bench.Scorer]
    epochs: int | None
    good_enough: float | None
    keep_answers: bool

    def settings(self) -> dict[str, object]:
        """The arguments of `bench.run`."""
        return {"scorers": self.scorers, "good_enough": self.good_enough, "keep_answers": self.keep_answers}

    def calls(self, prompts: Sequence[object], load: Mapping[str, object]) -> int | None:
        """The calls of an arm, from --calls, or so many that each prompt is asked as often as --epochs says.

        `load` are the options of the load. Where answers are judged, each prompt is asked once unless told otherwise.
        `None`: as many calls as usual, or as other options of the load say. Raises `click.UsageError`.
        """
        ends = [name for name in ENDS if load[name] is not None]
        if self.epochs is None:
            calls = load["calls"] if ends or not self.scorers or not prompts else len(prompts)
            return calls if isinstance(calls, int) else None
        if not prompts:
            raise click.UsageError("--epochs: expected prompts to ask again: --dataset, --prompts or --synthetic")
        if ends:
            raise click.UsageError(f"--epochs and --{ends[0].replace('_', '-')}: one or the other")
        return self.epochs * len(prompts)


def prompt_options(command: Callable[..., object]) -> Callable[..., object]:
    """Add the options that say what is asked to a command, which gets its texts and samples as `prompts`."""

    @wraps(command)
    def wrapped(
        *, prompts: Iterable[str] | None, dataset: Path | None, separator: str, synthetic: str | None,
        shared_prefix: int, **rest: object,
    ) -> object:
        ways = {"--prompts": prompts, "--dataset": dataset, "--synthetic": synthetic}
        if len(given := [name for name, value in ways.items() if value is not None]) > 1:
            raise click.UsageError(f"{given[0]} and {given[1]}: one or the other")
        if shared_prefix and synthetic is None:
            raise click.UsageError("--shared-prefix is for --synthetic")
        seed = rest["seed"]
        assert isinstance(seed, int)
        if dataset is not None:
            read: Sequence[str | bench.Sample] = checked(partial(bench.read_dataset, dataset, separator=separator))
        elif synthetic is not None:
            read = checked(lambda: _synthetic(synthetic, shared_prefix, seed))
        else:
            read = _lines(prompts)
        return command(prompts=read, **rest)

    for option in reversed(_PROMPTS):
        wrapped = option(wrapped)
    return wrapped


def judging_options(command: Callable[..., object]) -> Callable[..., object]:
    """Add the options that say how answers are judged to a command, which gets a `Judging` as `judging`."""

    @wraps(command)
    def wrapped(
        *, scorers: Sequence[str], epochs: int | None, good_enough: float | None, keep_answers: bool, **rest: object
    ) -> object:
        read = checked(lambda: [bench.parse_scorer(text) for text in scorers])
        return command(judging=Judging(read, epochs, good_enough, keep_answers), **rest)

    for option in reversed(_JUDGING):
        wrapped = option(wrapped)
    return wrapped


def _synthetic(text: str, prefix: int, seed: int) -> list[bench.Sample]:
    try:
        return bench.synthetic(parse_shape(text, prefix), prompts=PROMPTS, seed=seed)
    except ValueError as wrong:
        raise ValueError(f"--synthetic {text}: {wrong}") from None


def _lines(lines: Iterable[str] | None) -> list[str]:
    """The prompts of a file, one a line; none without a file. Raises `click.UsageError`."""
    file = getattr(lines, "name", "")
    try:
        found = [line.strip() for line in lines or () if line.strip()]
    except UnicodeDecodeError as wrong:
        raise click.UsageError(f"--prompts {file}: expected UTF-8 ({wrong})") from None
    if lines is not None and not found:
        raise click.UsageError(f"--prompts {file}: expected a prompt a line, found none")
    return found
