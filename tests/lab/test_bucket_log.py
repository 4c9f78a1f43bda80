"""The log of a bucket, read as any client could, with ghosts for what is gone."""

from kvcore.lab import bucket_log
from kvcore.lab.trial import in_world


async def trimmed(cluster, _seed):
    js = (await cluster.connect()).jetstream()
    kv = await js.create_key_value(bucket="b", history=1)
    await kv.put("a", b"old")
    before = await bucket_log(js, "b")
    await kv.put("a", b"new")
    return await bucket_log(js, "b"), await bucket_log(js, "b", known=before, because="history 1")


def test_a_ghost_carries_the_reason_that_is_given_and_the_value_that_was_seen():
    (forgotten, _), (ghost, there) = in_world(trimmed, seed=1)
    assert (forgotten.key, forgotten.value, forgotten.reason) == ("", "", "cause not kept")
    assert (ghost.key, ghost.value, ghost.reason) == ("a", "old", "history 1")
    assert [ghost.state, there.state] == ["removed", "committed"]


async def sizes(cluster, _seed):
    js = (await cluster.connect()).jetstream()
    kv = await js.create_key_value(bucket="b")
    await kv.put("a", b"x" * 40)
    await kv.delete("b")
    return [(each.key, each.value) for each in await bucket_log(js, "b", text=False)]


def test_without_text_the_log_shows_how_long_each_value_is():
    assert in_world(sizes, seed=1) == [("a", "40 B"), ("b", "0 B")]
