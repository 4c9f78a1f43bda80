"""Each claim of the article has a lesson that tests it; those that are here, test theirs."""

from pathlib import Path

COURSE = Path(__file__).parents[2] / "course"

# Claim → the lessons that put it to the test.
CLAIMS = {
    1: [9, 12], 2: [0], 3: [1], 4: [1], 5: [1], 6: [6, 7], 7: [1, 5, 13], 8: [2], 9: [2, 3],
    10: [4], 11: [2, 11], 12: [6], 13: [10], 14: [11], 15: [11], 16: [8], 17: [3, 8, 12], 18: [13],
}  # fmt: skip
# What a lesson that exists must show of its claims, in its own words.
SHOWN = {
    0: ["JetStream"],
    1: ["nats kv add my_kv_store", "--replicas", "--raw", "12"],
    2: ["$KV.", "KV_", "sequence", "discard"],
    3: ["last writer wins", "Nats-Expected-Last-Subject-Sequence", "4 of 6", "A B A B"],
    4: ["Only the latest value of each key", "history 5", "revision 7: b'15'", "Nats-Rollup"],
    5: ["Small pieces of configuration", "consumers", "messages to the server"],
    6: [
        "data stays available and consistent when some servers go down",
        "how many servers hold a copy",
        "replicas > 1 not supported",
        "happened   1",
        "r1, one copy",
        "more than half",
    ],
    7: [
        "not only stored locally",
        "happened   the ack, as before",
        "happened   nothing at all",
        "happened   an ack, and is gone",
        "happened   yes: e may overwrite it",
    ],
    8: [
        "A partition isolates two servers",
        "last writer wins",
        "NoStreamResponseError",
        "happened   neither",
        "happened   navy",
        "happened   green",
        "n3 n4 n5 meet first: red",
        "c is       b'plum'",
        "wrong last sequence: 5",
    ],
    10: [
        "memory, file or rocksdb",
        "rocksdb: 10025 invalid JSON",
        "a kvcore extension",
        "happened   only the power cut",
    ],
    11: [
        "levers are mostly the configuration of the stream",
        "policy: new",
        "get a: key not found",
        "happened   nothing / old",
        "wrong last sequence: 3",
        "can not cancel deny purge",
    ],
    14: [
        "levers are mostly the configuration of the stream",
        "num_replicas: 1",
        "discard: 'new'",
        "happened   1 copy, new is refused",
        "happened   2 to 20 seconds",
        "happened   none",
        "sync always: all three dark, 0 of 20",
    ],
}


def test_every_claim_of_the_article_has_a_lesson():
    assert sorted(CLAIMS) == list(range(1, 19))
    assert all(CLAIMS.values())


def test_a_lesson_that_is_here_puts_its_claims_to_the_test():
    for path in sorted(COURSE.glob("[0-9][0-9]_*.ipynb")):
        text = path.read_text()
        assert "the article" in text.lower()
        for word in SHOWN[int(path.name[:2])]:
            assert word in text, f"{path.name} never shows {word!r}"
