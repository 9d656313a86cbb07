"""Answers checked against a type or a JSON schema: the door behind `chat(response_format=…)`. Extra: `schema`.

```python
class Invoice(BaseModel):
    number: str
    total: float

reply = await router.chat(letter, task="fast", response_format=Invoice)
reply.parsed.total
```

`read_shape` makes an `AnswerSchema` of what may be given there; the router does that by itself, once for each shape.
Use it to check texts of your own: `read_shape(Invoice).parse(text)`. `to_json` makes plain JSON of a value.

What counts as an answer. The text is one JSON value, or one value in a Markdown fence; nothing stands around it. NaN,
infinities, a key that stands twice in one object and text that UTF-8 cannot express are no JSON. The value fits the
schema: a type is checked without conversions, so "12" is no integer and 1 no boolean, and formats (`date`, `date-time`,
`email`, `uuid` …) are checked, too. Whatever else a class checks with validators of its own holds as well.
"""

from __future__ import annotations

from asyncrouter.schema._output import to_json
from asyncrouter.schema._shape import AnswerSchema, read_shape

__all__ = ["AnswerSchema", "read_shape", "to_json"]
