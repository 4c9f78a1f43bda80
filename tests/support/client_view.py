"""What a client sees while a cluster of three loses servers, as rows of outcomes.

    rows = play("kvcore", FAULTS, early=False, late=True)
    rows["A late"]["STREAM.NAMES"] == "10008"

A row is a moment of a scenario; `PROBES` are asked in it, all at once, by a client of one
server that lives through the scenario. An outcome is one of a few words (`OUTCOMES`) or the
number of an error of the API. Outcomes that chance decides are joined by " or ".

Each scenario begins with n1 leading everything. An early moment is one in which a leader
without a majority leads still: it begins at the fault. A late one begins when the servers
that are left have noticed. Conditions are waited for, and times are nowhere looked at.

Left out: what may differ between two kinds of servers, and the table (tests/interop).
"""

import asyncio
import itertools
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import nats
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.errors import NoStreamResponseError

from tests.support.nats_cluster import Cluster, cluster
from tests.support.wait import eventually

OUTCOMES = ("acked", "value", "ok", "no leader", "timeout", "503", "404")  # or an error's number
SETTLE_S = 90.0  # only a broken run takes so long
LOOKS = 4  # reads that may reach another server each time
BUCKETS: dict[str, dict[str, str]] = {"b": {}, "any": {"kvcore.reads": "any"}}

_serial = itertools.count()

Row = dict[str, str]
Rows = dict[str, Row]


# -- one question


def outcome(answer: object, good: str = "ok") -> str:
    """An answer of the API in one word."""
    match answer:
        case None:
            return "timeout"
        case {"status": str(status)}:
            return status.split()[1]
        case {"error": {"err_code": int(code)}}:
            return str(code)
        case _:
            return good


_SAID = (
    (r"context deadline exceeded|timeout", "timeout"),
    (r"no responders|no response from stream", "503"),
    (r"temporarily unavailable|\(10008\)", "10008"),
    (r"no suitable peers|\(10005\)", "10005"),
)


def said(cluster: Cluster, at: str, *words: str, good: str = "ok") -> str:
    """What became of a command of the official CLI."""
    done = cluster.cli(*words, at=at, check=False)
    text = done.stdout + done.stderr
    if not done.returncode:
        return good
    found = next((word for pattern, word in _SAID if re.search(pattern, text)), None)
    assert found is not None, f"the CLI said something new: {words} {text}"
    return found


class PythonClient:
    """nats-py, connected to one server before anything happens to the others."""

    def __init__(self, cluster: Cluster, at: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._nc = self._do(nats.connect(cluster.url(at), error_cb=_quiet))
        self._js = self._nc.jetstream()

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _put(self, bucket: str, key: str) -> str:
        try:
            await self._js.publish(f"$KV.{bucket}.{key}", b"1", timeout=5)
        except NatsTimeoutError:
            return "timeout"
        except NoStreamResponseError:
            return "503"
        return "acked"

    def put(self, bucket: str, key: str) -> str:
        return str(self._do(self._put(bucket, key)))

    def close(self) -> None:
        self._do(self._nc.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _quiet(_: Exception) -> None:
    """Errors of the connection are no outcome."""


# -- all questions of a moment


@dataclass
class Seat:
    """A client's place: the cluster, the server it talks to, its nats-py connection."""

    cluster: Cluster
    at: str
    python: PythonClient
    bucket: str = "b"

    def ask(self, verb: str, body: object = None, good: str = "ok", within: float = 5.0) -> str:
        return outcome(self.cluster.ask(self.at, verb, body, within=within), good)

    def put(self, within: float = 5.0) -> str:
        subject = f"$KV.{self.bucket}.raw"
        return outcome(self.cluster.ask(self.at, subject, 1, within=within, prefix=""), "acked")

    def name(self) -> str:
        """One that nothing has had."""
        return f"x{next(_serial)}"

    def look(self, stream: str) -> str:
        """A direct read, some times at once: any replica may be asked."""

        def one(_: int) -> str:
            return self.ask(f"DIRECT.GET.KV_{stream}.$KV.{stream}.k", good="value")

        with ThreadPoolExecutor(LOOKS) as pool:
            return " or ".join(sorted(set(pool.map(one, range(LOOKS))), reverse=True))

    def info(self) -> str:
        answer = self.cluster.ask(self.at, f"STREAM.INFO.KV_{self.bucket}", within=5.0)
        has_leader = answer is None or "error" in answer or answer["cluster"].get("leader")
        return outcome(answer) if has_leader else "no leader"

    def watch(self) -> str:
        subject = f"$KV.{self.bucket}.>"
        config = {"deliver_subject": "d", "ack_policy": "none", "filter_subject": subject}
        config |= {"mem_storage": True, "num_replicas": 1, "flow_control": True}
        config |= {"idle_heartbeat": 5_000_000_000, "inactive_threshold": 1_000_000_000}
        stream = f"KV_{self.bucket}"
        body = {"stream_name": stream, "config": config}
        return self.ask(f"CONSUMER.CREATE.{stream}.{self.name()}.{subject}", body)

    def create(self) -> str:
        name = self.name()
        config = {"name": name, "subjects": [f"{name}.>"], "num_replicas": 3}
        return self.ask(f"STREAM.CREATE.{name}", config)

    def cli(self, *words: str, good: str = "ok") -> str:
        return said(self.cluster, self.at, *words, good=good)


def _zz(verb: str, body: object) -> Callable[[Seat], str]:
    return lambda seat: seat.ask(f"STREAM.{verb}.KV_{seat.bucket}", body)


# what is asked -> (column of the table, the question)
PROBES: dict[str, tuple[str, Callable[[Seat], str]]] = {
    "js.publish": ("put nats-py", lambda seat: seat.python.put(seat.bucket, seat.name())),
    "kv put": (
        "put CLI",
        lambda seat: seat.cli("kv", "put", seat.bucket, seat.name(), "1", good="acked"),
    ),
    "DIRECT.GET": ("reads", lambda seat: seat.look(seat.bucket)),
    "DIRECT.GET, reads=any": ("reads", lambda seat: seat.look("any")),
    "STREAM.MSG.GET": (
        "reads",
        lambda seat: seat.ask(f"STREAM.MSG.GET.KV_{seat.bucket}", {"seq": 1}, "value"),
    ),
    "kv get": ("reads", lambda seat: seat.cli("kv", "get", seat.bucket, "k", good="value")),
    "STREAM.INFO": ("admin", Seat.info),
    "CONSUMER.CREATE": ("admin", Seat.watch),
    "INFO": ("admin", lambda seat: seat.ask("INFO")),
    "STREAM.NAMES": ("admin", lambda seat: seat.ask("STREAM.NAMES")),
    "STREAM.CREATE": ("admin", Seat.create),
    "STREAM.DELETE of none": ("admin", lambda seat: seat.ask("STREAM.DELETE.NOPE")),
    "STREAM.LEADER.STEPDOWN to none": (
        "admin",
        _zz("LEADER.STEPDOWN", {"placement": {"preferred": "zz"}}),
    ),
    "STREAM.PEER.REMOVE of none": ("admin", _zz("PEER.REMOVE", {"peer": "zz"})),
    "kv info": ("admin", lambda seat: seat.cli("kv", "info", seat.bucket)),
    "kv ls": ("admin", lambda seat: seat.cli("kv", "ls", seat.bucket)),
    "server check kv": (
        "admin",
        lambda seat: seat.cli("server", "check", "kv", "--bucket", seat.bucket),
    ),
    "stream report": ("admin", lambda seat: seat.cli("stream", "report")),
}
COLUMNS = tuple(dict.fromkeys(column for column, _ in PROBES.values()))


def moment(seat: Seat) -> Row:
    """Ask everything at once."""
    with ThreadPoolExecutor(len(PROBES)) as pool:
        asked = {name: pool.submit(probe, seat) for name, (_, probe) in PROBES.items()}
        return {name: each.result() for name, each in asked.items()}


# -- what happens to the cluster


def is_level(servers: Cluster, leader: str = "n1") -> bool:
    """Whether everything is led by `leader`, and whoever follows is level."""
    for bucket in BUCKETS:
        answer = servers.ask(leader, f"STREAM.INFO.KV_{bucket}", within=2.0) or {}
        found = answer.get("cluster", {})
        if found.get("leader") != leader:
            body = {"placement": {"preferred": leader}}
            servers.ask(leader, f"STREAM.LEADER.STEPDOWN.KV_{bucket}", body, within=2.0)
            return False
        if len(found["replicas"]) != 2 or not all(row["current"] for row in found["replicas"]):
            return False
    if servers.leader() != leader:
        body = {"placement": {"tags": [f"host:{leader}"]}}
        servers.ask(leader, "META.LEADER.STEPDOWN", body, user="sys", within=2.0)
        return False
    meta = servers.report(leader, "jsz?raft=1")["meta_cluster"].get("replicas", [])
    return all(row["current"] and not row.get("offline") for row in meta)


def level(servers: Cluster) -> None:
    """Wait until everything is as at the beginning."""
    eventually(lambda: is_level(servers), SETTLE_S, "n1 leads, and the others are level")


def is_acked(seat: Seat) -> bool:
    return seat.put(within=2.0) == "acked" and seat.ask("STREAM.NAMES", within=2.0) == "ok"


def is_mended(seat: Seat) -> bool:
    """Whether writes are acknowledged, and the meta leader sees all that run."""
    servers = seat.cluster
    leader = servers.leader()
    if not leader or not is_acked(seat):
        return False
    rows = servers.report(leader, "jsz?raft=1")["meta_cluster"].get("replicas", [])
    away = [row["name"] for row in rows if row.get("offline") or not row["current"]]
    return not set(away) & set(servers.running)


def is_given_up(seat: Seat) -> bool:
    return seat.put(within=2.0) == "503" and has_no_meta(seat)


def has_no_meta(seat: Seat) -> bool:
    return seat.ask("STREAM.NAMES", within=2.0) == "10008" and seat.info() != "timeout"


@dataclass(frozen=True)
class Scenario:
    """What is done to which servers, who looks on from where, and how it is mended."""

    letter: str
    title: str
    at: str
    harm: tuple[str, ...]  # a verb of the cluster, and servers
    late: Callable[[Seat], bool]
    mend: tuple[str, ...]
    late_text: str = "when they have noticed"
    mended_text: str = "healed"


FAULTS = (
    Scenario(
        *("A", "both followers SIGSTOP, client on the leader", "n1"),
        *(("pause", "n2", "n3"), is_given_up, ("resume", "n2", "n3")),
        late_text="after the leader stepped down",
    ),
    Scenario(
        *("B", "leader and another SIGSTOP, client on the third", "n3"),
        *(("pause", "n1", "n2"), has_no_meta, ("resume", "n1", "n2")),
    ),
    Scenario(
        *("C", "both followers SIGKILL, client on the leader", "n1"),
        *(("kill", "n2", "n3"), is_given_up, ("start", "n2")),
        late_text="after the leader stepped down",
        mended_text="one is back",
    ),
    Scenario(
        *("D", "leader SIGKILL, client on a follower", "n2"),
        *(("kill", "n1"), is_acked, ("start", "n1")),
        late_text="another leads",
    ),
    Scenario(
        *("E", "leader and another SIGKILL, client on the third", "n3"),
        *(("kill", "n1", "n2"), has_no_meta, ("start", "n1")),
        mended_text="one is back",
    ),
)

# -- what an operator does, with all servers well


def step_down_stream(servers: Cluster) -> Callable[[], bool]:
    servers.cli("stream", "cluster", "step-down", "KV_b", "--preferred", "n2")
    return lambda: bool(servers.ask("n1", "STREAM.INFO.KV_b", within=2.0))


def step_down_meta(servers: Cluster) -> Callable[[], bool]:
    servers.cli("server", "cluster", "step-down", "--host", "n2", user="sys")
    return lambda: bool(servers.leader())


def replicas(count: int) -> Callable[[Cluster], Callable[[], bool]]:
    def edit(servers: Cluster) -> Callable[[], bool]:
        servers.cli("kv", "edit", "scaled", "--replicas", str(count))

        def is_there() -> bool:
            answer = servers.ask("n1", "STREAM.INFO.KV_scaled", within=2.0) or {}
            found = answer.get("cluster", {})
            rows = found.get("replicas", [])
            is_level = len(rows) == count - 1 and all(row["current"] for row in rows)
            return bool(found.get("leader")) and is_level

        return is_there

    return edit


# row -> (title, bucket, what is done; the row is looked at when the function given back holds)
ORDERS: dict[str, tuple[str, str, Callable[[Cluster], Callable[[], bool]]]] = {
    "F": ("the stream's leader stepped down", "b", step_down_stream),
    "G": ("the meta leader stepped down", "b", step_down_meta),
    "H": ("`kv edit --replicas 3` of a bucket with one", "scaled", replicas(3)),
    "I": ("`kv edit --replicas 1` again", "scaled", replicas(1)),
}


def titles() -> dict[str, str]:
    """Each row's name, and what it says to a reader."""
    found = {"0": "all is well, client on the leader"}
    for each in FAULTS:
        found[f"{each.letter} early"] = f"{each.title}: at once"
        found[f"{each.letter} late"] = f"{each.title}: {each.late_text}"
        found[f"{each.letter} mended"] = f"{each.title}: {each.mended_text}"
    for letter, (title, _, _) in ORDERS.items():
        found[letter] = title
    return found


# -- playing


@contextmanager
def seated(servers: Cluster, at: str, bucket: str = "b") -> Iterator[Seat]:
    python = PythonClient(servers, at)
    try:
        yield Seat(servers, at, python, bucket)
    finally:
        python.close()


def prepare(servers: Cluster) -> None:
    """Two buckets on three servers, one on one, a key in each."""
    for bucket, metadata in BUCKETS.items():
        _make(servers, bucket, 3, metadata)
    _make(servers, "scaled", 1, {})
    level(servers)


def _make(servers: Cluster, bucket: str, count: int, metadata: Mapping[str, str]) -> None:
    config = {"name": f"KV_{bucket}", "subjects": [f"$KV.{bucket}.>"], "num_replicas": count}
    config |= {"max_msgs_per_subject": 1, "allow_direct": True, "allow_rollup_hdrs": True}
    config |= {"deny_delete": True, "metadata": metadata}
    eventually(
        lambda: outcome(servers.ask("n1", f"STREAM.CREATE.KV_{bucket}", config)) == "ok", SETTLE_S
    )
    eventually(
        lambda: outcome(servers.ask("n1", f"$KV.{bucket}.k", 1, within=2.0, prefix="")) == "ok",
        SETTLE_S,
    )


def suffer(servers: Cluster, scenario: Scenario, *, early: bool, late: bool) -> Rows:
    """One scenario's rows, and everybody back at its end."""
    rows: Rows = {}
    level(servers)
    with seated(servers, scenario.at) as seat:
        _do(servers, scenario.harm)
        if early:
            rows[f"{scenario.letter} early"] = moment(seat)
        if late:
            eventually(lambda: scenario.late(seat), SETTLE_S, f"{scenario.letter}: late")
            rows[f"{scenario.letter} late"] = moment(seat)
        _do(servers, scenario.mend)
        if late:
            eventually(lambda: is_mended(seat), SETTLE_S, f"{scenario.letter}: mended")
            rows[f"{scenario.letter} mended"] = moment(seat)
    servers.start(*(name for name in servers.names if name not in servers.running))
    return rows


def _do(servers: Cluster, words: tuple[str, ...]) -> None:
    verbs = {"pause": servers.pause, "resume": servers.resume}
    verbs |= {"kill": servers.kill, "start": servers.start}
    verbs[words[0]](*words[1:])


def obey(servers: Cluster) -> Rows:
    """The rows of what an operator does."""
    rows: Rows = {}
    level(servers)
    with seated(servers, "n1") as seat:
        rows["0"] = moment(seat)
    for letter, (title, bucket, order) in ORDERS.items():
        is_done = order(servers)
        eventually(is_done, SETTLE_S, title)
        with seated(servers, "n3", bucket) as seat:
            eventually(lambda seat=seat: is_acked(seat), SETTLE_S, title)
            rows[letter] = moment(seat)
    return rows


def play(
    kind: str,
    scenarios: Sequence[Scenario] = FAULTS,
    *,
    early: bool,
    late: bool,
    orders: bool = False,
    flags: Sequence[str] = (),
) -> Rows:
    """The rows of scenarios, one after the other on one cluster."""
    rows: Rows = {}
    with cluster(kind, flags=flags) as servers:
        prepare(servers)
        if orders:
            rows |= obey(servers)
        for scenario in scenarios:
            rows |= suffer(servers, scenario, early=early, late=late)
    return rows
