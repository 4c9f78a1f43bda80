"""JSON from strangers: the same answer for the same bytes, whatever they are.

Python's reader is more generous than the standard (it takes `NaN`) and fails late on text
that is nested deeply: how deep depends on how deep the caller already stands. A server
that must behave the same in every world can't have that, so the nesting is bounded here,
before reading, by a number of our own.

Bytes that are no UTF-8 are read with a replacement character, as nats-server does.

Left out: a schema. Callers check the types of what they use.
"""

import json
import re
from typing import TypeAlias

from kvcore import limits

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None

# A string, or one that never ends: then it is the rest of the text, looked at once.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)


def loads(raw: bytes, depth_max: int = limits.JSON_DEPTH_COUNT) -> Json:
    """Reads one JSON text; raises ValueError when it is none or is nested too deeply."""
    text = raw.decode("utf-8", "replace")
    if text.count("[") + text.count("{") > depth_max and _depth(text) > depth_max:
        raise ValueError(f"nested deeper than {depth_max}")
    value: Json = json.loads(text, parse_constant=_refuse_constant)
    return value


def _depth(text: str) -> int:
    depth = deepest = 0
    for mark in re.findall(r"[\[\]{}]", _STRING.sub("", text)):
        depth += 1 if mark in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")
