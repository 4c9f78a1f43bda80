"""Permissions: who may publish, subscribe, hear and answer where."""

import pytest

from kvcore import limits
from kvcore.limits import MINUTE_NS
from kvcore.nats import replies
from kvcore.nats.nkeys import public_key, signature_bytes
from kvcore.nats.permissions import Permissions, Responses, Rights, Rule, is_valid_entry

# The public key of a seed that is 32 times the byte 7.
NKEY = "UDVEU3DD4KOFECV66VIHWEZOYX4ZKR3WV27L464SIIPOU2IUI3JCYSJF"


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def rights(publish: Rule = Rule(), subscribe: Rule = Rule(), responses=None) -> Rights:  # noqa: B008
    return Rights(Permissions(publish, subscribe, responses), Clock())


@pytest.mark.parametrize(
    ("rule", "subject", "may"),
    [
        (Rule(), "any.thing", True),
        (Rule(()), "any.thing", False),
        (Rule(("a.*",)), "a.b", True),
        (Rule(("a.*",)), "a.b.c", False),
        (Rule(("a.>",), ("a.no",)), "a.no", False),
        (Rule(None, ("a.no",)), "a.yes", True),
        (Rule(None, ("a.*",)), "a.>", False),  # word for word: who hears a.* would hear it
        (Rule(("a.*",)), "a..b", False),
    ],
)
def test_a_publish_is_judged_word_for_word(rule: Rule, subject: str, may: bool) -> None:
    judge = rights(publish=rule)
    assert [judge.may_publish(subject) for _ in range(2)] == [may, may]


@pytest.mark.parametrize(
    ("rule", "words", "may"),
    [
        (Rule(("a.*",)), "a.*", True),
        (Rule(("a.*",)), "a.>", False),
        (Rule(("a.*",)), ">", False),
        (Rule(("a.>",), ("a.b",)), "a.>", True),  # and a.b is not delivered
        (Rule(("a.>",), ("a.*",)), "a.b", False),
        (Rule(("a q1",)), "a", False),
        (Rule(("a q1",)), "a q1", True),
        (Rule(("a q1",)), "a q2", False),
        (Rule(("a q.*",)), "a q.7", True),
        (Rule(("a", "a q1")), "a q2", False),
        (Rule(("a",)), "a q2", True),
        (Rule(None, ("a q1",)), "a q1", False),
        (Rule(None, ("a q1",)), "a", True),
    ],
)
def test_a_subscription_must_be_allowed_as_a_whole(rule: Rule, words: str, may: bool) -> None:
    subject, _, queue = words.partition(" ")
    assert rights(subscribe=rule).may_subscribe(subject, queue) is may


def test_a_wide_subscription_hears_all_but_what_is_denied() -> None:
    judge = rights(subscribe=Rule(None, ("a.no", "a.b q1")))
    assert judge.needs_filter("a.*", "")
    assert judge.needs_filter("a.b", "q2")
    assert not judge.needs_filter("a.b", "")
    assert not rights(subscribe=Rule(("a.*",))).needs_filter("a.*", "")
    assert not judge.may_hear("a.no", "")
    assert judge.may_hear("a.b", "")
    assert judge.may_hear("a.b", "q2")
    assert not judge.may_hear("a.b", "q1")


def test_an_answer_is_counted_and_its_time_runs_out() -> None:
    clock = Clock()
    judge = Rights(Permissions(Rule(("ok",)), Rule(), Responses(2, MINUTE_NS)), clock)
    judge.heard("r1")
    judge.heard("r2")
    judge.heard("ok")
    assert [judge.may_publish("r1") for _ in range(4)] == [True, True, False, False]
    clock.now = MINUTE_NS
    assert judge.may_publish("r2")
    clock.now += 1
    assert not judge.may_publish("r2")
    assert all(judge.may_publish("ok") for _ in range(4))


def test_without_bounds_answers_go_on() -> None:
    judge = rights(Rule(()), responses=Responses(-1, -1))
    judge.heard("r")
    assert all(judge.may_publish("r") for _ in range(10))


def test_what_is_remembered_has_a_bound() -> None:
    judge = rights(Rule(()), Rule(None, ("x",)), Responses(-1, -1))
    for number in range(3 * limits.RESPONSES_COUNT):
        judge.heard(f"r{number}")
    for number in range(1000):
        judge.may_publish(f"p{number}")
        judge.may_hear(f"h{number}", "")
    assert len(judge._replies) <= limits.RESPONSES_COUNT
    assert len(judge._may_publish) <= limits.PERMISSION_CACHE_COUNT
    assert len(judge._may_hear) <= limits.PERMISSION_CACHE_COUNT
    assert judge.may_publish(f"r{3 * limits.RESPONSES_COUNT - 1}"), "the newest are kept"


@pytest.mark.parametrize(
    ("pattern", "hear", "say"),
    [("a.b", True, False), ("a.no", False, False), ("a.*", False, False), ("s.*", False, True)],
)
def test_a_pattern_is_allowed_if_all_of_it_is(pattern: str, hear: bool, say: bool) -> None:
    judge = rights(Rule(("s.>",), ("s.no.x",)), Rule(("a.>",), ("a.no",)))
    assert judge.may_hear_all(pattern) is hear
    assert judge.may_say_all(pattern) is say


@pytest.mark.parametrize(
    ("entry", "plain", "queue"),
    [
        ("a.>", True, True),
        ("a q", False, True),
        ("a..b", False, False),
        ("a b c", False, False),
        ("", False, False),
    ],
)
def test_a_list_holds_subjects_and_where_it_counts_queues(
    entry: str, plain: bool, queue: bool
) -> None:
    assert is_valid_entry(entry, takes_queue=False) is plain
    assert is_valid_entry(entry, takes_queue=True) is queue


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a.b", '"a.b"'),
        ('a"\\', '"a\\"\\\\"'),
        ("a\x01\x7f\a", '"a\\x01\\x7f\\a"'),
        (b"\xffa".decode("utf-8", "surrogateescape"), '"\\xffa"'),
        ("ü", '"ü"'),
    ],
)
def test_a_subject_is_quoted_as_go_does(text: str, shown: str) -> None:
    assert replies.quoted(text) == shown


def test_an_nkey_notices_a_typing_mistake() -> None:
    key = public_key(NKEY)
    assert key is not None
    assert len(key) == 32
    wrong = [NKEY[:-1], NKEY.lower(), "A" + NKEY[1:], NKEY[:20] + "A" + NKEY[21:], "é" * 56, ""]
    assert [public_key(text) for text in wrong] == [None] * len(wrong)


def test_a_signature_may_be_in_either_alphabet_padded_or_not() -> None:
    for text in ("-_8", "+/8", "-_8=", "+/8="):
        assert signature_bytes(text) == b"\xfb\xff"
    assert signature_bytes("%") is None
    assert signature_bytes("é") is None
    assert signature_bytes("A") is None
