"""Each row of the table of expectations, asked of running servers of both kinds.

What is told in numbers of seconds is measured with our servers in virtual time, and with
nats-server as a lower bound on the wall clock, which a busy machine can only raise.
"""

import asyncio
import json
import re
import time
import urllib.request
from pathlib import Path

import pytest
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.errors import APIError, BucketNotFoundError, NoKeysError, NoStreamResponseError

from kvcore.lab.cluster import Cluster, run_apart
from kvcore.lab.compared import (
    EXPECTATIONS,
    NATS_VERSION,
    expectations,
    expected,
)
from kvcore.lab.ports import free_ports
from kvcore.lab.remote import to_the_end
from tests.support.require import require

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("kvcore", "nats")
THREE = ("n1", "n2", "n3")


def opened(kind, servers, flags=()):
    make = Cluster.processes if kind == "kvcore" else Cluster.nats_processes
    return make(servers, flags=flags)


def says(name, kind):
    """What the table says of this kind."""
    return getattr(expected(name), kind)


def seconds(text):
    """The shortest and the longest time that a row tells of."""
    scale = 0.001 if text.endswith("ms") else 1.0
    found = [float(number) * scale for number in re.findall(r"\d+(?:\.\d+)?", text)]
    return found[0], found[-1]


def ran(kind, servers, scenario, flags=()):
    """What `scenario(cluster)` gives on fresh servers of this kind."""
    require("go")

    async def main():
        cluster = opened(kind, servers, flags)
        try:
            return await scenario(cluster)
        finally:
            cluster.close()

    return asyncio.run(to_the_end(main))


async def until(look, within=60.0):
    """The first true answer of an async look, asked again and again."""
    deadline = time.monotonic() + within
    while not (found := await look()):
        assert time.monotonic() < deadline, f"not within {within} s"
        await asyncio.sleep(0.05)
    return found


async def put_is(kv, value=b"v"):
    """What becomes of a put: acked, unknown (no answer in time), or refused at once."""
    try:
        await kv.put("key", value)
    except (NoStreamResponseError, NoRespondersError):
        return "refused"
    except (NatsTimeoutError, APIError):
        return "unknown"
    return "acked"


async def sit_at(cluster, name):
    url = next(each.url for each in cluster.servers if each.name == name)
    return await cluster.connect(servers=[url], allow_reconnect=False)


# -- the table itself


def test_the_rows_name_cells_and_proofs_that_exist():
    assert len({row.id for row in EXPECTATIONS}) == len(EXPECTATIONS)
    for row in EXPECTATIONS:
        assert (ROOT / row.proof).exists(), row
        for cell in row.cells:
            lesson, _, name = cell.partition(" ")
            (path,) = (ROOT / "course").glob(f"{lesson}_*.ipynb")
            ids = [each["id"] for each in json.loads(path.read_text())["cells"]]
            assert name in ids, cell


def test_every_row_whose_proof_is_here_is_asked_here():
    text = Path(__file__).read_text(encoding="utf-8")
    asked = re.findall(r'says\("(\w+)"', text)
    here = [row.id for row in EXPECTATIONS if row.proof.endswith(Path(__file__).name)]
    assert sorted(set(asked)) == sorted(here)


def test_the_frame_can_be_asked_for_a_lesson_a_cell_or_the_differences():
    whole = expectations()
    assert list(whole.columns) == ["kvcore", f"nats-server {NATS_VERSION}", "why", "shown in"]
    assert list(whole.index) == [row.topic for row in EXPECTATIONS]
    assert expected("discard").topic in expectations(cell="11").index
    assert list(expectations(cell="11 cell-05").index) == [expected("discard").topic]
    assert expected("discard").topic not in expectations(differing=True).index
    assert expected("election").topic in expectations(differing=True).index
    with pytest.raises(LookupError, match="copies"):
        expected("weather")


# -- one server


@pytest.mark.parametrize("kind", KINDS)
def test_a_bucket_made_with_nothing_said(kind):
    async def scenario(cluster):
        js = (await cluster.connect()).jetstream()
        kv = await js.create_key_value(bucket="plain")
        for value in (b"1", b"2", b"3"):
            await kv.put("key", value)
        config = (await js.stream_info("KV_plain")).config
        return config.num_replicas, config.discard, len(await kv.history("key"))

    copies, discard, kept = ran(kind, 1, scenario)
    assert str(copies) == says("copies", kind)
    assert discard == says("discard", kind)
    assert str(kept) == says("history", kind)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_restart_leaves_and_which_engines_there_are(kind):
    async def scenario(cluster):
        js = (await cluster.connect()).jetstream()
        kv = await js.create_key_value(bucket="disk")
        await js.create_key_value(bucket="brief", storage="memory")
        await (await js.key_value("brief")).put("key", b"v")
        for number in range(200):
            await kv.put(f"k{number}", b"v")
        engine = await odd_engine(js)
        await cluster.crash()
        await cluster.restart()
        js = (await cluster.connect()).jetstream()
        found = await (await js.key_value("disk")).keys()
        return 200 - len(found), await remains(js, "brief"), engine

    lost, memory, engine = ran(kind, 1, scenario)
    assert (str(lost) if lost else "none") == says("kill", kind)
    assert memory == says("memory", kind)
    assert engine == says("engine", kind)


async def remains(js, bucket):
    try:
        keys = await (await js.key_value(bucket)).keys()
    except BucketNotFoundError:
        return "gone"
    except NoKeysError:
        return "there, empty"
    return f"there: {keys}"


async def odd_engine(js):
    try:
        await js.add_stream(
            name="KV_odd", subjects=["$KV.odd.>"], metadata={"kvcore.engine": "floppy"}
        )
    except APIError as error:
        return f"refused: {error.err_code}"
    return "made"


@pytest.mark.parametrize("kind", KINDS)
def test_when_a_watcher_hears_of_what_is_put_after_a_restart(kind):
    async def scenario(cluster):
        js = (await cluster.connect()).jetstream()
        kv = await js.create_key_value(bucket="b")
        watcher = await kv.watchall()
        assert await watcher.updates(timeout=10) is None
        await cluster.restart()
        (nc,) = cluster.clients
        await until(connected(nc))
        began = time.monotonic()
        await until(lambda: acked(kv))
        entry = await watcher.updates(timeout=90)
        assert entry.value == b"v"
        return time.monotonic() - began

    silent = ran(kind, 1, scenario)
    at_once = says("watcher", "kvcore")
    assert at_once == "hears the next put at once"
    if kind == "nats":
        assert silent >= seconds(says("watcher", "nats"))[0] / 2  # heartbeats are 5 s apart
    else:
        assert silent < seconds(says("watcher", "nats"))[0]


def connected(nc):
    async def look():
        return nc.is_connected

    return look


def test_nats_server_syncs_every_two_minutes_and_kvcore_before_it_answers():
    port = free_ports(1)[0]

    async def scenario(_cluster):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/varz", timeout=10) as got:
            return json.loads(got.read())["jetstream"]["config"]

    config = ran("nats", 1, scenario, ("-m", str(port)))
    minutes = config["sync_interval"] / 60e9
    assert not config.get("sync_always", False)
    assert f"every {minutes:.0f} minutes" == says("sync", "nats")

    async def traced(cluster):
        js = (await cluster.connect()).jetstream()
        kv = await js.create_key_value(bucket="b")
        began = cluster.simulation.now
        await kv.put("key", b"v")
        return [each.kind for each in cluster.simulation.records if each.time > began]

    kinds = run_apart(traced, seed=1)
    waited = "sync" in kinds[kinds.index("receive") : kinds.index("send")]
    assert ("before it is acknowledged" if waited else "later") == says("sync", "kvcore")


# -- three servers


async def lost_quorum(cluster):
    """Two of three are killed, and come back; then the leader is. What is told meanwhile."""
    js = (await cluster.connect()).jetstream(timeout=30)
    await js.create_key_value(bucket="b", replicas=3, direct=True)
    leader = await until(lambda: cluster.leader("b"))
    one, two = (name for name in THREE if name != leader)
    nc = await sit_at(cluster, leader)
    kv = await nc.jetstream(timeout=1).key_value("b")
    await until(lambda: acked(kv))
    assert await direct(nc) == "a value"
    told = {"leader": leader, "heartbeat": await longest_silence(nc)}

    await cluster.crash(one)
    await asyncio.sleep(1)
    told["offline"] = await standing(cluster, one)
    told["placing"] = await until(lambda: made_anew(nc))
    last = time.monotonic()
    await cluster.crash(two)
    told["puts"] = [await put_is(kv)]
    while told["puts"][-1] == "unknown":
        told["puts"].append(await put_is(kv))
    told["quorum"] = time.monotonic() - last
    told["minority"] = await direct(nc)

    await cluster.restart(one)
    await cluster.restart(two)
    leader = await until(lambda: led(cluster))
    kv = await (await sit_at(cluster, leader)).jetstream(timeout=1).key_value("b")
    await until(lambda: acked(kv))
    await asyncio.sleep(2)  # the followers have heard a heartbeat of it
    other = next(name for name in THREE if name != leader)
    kv = await (await sit_at(cluster, other)).jetstream(timeout=1).key_value("b")
    last = time.monotonic()
    await cluster.crash(leader)
    await until(lambda: acked(kv))
    told["election"] = time.monotonic() - last
    return told


async def acked(kv):
    return await put_is(kv) == "acked"


async def led(cluster):
    try:
        return await cluster.leader("b")
    except NatsError:
        return ""


async def standing(cluster, name):
    (found,) = [each for each in await cluster.replicas("b") if each.server == name]
    return "offline" if found.is_offline else "online"


async def made_anew(nc):
    """What becomes of it once the servers that are left have a leader to ask."""
    try:
        await nc.jetstream(timeout=2).create_key_value(bucket="anew", replicas=3)
    except NatsTimeoutError:
        return ""
    except APIError as error:
        if error.err_code == 10008:
            return ""
        return f"refused: {error.err_code}"
    return "made"


async def direct(nc):
    try:
        answer = await nc.request("$JS.API.DIRECT.GET.KV_b.$KV.b.key", b"", timeout=2)
    except (NatsTimeoutError, NoRespondersError):
        return "no answer"
    return "a value" if answer.data == b"v" else "no answer"


async def longest_silence(nc):
    """The longest time since a follower of an idle bucket was heard of, in seconds."""
    found = 0.0
    for _ in range(60):
        answer = await nc.request("$JS.API.STREAM.INFO.KV_b", b"", timeout=5)
        replicas = json.loads(answer.data)["cluster"]["replicas"]
        found = max([found, *(each["active"] / 1e9 for each in replicas)])
        await asyncio.sleep(0.05)
    return found


def test_nats_servers_lose_their_quorum_and_elect():
    told = ran("nats", 3, lost_quorum)
    assert told["leader"] in THREE
    assert says("leader", "nats") == "chance"
    assert told["offline"] == says("offline", "nats")
    assert told["placing"] == says("placing", "nats")
    assert says("minority", "nats") == f"{told['minority']}, perhaps an old one"
    assert told["puts"][0] == "unknown"
    assert told["puts"][-1] == "refused"
    assert told["quorum"] >= seconds(says("quorum", "nats"))[0] - 1
    assert told["election"] >= seconds(says("election", "nats"))[0] - 1.5  # since a heartbeat
    assert told["heartbeat"] >= seconds(says("heartbeat", "nats"))[0] / 2


def test_our_servers_lose_their_quorum_and_elect():
    told = ran("kvcore", 3, lost_quorum)
    assert told["leader"] in THREE
    assert told["offline"] == says("offline", "kvcore")
    assert told["placing"] == says("placing", "kvcore")
    assert told["minority"] == says("minority", "kvcore")
    assert told["puts"][-1] == "refused"


def test_our_timers_in_virtual_time():
    async def scenario(cluster):
        js = (await cluster.connect()).jetstream(timeout=0.1)
        kv = await js.create_key_value(bucket="b", replicas=3)
        leader = await cluster.leader("b")
        kv = await (await sit_at(cluster, leader)).jetstream(timeout=0.05).key_value("b")
        await asyncio.sleep(1)
        began = cluster.simulation.now
        await cluster.partition([leader])
        told = [await put_is(kv)]
        while told[-1] == "unknown":
            told.append(await put_is(kv))
        quorum = (cluster.simulation.now - began) / 1e9
        others = [each for each in cluster.simulation.records if each.time >= began]
        stood = next(each for each in others if each.kind == "election-timeout")
        return leader, told[-1], quorum, (stood.time - began) / 1e9

    seen = [run_apart(scenario, seed=seed, servers=3) for seed in (*range(1, 6), 1)]
    assert seen[0] == seen[-1]
    assert says("leader", "kvcore") == "the same in each run of a seed"
    shortest, longest = seconds(says("election", "kvcore"))
    heartbeat = seconds(says("heartbeat", "kvcore"))[0]
    for _leader, last, quorum, stood in seen:
        assert last == "refused"
        assert shortest - heartbeat <= stood <= longest
        assert quorum <= seconds(says("quorum", "kvcore"))[1] + 2 * heartbeat
