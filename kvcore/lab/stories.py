"""What a simulated group of servers did: its logs side by side, and its messages over time.

The pictures of `kvcore.viz` are drawn from values; here a world that ran gives them, out of
its trace and, for what clients did, of a `Wire` that listened to them.

    began = cluster.simulation.now
    wire = record(cluster, A=client_a, B=client_b)
    …                                        # writes, a partition, a heal
    show(story_picture(group_story(cluster, "b", since=began, wire=wire), title="…"))
    logs = group_logs(cluster, "b")
    show(server_logs(logs, pointers=group_pointers(cluster, "b"), title="After the heal"))
    for step in group_steps(cluster, "b", since=began, wire=wire):
        print(step)                          # the same in words; step.at is its moment

Left out: worlds of real servers; they keep no common trace.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kvcore.lab.exchanges import told
from kvcore.lab.pictures import cut_now, group_of
from kvcore.lab.simulated import SimulatedCluster
from kvcore.limits import MILLISECOND_NS, Nanos
from kvcore.node.node import Node
from kvcore.raft.state import Role
from kvcore.sim.views import View
from kvcore.sim.wire import Exchange, Wire
from kvcore.trace import Trace
from kvcore.viz.replay import logs_at
from kvcore.viz.serverlogs import LogEntry, Pointers, ServerLog
from kvcore.viz.spacetime import Operation, Story
from kvcore.viz.storyline import story_of


def group_logs(
    cluster: SimulatedCluster, bucket: str, *, at: Nanos | None = None
) -> tuple[ServerLog, ...]:
    """Each server's log of the bucket's group, truncated entries included; for `server_logs`.

    What a power cut took is in no trace: as of now, entries that a running server no longer has
    count as truncated.
    """
    world = cluster.simulation
    logs = logs_at(world.records, group_of(bucket), at=at, servers=tuple(world.hosts))
    if at is not None:
        return logs
    texts = {(e.index, e.term): e.text for log in logs for e in log.entries if e.text}
    views = {each.server: each for each in world.views(group_of(bucket))}
    return tuple(_as_it_is(log, views.get(log.name), texts) for log in logs)


def _as_it_is(log: ServerLog, view: View | None, texts: Mapping[tuple[int, int], str]) -> ServerLog:
    """A log as the trace tells it, held against the one that its server has."""
    if view is None or not view.role:
        return log
    there = {(place.index, place.term): None for place in view.log}
    first = view.log[0].index if view.log else view.last_index + 1
    told = {(each.index, each.term): each for each in log.entries}
    gone = [e for at, e in told.items() if e.index >= first and at not in there]
    if not gone and all(at in told for at in there):
        return replace(log, commit=min(log.commit, view.last_index))
    compacted = [each for each in log.entries if each.index < first]
    kept = [told.get(at) or LogEntry(*at, texts.get(at, "")) for at in there]
    known = {(each.index, each.term): None for each in log.truncated}
    lost = [each for each in gone if (each.index, each.term) not in known]
    return replace(
        log,
        entries=(*compacted, *kept),
        commit=min(view.commit, view.last_index),
        truncated=(*log.truncated, *lost),
    )


def group_pointers(cluster: SimulatedCluster, bucket: str) -> tuple[Pointers, ...]:
    """What the bucket's leader knows of each follower's log, as it is now; for `server_logs`.

    Of two that take themselves for leaders, the one in the later term.
    """
    parts = [
        host.node.groups[group_of(bucket)].raft
        for host in cluster.simulation.hosts.values()
        if isinstance(host.node, Node) and group_of(bucket) in host.node.groups
    ]
    leading = [raft for raft in parts if raft.role is Role.LEADER]
    if not leading:
        return ()
    latest = max(leading, key=lambda raft: raft.term)
    return tuple(Pointers(each.name, each.match, each.next) for each in latest.followers)


def group_story(
    cluster: SimulatedCluster,
    bucket: str,
    *,
    since: Nanos,
    until: Nanos | None = None,
    wire: Wire | None = None,
    servers: Sequence[str] = (),
    heartbeats: bool = False,
) -> Story:
    """What happened in the bucket's group between two moments; for `story_picture`.

    `servers` orders the lanes; best so that the sides of a cut are neighbours, and of itself
    the order of the cut that is in force, if one is.
    """
    world = cluster.simulation
    end = world.now if until is None else until
    sides = [name for side in cut_now(cluster) for name in side if name in world.hosts]
    return story_of(
        world.records,
        group_of(bucket),
        servers=servers or sides or tuple(world.hosts),
        since=since,
        until=end,
        operations=_operations(wire, since, end),
        heartbeats=heartbeats,
    )


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a server or a client did; `at` is a moment of the world's."""

    at: Nanos
    ms: float
    who: str
    does: str

    def __str__(self) -> str:
        return f"{self.ms:7.2f} ms  {self.who:<3} {self.does}"


def group_steps(
    cluster: SimulatedCluster, bucket: str, *, since: Nanos, wire: Wire | None = None
) -> list[Step]:
    """What the bucket's group did with its log from a moment on, and what clients heard of it.

    What a message says a second time is left out, and so are votes.
    """
    group = group_of(bucket)
    found = [
        (record.time, record.server, _in_words(record))
        for record in cluster.simulation.records
        if record.time >= since and record.fields.get("group") == group
    ]
    for each in wire.exchanges if wire is not None else ():
        call = told(each)
        if each.sent < since or call.asks.startswith("asks "):
            continue
        found.append((each.sent, each.client, call.asks))
        if each.heard is not None:
            found.append((each.heard, each.client, f"hears: {call.gets}"))
    found.sort(key=lambda step: step[0])
    steps: dict[tuple[str, str, Nanos], Step] = {}
    for at, who, does in found:  # what heartbeats say again is no news
        is_said = does.startswith(("tells ", "answers "))
        step = Step(at, (at - since) / MILLISECOND_NS, who, does)
        if does:
            steps.setdefault((who, does, 0 if is_said else at), step)
    return list(steps.values())


def _in_words(record: Trace) -> str:
    """What a record of the group says of its log; empty if it speaks of something else."""
    facts = record.fields
    match record.kind, facts.get("rpc"):
        case "append", _:
            return f"appends {_entries(facts)} to its log"
        case "commit", _:
            return f"commits up to entry {facts['index']}"
        case "apply", _:
            return f"applies entry {facts['index']}"
        case "truncate", _:
            return f"cuts off its log from entry {facts['from']} on"
        case "role", _:
            return f"is {facts['role']} in term {facts['term']}"
        case "peer-send", "AppendEntries" if "texts" in facts:
            return f"sends {facts['to']} entry {facts['first']}"
        case "peer-send", "AppendEntries":
            return f"tells {facts['to']}: committed up to {facts['commit']}"
        case "peer-send", "AppendReply" if facts.get("ok"):
            return f"answers {facts['to']}: my disk has up to {facts['index']}"
        case _:
            return ""


def _entries(facts: Mapping[str, object]) -> str:
    """The entries of an append record: there may be several, of one term."""
    first, last = facts["first"], facts["last"]
    return f"entry {first}" if first == last else f"entries {first} to {last}"


def _operations(wire: Wire | None, since: Nanos, end: Nanos) -> list[Operation]:
    """Requests about a key that were sent in this time."""
    found = []
    for each in wire.exchanges if wire is not None else ():
        call = told(each)
        if since <= each.sent <= end and not call.asks.startswith("asks "):
            assert wire is not None
            found.append(_operation(each, call.short, wire.servers[each.client], since))
    return found


def _operation(each: Exchange, label: str, server: str, since: Nanos) -> Operation:
    def ms(moment: Nanos | None) -> float | None:
        return None if moment is None else (moment - since) / MILLISECOND_NS

    return Operation(
        each.client,
        server,
        (each.sent - since) / MILLISECOND_NS,
        ms(each.arrived),
        ms(each.answered),
        ms(each.heard),
        label,
        told(each).outcome,
    )
