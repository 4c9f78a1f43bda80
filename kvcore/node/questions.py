"""Questions to a server about itself, and the two spellings of their options.

The same documents answer `GET /connz?subs=1&limit=10` and a request to
`$SYS.REQ.SERVER.PING.CONNZ` with `{"subscriptions":true,"limit":10}`. `FIELDS` lists which
options each document has, how HTTP and JSON name them, and what holds where nothing is said;
whoever makes the document sees a `Question` and doesn't know how it came.

Options that are not in the table are passed over, as nats-server does: tools send more than
one server understands. A known one with a value of the wrong kind is refused.

Left out: options about accounts, gateways and MQTT.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from kvcore import limits
from kvcore.jetstream.documents import kind
from kvcore.nats import json_text

Value: TypeAlias = bool | int | str

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_STATES = ("open", "closed", "all")


class QuestionError(Exception):
    """The question can't be answered; `code` is HTTP's, the text is for whoever asked."""

    def __init__(self, text: str, code: int = 400) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Field:
    """An option: its names in a URL and in JSON, and its value where nothing is said, whose
    type is the option's."""

    http: str
    json: str
    default: Value


_PAGE: Final = (Field("offset", "offset", default=0), Field("limit", "limit", default=0))


def _flags(*names: str) -> tuple[Field, ...]:
    """Options that are true or false; `http:json` where the two names differ."""
    pairs = ((name.partition(":")[0], name.rpartition(":")[2]) for name in names)
    return tuple(Field(http, json, default=False) for http, json in pairs)


def _texts(*names: str) -> tuple[Field, ...]:
    pairs = ((name.partition(":")[0], name.rpartition(":")[2]) for name in names)
    return tuple(Field(http, json, default="") for http, json in pairs)


FIELDS: Mapping[str, tuple[Field, ...]] = {
    "varz": (),
    "statsz": (),
    "idz": (),
    "routez": (),
    "gatewayz": (),
    "leafz": (),
    "raftz": (),
    "connz": (
        *_PAGE,
        *_flags("auth", "subs:subscriptions", "subs-detail:subscriptions_detail"),
        *_texts("sort", "user", "acc", "filter_subject"),
        Field("cid", "cid", default=0),
        Field("state", "state", default="open"),
    ),
    "subsz": (*_PAGE, *_flags("subs:subscriptions"), *_texts("acc:account", "test")),
    "jsz": (
        *_PAGE,
        *_flags("accounts", "streams", "consumers:consumer", "config", "raft"),
        *_texts("acc:account"),
    ),
    "healthz": (
        *_flags("js-enabled-only", "js-enabled", "js-server-only", "js-meta-only", "details"),
        *_texts("account", "stream", "consumer"),
    ),
    "accountz": _texts("acc:account"),
    "accstatz": (),
}


@dataclass(frozen=True, slots=True)
class Question:
    """Which document is wanted, and its options by their names in a URL."""

    about: str
    options: Mapping[str, Value]

    def flag(self, name: str) -> bool:
        """An option that is true or false."""
        return bool(self.options[name])

    def number(self, name: str) -> int:
        """An option that is a number."""
        return int(self.options[name])

    def text(self, name: str) -> str:
        """An option that is a text."""
        return str(self.options[name])

    @property
    def offset(self) -> int:
        """Where the page begins."""
        return max(0, self.number("offset"))

    def limit(self, most: int) -> int:
        """How long the page may be: `most`, unless less was asked for."""
        asked = self.number("limit")
        return min(asked, most) if asked > 0 else most


def plain(about: str) -> Question:
    """The question without any option."""
    return Question(about, {field.http: field.default for field in FIELDS[about]})


def from_url(about: str, pairs: Iterable[tuple[str, str]]) -> Question:
    """What the query part of a URL asks; the first of two equal names counts."""
    said = dict(reversed(list(pairs)))
    options: dict[str, Value] = {}
    for field in FIELDS[about]:
        text = said.get(field.http, "")
        if field.http == "subs" and text.lower() == "detail":
            options["subs-detail"] = True
        elif text:
            options[field.http] = _from_text(field, text)
    return Question(about, {**plain(about).options, **options})


def _from_text(field: Field, text: str) -> Value:
    match field.default:
        case bool():
            if text not in _TRUE + _FALSE:
                raise QuestionError(f"{field.http} is true or false, not {text!r}")
            return text in _TRUE
        case int():
            if not _NUMBER.fullmatch(text):
                raise QuestionError(f"{field.http} is a number, not {text!r}")
            return int(text)
        case _:
            return text


def read(payload: bytes) -> dict[str, json_text.Json]:
    """The JSON of a request; nothing at all is the empty object."""
    try:
        document = json_text.loads(payload) if payload.strip() else {}
    except (ValueError, RecursionError) as error:
        raise QuestionError(f"invalid JSON: {error}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise QuestionError(f"an object is expected, not a JSON {kind(document)}")
    return document


def from_json(about: str, document: Mapping[str, json_text.Json]) -> Question:
    """What the JSON of a request asks."""
    options = dict(plain(about).options)
    for field in FIELDS[about]:
        value = document.get(field.json)
        if field.http == "state" and type(value) is int and 0 <= value < len(_STATES):
            value = _STATES[value]
        if value is None:
            continue
        if type(value) is not type(field.default):
            raise QuestionError(f"{field.json} can't be a JSON {kind(value)}")
        if type(value) is int and abs(value) > limits.SEQUENCE_MAX:
            raise QuestionError(f"{field.json} is out of range")
        assert isinstance(value, Value)
        options[field.http] = value
    return Question(about, options)
