"""`asyncrouter chat`: send a prompt and print the answer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

import click
import orjson

from asyncrouter import AttemptError, CallEnded, CallError, Notice, Reply, visible
from asyncrouter.cli._configuration import Configuration, config_options
from asyncrouter.cli._event_loop import run
from asyncrouter.cli._exit import INTERRUPTED, end_line
from asyncrouter.cli._json import JsonObject, failure_json, json_line, reply_json
from asyncrouter.cli._options import CallOptions, call_options, check_call
from asyncrouter.cli._output import print_warning, write
from asyncrouter.cli._prompt import Message, messages, parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter import Event, Router, Trace


class Question(NamedTuple):
    """What is asked, of which models, and how the answer is printed."""

    messages: list[Message]
    params: dict[str, object]
    call: CallOptions
    stream: bool
    json: bool
    trace: bool
    headers: bool


@click.command(
    "chat",
    epilog="""\b
Examples:
  asyncrouter chat "Sort a list in Rust." --task coding --deadline 30 --param temperature=0.2
  git diff | asyncrouter chat "Write a commit message." --tier standard
  asyncrouter chat "What does this show?" --image photo.jpg --model openai:gpt-6-luna --json
""",
)
@click.argument("prompt")
@call_options
@click.option("--system", metavar="TEXT", help="A system message before the prompt.")
@click.option("--param", "params", metavar="K=V", multiple=True,
              help="A parameter for the provider; V may be JSON. May be repeated.")
@click.option("--image", "images", metavar="FILE|URL", multiple=True,
              help="An image to send with the prompt. May be repeated.")
@click.option("--stream/--no-stream", default=None, help="Print the answer as it comes.  [default: on a terminal]")
@click.option("--trace", is_flag=True, help="Draw every attempt, on standard error.")
@click.option("--reply-headers", "headers", is_flag=True,
              help="Print the header fields of the reply on standard error.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: text, model, usage, cost_usd, trace, …")
@config_options
def command(
    prompt: str, call: CallOptions, system: str | None, params: tuple[str, ...], images: tuple[str, ...],
    stream: bool | None, trace: bool, headers: bool, as_json: bool, configuration: Configuration,
) -> int | None:
    """Send a prompt and print the answer. PROMPT is text, or - for standard input; what is piped in
    beside a text is put below it.

    On a terminal the answer is printed as it comes; if it breaks off, the next model begins it again. A pipe gets the
    whole answer or nothing.
    """
    if stream is None:
        stream = sys.stdout.isatty()
    question = Question(
        messages(prompt, system, images), parameters(params), call, stream and not as_json, as_json, trace,
        headers,
    )
    notices: list[Notice] = []
    traces: list[Trace] = []

    def listen(event: Event) -> None:
        if isinstance(event, Notice):
            notices.append(event)
        elif isinstance(event, CallEnded):
            traces.append(event.trace)

    router = configuration.router(listen)
    check_call(router, call)
    try:
        run(_ask(router, question))
    except (CallError, AttemptError):  # its message has the reason, but not that another task's chain was used
        _print_notices([notice for notice in notices if notice.subject == call.get("task")])
        raise
    except KeyboardInterrupt:
        if not (trace and traces):
            raise
        end_line()
        _print_rest(question, traces[0], None)
        return INTERRUPTED
    _print_notices(notices)
    return None


def _print_notices(notices: Sequence[Notice]) -> None:
    for notice in notices:
        print_warning(notice.text)


async def _ask(router: Router, question: Question) -> None:
    async with router:
        try:
            reply = await (_print_stream if question.stream else _print_whole)(router, question)
        except (CallError, AttemptError) as failed:
            _print_rest(question, failed.trace, failure_json(failed) if question.json else None)
            raise
    if reply.finish_reason == "length":
        print_warning("the answer stops here because it has reached its limit of tokens")
    _print_rest(question, reply.trace, reply_json(reply) if question.json else None)


async def _print_whole(router: Router, question: Question) -> Reply:
    reply = await router.chat(question.messages, params=question.params, **question.call)
    if not question.json:
        write(_with_line_end(reply.text) + _tool_calls(reply))
    return reply


async def _print_stream(router: Router, question: Question) -> Reply:
    written = "\n"
    restart = sys.stdout.isatty()  # a person sees that it begins again; a program would take both parts for one answer
    stream = router.stream(
        question.messages, params=question.params, on_interrupt="restart" if restart else "raise", **question.call
    )
    try:
        async with stream:
            async for chunk in stream:
                if chunk.restart:
                    write(_line_end(written))
                    print_warning("the answer broke off; the next model begins it again:")
                    written = "\n"
                elif chunk.text:
                    write(chunk.text)
                    written = chunk.text
    finally:
        write(_line_end(written))
    write(_tool_calls(stream.reply))
    return stream.reply


def _with_line_end(text: str) -> str:
    return text + _line_end(text) if text else ""


def _line_end(text: str) -> str:
    return "" if text.endswith("\n") else "\n"


def _tool_calls(reply: Reply) -> str:
    return "".join(f"{orjson.dumps(call).decode()}\n" for call in reply.tool_calls)


def _print_rest(question: Question, trace: Trace | None, record: JsonObject | None) -> None:
    if question.headers and trace is not None and trace.attempts:
        last = next((one for one in trace.attempts if one.outcome == "won"), trace.attempts[-1])
        click.echo("".join(f"{visible(name)}: {visible(value)}\n" for name, value in last.headers.items()), err=True)
    if record is not None:
        write(json_line(record))
    if question.trace and trace is not None:
        from asyncrouter.cli._console import make_console  # rich takes a tenth of a second; an answer does not need it
        from asyncrouter.cli._timeline import draw

        draw(trace, make_console(stderr=True))
