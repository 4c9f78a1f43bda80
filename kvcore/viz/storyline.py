"""From a trace to a space-time diagram: a partition, an election, a crash, as it was.

A run of a second has thousands of records, and a picture has room for some forty arrows. What
tells the story is drawn: who led in which term, who was down, where the network was cut,
whose timer ran out, what was truncated, votes, and appends that carry entries. Heartbeats
are counted and left out, unless they are asked for.

    story = story_of(records, "KV_config", since=began)
    show(story_picture(story, title="The minority's leader acks nothing"))

Left out: snapshots, which would be one long arrow each.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kvcore.limits import MILLISECOND_NS, Nanos
from kvcore.trace import Field, Trace
from kvcore.viz.replay import STARTS, STOPS, sides_of
from kvcore.viz.spacetime import Band, Mark, Message, Operation, Outage, Reign, Story

_ANSWERS = ("VoteReply", "AppendReply", "SnapshotReply")


def story_of(
    records: Iterable[Trace],
    group: str,
    *,
    servers: Sequence[str],
    since: Nanos,
    until: Nanos | None = None,
    operations: Sequence[Operation] = (),
    heartbeats: bool = False,
) -> Story:
    """What happened between two moments in this group; `operations` count ms from `since`.

    What began earlier (a reign, an outage, a cut) is drawn from the left edge on.
    """
    told = _Telling(group, tuple(servers), since, heartbeats=heartbeats)
    for record in records:
        if until is not None and record.time > until:
            break
        told.hear(record)
    clients = tuple(dict.fromkeys(each.client for each in operations))
    return told.story(clients, operations, until)


@dataclass(slots=True)
class _Sent:
    """A message on its way, or at its end."""

    sender: str
    receiver: str
    fields: Mapping[str, Field]
    sent: Nanos
    arrived: Nanos | None = None
    is_lost: bool = False

    @property
    def rpc(self) -> str:
        return str(self.fields.get("rpc", ""))

    @property
    def is_heartbeat(self) -> bool:
        """An append without entries."""
        first, last = self.fields.get("first"), self.fields.get("last")
        has_none = not isinstance(last, int) or (isinstance(first, int) and last < first)
        return self.rpc == "AppendEntries" and has_none


@dataclass(slots=True)
class _Telling:
    """The story while it is being heard; moments are turned into ms at its end."""

    group: str
    servers: tuple[str, ...]
    since: Nanos
    heartbeats: bool
    last: Nanos = 0
    sent: list[_Sent] = field(default_factory=list)
    under_way: dict[tuple[str, str, Field], list[_Sent]] = field(default_factory=dict)
    reigns: list[tuple[str, Nanos, Nanos | None, int]] = field(default_factory=list)
    outages: list[tuple[str, Nanos, Nanos | None, str]] = field(default_factory=list)
    cuts: list[tuple[Nanos, Nanos | None, tuple[tuple[str, ...], ...]]] = field(
        default_factory=list
    )
    marks: list[tuple[str, Nanos, str, bool]] = field(default_factory=list)

    def hear(self, record: Trace) -> None:
        """Takes one record in."""
        self.last = record.time
        if record.fields.get("group", self.group) != self.group:
            return
        if record.kind in ("peer-send", "peer-receive", "peer-lost"):
            self._message(record)
        elif record.kind == "role":
            self._role(record)
        elif record.kind in STOPS or record.kind in STARTS:
            self._power(record)
        elif record.kind in ("partition", "heal"):
            self._cut(record)
        else:
            self._mark(record)

    def _message(self, record: Trace) -> None:
        fields = record.fields
        if record.kind == "peer-send":
            if record.time >= self.since and "rpc" in fields and "group" in fields:
                new = _Sent(record.server, str(fields["to"]), fields, record.time)
                self.sent.append(new)
                way = new.sender, new.receiver, fields.get("id")
                self.under_way.setdefault(way, []).append(new)
            return
        is_arrival = record.kind == "peer-receive"
        sender = str(fields["from"]) if is_arrival else record.server
        receiver = record.server if is_arrival else str(fields["to"])
        for each in self.under_way.pop((sender, receiver, fields.get("id")), []):
            each.is_lost = not is_arrival
            each.arrived = record.time if is_arrival else None

    def _role(self, record: Trace) -> None:
        self._end_reign(record.server, record.time)
        if record.fields.get("role") == "leader":
            term = record.fields.get("term")
            self.reigns.append((record.server, record.time, None, int(term or 0)))

    def _end_reign(self, server: str, at: Nanos) -> None:
        self.reigns = [
            (name, start, at if name == server and end is None else end, term)
            for name, start, end, term in self.reigns
        ]

    def _power(self, record: Trace) -> None:
        if record.kind in STARTS:
            self.outages = [
                (name, start, record.time if name == record.server and end is None else end, what)
                for name, start, end, what in self.outages
            ]
            return
        if record.kind != "pause":
            self._end_reign(record.server, record.time)
        self.outages.append((record.server, record.time, None, STOPS[record.kind]))

    def _cut(self, record: Trace) -> None:
        self.cuts = [(start, record.time if end is None else end, s) for start, end, s in self.cuts]
        if record.kind == "partition":
            self.cuts.append((record.time, None, sides_of(record)))

    def _mark(self, record: Trace) -> None:
        match record.kind:
            case "election-timeout":
                self.marks.append((record.server, record.time, "timer ran out", False))
            case "step-down":
                reason = record.fields.get("reason")
                text = f"steps down: {reason}" if reason else "steps down"
                self.marks.append((record.server, record.time, text, False))
            case "truncate":
                text = f"truncates from #{record.fields.get('from')}"
                self.marks.append((record.server, record.time, text, True))
            case _:
                pass

    def story(
        self, clients: tuple[str, ...], operations: Sequence[Operation], until: Nanos | None
    ) -> Story:
        """All of it, in milliseconds since the beginning."""
        end = self.last if until is None else until
        drawn = [each for each in self._worth_drawing() if each.sent >= self.since]
        hidden = sum(each.is_heartbeat and each.sent >= self.since for each in self.sent)
        return Story(
            (*clients, *self.servers),
            tuple(operations),
            tuple(self._told(each) for each in drawn if each.arrived or each.is_lost),
            tuple(
                Band(self._from(start), self._ms(stop or end), self.servers, _cut_words(s), s)
                for start, stop, s in self.cuts
                if (stop or end) > self.since
            ),
            tuple(
                Reign(name, self._from(start), self._end(stop), term)
                for name, start, stop, term in self.reigns
                if (stop or end) > self.since and name in self.servers
            ),
            tuple(
                Outage(name, self._from(start), self._end(stop), what)
                for name, start, stop, what in self.outages
                if (stop or end) > self.since and name in self.servers
            ),
            tuple(
                Mark(name, self._ms(at), text, is_loss)
                for name, at, text, is_loss in self.marks
                if at >= self.since and name in self.servers
            ),
            f"{hidden} heartbeats are not drawn." if hidden and not self.heartbeats else "",
        )

    def _worth_drawing(self) -> list[_Sent]:
        """Without heartbeats and the answers to them."""
        if self.heartbeats:
            return self.sent
        drawn = []
        heard: dict[tuple[str, str], bool] = {}  # leader, follower: was the last append empty?
        for each in sorted(self.sent, key=lambda one: (one.sent, one.arrived or 0)):
            if each.rpc == "AppendEntries":
                heard[each.sender, each.receiver] = each.is_heartbeat
            if each.is_heartbeat:
                continue
            if each.rpc == "AppendReply" and heard.get((each.receiver, each.sender), False):
                continue
            drawn.append(each)
        return drawn

    def _told(self, each: _Sent) -> Message:
        arrived = None if each.arrived is None else self._ms(each.arrived)
        is_answer = each.rpc in _ANSWERS
        sent = self._ms(each.sent)
        return Message(each.sender, each.receiver, sent, arrived, _words(each), is_answer)

    def _ms(self, moment: Nanos) -> float:
        return (moment - self.since) / MILLISECOND_NS

    def _from(self, moment: Nanos) -> float:
        return max(0.0, self._ms(moment))

    def _end(self, moment: Nanos | None) -> float | None:
        return None if moment is None else self._ms(moment)


def _words(each: _Sent) -> str:
    """What a message says; answers need no word, their arrows are dotted."""
    match each.rpc:
        case "RequestVote":
            rehearsal = "would you vote?" if each.fields.get("pre") else "vote?"
            return f"{rehearsal} term {each.fields.get('term')}"
        case "AppendEntries" if not each.is_heartbeat:
            first, last = each.fields.get("first", each.fields["last"]), each.fields["last"]
            if first == last:
                text = str(each.fields.get("texts", "")).partition(" ")[2]
                return f"append #{first} {text}".rstrip()
            return f"append #{first}–{last}"
        case "TimeoutNow":
            return "stand now"
        case _:
            return ""


def _cut_words(sides: Sequence[Sequence[str]]) -> str:
    return "cut: " + " ‖ ".join(" ".join(side) for side in sides)
