"""What stands in the place of the decoders that asyncrouter 0.1.0 pickled with a reply, to build its `raw`."""

from __future__ import annotations

from typing import NoReturn


class Decoder:
    """A decoder of 0.1.0, or a part of one. Its state is dropped: the present decoders have another."""

    def __setstate__(self, state: object) -> None:
        """Drop it."""

    def raw(self) -> NoReturn:
        """Refuse to build an answer that is not there. Raises `RuntimeError`."""
        raise RuntimeError(
            "reply.raw: asyncrouter 0.1.0 pickled this reply without it; everything else in the reply is there. "
            "To have `raw`, load the pickle with 0.1.0 and save reply.raw as JSON"
        )


Answer = Block = Choice = Details = GeminiDraft = MessageDraft = ToolCalls = _Call = Decoder
"""The classes that pickles name."""
