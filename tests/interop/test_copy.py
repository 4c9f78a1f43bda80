"""`kvcore copy` between kvcore and nats-server, either way, whole and after a break."""

import asyncio
import base64
import json
import re
import subprocess
import sys

import nats
import pytest

from tests.support.bottleneck import bottleneck
from tests.support.require import require
from tests.support.servers import running

COPY = [sys.executable, "-m", "kvcore.cli.main", "copy"]
WAYS = [("kvcore", "kvcore"), ("kvcore", "nats-server"), ("nats-server", "kvcore")]
SPENT = ("Nats-Expected-", "Nats-Msg-Id", "Nats-TTL")
SECOND = 1_000_000_000


@pytest.fixture(params=WAYS, ids=["-to-".join(way) for way in WAYS])
def pair(request):
    if "nats-server" in request.param:
        require("go")
    with running(request.param[0]) as one, running(request.param[1]) as other:
        yield one, other


@pytest.fixture
def two():
    with running("kvcore") as one, running("kvcore") as other:
        yield one, other


def copy(source, target, *words):
    done = subprocess.run(
        [*COPY, "--from", source, "--to", target, "b", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def on(server, work):
    """Run `work(client, call)` against the server."""

    async def main():
        client = await nats.connect(server.url)

        async def call(name, body=None):
            answer = await client.request(f"$JS.API.{name}", json.dumps(body or {}).encode())
            return json.loads(answer.data)

        try:
            return await work(client, call)
        finally:
            await client.close()

    return asyncio.run(main())


def make(server, puts=(), **fields):
    """Bucket b, and `puts`: (key, value, headers)."""

    async def work(client, call):
        config = {
            "name": "KV_b",
            "subjects": ["$KV.b.>"],
            "max_msgs_per_subject": 3,
            "discard": "new",
            "deny_delete": True,
            "allow_rollup_hdrs": True,
            "allow_direct": True,
        }
        made = await call("STREAM.CREATE.KV_b", config | fields)
        assert "error" not in made, made
        window = []
        for key, value, headers in puts:
            window.append(client.request(f"$KV.b.{key}", value, headers=headers, timeout=30))
            if len(window) == 200:
                await asyncio.gather(*window)
                window = []
        await asyncio.gather(*window)

    on(server, work)


def contents(server):
    """Configuration, last number, and every message that is left."""

    async def work(_client, call):
        info = await call("STREAM.INFO.KV_b")
        state, found = info["state"], []
        for seq in range(state["first_seq"], state["last_seq"] + 1):
            answer = await call("STREAM.MSG.GET.KV_b", {"seq": seq})
            if "error" in answer:
                continue
            one = answer["message"]
            lines = base64.b64decode(one.get("hdrs", "")).decode().split("\r\n")[1:]
            kept = sorted(line for line in lines if line and not line.startswith(SPENT))
            found.append((seq, one["subject"], one.get("data", ""), kept))
        config = info["config"]
        config.pop("first_seq", None)
        labels = config.pop("metadata", None) or {}
        config["metadata"] = {k: v for k, v in labels.items() if not k.startswith("_nats.")}
        return config, state["last_seq"], found

    return on(server, work)


PURGE = {"KV-Operation": "PURGE", "Nats-Rollup": "sub"}
STORY = [
    *(("a", b"%d" % n, None) for n in range(6)),
    ("gone", b"x", None),
    ("b", b"1", {"Nats-Msg-Id": "id"}),
    ("b", b"", {"KV-Operation": "DEL"}),
    ("gone", b"", PURGE),
    ("a", b"7", {"My": "header"}),
    ("c.d", b"", None),
    ("last", b"1", None),
]


def test_a_bucket_arrives_with_its_settings_history_markers_and_numbers(pair):
    one, other = pair
    settings = {
        "description": "what for",
        "metadata": {"team": "blue"},
        "max_age": 3600 * SECOND,
        "max_msg_size": 100_000,
        "max_bytes": 10_000_000,
        "allow_msg_ttl": True,
        "subject_delete_marker_ttl": 60 * SECOND,
        "compression": "s2",
    }
    make(one, STORY, **settings)

    async def purge(_client, call):  # leaves a gap at the end
        await call("STREAM.PURGE.KV_b", {"filter": "$KV.b.last"})

    on(one, purge)
    code, said, more = copy(one.url, other.url)
    assert (code, more) == (0, ""), more
    assert "revisions are kept, the next is 14" in said
    assert contents(other) == contents(one)
    assert [seq for seq, *_ in contents(one)[2]] == [5, 6, 8, 9, 10, 11, 12]


def test_a_value_keeps_what_is_left_of_its_time(pair):
    one, other = pair
    puts = [("a", b"1", {"Nats-TTL": "1h"}), ("b", b"1", {"Nats-TTL": "never"})]
    make(one, puts, allow_msg_ttl=True)
    assert copy(one.url, other.url)[0] == 0

    async def spans(_client, call):
        found = []
        for seq in (1, 2):
            one = (await call("STREAM.MSG.GET.KV_b", {"seq": seq}))["message"]
            lines = base64.b64decode(one["hdrs"]).decode().split("\r\n")
            found += [line.split(": ")[1] for line in lines if line.startswith("Nats-TTL")]
        return found

    hour, never = on(other, spans)
    assert never == "never"
    assert 3000 < int(hour.removesuffix("s")) <= 3600


def test_ten_thousand_keys_arrive_and_again_is_the_same(pair):
    one, other = pair
    make(one, [(f"k.{n}", b"v%d" % n, None) for n in range(10_000)])
    code, said, more = copy(one.url, other.url)
    assert (code, said) == (
        0,
        "b: 10000 messages compared and the same; revisions are kept, the next is 10001\n",
    ), more
    code, said, more = copy(one.url, other.url)
    assert (code, said) == (
        0,
        "b is on the target already, and the same up to revision 10000\n",
    ), more


def test_values_as_large_as_the_server_takes_arrive(pair):
    one, other = pair
    sizes = (1_048_576, 1_048_570, 1_048_300, 10, 1_048_576)
    make(one, [(f"k{n}", bytes([n]) * size, None) for n, size in enumerate(sizes)])
    code, said, more = copy(one.url, other.url)
    assert code == 0, said + more
    assert contents(other) == contents(one)


def test_an_empty_bucket_arrives(pair):
    one, other = pair
    make(one)
    assert copy(one.url, other.url)[0] == 0
    assert contents(other) == contents(one)


@pytest.mark.parametrize("how", ["cut", "kill"])
def test_a_copy_that_broke_off_goes_on_where_it_was(pair, how):
    one, other = pair
    make(one, [*STORY[:-1], *((f"k.{n}", b"v%d" % n, None) for n in range(3000))])
    with bottleneck(other.port, 150_000, is_cut=how == "cut") as narrow:
        words = [*COPY, "--from", one.url, "--to", narrow.url, "b"]
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as copier:
            assert narrow.full.wait(60)
            if how == "kill":
                copier.kill()
            said = copier.communicate(timeout=60)[1]
    if how == "cut":
        assert copier.returncode == 1
        assert said.endswith("; run the same command again: it goes on where it stopped\n"), said
    _, reached, _ = contents(other)
    assert 0 < reached < 3000
    code, said, more = copy(one.url, other.url)
    assert code == 0, more
    went_on = re.search(r"going on after revision (\d+)", more)
    assert went_on
    assert reached <= int(went_on[1]) < 3000  # what was on its way may have come after we looked
    assert contents(other) == contents(one)


def test_a_bucket_with_other_content_is_left_alone(two):
    one, other = two
    make(one, STORY)
    make(other, [("mine", b"1", None)])
    before = contents(other)
    code, _, said = copy(one.url, other.url)
    assert code == 1
    assert "the target has a bucket b with other content, which is left alone" in said
    assert contents(other) == before


def test_a_strangers_write_to_an_unfinished_copy_is_found_by_the_comparison(two):
    one, other = two
    make(one, STORY)
    with bottleneck(other.port, 2_000, is_cut=True) as narrow:
        assert copy(one.url, narrow.url)[0] == 1

    async def put(client, _call):
        return json.loads((await client.request("$KV.b.foreign", b"1")).data)["seq"]

    foreign = on(other, put)
    there = next(subject for seq, subject, *_ in contents(one)[2] if seq == foreign)
    code, _, said = copy(one.url, other.url)
    assert code == 1
    assert f"revision {foreign} ({there}) has another key" in said
    assert "Delete the bucket on the target and copy it again" in said


def test_a_wrong_address_or_name_is_told(two):
    one, other = two
    code, _, said = copy("nats://127.0.0.1:1", other.url)
    assert (code, "no connection to the source at nats://127.0.0.1:1" in said) == (1, True), said
    code, _, said = copy(one.url, "nats://127.0.0.1:1")
    assert (code, "no connection to the target at nats://127.0.0.1:1" in said) == (1, True), said
    code, _, said = copy(one.url, other.url)
    assert (code, "the source has no bucket b" in said) == (1, True), said


def test_the_target_may_be_asked_for_other_replicas(two):
    one, other = two
    make(one)
    code, _, said = copy(one.url, other.url, "--replicas", "3")
    assert (code, "the target refuses" in said) == (1, True), said


def test_a_key_with_the_copys_own_name_is_refused(two):
    one, other = two
    make(one, [("kvcore-copy-gap", b"1", None)])
    code, _, said = copy(one.url, other.url)
    assert (code, "the source has a key kvcore-copy-gap" in said) == (1, True), said


def test_the_list_of_commands_names_copy():
    words = [sys.executable, "-m", "kvcore.cli.main", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "Copy a bucket to another cluster" in done.stdout
