"""Interest: the tree answers as matching each pattern in turn would."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from kvcore import limits
from kvcore.nats.interest import Interest
from kvcore.nats.subject import matches


@dataclass(eq=False)
class Taker:
    subject: str
    queue: str = ""


def interest(*takers: Taker) -> Interest[Taker]:
    tree: Interest[Taker] = Interest()
    for taker in takers:
        tree.insert(taker)
    return tree


def test_plain_takers_all_get_it_and_each_queue_group_is_one_tuple() -> None:
    plain, first, second, other = (
        Taker("a.b"),
        Taker("a.*", "q"),
        Taker("a.b", "q"),
        Taker(">", "r"),
    )
    found = interest(plain, first, second, other).match("a.b")
    assert found.plain == (plain,)
    assert found.queues == ((other,), (second, first))


def test_published_wildcard_is_a_word_and_is_taken_once() -> None:
    star, tail, literal = Taker("a.*"), Taker("a.>"), Taker("a.b")
    tree = interest(star, tail, literal)
    assert tree.match("a.*").plain == (tail, star)
    assert tree.match("a.>").plain == (tail, star)


def test_subject_with_an_empty_token_is_taken_by_nobody() -> None:
    tree = interest(Taker(">"), Taker("a.*"), Taker("a.*.b"))
    assert not any(tree.match(subject) for subject in ("", "a.", ".a", "a..b"))


def test_later_subscription_and_removal_change_a_remembered_answer() -> None:
    tree = interest()
    assert not tree.match("a.b")
    literal, wild = Taker("a.b"), Taker("*.b")
    tree.insert(literal)
    assert tree.match("a.b").plain == (literal,)
    tree.insert(wild)
    assert tree.match("a.b").plain == (literal, wild)
    tree.remove(literal)
    assert tree.match("a.b").plain == (wild,)
    tree.remove(wild)
    assert not tree.match("a.b")
    assert len(tree) == 0


def test_removing_the_last_taker_leaves_no_branch_behind() -> None:
    takers = [Taker("a.b.c"), Taker("a.b"), Taker("a.*", "q"), Taker(">")]
    tree = interest(*takers)
    for taker in takers:
        tree.remove(taker)
    assert tree._root.is_empty()


def test_memory_of_answers_is_bounded() -> None:
    tree = interest(Taker("a.*"))
    for number in range(limits.INTEREST_CACHE_COUNT + 10):
        assert tree.match(f"a.{number}")
    for number in range(limits.INTEREST_CACHE_COUNT + 10):
        assert tree.match(f"a.{number}.x") == tree.match(f"b.{number}.x")
    assert len(tree._cache) + len(tree._by_stem) <= limits.INTEREST_CACHE_COUNT


def test_subjects_that_differ_in_a_word_that_nobody_names_share_one_answer() -> None:
    inbox, bucket = Taker("_INBOX.x.*"), Taker("$KV.b.>")
    tree = interest(inbox, bucket)
    assert all(tree.match(f"_INBOX.x.{number}").plain == (inbox,) for number in range(100))
    assert all(tree.match(f"$KV.b.k{number}").plain == (bucket,) for number in range(100))
    assert len(tree._by_stem) == 2
    assert not tree._cache


def test_a_subscriber_who_names_the_last_word_ends_the_shared_answer() -> None:
    wild, literal = Taker("a.*"), Taker("a.b")
    tree = interest(wild)
    assert tree.match("a.b").plain == tree.match("a.c").plain == (wild,)
    tree.insert(literal)
    assert set(tree.match("a.b").plain) == {wild, literal}
    assert tree.match("a.c").plain == (wild,)
    tree.remove(literal)
    assert tree.match("a.b").plain == (wild,)


def test_a_word_alone_and_the_same_after_a_dot_are_told_apart() -> None:
    tree = interest(Taker("*"))
    assert tree.match("b").plain
    assert not tree.match(".b")
    assert not tree.match("b.")


def test_subject_of_two_thousand_tokens_does_not_exhaust_the_stack() -> None:
    deep, open_end = Taker(".".join("a" * 2000)), Taker(".".join("*" * 2000))
    tree = interest(deep, open_end)
    assert tree.match(deep.subject).plain == (deep, open_end)
    tree.remove(deep)
    tree.remove(open_end)


WORD = st.sampled_from(["a", "b", "*"])
PATTERN = st.builds(
    lambda words, tail: ".".join(words + tail),
    st.lists(WORD, min_size=1, max_size=3),
    st.sampled_from([[], [">"]]),
)
STEP = st.tuples(st.sampled_from(["add", "drop", "ask"]), PATTERN, st.sampled_from(["", "q", "r"]))


@settings(deadline=None)
@given(st.lists(STEP, max_size=25))
def test_tree_agrees_with_a_list_of_patterns(steps: list[tuple[str, str, str]]) -> None:
    tree: Interest[Taker] = Interest()
    model: list[Taker] = []
    for verb, subject, queue in steps:
        if verb == "add":
            model.append(Taker(subject, queue))
            tree.insert(model[-1])
        elif verb == "drop" and model:
            tree.remove(model.pop(len(subject) % len(model)))
        for asked in (subject, "a", "c", "a.b", "a.c", "b.a.b", "b.a.c"):
            found = tree.match(asked)
            takers = [taker for taker in model if matches(taker.subject, asked)]
            assert sorted(found.plain, key=id) == sorted(
                (taker for taker in takers if not taker.queue), key=id
            )
            groups = sorted(sorted(map(id, group)) for group in found.queues)
            names = sorted({taker.queue for taker in takers if taker.queue})
            expected = [[id(t) for t in takers if t.queue == name] for name in names]
            assert groups == sorted(map(sorted, expected))
    assert len(tree) == len(model)
