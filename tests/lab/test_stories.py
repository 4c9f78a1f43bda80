"""A simulated partition, drawn from its own trace: nothing in these pictures is made up."""

import asyncio
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import pytest
from nats.errors import TimeoutError as NatsTimeoutError

from kvcore.lab.cluster import run_apart
from kvcore.lab.exchanges import record
from kvcore.lab.pictures import group_nodes, look, server_cards
from kvcore.lab.simulated import SimulatedCluster
from kvcore.lab.stories import group_logs, group_pointers, group_steps, group_story
from kvcore.sim.world import World
from kvcore.viz.measure import width
from kvcore.viz.replay import election_times
from kvcore.viz.ring import server_ring
from kvcore.viz.serverlogs import LogEntry, server_logs
from kvcore.viz.spacetime import story_picture

SVG = "{http://www.w3.org/2000/svg}"


async def put(bucket, key, value):
    try:
        return await bucket.put(key, value)
    except NatsTimeoutError:
        return "unknown"


@pytest.fixture(scope="module")
def ran():
    """Five servers; A's leader is cut off with one other and takes a write in; B writes on."""
    world = World(5, seed=3)
    cluster = SimulatedCluster(world)
    seen = SimpleNamespace(cluster=cluster, world=world, names=tuple(world.hosts))

    async def scene():
        first = await world.connect()
        await first.jetstream().create_key_value(bucket="b", replicas=5)
        seen.old = await cluster.leader("b")
        others = [name for name in seen.names if name != seen.old]
        seen.minority, seen.majority = [seen.old, others[0]], others[1:]
        urls = dict(zip(seen.names, world.urls, strict=True))
        one, two = [
            await world.connect(servers=[urls[name]], name=client)
            for client, name in (("A", seen.old), ("B", others[-1]))
        ]
        left, right = [await each.jetstream(timeout=0.6).key_value("b") for each in (one, two)]
        seen.wire = record(cluster, A=one, B=two)
        seen.since = world.now
        seen.first = await put(left, "a", b"1")
        await asyncio.sleep(0.05)
        await cluster.partition([*seen.minority, "A"])
        seen.left = asyncio.ensure_future(put(left, "a", b"2"))
        await asyncio.sleep(1.2)
        seen.right = await put(right, "a", b"3")
        seen.apart = world.now
        seen.cards_apart = server_cards(cluster, "b")
        await cluster.heal()
        await asyncio.sleep(0.5)
        seen.last = await put(right, "a", b"4")
        seen.left = await seen.left
        seen.outside = await look(cluster, "b")
        for client in (first, one, two):
            await client.close()

    world.run(scene())
    yield seen
    world.close()


@pytest.fixture(scope="module")
def story(ran):
    return group_story(
        ran.cluster,
        "b",
        since=ran.since,
        wire=ran.wire,
        servers=[*ran.minority, *ran.majority],
    )


def test_the_story_has_the_cut_both_reigns_and_what_became_of_each_write(ran, story):
    assert (ran.first, ran.left, ran.right) == (1, "unknown", 2)
    assert [(each.label, each.outcome) for each in story.operations] == [
        ("put 1 → #1", "ok"),
        ("put 2 ?", "unknown"),
        ("put 3 → #2", "ok"),
        ("put 4 → #3", "ok"),
    ]
    assert [each.server for each in story.operations][:2] == [ran.old, ran.old]
    first, second = story.reigns
    assert (first.server, second.end) == (ran.old, None)
    assert second.server in ran.majority
    assert second.term > first.term
    (band,) = story.bands
    assert band.sides[1] == tuple(ran.majority)


def test_the_leader_that_was_cut_off_steps_down_within_the_cut_and_truncates_after_it(ran, story):
    (band,) = story.bands
    marks = {(each.server, each.label): each.at for each in story.marks}
    assert band.start < marks[ran.old, "steps down: no majority answers"] < band.end
    truncated = [server for server, label in marks if label.startswith("truncates from")]
    assert sorted(truncated) == sorted(ran.minority)


def test_a_lost_append_names_the_write_that_it_carried(ran, story):
    lost = {each.label for each in story.messages if each.arrived is None and each.label}
    assert any(label.endswith("a=2") for label in lost)
    assert not any(label.endswith("a=3") for label in lost)


def test_entries_that_come_together_are_told_together(ran):
    steps = group_steps(ran.cluster, "b", since=ran.apart)
    told = [step.does for step in steps if step.who == ran.old]
    assert "appends entries 4 to 5 to its log" in told


def test_the_logs_show_the_minority_s_write_dashed_and_later_struck_out(ran):
    apart = {each.name: each for each in group_logs(ran.cluster, "b", at=ran.apart)}
    last = apart[ran.old].entries[-1]
    assert last.text == "a=2"
    assert last.index > apart[ran.old].commit
    after = {each.name: each for each in group_logs(ran.cluster, "b")}
    for name in ran.minority:
        assert after[name].truncated == (LogEntry(last.index, last.term, "a=2"),)
    for name in ran.names:
        assert [each.text for each in after[name].entries][-2:] == ["a=3", "a=4"]


def test_the_nodes_have_terms_votes_and_timers(ran):
    nodes = {each.name: each for each in group_nodes(ran.cluster, "b")}
    leader = next(each for each in nodes.values() if each.role == "leader")
    assert leader.name in ran.majority
    assert leader.voted_for == leader.name
    timers = [each.timer for each in nodes.values() if each.role == "follower"]
    assert all(each is not None and 0 < each <= 1 for each in timers)
    assert ran.cards_apart.alt.endswith(
        f"The network is cut: {' '.join(ran.minority)} A ‖ {' '.join(ran.majority)}."
    )
    assert f"{leader.name} is leader in term {leader.term}" in ran.outside.alt


def test_a_server_that_only_rehearses_has_no_votes_from_an_earlier_term(ran):
    apart = {each.name: each for each in group_nodes(ran.cluster, "b", at=ran.apart)}
    assert apart[ran.old].role == "candidate"
    assert apart[ran.old].votes == 0


def test_the_leader_knows_where_each_follower_s_log_ends(ran):
    pointers = group_pointers(ran.cluster, "b")
    logs = {each.name: each for each in group_logs(ran.cluster, "b")}
    leader = next(each.name for each in logs.values() if each.role == "leader")
    assert {each.server for each in pointers} == set(ran.names) - {leader}
    ends = {each.match for each in pointers}
    assert ends == {logs[leader].entries[-1].index}
    assert all(each.next == each.match + 1 for each in pointers)


def test_the_election_took_about_a_timeout(ran):
    (took,) = [each for each in election_times(ran.world.records, "KV_b") if each > 1]
    assert 100 < took < 1200


def test_real_pictures_fit_and_are_the_same_each_time(ran, story):
    nodes = group_nodes(ran.cluster, "b")
    for picture in (
        story_picture(story, title="A partition"),
        server_logs(group_logs(ran.cluster, "b")),
        server_ring(nodes),
        ran.cards_apart,
    ):
        for text in ET.fromstring(picture.svg).iter(f"{SVG}text"):
            wide = width(text.text or "", text.get("class") or "")
            shift = {"end": wide, "middle": wide / 2}.get(text.get("text-anchor"), 0)
            left = float(text.get("x")) - shift
            assert 0 <= left <= left + wide <= 721, text.text
    again = group_story(
        ran.cluster, "b", since=ran.since, wire=ran.wire, servers=[*ran.minority, *ran.majority]
    )
    assert story_picture(again).svg == story_picture(story).svg


def test_a_card_names_the_engine_that_keeps_the_bucket():
    with World(3, seed=1) as world:

        async def scene():
            client = await world.connect()
            await client.jetstream().create_key_value(bucket="m", replicas=3, storage="memory")
            await client.close()

        world.run(scene())
        nodes = group_nodes(SimulatedCluster(world), "m")
        assert [each.engine for each in nodes] == ["memory"] * 3


def test_entries_that_a_power_cut_took_are_truncated_in_the_picture_of_that_server():
    async def script(cluster):
        client = await cluster.connect()
        kv = await client.jetstream().create_key_value(bucket="b", replicas=3)
        for number in range(5):
            await kv.put(f"k{number}", b"v")
            await asyncio.sleep(0.1)
        leader = await cluster.leader("b")
        hurt = next(each.name for each in cluster.servers if each.name != leader)
        others = [each.name for each in cluster.servers if each.name != hurt]
        await cluster.partition([hurt], others)
        await cluster.power_cut(hurt)
        await cluster.restart(hurt)
        real = next(each for each in cluster.views("b") if each.server == hurt)
        told = next(each for each in group_logs(cluster, "b") if each.name == hurt)
        return real, told

    real, told = run_apart(script, seed=1, servers=3, sync="never")
    there = [(place.index, place.term) for place in real.log]
    assert [(e.index, e.term) for e in told.entries if e.index >= there[0][0]] == there
    assert told.truncated
    assert real.last_index < told.truncated[-1].index
