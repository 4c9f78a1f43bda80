"""From a trace back to what the servers were: roles, votes, logs, timers at any moment.

A trace tells changes; a picture shows a state. So the records are gone through once, from the
beginning to the moment that is asked for, and each change is made to a small model of its
server. Only what is traced is known: what an entry says comes from the appends between servers.

    nodes_at(records, "KV_config")            # for node_cards and server_ring
    logs_at(records, "KV_config")             # for server_logs, truncated entries included
    election_times(records, "KV_config")      # ms from losing a leader to having the next

Left out: snapshots and compaction; a log that is told here begins at 1.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kvcore.limits import MILLISECOND_NS, Nanos
from kvcore.trace import Trace
from kvcore.viz.nodecard import Node, Role
from kvcore.viz.serverlogs import LogEntry, ServerLog

STOPS = {"crash": "down", "power-cut": "without power", "pause": "paused"}
STARTS = ("start", "resume")
_ROLES: Mapping[str, Role] = {
    "leader": "leader",
    "candidate": "candidate",
    "pre-candidate": "candidate",
}


@dataclass(slots=True)
class _Server:
    """What the records so far say of one server's part in the group."""

    role: Role = "follower"
    term: int = 0
    voted_for: str = ""
    votes: dict[str, None] = field(default_factory=dict)
    entries: dict[int, LogEntry] = field(default_factory=dict)
    truncated: list[LogEntry] = field(default_factory=list)
    commit: int = 0
    synced: int = 0
    stopped: str = ""
    timer: tuple[Nanos, Nanos] | None = None  # when it was set, and when it runs out

    @property
    def last(self) -> int:
        return max(self.entries, default=0)

    def tell(self, record: Trace) -> None:
        """One record of this server and, if it names one, of this group."""
        facts = record.fields
        match record.kind:
            case "role":
                self._enter(_int(facts.get("term")))
                self.role = _ROLES.get(str(facts.get("role")), "follower")
                if facts.get("role") == "pre-candidate":
                    self.votes.clear()  # a rehearsal: nobody has voted yet
            case "vote":
                self._enter(_int(facts.get("term")))
                self.voted_for = str(facts.get("to", ""))
            case "append":
                self._append(facts, str(facts.get("text") or ""))
            case "truncate":
                self._truncate(_int(facts.get("from")))
            case "commit":
                self.commit = max(self.commit, _int(facts.get("index")))
            case "deadline":
                self.timer = (record.time, _int(facts.get("at")))
            case "sync":
                self.synced = self.last
            case "crash" | "power-cut" | "pause":
                self.stopped = STOPS[record.kind]
            case "start" | "resume":
                self.stopped = ""
                if record.kind == "start":
                    self.role, self.timer = "follower", None

    def _enter(self, term: int) -> None:
        if term > self.term:
            self.term, self.voted_for = term, ""
            self.votes.clear()

    def _append(self, facts: Mapping[str, object], text: str) -> None:
        first, last = _int(facts.get("first")), _int(facts.get("last"))
        for index in range(first, last + 1):
            self.entries[index] = LogEntry(index, _int(facts.get("term")), text)

    def _truncate(self, start: int) -> None:
        for index in sorted(index for index in self.entries if index >= start):
            self.truncated.append(self.entries.pop(index))
        self.synced = min(self.synced, self.last)


def nodes_at(
    records: Iterable[Trace],
    group: str,
    *,
    at: Nanos | None = None,
    servers: Sequence[str] = (),
    engine: str = "file",
) -> tuple[Node, ...]:
    """The servers as they were at `at` (default: in the end), as cards and ring take them."""
    model, now = _replayed(records, group, at, servers)
    return tuple(
        Node(
            name,
            each.role,
            each.term,
            each.last,
            each.commit,
            engine,
            max(0, each.last - each.synced),
            down=each.stopped not in ("", "paused"),
            timer=_left(each, now),
            votes=len(each.votes),
            voted_for=each.voted_for,
            doing=each.stopped,
        )
        for name, each in model.items()
    )


def logs_at(
    records: Iterable[Trace],
    group: str,
    *,
    at: Nanos | None = None,
    servers: Sequence[str] = (),
    texts: Mapping[tuple[int, int], str] | None = None,
) -> tuple[ServerLog, ...]:
    """The servers' logs at `at`; `texts` says by (index, term) what an entry holds; without
    it, what the appends between servers tell.
    """
    records = list(records)
    known = texts_in(records, group) if texts is None else texts
    model, _ = _replayed(records, group, at, servers)

    def told(each: LogEntry) -> LogEntry:
        founding = "members" if each.index == 1 else ""  # by which each server was begun
        text = each.text or known.get((each.index, each.term), founding)
        return LogEntry(each.index, each.term, text)

    return tuple(
        ServerLog(
            name,
            tuple(told(each.entries[index]) for index in sorted(each.entries)),
            each.commit,
            each.role,
            each.term,
            tuple(told(gone) for gone in each.truncated),
            down=each.stopped not in ("", "paused"),
        )
        for name, each in model.items()
    )


def election_times(records: Iterable[Trace], group: str) -> tuple[float, ...]:
    """Milliseconds from each loss of the leader (down, stopped, cut off) to the next leader."""
    times = []
    leader, lost = "", None
    seen: dict[str, None] = {}  # who is a server: a partition may name clients, too
    for record in records:
        if _is_of_a_server(record):
            seen[record.server] = None
        if record.fields.get("group", group) != group:
            continue
        if record.kind == "role" and record.fields.get("role") == "leader":
            if lost is not None and record.server != leader:
                times.append((record.time - lost) / MILLISECOND_NS)
            leader, lost = record.server, None
        elif (
            leader and lost is None and (_ends(record, leader) or _is_cut_off(record, leader, seen))
        ):
            lost = record.time
    return tuple(times)


def texts_in(records: Iterable[Trace], group: str) -> dict[tuple[int, int], str]:
    """What each entry holds, by index and term, as the appends to followers tell it."""
    found: dict[tuple[int, int], str] = {}
    for record in records:
        if record.kind == "peer-send" and record.fields.get("group") == group:
            first = _int(record.fields.get("first"))
            for at, line in enumerate(str(record.fields.get("texts", "")).splitlines()):
                term, _, text = line.partition(" ")
                found.setdefault((first + at, int(term)), text)
    return found


def sides_of(record: Trace) -> tuple[tuple[str, ...], ...]:
    """The sides of a `partition` record: "n1 n2 | n3 n4 n5" as names."""
    text = str(record.fields.get("groups", ""))
    sides = text.replace("‖", "|").replace(",", " ").split("|")
    return tuple(tuple(side.split()) for side in sides if side.split())


def _ends(record: Trace, leader: str) -> bool:
    if record.server != leader:
        return False
    stood_down = record.kind == "role" and record.fields.get("role") != "leader"
    return record.kind in STOPS or stood_down


def _is_cut_off(record: Trace, leader: str, servers: Mapping[str, None]) -> bool:
    """Whether the record cuts the leader from a majority."""
    if record.kind != "partition":
        return False
    sides = [[name for name in side if name in servers] for side in sides_of(record)]
    count = sum(map(len, sides))
    return any(leader in side and 2 * len(side) <= count for side in sides)


def _replayed(
    records: Iterable[Trace], group: str, at: Nanos | None, servers: Sequence[str]
) -> tuple[dict[str, _Server], Nanos]:
    model = {name: _Server() for name in servers}
    now = 0
    for record in records:
        if at is not None and record.time > at:
            break
        now = record.time
        if record.kind == "vote" and record.fields.get("group") == group:
            _count(model, record)
        belongs = record.fields.get("group", group) == group
        if belongs and (record.server in model or (not servers and _is_of_a_server(record))):
            model.setdefault(record.server, _Server()).tell(record)
    return model, now if at is None else at


def _count(model: Mapping[str, _Server], record: Trace) -> None:
    """A vote counts for whoever stands in that term."""
    candidate = model.get(str(record.fields.get("to")))
    if candidate is not None and _int(record.fields.get("term")) >= candidate.term:
        candidate.votes[record.server] = None


def _is_of_a_server(record: Trace) -> bool:
    return record.kind in ("role", "start", "append", "vote", "deadline")


def _left(server: _Server, now: Nanos) -> float | None:
    """The part of the election timer that is left, of a follower."""
    if server.timer is None or server.role != "follower" or server.stopped:
        return None
    begun, ends = server.timer
    return min(1.0, max(0.0, (ends - now) / max(1, ends - begun)))


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0
