"""The estimated length of a request in tokens: scripts, pictures, tools, sound and files, within a factor of 1.5."""

from __future__ import annotations

import struct
from base64 import b64encode

import pytest

from asyncrouter import Call
from asyncrouter._config.pictures import picture_tokens
from asyncrouter._config.tokens import prompt_tokens, text_tokens

# The texts and counts of OpenAI, "Hello GPT-4o" (May 2024): of the vocabulary of GPT-4o, and of the one before.
PUBLISHED = {
    "Chinese": ("你好，我的名字是GPT-4o。我是一种新型的语言模型，很高兴见到你！", 24, 34),
    "Japanese": ("こんにちわ、私の名前はGPT−4oです。私は新しいタイプの言語モデルです、初めまして", 26, 37),
    "Korean": ("안녕하세요, 제 이름은 GPT-4o입니다. 저는 새로운 유형의 언어 모델입니다, 만나서 반갑습니다!", 27, 45),
    "English": ("Hello, my name is GPT-4o. I'm a new type of language model, it's nice to meet you!", 24, 24),
    "Russian": ("Привет, меня зовут GPT-4o. Я — новая языковая модель, приятно познакомиться!", 23, 39),
    "French": ("Bonjour, je m'appelle GPT-4o. Je suis un nouveau type de modèle de langage, c'est un plaisir de vous "
               "rencontrer!", 28, 31),
}


@pytest.mark.parametrize("language", PUBLISHED)
def test_a_text_of_a_script(language: str) -> None:
    """The estimate is within a factor of 1.5 of the mean of both vocabularies."""
    text, new, old = PUBLISHED[language]

    ratio = text_tokens(text) / ((new + old) / 2)
    assert 1 / 1.5 < ratio < 1.5, ratio


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("x" * 400, 100), ("中" * 100, 85), ("한" * 100, 85), ("あ" * 100, 85), ("я" * 100, 40), ("😀" * 100, 85),
     ("中" * 100 + "x" * 400, 185), ("", 0)],
)
def test_the_rule_of_a_script(text: str, tokens: float) -> None:
    """0.85 for a wide character, 0.4 for another that is not ASCII, 0.25 for ASCII."""
    assert text_tokens(text) == pytest.approx(tokens)


def png(width: int, height: int) -> str:
    data = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + b"\x08\x02\0\0\0" + bytes(3000)
    return "data:image/png;base64," + b64encode(data).decode()


def jpeg(width: int, height: int) -> str:
    data = b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(11) + b"\xff\xc0\0\x11\x08" + struct.pack(">HH", height, width)
    return "data:image/jpeg;base64," + b64encode(data + bytes(3000)).decode()


def gif(width: int, height: int) -> str:
    return "data:image/gif;base64," + b64encode(b"GIF89a" + struct.pack("<HH", width, height) + bytes(99)).decode()


@pytest.mark.parametrize(
    ("image", "tokens"),
    [
        ({"url": png(1024, 1024)}, 1024),
        ({"url": jpeg(1024, 512)}, 512),
        ({"url": gif(640, 480)}, 300),
        ({"url": png(4000, 3000)}, 1536),
        ({"url": png(16, 16)}, 85),
        ({"url": png(1024, 1024), "detail": "low"}, 85),
        ({"url": "https://h.test/a.png"}, 1024),
        ("https://h.test/a.png", 1024),
        ({"url": "data:image/png;base64,!!"}, 1024),
        ({"url": None}, 1024),
        (None, 1024),
    ],
)
def test_a_picture(image: object, tokens: float) -> None:
    """A token for every 32 × 32 pixels, from 85 to 1,536; 1,024 where the size is not known."""
    assert picture_tokens(image) == tokens


def request(content: object = "", message: dict[str, object] | None = None, **params: object) -> int:
    messages = [{"role": "user", "content": content, **(message or {})}]
    return prompt_tokens(Call(messages, params, {}, 0.0, 1.0))


TOOL = {"type": "function", "function": {"name": "f", "description": "d" * 6000, "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    ("tokens", "low", "high"),
    [
        (request(tools=[TOOL]), 1500, 1600),
        (request(response_format={"type": "json_schema", "json_schema": {"schema": {"description": "d" * 4000}}}),
         1000, 1050),
        (request(message={"tool_calls": [{"function": {"name": "f", "arguments": "x" * 4000}}]}), 1000, 1050),
        (request(message={"reasoning_content": "x" * 4000}), 1001, 1001),
        (request([{"type": "input_audio", "input_audio": {"data": "x" * 66_700, "format": "mp3"}}]), 101, 101),
        (request([{"type": "file", "file": {"file_data": "x" * 66_000}}]), 1501, 1501),
        (request([{"type": "text", "text": "中" * 100}, {"type": "image_url", "image_url": {"url": png(320, 320)}}]),
         186, 186),
    ],
)
def test_what_else_a_request_holds(tokens: int, low: int, high: int) -> None:
    """Tools, a schema, tool calls, reasoning that goes back, sound and files count."""
    assert low <= tokens <= high
