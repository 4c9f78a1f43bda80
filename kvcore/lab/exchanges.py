"""Requests and answers of the Key-Value API in words: "reads hits", "5, revision 7".

The wire has frames; a learner thinks in puts and gets. Each `Exchange` of a recorded `Wire`
becomes a `Call`: what was asked, what came of it, and whether it took effect. Failing orders
of a check are told with these words, and the space-time diagram is drawn from them.

    calls = [told(each) for each in wire.exchanges]
    show(space_time(...))            # or, in a lesson: show(wire_picture(wire))

Left out: requests that are not about one key of a bucket; they keep their subject.
"""

import json
import re
from base64 import b64decode
from dataclasses import dataclass
from typing import Any

from nats.aio.client import Client

from kvcore.lab.cluster import Cluster
from kvcore.lab.overheard import HeardWire
from kvcore.lab.simulated import SimulatedCluster
from kvcore.limits import MILLISECOND_NS, Nanos
from kvcore.sim.wire import Exchange, Wire
from kvcore.viz.figure import Picture
from kvcore.viz.spacetime import Band, Operation, Outcome, space_time

_DIRECT = re.compile(r"\$JS\.API\.DIRECT\.GET\.KV_[^.]+\.\$KV\.[^.]+\.(?P<key>.+)")
_GET = re.compile(r"\$JS\.API\.(STREAM\.MSG|DIRECT)\.GET\.KV_[^.]+")
_WRITE = re.compile(r"\$KV\.(?P<bucket>[^.]+)\.(?P<key>.+)")
_EXPECTED = re.compile(rb"Nats-Expected-Last-Subject-Sequence: *(\d+)", re.IGNORECASE)
_SEQUENCE = re.compile(rb"Nats-Sequence: *(\d+)", re.IGNORECASE)
_MARKER = re.compile(rb"KV-Operation: *(\w+)", re.IGNORECASE)
_STATUS = re.compile(rb"NATS/1\.0 (\d{3})")


@dataclass(frozen=True, slots=True)
class Call:
    """One request in words. `short` fits a picture, `asks` and `gets` make a sentence."""

    client: str
    asks: str
    gets: str
    short: str
    outcome: Outcome

    @property
    def text(self) -> str:
        """As "A reads hits: 5, revision 7"."""
        return f"{self.client} {self.asks}: {self.gets}"


def told(each: Exchange) -> Call:
    """The exchange in words."""
    read, write = _key_read(each), _WRITE.fullmatch(each.subject)
    if read:
        asks, short = f"reads {read}", "get"
    elif write:
        asks, short = _write_words(each, write["key"])
    else:
        asks, short = f"asks {each.subject}", "ask"
    gets, outcome = _answer_words(each)
    tail = {"ok": f"→ {gets.split(',')[0]}", "failed": "✗ refused", "unknown": "?"}[outcome]
    if write and outcome == "ok":
        tail = "→ #" + gets.rpartition(" ")[2]
    if outcome == "failed" and gets == "no such key":
        tail = "→ none"
    return Call(each.client, asks, gets, f"{short} {tail}", outcome)


def _key_read(each: Exchange) -> str:
    """The key, or "#7" for a message by its number; empty if this reads neither."""
    direct = _DIRECT.fullmatch(each.subject)
    if direct:
        return direct["key"]
    asked = _parsed(each.payload) if _GET.fullmatch(each.subject) else {}
    if "seq" in asked:
        return f"#{asked['seq']}"
    written = _WRITE.fullmatch(str(asked.get("last_by_subj", "")))
    return written["key"] if written else ""


def _parsed(text: bytes) -> dict[str, Any]:
    """A JSON object, or nothing."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _write_words(each: Exchange, key: str) -> tuple[str, str]:
    marker = _MARKER.search(each.headers)
    value = each.payload.decode("utf-8", "backslashreplace")
    expected = _EXPECTED.search(each.headers)
    if marker:
        verb = "deletes" if marker[1] == b"DEL" else "purges"
        asks, short = f"{verb} {key}", verb[:-1]
    elif expected is None:
        asks, short = f"puts {key}={value}", f"put {value}"
    elif expected[1] == b"0":
        return f"creates {key}={value}", f"create {value}"
    else:
        asks, short = f"updates {key} to {value}", f"update {value}"
    if expected is None:
        return asks, short
    number = expected[1].decode()
    return f"{asks} if it is still #{number}", f"{short} if #{number}"


def _answer_words(each: Exchange) -> tuple[str, Outcome]:
    if each.heard is None:
        return "no answer", "unknown"
    if status := _STATUS.match(each.answer_headers):
        return _failure(status[1].decode(), "")
    answer = _parsed(each.answer)
    sequence = _SEQUENCE.search(each.answer_headers)
    if sequence:
        return _entry(each.answer, each.answer_headers, sequence[1].decode()), "ok"
    if "error" in answer:
        return _failure(str(answer["error"].get("code")), answer["error"].get("description", ""))
    if "message" in answer:
        message = answer["message"]
        data, headers = (b64decode(message.get(name, "")) for name in ("data", "hdrs"))
        return _entry(data, headers, str(message["seq"])), "ok"
    return f"stored as revision {answer['seq']}" if "seq" in answer else "an answer", "ok"


def _failure(code: str, why: str) -> tuple[str, Outcome]:
    return "no such key" if code == "404" else f"refused, {why or code}", "failed"


def _entry(value: bytes, headers: bytes, revision: str) -> str:
    text = value.decode("utf-8", "backslashreplace") or "nothing"
    return f"{'a tombstone' if _MARKER.search(headers) else text}, revision {revision}"


def record(cluster: Cluster, **clients: Client) -> Wire:
    """Listens to these clients from now on: `record(cluster, A=nc_a, B=nc_b)`.

    On real servers only the client's end can be heard (`overheard.HeardWire`).
    """
    return Wire(clients) if isinstance(cluster, SimulatedCluster) else HeardWire(clients)


def wire_picture(
    wire: Wire, *, title: str = "what happened", bands: tuple[Band, ...] = (), server: str = "n1"
) -> Picture:
    """The space-time diagram of what was recorded: clients above, the server below."""
    lanes = sorted({each.client: None for each in wire.exchanges})
    begin = min((each.sent for each in wire.exchanges), default=0)
    operations = []
    for each in wire.exchanges:
        call = told(each)
        operations.append(
            Operation(
                client=call.client,
                server=server,
                start=(each.sent - begin) / MILLISECOND_NS,
                reached=_ms(each.arrived, begin),
                answered=_ms(each.answered, begin),
                end=_ms(each.heard, begin),
                label=call.short,
                outcome=call.outcome,
                note="#" + call.gets.rpartition(" ")[2] if call.gets.startswith("stored") else "",
            )
        )
    return space_time([*lanes, server], operations, bands=bands, title=title)


def _ms(moment: Nanos | None, begin: Nanos) -> float | None:
    return None if moment is None else (moment - begin) / MILLISECOND_NS
