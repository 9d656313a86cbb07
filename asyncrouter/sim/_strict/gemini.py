"""What Google's generateContent refuses.

Sources: ai.google.dev, "Function calling", "Thought signatures"; google-genai, types; threads as named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter.sim._strict.complaint import Complaint, objects, signature_of, text_in, unknown
from asyncrouter.sim._strict.families import demands_signatures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SKIP_VALIDATION = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
"""The documented signatures for calls that another model has made."""
_PARAMETERS = {
    "contents", "systemInstruction", "tools", "toolConfig", "safetySettings", "generationConfig", "cachedContent",
    "labels", "serviceTier", "store",
}
"""The fields of a request."""
_DATA = {"text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult",
         "toolCall", "toolResponse"}
"""The fields of a part of which it has exactly one."""
_BESIDE = {"thought", "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata"}
"""The fields that stand beside a part's data."""
_INNER = {
    "functionCall": {"id", "name", "args"}, "functionResponse": {"id", "name", "response", "parts"},
    "inlineData": {"mimeType", "data", "displayName"}, "fileData": {"mimeType", "fileUri", "displayName"},
}
"""The fields of a part's data."""


def complaints(body: Mapping[str, object], model: str) -> Iterator[Complaint]:
    """Everything that the API refuses in a request, the first complaint being what it says."""
    for name in unknown("", body, _PARAMETERS):
        yield Complaint(f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')
    contents = objects(body.get("contents"))
    if not contents:
        yield Complaint("* GenerateContentRequest.contents: contents is not specified")
    for index, content in enumerate(contents):
        path, parts = f"contents[{index}]", objects(content.get("parts"))
        if content.get("role") not in ("user", "model"):
            yield Complaint("Please use a valid role: user, model.")
        if not parts:
            yield Complaint(f"* GenerateContentRequest.{path}.parts: contents.parts must not be empty.")
        for place, part in enumerate(parts):
            yield from _of_part(f"{path}.parts[{place}]", part, model)
    yield from _of_turns(contents)
    if demands_signatures(model):
        yield from _of_signatures(contents)


def _of_part(path: str, part: Mapping[str, object], model: str) -> Iterator[Complaint]:
    for name in part:
        if name not in _DATA and name not in _BESIDE:
            yield Complaint(f'Invalid JSON payload received. Unknown name "{name}" at \'{path}\': Cannot find field.')
    data = [name for name in part if name in _DATA]
    if len(data) != 1:
        yield Complaint(f"* GenerateContentRequest.{path}.data: required oneof field 'data' must have one initialized "
                        "field")
        return
    inner = part[data[0]]
    for name in unknown("", inner, _INNER.get(data[0], inner)) if isinstance(inner, dict) else ():
        yield Complaint(f'Invalid JSON payload received. Unknown name "{name}" at \'{path}.{data[0]}\': Cannot find '
                        "field.")
    signature = part.get("thoughtSignature")
    if signature is not None and signature not in (*SKIP_VALIDATION, signature_of("gemini", model, signed_text(part))):
        yield Complaint("Thought signature is not valid.")


def signed_text(part: Mapping[str, object]) -> str:
    """What the signature of a part stands for: the text, the name of the function, the picture."""
    call, picture = part.get("functionCall"), part.get("inlineData")
    if isinstance(call, dict):
        return text_in(call, "name")
    return text_in(picture, "data") if isinstance(picture, dict) else text_in(part, "text")


def _of_turns(contents: list[dict[str, object]]) -> Iterator[Complaint]:
    """Calls come after the user or after results, and are answered in the next content, all of them in one."""
    for index, content in enumerate(contents):
        calls, results = _count(content, "functionCall"), _count(content, "functionResponse")
        before = contents[index - 1] if index else {}
        after = contents[index + 1] if index + 1 < len(contents) else {}
        if calls and before.get("role") != "user":
            yield Complaint("Please ensure that function call turn comes immediately after a user turn or after a "
                            "function response turn.")
        if calls != _count(after, "functionResponse") or (results and not _count(before, "functionCall")):
            yield Complaint("Please ensure that the number of function response parts is equal to the number of "
                            "function call parts of the function call turn.")


def _of_signatures(contents: list[dict[str, object]]) -> Iterator[Complaint]:
    """Since the user last said something, the first call of each step has a signature."""
    said = [index for index, content in enumerate(contents)
            if content.get("role") == "user" and not _count(content, "functionResponse")]
    for content in contents[said[-1] if said else 0:]:
        calls = [part for part in objects(content.get("parts")) if "functionCall" in part]
        if calls and not calls[0].get("thoughtSignature"):
            call = calls[0]["functionCall"]
            name = text_in(call, "name") if isinstance(call, dict) else ""
            yield Complaint("Function call is missing a thought_signature in functionCall parts. This is required for "
                            f"tools to work correctly. Function call `default_api:{name}`")


def _count(content: Mapping[str, object], name: str) -> int:
    return sum(name in part for part in objects(content.get("parts")))
