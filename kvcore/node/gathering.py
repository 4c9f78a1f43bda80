"""Answers that need every server: lists of streams, and what the account holds.

The meta group's leader knows which streams there are, but how they are only their leaders
know. So it asks all peers at once by a note, adds its own part, and answers when everyone has
told, or when two seconds have passed: then the streams that nobody told of are named as
`missing`. A peer that goes meanwhile is not waited for.

    → {"gather": 7, "names": ["KV_a", "KV_b"]}      of these, those that you lead
    ← {"gathered": 7, "streams": {"KV_b": {…}}}
    → {"gather": 8, "names": []}
    ← {"gathered": 8, "usage": {…}}

Left out: pages of one peer's answer; a list has at most `limits.LIST_PAGE_COUNT` streams.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kvcore import limits
from kvcore.jetstream.answers import Answer, Gather
from kvcore.jetstream.api import Api
from kvcore.limits import Nanos
from kvcore.nats.json_text import Json
from kvcore.node.peers import Peers
from kvcore.node.wakeups import Clock
from kvcore.raft.entry import CodecError
from kvcore.storage.keys import META_GID


@dataclass(slots=True)
class _Open:
    """A question under way; `awaited` are the peers that have not told yet."""

    asked: Gather
    until: Nanos
    awaited: dict[str, None]
    streams: dict[str, Mapping[str, object]] = field(default_factory=dict)
    usages: list[Mapping[str, int]] = field(default_factory=list)


class Gathering:
    """One server's questions to the others, and its answers to theirs."""

    def __init__(
        self, peers: Peers, clock: Clock, api: Api, send: Callable[[Answer], None]
    ) -> None:
        self._peers = peers
        self._clock = clock
        self._api = api
        self._send = send
        self._open: dict[int, _Open] = {}  # by number, the oldest first
        self._last = 0

    def begin(self, asked: Gather) -> None:
        """Ask everyone; whoever is asked too much answers with what he has."""
        self._last += 1
        until = self._clock.now + limits.GATHER_WAIT_NS
        question = _Open(asked, until, dict.fromkeys(self._peers.names))
        self._open[self._last] = question
        for peer in self._peers.names:
            self._peers.note(peer, META_GID, {"gather": self._last, "names": list(asked.names)})
        if asked.names:
            question.streams.update(self._api.listed(asked.names, self._clock.now))
        else:
            question.usages.append(self._api.usage())
        self._finish(self._last)
        while len(self._open) > limits.GATHERS_COUNT:
            self._finish(next(iter(self._open)), is_late=True)

    def on_note(self, peer: str, fields: Mapping[str, Json]) -> bool:
        """A peer asks, or tells; False: its note is about something else. Raises
        `CodecError` for one that makes no sense."""
        if "gather" in fields:
            self._tell(peer, fields)
        elif "gathered" in fields:
            self._take(peer, fields)
        else:
            return False
        return True

    def on_gone(self, peer: str) -> None:
        """Nothing more will come from there."""
        for number, question in list(self._open.items()):
            question.awaited.pop(peer, None)
            self._finish(number)

    def deadline(self) -> Nanos | None:
        """When the oldest question has waited long enough."""
        return next((question.until for question in self._open.values()), None)

    def work(self) -> None:
        """Answer what has waited long enough."""
        for number, question in list(self._open.items()):
            if question.until > self._clock.now:
                return
            self._finish(number, is_late=True)

    def _tell(self, peer: str, fields: Mapping[str, Json]) -> None:
        names = fields.get("names")
        if not isinstance(names, list):
            raise CodecError("a question without names")
        answer: dict[str, object] = {"gathered": fields["gather"]}
        if names:
            wanted = (name for name in names if isinstance(name, str))
            answer["streams"] = self._api.listed(wanted, self._clock.now)
        else:
            answer["usage"] = self._api.usage()
        self._peers.note(peer, META_GID, answer)

    def _take(self, peer: str, fields: Mapping[str, Json]) -> None:
        number, streams, usage = (fields.get(key) for key in ("gathered", "streams", "usage"))
        question = self._open.get(number) if isinstance(number, int) else None
        if question is None or peer not in question.awaited:
            return
        del question.awaited[peer]
        for name, listed in (streams if isinstance(streams, dict) else {}).items():
            if isinstance(listed, dict):
                question.streams[name] = listed
        if isinstance(usage, dict):
            question.usages.append(_counts(usage))
        assert isinstance(number, int)
        self._finish(number)

    def _finish(self, number: int, *, is_late: bool = False) -> None:
        question = self._open[number]
        if question.awaited and not is_late and not _is_whole(question):
            return
        del self._open[number]
        asked = question.asked
        if asked.reply:
            body = self._api.gathered(asked, question.streams, question.usages)
            self._send(Answer(asked.reply, body))


def _is_whole(question: _Open) -> bool:
    """Whether nothing is missing, though not everyone has told."""
    names = question.asked.names
    return bool(names) and all(name in question.streams for name in names)


def _counts(usage: Mapping[str, Json]) -> dict[str, int]:
    counts = {name: value for name, value in usage.items() if type(value) is int}
    if len(counts) != len(usage):
        raise CodecError("a count is a number")
    return counts
