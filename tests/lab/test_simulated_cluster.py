"""Three simulated servers as a notebook has them: who leads, what logs hold, rules, rewinding."""

import asyncio

import pytest

from kvcore.lab.cluster import Cluster, NotInThisWorld, run
from kvcore.raft.rules import PAPER


def in_cluster(story, servers=3, seed=1):
    async def main():
        return await story(Cluster.sim(servers=servers, seed=seed))

    return run(main)


async def bucket(cluster, **options):
    client = await cluster.connect()
    return await client.jetstream().create_key_value(bucket="b", replicas=3, **options)


def test_the_leader_and_the_logs_of_a_bucket_can_be_seen():
    async def story(cluster):
        kv = await bucket(cluster)
        await kv.put("key", b"value")
        await asyncio.sleep(0.2)
        leader = await cluster.leader("b")
        views = cluster.views("b")
        assert [view.server for view in views] == ["n1", "n2", "n3"]
        assert [view.server for view in views if view.role == "leader"] == [leader]
        assert {view.log for view in views} == {views[0].log}
        assert views[0].log[-1].kind == "command"
        assert views[0].log[-1].is_committed
        assert {view.vote for view in views} <= {leader, ""}
        return await cluster.replicas("b")

    replicas = in_cluster(story)
    assert [each.server for each in replicas] == ["n1", "n2", "n3"]
    assert sum(each.is_leader for each in replicas) == 1


def test_the_minoritys_entry_is_in_its_log_and_not_committed():
    async def story(cluster):
        await bucket(cluster)
        leader = await cluster.leader("b")
        url = next(server.url for server in cluster.servers if server.name == leader)
        client = await cluster.connect(servers=[url])
        kv = await client.jetstream(timeout=0.2).key_value("b")
        await cluster.partition([leader])
        with pytest.raises(asyncio.TimeoutError):
            await kv.put("key", b"lost")
        cut_off = next(view for view in cluster.views("b") if view.server == leader)
        assert not cut_off.log[-1].is_committed
        await asyncio.sleep(2)
        assert await cluster.leader("b") != leader
        await cluster.heal()
        await asyncio.sleep(1)
        assert len({view.log for view in cluster.views("b")}) == 1

    in_cluster(story)


def test_a_leader_steps_down_for_the_server_that_is_named():
    async def story(cluster):
        await bucket(cluster)
        leader = await cluster.leader("b")
        other = next(server.name for server in cluster.servers if server.name != leader)
        await cluster.step_down("b", other)
        await asyncio.sleep(0.5)
        assert await cluster.leader("b") == other

    in_cluster(story)


def test_a_swapped_rule_decides_through_a_restart_until_it_is_undone():
    asked = []

    def never(me, request):
        asked.append(request.sender)
        return False

    async def story(cluster):
        await bucket(cluster)
        with cluster.swap("n2", can_grant_vote=never):
            await cluster.restart("n2")
            groups = cluster.simulation.host("n2").node.groups
            assert groups["KV_b"].raft.rules.can_grant_vote is never
            await cluster.crash("n1")
            await asyncio.sleep(5)
        assert asked
        assert groups["KV_b"].raft.rules == PAPER
        assert groups["_meta_"].raft.rules == PAPER

    in_cluster(story)


def test_a_rule_that_is_none_is_refused_by_name():
    async def story(cluster):
        with pytest.raises(ValueError, match="can_grant_vote"):
            cluster.swap("n1", may_vote=max)

    in_cluster(story)


def test_a_rewound_cluster_has_lived_through_the_same():
    async def story(cluster):
        kv = await bucket(cluster)
        await kv.put("key", b"first")
        await asyncio.sleep(0.5)
        moment = cluster.simulation.elapsed / 1e9
        before = cluster.views("b")
        await cluster.crash(await cluster.leader("b"))
        await asyncio.sleep(2)
        assert cluster.views("b") != before
        again = await cluster.rewind(moment)
        views = again.views("b")
        assert [view.log for view in views] == [view.log for view in before]
        assert [view.role for view in views] == [view.role for view in before]
        client = await again.connect()
        kv = await client.jetstream().key_value("b")
        assert (await kv.get("key")).value == b"first"
        assert await kv.put("key", b"another way") == 2

    in_cluster(story)


def test_a_cluster_that_was_left_says_so_and_how_to_open_it_again():
    async def main():
        left = Cluster.sim(seed=1)
        Cluster.sim(seed=2)
        with pytest.raises(NotInThisWorld, match=r"closed: .*Cluster\.open"):
            await left.connect()

    run(main)
