"""What a server leaves in the text of an answer in the model's own markup: thoughts alone, and calls of tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter._errors import BadReply
from asyncrouter._wire.decoding.markup import call_left_in, is_blank, is_only_thought
from tests.helpers import responses_fixtures
from tests.helpers.by_calls import outcomes_of_calls
from tests.helpers.decoding import JSON, SSE, decode, sse
from tests.helpers.openai_fixtures import WIRE as OPENAI
from tests.helpers.openai_fixtures import body, completion, delta, stream
from tests.helpers.wires import WIRES, Said
from tests.wire.test_shapes_by_kind import ANTHROPIC, GEMINI, RESPONSES

if TYPE_CHECKING:
    from asyncrouter._types import Chunk

TOOLS = {"tools": [{"type": "function", "function": {"name": "look_up"}}]}
LEFT = "a tool call that the server has left in the text"
CALLS = (
    '<tool_call>\n{"name": "look_up", "arguments": {}}\n</tool_call>',
    "<tool_call>look_up\n<arg_key>at</arg_key>",
    '<|tool_call>call:look_up{at:1}<tool_call|>',
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.look_up:0<|tool_call_argument_begin|>{}",
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>look_up",
    '<｜DSML｜tool_calls><｜DSML｜invoke name="look_up">',
    '[TOOL_CALLS][{"name": "look_up", "arguments": {}}]', "[TOOL_CALLS]look_up{}",
    '<|python_tag|>{"name": "look_up", "parameters": {}}',
    "<function=look_up>{}</function>", '<TOOLCALL>[{"name": "look_up"}]</TOOLCALL>',
    '<minimax:tool_call>\n<invoke name="look_up">', '<invoke name="look_up">\n</invoke>',
    '<|channel|>commentary to=functions.look_up <|message|>{}',
)


@pytest.mark.parametrize("text", CALLS)
def test_a_call_that_no_parser_has_taken_out(text: str) -> None:
    """Where the tool was offered it is none that could be carried out, and no answer; else it is a text."""
    other = {"tools": [{"name": "look"}]}

    assert [call_left_in(text, params, None) is not None for params in (TOOLS, other, {})] == [True, False, False]


@pytest.mark.parametrize(("text", "is_call"), [
    ("I will look.\n" + CALLS[0], True), ("call\n" + '<invoke name="look_up">\n</invoke>', True),
    (CALLS[0] + "\n", True),
    ("Use `<tool_call>` like this: " + CALLS[0], False), ("Like this:\n```\n" + CALLS[0] + "\n```", False),
    ("Like this:\n" + CALLS[0] + "\nand so on.", False), ("look_up is a tool", False), ("<p>look_up</p>", False),
])
def test_text_around_a_call(text: str, is_call: bool) -> None:
    """The model may say something before it; a text that explains the markup is an answer."""
    assert (call_left_in(text, TOOLS, None) is not None) == is_call


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("text", [CALLS[0], "I will look.\n" + CALLS[0], CALLS[6]])
def test_such_a_call_on_each_wire(text: str, streamed: bool) -> None:
    """It is a `BadReply`; where the call has come as well the text does not matter."""
    message = responses_fixtures.response(responses_fixtures.message(text))
    answers: list[Any] = [
        sse(*Said(text, end=end).events(wire)) if streamed else Said(text, end=end).document(wire)
        for wire, end in zip(WIRES, ("stop", "end_turn", "STOP"), strict=True)
    ]
    answers.append(responses_fixtures.stream_of(message) if streamed else message)
    wires = (OPENAI, ANTHROPIC, GEMINI, RESPONSES)
    errors = [decode(wire, SSE if streamed else JSON, answer, TOOLS).close()
              for wire, answer in zip(wires, answers, strict=True)]
    called = completion("tool_calls", content=text, tool_calls=[{"id": "a", "function": {"name": "look_up"}}])

    assert [(type(error), error and error.message) for error in errors] == [(BadReply, LEFT)] * 4
    assert body(called, TOOLS).close() is None


def test_such_a_call_in_each_kind_of_call() -> None:
    """The next model is asked; the reader of a stream learns that it was none."""
    data = sse(delta(content=CALLS[0]), delta("stop"))

    assert [*outcomes_of_calls(OPENAI, SSE, data, TOOLS)] == [(BadReply, LEFT)] * 3


@pytest.mark.parametrize("text", [
    "<think>hm</think>", "hm, hm</think>\n\n", "[THINK]hm[/THINK]", "◁think▷hm◁/think▷",
    "<seed:think>hm</seed:think>",
    "<|begin_of_thought|>hm<|end_of_thought|>", "<|channel>thought\nhm<channel|>",
    "<|START_THINKING|>hm<|END_THINKING|>",
    "<|channel|>analysis<|message|>hm<|end|>", "<Think>\u200b</Think>\u200b",
])
def test_thoughts_alone_in_the_markup_of_many_models(text: str) -> None:
    """No answer follows them, and some servers lose the tag with which they begin."""
    assert is_only_thought(text, cut=False)
    assert isinstance(body(completion(content=text)).close(), BadReply)


@pytest.mark.parametrize("text", [
    "hm</think>yes", "Close it with <think></think>", "[THINK]hm[/THINK]yes", "◁think▷hm◁/think▷ yes", "[1]", "a > b>",
    "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>yes",
])
def test_an_answer_beside_thoughts(text: str) -> None:
    """It is an answer."""
    assert not is_only_thought(text, cut=False)
    assert body(completion(content=text)).close() is None


@pytest.mark.parametrize("text", [" ", "\n\n", "\u200b", "\ufeff \u2060", "\u3164", "\u00ad\u200e", "\u2003\u2800"])
def test_blanks_are_no_answer(text: str) -> None:
    """Nobody can see them; after a stop word of the caller's own they may be what was asked for."""
    documents = [Said(text, end=end).document(wire)
                 for wire, end in zip(WIRES, ("stop", "end_turn", "STOP"), strict=True)]
    documents.append(responses_fixtures.response(responses_fixtures.message(text)))
    wires = (OPENAI, ANTHROPIC, GEMINI, RESPONSES)

    assert is_blank(text)
    assert [type(decode(wire, JSON, document).close()) for wire, document in zip(wires, documents, strict=True)] == [
        BadReply] * 4
    assert body(completion(content=text), {"stop": ["x"]}).close() is None


@pytest.mark.parametrize("pieces", [['{"at":1}'], ['{"a', 't":1}']])
def test_a_call_that_begins_with_empty_arguments(pieces: list[str]) -> None:
    """Some hosts write `{}` first, and the arguments after it; a reader of the stream gets the arguments alone."""
    chunks: list[Chunk] = []
    calls = [{"index": 0, "id": "a", "function": {"name": "look_up", "arguments": "{}"}},
             *({"index": 0, "function": {"arguments": piece}} for piece in pieces)]
    decoder = stream(*(delta(tool_calls=[call]) for call in calls), delta("tool_calls"), chunks=chunks)
    read = "".join(call["function"]["arguments"] for chunk in chunks for call in chunk.tool_calls)

    assert decoder.close() is None
    assert (decoder.reply.tool_calls[0]["function"]["arguments"], read) == ('{"at":1}', '{"at":1}')


def test_calls_without_arguments() -> None:
    """What was held back comes with the finish reason, for each of the calls."""
    chunks: list[Chunk] = []
    calls = [{"index": index, "id": name, "function": {"name": name, "arguments": "{}"}}
             for index, name in enumerate("fg")]
    decoder = stream(*(delta(tool_calls=[call]) for call in calls), delta("tool_calls"), chunks=chunks)
    read = [(call["index"], call["function"].get("name"), call["function"]["arguments"])
            for chunk in chunks for call in chunk.tool_calls]

    assert [call["function"]["arguments"] for call in decoder.reply.tool_calls] == ["{}", "{}"]
    assert read == [(0, "f", ""), (1, "g", ""), (0, None, "{}"), (1, None, "{}")]


@pytest.mark.parametrize("name", ["look_up<|channel|>commentary", "<|constrain|>json"])
def test_a_name_with_the_rest_of_a_header(name: str) -> None:
    """No tool is called so."""
    call = {"id": "a", "function": {"name": name, "arguments": "{}"}}
    response = responses_fixtures.response(responses_fixtures.call(name, "{}"))

    assert isinstance(body(completion("tool_calls", tool_calls=[call])).close(), BadReply)
    assert isinstance(decode(RESPONSES, JSON, response).close(), BadReply)


@pytest.mark.parametrize(("reason", "finish"), [("max_output_tokens", "length"), ("content_filter", "content_filter")])
def test_a_complete_response_that_gives_a_reason_why_it_is_not(reason: str, finish: str) -> None:
    """The reason counts: what has come was cut."""
    response = responses_fixtures.response(responses_fixtures.message("Half"), incomplete_details={"reason": reason})
    decoders = [decode(RESPONSES, JSON, response), decode(RESPONSES, SSE, responses_fixtures.stream_of(response))]

    assert [(decoder.close(), decoder.reply.finish_reason) for decoder in decoders] == [(None, finish)] * 2
