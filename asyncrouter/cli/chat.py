"""`asyncrouter chat`: ask, and print the answer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

import click
import orjson

from asyncrouter import AttemptError, CallEnded, CallError, Notice, Reply
from asyncrouter.cli._choice import Choice, check, choosing
from asyncrouter.cli._endings import INTERRUPTED, end_the_line
from asyncrouter.cli._loop import run
from asyncrouter.cli._prompt import Message, messages, parameters
from asyncrouter.cli._record import Record, of_failure, of_reply
from asyncrouter.cli._say import tell, write
from asyncrouter.cli._setup import Setup, configured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter import Event, Router, Trace


class Question(NamedTuple):
    """What is asked, of whom, and how the answer is wanted."""

    messages: list[Message]
    params: dict[str, object]
    choice: Choice
    stream: bool
    json: bool
    trace: bool


@click.command(
    "chat",
    epilog="""\b
Examples:
  asyncrouter chat "Sort a list in Rust." --task coding --deadline 30 --param temperature=0.2
  git diff | asyncrouter chat - --system "Write a commit message." --tier standard
  asyncrouter chat "What is on it?" --image photo.jpg --model openai:gpt-6-luna --json
""",
)
@click.argument("prompt")
@choosing
@click.option("--system", metavar="TEXT", help="A system message before the prompt.")
@click.option("--param", "params", metavar="K=V", multiple=True, help="A parameter for the provider; V may be JSON.")
@click.option("--image", "images", metavar="FILE|URL", multiple=True, help="A picture beside the prompt.")
@click.option("--stream/--no-stream", default=None, help="Print as it comes.  [default: on a terminal]")
@click.option("--trace", is_flag=True, help="Draw what was tried, on standard error.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: text, model, usage, cost_usd, trace, …")
@configured
def command(
    prompt: str, choice: Choice, system: str | None, params: tuple[str, ...], images: tuple[str, ...],
    stream: bool | None, trace: bool, as_json: bool, setup: Setup,
) -> int | None:
    """Ask, and print the answer. PROMPT is text, or - for standard input.

    On a terminal the answer is printed as it comes; should it break there, it begins again with the next model. Into a
    pipe goes the whole answer or nothing.
    """
    if stream is None:
        stream = sys.stdout.isatty()
    question = Question(
        messages(prompt, system, images), parameters(params), choice, stream and not as_json, as_json, trace
    )
    notices: list[Notice] = []
    traces: list[Trace] = []

    def hear(event: Event) -> None:
        if isinstance(event, Notice):
            notices.append(event)
        elif isinstance(event, CallEnded):
            traces.append(event.trace)

    router = setup.router(hear)
    check(router, choice)
    try:
        run(_ask(router, question))
    except (CallError, AttemptError):  # which tells its own reason; that the task was another one it does not
        _tell_of([notice for notice in notices if notice.subject == choice.get("task")])
        raise
    except KeyboardInterrupt:
        if not (trace and traces):
            raise
        end_the_line()
        _afterwards(question, traces[0], None)
        return INTERRUPTED
    _tell_of(notices)
    return None


def _tell_of(notices: Sequence[Notice]) -> None:
    for notice in notices:
        tell(notice.text, style="yellow")


async def _ask(router: Router, question: Question) -> None:
    async with router:
        try:
            reply = await (_streamed if question.stream else _whole)(router, question)
        except (CallError, AttemptError) as failed:
            _afterwards(question, failed.trace, of_failure(failed) if question.json else None)
            raise
    if reply.finish_reason == "length":
        tell("the answer stops here because it has reached its limit of tokens", style="yellow")
    _afterwards(question, reply.trace, of_reply(reply) if question.json else None)


async def _whole(router: Router, question: Question) -> Reply:
    reply = await router.chat(question.messages, params=question.params, **question.choice)
    if not question.json:
        write(_lines(reply.text) + _tool_calls(reply))
    return reply


async def _streamed(router: Router, question: Question) -> Reply:
    written = "\n"
    again = sys.stdout.isatty()  # a person sees that it begins again, a program would take both halves for one answer
    stream = router.stream(
        question.messages, params=question.params, on_interrupt="restart" if again else "raise", **question.choice
    )
    try:
        async with stream:
            async for chunk in stream:
                if chunk.restart:
                    write(_end_of(written))
                    tell("that answer broke off; from its beginning, by the next model:", style="yellow")
                    written = "\n"
                elif chunk.text:
                    write(chunk.text)
                    written = chunk.text
    finally:
        write(_end_of(written))
    write(_tool_calls(stream.reply))
    return stream.reply


def _lines(text: str) -> str:
    return text + _end_of(text) if text else ""


def _end_of(text: str) -> str:
    return "" if text.endswith("\n") else "\n"


def _tool_calls(reply: Reply) -> str:
    return "".join(f"{orjson.dumps(call).decode()}\n" for call in reply.tool_calls)


def _afterwards(question: Question, trace: Trace | None, record: Record | None) -> None:
    if record is not None:
        write(orjson.dumps(record, option=orjson.OPT_INDENT_2 if sys.stdout.isatty() else 0).decode() + "\n")
    if question.trace and trace is not None:
        from asyncrouter.cli._screen import screen  # rich, which an answer alone does not need
        from asyncrouter.cli._timeline import draw

        draw(trace, screen(stderr=True))
