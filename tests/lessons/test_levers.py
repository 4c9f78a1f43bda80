"""What lesson 11 calls right is what happens: on kvcore, and on nats-server where there is one."""

import asyncio
import json
from random import Random

import nats
import pytest
from nats.js.errors import APIError, KeyNotFoundError

from kvcore.lab import solutions
from kvcore.lab.cluster import run_apart
from kvcore.lab.lessons import l11, l11_admit
from kvcore.lab.lessons.l11_rules import BELIEFS, RIGHT, believed
from tests.support.require import require
from tests.support.servers import running

SEEDS = (1, 2, 3, 4)
each_server = pytest.mark.parametrize("kind", ["kvcore", "nats-server"])


def on(kind, script):
    """What `script(client)` gives on a server of that kind."""

    async def simulated(cluster):
        return await script(await cluster.connect())

    async def real(url):
        client = await nats.connect(url)
        try:
            return await script(client)
        finally:
            await client.close()

    if kind == "kvcore":
        return run_apart(simulated, seed=1, servers=1)
    require("go")
    with running(kind) as server:
        return asyncio.run(real(server.url))


async def numbers(js):
    """The bucket's revisions, oldest first."""
    state = (await js.stream_info("KV_desk")).state
    found = []
    for seq in range(max(1, state.first_seq), state.last_seq + 1):
        try:
            await js.get_msg("KV_desk", seq)
        except APIError:
            continue
        found.append(seq)
    return found


REASONS = {(10077, "maximum bytes exceeded"): "bytes"}


async def ten_writes(client):
    js = client.jetstream()
    kv = await js.create_key_value(bucket="desk", history=2, max_bytes=200)
    outcomes = {}
    for name in l11.WRITES:
        if name.startswith("9"):
            config = (await js.stream_info("KV_desk")).config
            await js.update_stream(config, discard="old")
        before = await numbers(js)
        operation, key, *size = name.split(" ", 1)[1].replace(",", "").split()[:3]
        try:
            await (kv.delete(key) if operation == "delete" else kv.put(key, b"x" * int(size[0])))
        except APIError as error:
            outcomes[name] = f"refused: {REASONS[error.err_code, error.description]}"
            continue
        after = await numbers(js)
        gone = [seq for seq in before if seq not in after]
        outcomes[name] = f"goes: {' '.join(map(str, gone))}" if gone else "stored"
    return outcomes


@each_server
def test_the_ten_writes_of_11a_end_as_the_lesson_says(kind):
    right = {name: question.right for name, question in l11.WRITES.items()}
    assert on(kind, ten_writes) == right
    assert solutions.references("11a")[0].ordered(("outcomes",))[0] == right


FIELDS = {
    "history from 5 to 2": {"max_msgs_per_subject": 2},
    "max_bytes from 4000 to 100": {"max_bytes": 100},
    "storage from file to memory": {"storage": "memory"},
    "deny_delete from on to off": {"deny_delete": False},
    "retention from limits to interest": {"retention": "interest"},
    "retention from limits to workqueue": {"retention": "workqueue"},
}


async def six_changes(client):
    js = client.jetstream()
    return {
        name: await changed(js, f"live{number}", fields)
        for number, (name, fields) in enumerate(FIELDS.items())
    }


async def changed(js, bucket, fields):
    kv = await js.create_key_value(bucket=bucket, history=5, max_bytes=4000)
    config = (await js.stream_info(f"KV_{bucket}")).config
    await js.update_stream(config, deny_delete=True)
    for _ in range(4):
        await kv.put("a", b"x" * 20)
    await kv.put("b", b"x")
    config = (await js.stream_info(f"KV_{bucket}")).config
    try:
        await js.update_stream(config, **fields)
        left = (await js.stream_info(f"KV_{bucket}")).state.messages
        return "nothing goes" if left == 5 else "old values go" if await reads(kv) else "all goes"
    except APIError as error:
        return "refused" if "can not" in error.description else error.description
    finally:
        await js.delete_stream(f"KV_{bucket}")


async def reads(kv):
    try:
        return await kv.get("a") and await kv.get("b")
    except KeyNotFoundError:
        return None


@each_server
def test_the_six_changes_of_11c_do_what_the_lesson_says(kind):
    assert sorted(FIELDS) == sorted(l11.CHANGES)
    right = {name: question.right for name, question in l11.CHANGES.items()}
    assert on(kind, six_changes) == right


async def sent(client, seed):
    """What becomes of the check's writes when a client sends them: a list of outcomes."""
    js, rng, outcomes = client.jetstream(), Random(seed), []
    for number, cfg in enumerate(l11_admit.settings(rng)):
        name, there = f"SCRAP{number}", []
        fields = {key: value for key, value in cfg.items() if key != "history"}
        history = cfg["history"]
        await js.add_stream(name=name, subjects=["s.>"], max_msgs_per_subject=history, **fields)
        for write in l11_admit.writes(rng):
            headers = {"KV-Operation": "DEL"} if write.header else None
            try:
                ack = await js.publish(write.subject, write.body, headers=headers)
            except APIError as error:
                outcomes.append(error.description)
                continue
            left, size = await what_is_left(client, name)
            outcomes.append([each.revision for each in there if each.revision not in left])
            there.append(l11_admit.Stored(ack.seq, write.subject, l11_admit.size_of(write)))
            there = [each for each in there if each.revision in left]
            assert sum(each.size for each in there) == size
        await js.delete_stream(name)
    return outcomes


async def what_is_left(client, name):
    """The revisions that a stream still has, and its bytes."""
    told = await client.request(f"$JS.API.STREAM.INFO.{name}", b'{"deleted_details": true}')
    state = json.loads(told.data)["state"]
    numbers = range(state["first_seq"], state["last_seq"] + 1)
    return [seq for seq in numbers if seq not in (state.get("deleted") or ())], state["bytes"]


@each_server
@pytest.mark.parametrize("seed", SEEDS)
def test_the_check_s_writes_end_on_a_server_as_the_check_says(kind, seed):
    assert on(kind, lambda client: sent(client, seed)) == [
        case.outcome for case in l11_admit.cases(seed)
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_generated_writes_are_admitted_as_the_rules_and_the_references_say(seed):
    admits = [each.ordered(("admit",))[0] for each in solutions.references("11b")]
    for case in l11_admit.cases(seed):
        assert believed(RIGHT, case.write, case.state, case.cfg) == case.outcome
        for admit in admits:
            assert admit(case.write, list(case.state), dict(case.cfg)) == case.outcome


def test_each_wrong_belief_differs_from_what_happens_on_a_learner_s_seeds():
    cases = [case for seed in (1, 2) for case in l11_admit.cases(seed)]
    for belief in BELIEFS:
        given = [believed(belief, case.write, case.state, case.cfg) for case in cases]
        assert given != [case.outcome for case in cases], belief
