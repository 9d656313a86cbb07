"""The length of a picture in tokens, estimated from its size, which the first bytes of its data tell."""

from __future__ import annotations

import re
from base64 import b64decode

PATCH = 32
"""Pixels in the side of a square that counts as one token (OpenAI, "Images and vision": patches). A picture of
1,024 by 1,024 counts 1,024 so; Anthropic's rule (width × height / 750) gives 1,398, Google's 1,032 to 1,120."""
MOST = 1536
"""Tokens of the largest picture: providers scale down what is larger. It is OpenAI's limit; Anthropic's is 1,600."""
LEAST = 85
"""Tokens of the smallest picture, and of one that is sent with `"detail": "low"` (OpenAI)."""
UNKNOWN = 1024
"""Tokens of a picture whose size is not known, because only its address is: as many as of 1,024 by 1,024 pixels."""

_HEAD = 65_536
"""Characters of the data that are looked at: a JPEG may have a thumbnail before its size."""
_DATA = re.compile(r"data:[^,]{0,200};base64,")
_JPEG_SIZE = re.compile(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf]\x00.\x08(....)", re.DOTALL)
"""The segment of a JPEG that holds height and width (ITU-T T.81, B.2.2), for samples of eight bits."""


def picture_tokens(image_url: object) -> float:
    """The tokens of an `image_url` part of Chat Completions."""
    given = image_url if isinstance(image_url, dict) else {"url": image_url}
    if given.get("detail") == "low":
        return LEAST
    size = _size_of(given.get("url"))
    if size is None:
        return UNKNOWN
    patches = -(-size[0] // PATCH) * -(-size[1] // PATCH)
    return max(LEAST, min(MOST, patches))


def _size_of(url: object) -> tuple[int, int] | None:
    """Width and height of a picture in a data URL; `None` for another address, or for data that do not tell."""
    if not isinstance(url, str) or (start := _DATA.match(url)) is None:
        return None
    head = url[start.end() : start.end() + _HEAD]
    try:
        data = b64decode(head[: len(head) // 4 * 4])
    except ValueError:
        return None
    if data.startswith(b"\x89PNG") and len(data) >= 24:
        return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    if data.startswith(b"GIF8") and len(data) >= 10:
        return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    if data.startswith(b"\xff\xd8") and (found := _JPEG_SIZE.search(data)) is not None:
        return int.from_bytes(found[1][2:]), int.from_bytes(found[1][:2])
    return None
