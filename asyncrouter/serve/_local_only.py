"""What a server without keys asks of a request: that no web page has made it.

A page in a browser on this machine can send requests to a server on loopback: with a form's content type it needs
nobody's permission, and with a host name of its own that leads to 127.0.0.1 (DNS rebinding) it can read the answers,
too. Browsers say where a page comes from, and which host it has asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from asyncrouter.openai_api import Answer, problem_answer
from asyncrouter.serve._options import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping


def refuse_web_page(headers: Mapping[str, str]) -> Answer | None:
    """The answer to a request that a web page may have made; `None` for any other one."""
    origin = headers.get("origin")
    if _is_local(f"//{headers.get('host', '')}") and (origin is None or _is_local(origin)):
        return None
    return problem_answer(403, "without a key only programs on this machine are answered; start it with --key env:NAME")


def _is_local(url: str) -> bool:
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False
