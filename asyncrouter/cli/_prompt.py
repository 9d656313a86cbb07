"""Messages and parameters of a call, from arguments, standard input and image files."""

from __future__ import annotations

import base64
import mimetypes
import os
import stat
import sys
from pathlib import Path

import click
import orjson

from asyncrouter import Step

Message = dict[str, object]


def messages(prompt: str, system: str | None, images: tuple[str, ...]) -> list[Message]:
    """The messages of a call; the prompt "-" is read from standard input, and what comes through a pipe or from a file
    beside another prompt is put below it. Raises `click.UsageError`.
    """
    text = _text(_standard_input() if prompt == "-" else prompt, "PROMPT")
    if prompt != "-" and _is_piped() and (piped := _standard_input()).strip():
        text = f"{text}\n\n{piped}"
    content: object = text
    if images:
        content = [{"type": "text", "text": text}, *(_image(image) for image in images)]
    user: Message = {"role": "user", "content": content}
    return [user] if system is None else [{"role": "system", "content": _text(system, "--system")}, user]


def parameters(given: tuple[str, ...]) -> dict[str, object]:
    """Parameters from `name=value`: a value is JSON where it can be read as that, else text.

    Raises `click.UsageError`, `ConfigError`.
    """
    pairs = [text.partition("=") for text in given]
    for text, (name, equals, _) in zip(given, pairs, strict=True):
        if not (name and equals):
            raise click.BadParameter(f"expected name=value, got {text!r}", param_hint="--param")
    # A step checks parameters as a file's are checked: JSON values, and no name that the router writes itself.
    return dict(Step(model="-", params={name: _value(value) for name, _, value in pairs}).params)


def _is_piped() -> bool:
    """Whether standard input is a pipe or a file: anything else, such as a service's, may never end."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (AttributeError, OSError, ValueError):  # closed, or replaced by a program
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"standard input is not UTF-8: byte {error.start}") from None


def _text(text: str, name: str) -> str:
    if not text.strip():
        raise click.UsageError(f"{name} is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise click.UsageError(f"{name} is not valid Unicode") from None
    return text


def _image(given: str) -> Message:
    url = given if given.startswith(("http://", "https://", "data:")) else _data_url(Path(given))
    return {"type": "image_url", "image_url": {"url": url}}


def _data_url(path: Path) -> str:
    kind, _ = mimetypes.guess_type(path.name)
    if kind is None or not kind.startswith("image/"):
        raise click.BadParameter(f"{path}: expected an image, by its name (.png, .jpg, …)", param_hint="--image")
    try:
        return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    except OSError as error:
        raise click.BadParameter(f"{path}: {error.strerror}", param_hint="--image") from None


def _value(text: str) -> object:
    try:
        value: object = orjson.loads(text)
    except ValueError:
        return text
    return value
