"""How servers that meet become one cluster, and never two."""

from dataclasses import replace
from itertools import combinations, permutations
from random import Random

import pytest

from kvcore.node.config import ClusterConfig, NodeConfig
from kvcore.node.founding import Found, Join, Propose, next_step, proposing, settled
from kvcore.node.frames import Hello
from kvcore.node.peers import introduction


def server(name: str, size: int = 3) -> Hello:
    config = NodeConfig(server_name=name, server_id=name, cluster=ClusterConfig("c", size))
    return introduction(config)


A, B, C, D = (server(name) for name in "abcd")
ABC = ("a", "b", "c")


def test_a_server_waits_until_enough_have_met():
    assert next_step(A, []) is None
    assert next_step(A, [B]) is None
    assert next_step(A, [C, B]) == Propose(ABC)


def test_a_cluster_of_one_is_founded_at_once():
    alone = server("a", size=1)
    assert next_step(alone, []) == Propose(("a",))
    assert next_step(proposing(alone, ("a",)), []) == Found(("a",))


def test_founders_wait_until_all_of_them_have_said_the_same():
    me = proposing(A, ABC)
    assert next_step(me, [B, C]) is None
    assert next_step(me, [proposing(B, ABC), C]) is None
    assert next_step(me, [proposing(B, ABC), proposing(C, ("b", "c", "d"))]) is None
    assert next_step(me, [proposing(B, ABC), proposing(C, ABC)]) == Found(ABC)


def test_a_server_too_many_waits_to_be_added():
    assert next_step(D, [A, B, C]) is None
    assert next_step(D, [settled(A, ABC)]) == Join()


def test_who_was_to_be_a_founder_founds_what_the_others_founded():
    assert next_step(C, [settled(A, ABC)]) == Found(ABC)
    assert next_step(proposing(C, ABC), [settled(A, ABC)]) == Found(ABC)


def test_a_server_that_has_lost_its_disk_does_not_found_what_it_belonged_to():
    """The others have decided things since, so they name no founders any more."""
    assert next_step(C, [settled(A, ()), settled(B, ())]) == Join()
    assert next_step(C, [settled(A, ABC), settled(B, ())]) == Join()


def test_a_server_with_a_past_founds_nothing():
    assert next_step(settled(A, ()), [B, C]) is None


@pytest.mark.parametrize("other", [replace(C, size=5), replace(C, jetstream=False)])
def test_others_of_another_mind_do_not_count(other):
    assert next_step(A, [B, other]) is None


def meet(names: str, size: int, seed: int) -> dict[str, tuple[str, ...]]:
    """Servers that hear of each other in any order, and of each change later; who founded what."""
    rng = Random(seed)
    servers = {name: server(name, size) for name in names}
    known: dict[str, dict[str, Hello]] = {name: {} for name in names}
    founded: dict[str, tuple[str, ...]] = {}
    said = [(a, b, servers[a]) for a, b in permutations(names, 2)]
    while said:
        at = rng.randrange(len(said))
        if any(each[:2] == said[at][:2] for each in said[:at]):
            continue  # what one says to another arrives in order
        sender, receiver, hello = said.pop(at)
        known[receiver][sender] = hello
        for _ in range(2):
            me = servers[receiver]
            match next_step(me, known[receiver].values()):
                case Propose(founders):
                    servers[receiver] = proposing(me, founders)
                case Found(founders):
                    founded[receiver] = founders
                    servers[receiver] = settled(me, founders)
                case _:
                    break
            said += [(receiver, name, servers[receiver]) for name in names if name != receiver]
    return founded


@pytest.mark.parametrize("seed", range(40))
def test_servers_that_meet_in_any_order_found_one_cluster(seed):
    assert meet("abc", 3, seed) == dict.fromkeys("abc", ABC)
    assert set(meet("abcde", 5, seed).values()) == {tuple("abcde")}


@pytest.mark.parametrize("seed", range(40))
def test_too_many_fresh_servers_never_found_two_clusters(seed):
    found = set(meet("abcde", 3, seed).values())
    assert all(set(one) == set(other) for one, other in combinations(found, 2))
