"""JSON documents of the API: read so that nothing in them can hurt, and written back.

`nats/json_text.py` bounds the nesting. What is left is a string with half a surrogate pair,
which Python reads and can't write out again; it is mended the way Go's reader does it, with
U+FFFD. What is no JSON is one refusal (10025), whatever was wrong with it.

`write` makes compact JSON. A subject may hold bytes that are no UTF-8 (kept by
`surrogateescape`); JSON can't carry those, and again U+FFFD stands for them.

Left out: schemas. Who reads a document checks its fields.
"""

import json

from kvcore.jetstream.errors import ConfigError, invalid_json
from kvcore.nats import json_text

_HALF = b"\\ud"  # how an escaped surrogate begins, in lower case


def read(payload: bytes) -> object:
    """The document; raises `ConfigError` (10025) for what is no JSON or too deep."""
    try:
        document = json_text.loads(payload)
    except (ValueError, RecursionError) as error:
        raise ConfigError(invalid_json(str(error))) from None
    return _mended(document) if _HALF in payload.lower() else document


def read_object(payload: bytes) -> dict[str, object]:
    """As `read`, for an object; white space alone, and null, are the empty one."""
    document = read(payload) if payload.strip() else {}
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(invalid_json(f"cannot unmarshal {kind(document)} into an object"))
    return document


def write(document: object) -> bytes:
    """Compact JSON in UTF-8."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _replaced(text).encode()


def kind(value: object) -> str:
    """What JSON calls a value's type."""
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _mended(document: object) -> object:
    match document:
        case str():
            return _replaced(document)
        case list():
            return [_mended(value) for value in document]
        case dict():
            return {_replaced(key): _mended(value) for key, value in document.items()}
        case _:
            return document


def _replaced(text: str) -> str:
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
