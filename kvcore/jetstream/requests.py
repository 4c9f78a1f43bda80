"""What every request handler of the API is given, and how it reads its payload.

A handler is a function of the server's state and one `Call`. It returns the fields of the
answer, or an action if the answer comes later, or raises `ConfigError` with the refusal.
So a handler says only what is particular to its verb.

Left out: which verbs there are (`api.py`) and what they do (`stream_requests.py`,
`consumer_requests.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from kvcore import limits
from kvcore.jetstream.answers import Action
from kvcore.jetstream.catalog import Catalog, Identity
from kvcore.jetstream.cluster import block
from kvcore.jetstream.config import StreamConfig
from kvcore.jetstream.documents import kind, read_object
from kvcore.jetstream.errors import (
    BAD_REQUEST,
    STREAM_NOT_FOUND,
    ApiError,
    ConfigError,
    invalid_json,
)
from kvcore.jetstream.gojson import quoted
from kvcore.jetstream.stream import Stream
from kvcore.limits import Nanos

NOT_EMPTY = ApiError(400, 10038, "expected an empty request payload")


@dataclass(slots=True)
class Context:
    """The server that answers: `total` requests so far, of which `errors` were refused."""

    identity: Identity
    catalog: Catalog
    rng: Random
    total: int = 0
    errors: int = 0

    def stream(self, name: str) -> Stream:
        """The stream of this name; raises `ConfigError` (10059)."""
        stream = self.catalog.stream(name)
        if stream is None:
            raise ConfigError(STREAM_NOT_FOUND)
        return stream

    def configs(self) -> dict[str, StreamConfig]:
        """All streams there are, wherever they are led."""
        cluster = self.catalog.cluster
        if cluster is not None:
            return {name: each.config for name, each in cluster.streams().items()}
        led = ((name, self.catalog.stream(name)) for name in self.catalog.names())
        return {name: stream.config for name, stream in led if stream is not None}

    def require(self, name: str) -> None:
        """Refuse (10059) unless there is such a stream, here or elsewhere."""
        cluster = self.catalog.cluster
        if cluster is None:
            self.stream(name)
        elif name not in cluster.streams():
            raise ConfigError(STREAM_NOT_FOUND)

    def group(self, name: str) -> dict[str, object]:
        """The `cluster` object of a stream that is here, in a dictionary that is empty for a
        server on its own."""
        cluster = self.catalog.cluster
        assignment = cluster.streams().get(name) if cluster is not None else None
        if cluster is None or assignment is None:
            return {}
        return {"cluster": block(cluster.name, assignment, cluster.sight(name))}


@dataclass(frozen=True, slots=True)
class Call:
    """One request: `names` are the tokens of its subject after the verb."""

    what: str  # the kind of its answer, such as "stream_info"
    names: list[str]
    reply: str
    payload: bytes
    now: Nanos


Fields: TypeAlias = Mapping[str, object]
Handler: TypeAlias = Callable[[Context, Call], Fields | Action]


class Asked:
    """The fields of a request; each known one has a default, whose type is the field's."""

    def __init__(self, payload: bytes, **defaults: str | int | bool) -> None:
        self._values: dict[str, str | int | bool] = dict(defaults)
        for name, value in read_object(payload).items():
            if name not in defaults:
                raise ConfigError(invalid_json(f"json: unknown field {quoted(name)}"))
            if value is None:
                continue
            if type(value) is not type(defaults[name]):
                raise wrong_type(name, value)
            assert isinstance(value, str | int)
            if isinstance(value, int) and abs(value) > limits.SEQUENCE_MAX:
                raise wrong_type(name, value)
            self._values[name] = value

    def text(self, name: str) -> str:
        """A field that is a string."""
        return str(self._values[name])

    def number(self, name: str) -> int:
        """A field that is an integer."""
        return int(self._values[name])

    def count(self, name: str) -> int:
        """An integer that can't be negative."""
        value = int(self._values[name])
        if value < 0:
            raise wrong_type(name, value)
        return value

    def flag(self, name: str) -> bool:
        """A field that is true or false."""
        return bool(self._values[name])


def wrong_type(name: str, value: object) -> ConfigError:
    """The refusal of a field whose value has the wrong type."""
    return ConfigError(invalid_json(f"json: cannot unmarshal {kind(value)} into field {name}"))


def is_empty(payload: bytes) -> bool:
    """Whether nothing is asked; `{}` counts as nothing."""
    text = payload.strip()
    return not text or (text.startswith(b"{") and text.endswith(b"}") and not text[1:-1].strip())


def require_empty(payload: bytes) -> None:
    """Refuse a payload where none is expected."""
    if not is_empty(payload):
        raise ConfigError(NOT_EMPTY)


def require_given(payload: bytes) -> None:
    """Refuse no payload, or an empty object, where something must be said."""
    if is_empty(payload):
        raise ConfigError(BAD_REQUEST)
