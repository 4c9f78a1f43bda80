"""Core NATS over several servers: what a client sees doesn't depend on where it connected.

nats-wire §1.5 to §1.7 across links; each test runs with several seeds, which split the bytes
on the links and order them differently.
"""

import re
from collections import Counter
from random import Random

import pytest

from kvcore import limits
from kvcore.nats.permissions import Permissions, Rule
from kvcore.nats.subject import matches
from kvcore.node.config import User
from tests.support.mesh import HELLO, Mesh

SEEDS = pytest.mark.parametrize("seed", range(4))
BLOCK = b"NATS/1.0\r\nA: 1\r\n\r\n"


def payloads(heard: bytes) -> list[bytes]:
    """The payloads, which are single words, of what a client was sent."""
    bare = heard.replace(BLOCK, b"")
    return re.findall(rb"(?:^|\r\n)H?MSG [^\r]*\r\n([^\r]*)(?=\r\n)", bare)


def frames_out(mesh: Mesh) -> dict[tuple[str, str], int]:
    """Messages that each server sent to each peer so far."""
    return {
        (name, link.peer): link.out_msgs
        for name, node in mesh.nodes.items()
        for link in node.peers.links.values()
    }


@SEEDS
def test_a_queue_group_over_three_servers_gets_each_message_once(seed):
    mesh = Mesh("a", "b", "c", seed=seed)
    members = [mesh.client(name) for name in "bbcc"]
    for conn in members:
        mesh.say(conn, b"SUB work.* q 1\r\n")
    publisher = mesh.client("a")
    for number in range(100):
        mesh.publish(publisher, f"work.{number}", b"%d" % number)
    got = [payloads(mesh.heard(conn)) for conn in members]
    assert sorted(int(each) for all_of in got for each in all_of) == list(range(100))
    assert all(got), "every member has a share"


@SEEDS
def test_a_member_on_the_publishers_server_is_preferred(seed):
    mesh = Mesh("a", "b", "c", seed=seed)
    near, far, publisher = (mesh.client(name) for name in "aba")
    for conn in (near, far):
        mesh.say(conn, b"SUB work q 1\r\n")
    for _ in range(20):
        mesh.publish(publisher, "work", b"x")
    assert len(payloads(mesh.heard(near))) == 20
    mesh.leave(near)
    mesh.publish(publisher, "work", b"x")
    assert len(payloads(mesh.heard(far))) == 1


@SEEDS
def test_plain_takers_and_several_groups_of_one_server_share_one_frame(seed):
    mesh = Mesh("a", "b", seed=seed)
    conns = [mesh.client("b") for _ in range(4)]
    lines = [b"SUB x 1\r\n", b"SUB x q 1\r\n", b"SUB x.> r 1\r\n", b"SUB * r 1\r\n"]
    for conn, line in zip(conns, lines, strict=True):
        mesh.say(conn, line)
    mesh.publish(mesh.client("a"), "x", b"hi")
    assert [payloads(mesh.heard(conn)) for conn in conns] == [[b"hi"], [b"hi"], [], [b"hi"]]
    assert frames_out(mesh)["a", "b"] == 1


@SEEDS
def test_groups_that_only_live_elsewhere_are_served_beside_ours(seed):
    mesh = Mesh("a", "b", "c", seed=seed)
    ours, theirs, others = (mesh.client(name) for name in "abc")
    mesh.say(ours, b"SUB x q 1\r\n")
    mesh.say(theirs, b"SUB x q 1\r\nSUB x r 2\r\n")
    mesh.say(others, b"SUB x q 1\r\n")
    for _ in range(10):
        mesh.publish(ours, "x", b"hi")
    assert mesh.heard(ours) == b"MSG x 1 2\r\nhi\r\n" * 10
    assert mesh.heard(theirs) == b"MSG x 2 2\r\nhi\r\n" * 10
    assert mesh.heard(others) == b""


@SEEDS
def test_a_request_is_answered_by_a_client_of_another_server(seed):
    mesh = Mesh("a", "b", "c", seed=seed)
    asker, answerer = mesh.client("a"), mesh.client("c")
    mesh.say(answerer, b"SUB help h 1\r\n")
    mesh.say(asker, b"SUB _INBOX.z.* 1\r\nPUB help _INBOX.z.7 1\r\n?\r\n")
    assert mesh.heard(answerer) == b"MSG help 1 _INBOX.z.7 1\r\n?\r\n"
    mesh.publish(answerer, "_INBOX.z.7", b"!")
    assert mesh.heard(asker) == b"MSG _INBOX.z.7 1 1\r\n!\r\n"


@SEEDS
def test_a_request_that_nobody_on_any_server_takes_is_told_so_in_the_same_turn(seed):
    mesh = Mesh("a", "b", seed=seed)
    asker, other = mesh.client("a"), mesh.client("b")
    mesh.say(asker, b"SUB _I.* 1\r\n")
    mesh.say(asker, b"PUB help _I.7 0\r\n\r\n", settle=False)
    assert mesh.heard(asker).startswith(b"HMSG _I.7 1 ")
    mesh.say(other, b"SUB help 1\r\n")
    mesh.publish(asker, "help", b"", "_I.7")
    assert mesh.heard(asker) == b""
    mesh.say(other, b"UNSUB 1\r\n")
    mesh.publish(asker, "help", b"", "_I.7")
    assert b"NATS/1.0 503" in mesh.heard(asker)


@SEEDS
def test_a_client_that_leaves_takes_its_interest_with_it(seed):
    mesh = Mesh("a", "b", seed=seed)
    one, other, publisher = mesh.client("b"), mesh.client("b"), mesh.client("a")
    for conn in (one, other):
        mesh.say(conn, b"SUB x 1\r\nSUB x 2\r\nSUB y q 3\r\n")
    mesh.leave(one)
    assert mesh.nodes["a"]._broker.has_client("x")
    mesh.leave(other)
    assert not mesh.nodes["a"]._broker.has_interest("x")
    assert not mesh.nodes["a"]._broker.has_interest("y")
    mesh.publish(publisher, "x")
    assert not any(frames_out(mesh).values())


@SEEDS
def test_an_auto_unsubscribe_counts_what_came_from_everywhere(seed):
    mesh = Mesh("a", "b", "c", seed=seed)
    taker, near, far = (mesh.client(name) for name in "aab")
    mesh.say(taker, b"SUB x 1\r\nUNSUB 1 3\r\n")
    for number in range(4):
        mesh.publish((near, far)[number % 2], "x", b"%d" % number)
    assert payloads(mesh.heard(taker)) == [b"0", b"1", b"2"]
    assert not mesh.nodes["b"]._broker.has_interest("x")
    assert not mesh.nodes["c"]._broker.has_interest("x")


@SEEDS
def test_messages_in_one_turn_beyond_what_was_asked_for_are_dropped_at_the_end_of_the_way(seed):
    mesh = Mesh("a", "b", seed=seed)
    taker, publisher = mesh.client("a"), mesh.client("b")
    mesh.say(taker, b"SUB x 1\r\nUNSUB 1 3\r\n")
    mesh.say(publisher, b"".join(b"PUB x 1\r\n%d\r\n" % number for number in range(9)))
    assert payloads(mesh.heard(taker)) == [b"0", b"1", b"2"]


@SEEDS
def test_echo_off_is_about_ones_own_connection_alone(seed):
    mesh = Mesh("a", "b", seed=seed)
    quiet = mesh.client("a", HELLO.replace(b'"headers"', b'"echo":false,"headers"'))
    twin = mesh.client("b", HELLO.replace(b'"headers"', b'"echo":false,"headers"'))
    for conn in (quiet, twin):
        mesh.say(conn, b"SUB x 1\r\nSUB y q 2\r\n")
    mesh.publish(quiet, "x", b"hi")
    assert (mesh.heard(quiet), mesh.heard(twin)) == (b"", b"MSG x 1 2\r\nhi\r\n")
    mesh.publish(quiet, "y", b"hi")  # the near member may not hear it, so a far one does
    assert (mesh.heard(quiet), mesh.heard(twin)) == (b"", b"MSG y 2 2\r\nhi\r\n")


@SEEDS
def test_headers_travel_and_who_takes_none_gets_none(seed):
    mesh = Mesh("a", "b", seed=seed)
    full, bare, publisher = mesh.client("b"), mesh.client("b", b'CONNECT {"verbose":false}\r\n'), 0
    publisher = mesh.client("a")
    for conn in (full, bare):
        mesh.say(conn, b"SUB x 1\r\n")
    size = len(BLOCK)
    mesh.say(publisher, b"HPUB x r %d %d\r\n%bhi\r\n" % (size, size + 2, BLOCK))
    assert mesh.heard(full) == b"HMSG x 1 r %d %d\r\n%bhi\r\n" % (size, size + 2, BLOCK)
    assert mesh.heard(bare) == b"MSG x 1 r 2\r\nhi\r\n"


@SEEDS
def test_a_subject_of_any_bytes_and_a_wildcard_published_word_for_word_travel(seed):
    mesh = Mesh("a", "b", seed=seed)
    taker, publisher = mesh.client("b"), mesh.client("a")
    mesh.say(taker, b"SUB a.* 1\r\nSUB \xff\xfe 2\r\n")
    mesh.say(publisher, b"PUB a.* 1\r\nx\r\nPUB \xff\xfe 1\r\ny\r\n")
    assert mesh.heard(taker) == b"MSG a.* 1 1\r\nx\r\nMSG \xff\xfe 2 1\r\ny\r\n"


@SEEDS
@pytest.mark.parametrize("count", [2, 3, 5])
def test_every_subscription_of_any_number_of_servers_gets_each_message_once(seed, count):
    names = "abcde"[:count]
    mesh, rng = Mesh(*names, seed=seed), Random(seed)
    patterns = ["x.*", "x.y", ">", "*.y", "y.>", "x.y.z"]
    wanted = {}
    for conn in [mesh.client(name) for name in names for _ in range(2)]:
        wanted[conn] = rng.choices(patterns, k=3)
        for sid, pattern in enumerate(wanted[conn]):
            mesh.say(conn, f"SUB {pattern} {sid}\r\n".encode(), settle=False)
    mesh.settle()
    sent = [rng.choice(["x.y", "y.y", "x.y.z", "z"]) for _ in range(40)]
    for number, subject in enumerate(sent):
        line = f"PUB {subject} {len(str(number))}\r\n{number}\r\n".encode()
        mesh.say(rng.choice(list(wanted)), line, settle=False)
    mesh.settle()
    for conn, subscribed in wanted.items():
        expected = Counter(
            str(number).encode()
            for number, subject in enumerate(sent)
            for pattern in subscribed
            if matches(pattern, subject)
        )
        assert Counter(payloads(mesh.heard(conn))) == expected
    for (name, _), carried in frames_out(mesh).items():
        assert carried <= len(sent), name


@SEEDS
def test_messages_of_one_client_arrive_in_order_everywhere(seed):
    mesh = Mesh("a", "b", seed=seed)
    taker, publisher = mesh.client("b"), mesh.client("a")
    mesh.say(taker, b"SUB > 1\r\n")
    for number in range(50):
        mesh.say(publisher, b"PUB x 2\r\n%02d\r\n" % number, settle=False)
    mesh.settle()
    assert payloads(mesh.heard(taker)) == [b"%02d" % number for number in range(50)]


@SEEDS
def test_interest_is_whole_again_after_a_new_link(seed):
    mesh = Mesh("a", "b", seed=seed)
    taker, publisher = mesh.client("b"), mesh.client("a")
    mesh.say(taker, b"SUB x 1\r\nSUB y q 2\r\nSUB z 3\r\n")
    mesh.unlink("a", "b")
    mesh.publish(publisher, "x", b"lost")
    mesh.say(taker, b"UNSUB 3\r\nSUB w 4\r\n")
    mesh.link("a", "b")
    mesh.settle()
    for subject in "wxyz":
        mesh.publish(publisher, subject, subject.encode())
    assert payloads(mesh.heard(taker)) == [b"w", b"x", b"y"]
    assert len(mesh.nodes["a"].peers._elsewhere.interest) == len(mesh.nodes["b"].peers._wants)


@SEEDS
def test_a_new_link_in_place_of_one_whose_end_was_never_told_starts_afresh(seed):
    mesh = Mesh("a", "b", seed=seed)
    taker, publisher = mesh.client("b"), mesh.client("a")
    mesh.say(taker, b"SUB x 1\r\n")
    mesh.pipes.clear()
    mesh.link("a", "b")
    mesh.settle()
    mesh.publish(publisher, "x", b"hi")
    assert payloads(mesh.heard(taker)) == [b"hi"]
    assert mesh.unlinked == []


@SEEDS
def test_interest_that_comes_and_goes_at_random_ends_up_the_same_on_both_sides(seed):
    mesh, rng = Mesh("a", "b", seed=seed), Random(seed)
    conns = [mesh.client(name) for name in "ab"]
    for step in range(300):
        conn, sid = rng.choice(conns), rng.randrange(8)
        verb = rng.choice([f"SUB {rng.choice('xyz')}.* {sid}", f"UNSUB {sid}"])
        mesh.say(conn, verb.encode() + b"\r\n", settle=False)
        if step % 50 == 49:
            mesh.unlink("a", "b")
            mesh.link("a", "b")
    mesh.settle()
    for one, other in ("ab", "ba"):
        peers = mesh.nodes[one].peers
        (theirs,) = peers._theirs.values()
        assert set(theirs) == set(mesh.nodes[other].peers._wants)
        assert len(peers._elsewhere.interest) == len(theirs)
    assert mesh.unlinked == []


@SEEDS
def test_what_is_wanted_between_a_link_and_its_introduction_is_told_once(seed):
    mesh = Mesh("a", "b", seed=seed, linked=False)
    taker, publisher = mesh.client("a"), mesh.client("b")
    mesh.link("a", "b")
    mesh.say(taker, b"SUB x 1\r\nSUB y 2\r\nUNSUB 2\r\n", settle=False)
    mesh.settle()
    for subject in "xy":
        mesh.publish(publisher, subject, subject.encode())
    assert payloads(mesh.heard(taker)) == [b"x"]
    assert mesh.unlinked == []


def test_a_long_list_is_told_in_slices_and_what_is_new_goes_before_it(monkeypatch):
    monkeypatch.setattr(limits, "INTEREST_PER_TURN_COUNT", 10)
    mesh = Mesh("a", "b", linked=False)
    taker, asker, publisher = mesh.client("a"), mesh.client("a"), mesh.client("b")
    mesh.say(taker, b"".join(b"SUB x.%d %d\r\n" % (n, n) for n in range(95)))
    mesh.link("a", "b")
    while not mesh.nodes["a"].peers.names:
        mesh._step()
    mesh.say(asker, b"SUB new 1\r\n", settle=False)
    mesh.say(taker, b"UNSUB 94\r\nUNSUB 0\r\nSUB x.94 200\r\nSUB x.94 201\r\n", settle=False)
    sizes = []
    mesh.on_turn = lambda name, effects: sizes.append(len(effects.peers.get("b", b"")))
    mesh.settle()
    assert max(sizes) < 40 * 10
    assert mesh.unlinked == []
    for number in (0, 1, 94):
        mesh.publish(publisher, f"x.{number}", b"%d" % number)
    mesh.publish(publisher, "new", b"n")
    assert sorted(payloads(mesh.heard(taker))) == [b"1", b"94", b"94"]
    assert payloads(mesh.heard(asker)) == [b"n"]


def test_the_interest_of_a_lost_peer_ceases_at_once_and_is_cleared_in_slices(monkeypatch):
    monkeypatch.setattr(limits, "INTEREST_PER_TURN_COUNT", 10)
    mesh = Mesh("a", "b")
    taker, publisher = mesh.client("b"), mesh.client("a")
    lines = [b"SUB x.%d %d\r\nSUB x.> q%d %d\r\n" % (n, n, n, n + 100) for n in range(95)]
    mesh.say(taker, b"".join(lines))
    broker, peers = mesh.nodes["a"]._broker, mesh.nodes["a"].peers
    assert broker.has_client("x.94")
    mesh.unlink("a", "b")
    assert len(peers._elsewhere.interest) > 100
    assert not broker.has_client("x.94")
    assert not broker.has_interest("x.94")
    assert broker.takers("x.94") == []
    mesh.say(publisher, b"SUB _I 1\r\nPUB x.94 _I 0\r\n\r\n", settle=False)
    assert b"503" in mesh.heard(publisher)
    mesh.link("a", "b")
    mesh.settle()
    mesh.publish(publisher, "x.94", b"hi")
    assert payloads(mesh.heard(taker)) == [b"hi"] * 96
    assert len(peers._theirs) == 1


def test_a_peer_that_is_given_too_much_in_one_turn_is_dropped(monkeypatch):
    monkeypatch.setattr(limits, "PEER_PENDING_BYTES", 5000)
    mesh = Mesh("a", "b")
    taker, publisher = mesh.client("b"), mesh.client("a")
    mesh.say(taker, b"SUB x 1\r\n")
    mesh.say(publisher, b"PUB x 1000\r\n%b\r\n" % bytes(1000) * 4)
    assert mesh.unlinked == []
    kept = []
    mesh.on_turn = lambda name, effects: kept.append(len(effects.peers.get("b", b"")))
    mesh.say(publisher, b"PUB x 1000\r\n%b\r\n" % bytes(1000) * 40)
    assert mesh.unlinked == [("a", "b")]
    assert max(kept) <= 5000
    assert mesh.nodes["a"].peers.names == ()


def test_messages_of_the_largest_payload_travel_and_are_never_cut():
    mesh = Mesh("a", "b")
    taker, publisher = mesh.client("b"), mesh.client("a")
    mesh.say(taker, b"SUB x 1\r\n")
    payload = bytes(limits.PAYLOAD_BYTES)
    mesh.publish(publisher, "x", payload)
    assert mesh.heard(taker) == b"MSG x 1 %d\r\n%b\r\n" % (len(payload), payload)


WEAK = Permissions(Rule(("ask.>", "x")), Rule(deny=("no.>",)))
USERS = (User("root", "r"), User("weak", "r", WEAK))


def as_user(name: str) -> bytes:
    return HELLO.replace(b"{", b'{"user":"%b","pass":"r",' % name.encode(), 1)


def test_permissions_are_judged_where_a_client_is_and_the_server_that_acts_knows_them():
    mesh = Mesh("a", "b", users=USERS)
    weak, root, taker = (
        mesh.client(n, as_user(u)) for n, u in [("a", "weak"), ("a", "root"), ("b", "weak")]
    )
    heard = []
    mesh.nodes["b"]._broker.subscribe("ask.>", heard.append)
    mesh.say(taker, b"SUB > 1\r\nSUB no.x 2\r\n")
    assert b"Permissions Violation" in mesh.heard(taker)
    for conn in (weak, root):
        for subject in ("x", "y", "no.x", "ask.it"):
            mesh.publish(conn, subject, subject.encode())
    assert payloads(mesh.heard(taker)) == [b"x", b"ask.it", b"x", b"y", b"ask.it"]
    by_weak, by_root = (message.rights for message in heard)
    assert by_root is None
    assert by_weak.may_say_all("ask.me")
    assert not by_weak.may_say_all("y")


def test_a_user_whom_only_the_other_server_knows_may_have_this_one_say_nothing():
    mesh = Mesh("a", users=USERS)
    mesh.start("b", users=(User("root", "r"),))
    heard = []
    mesh.nodes["b"]._broker.subscribe("ask.>", heard.append)
    mesh.link("a", "b")
    mesh.settle()
    mesh.publish(mesh.client("a", as_user("weak")), "ask.it")
    (message,) = heard
    assert not message.rights.may_say_all("ask.it")


# What the server itself says and hears.


def delivered(mesh: Mesh, name: str, to: str, count: int) -> None:
    """A consumer's deliveries, as a stream's server makes them."""
    run = [(to, f"s.{number}", "$JS.ACK.r", BLOCK, b"%d" % number) for number in range(count)]
    mesh.nodes[name]._broker.deliver(run)
    mesh.turn(name)
    mesh.settle()


def test_what_a_consumer_delivers_reaches_its_client_on_another_server():
    mesh = Mesh("a", "b", "c")
    broker, watcher = mesh.nodes["a"]._broker, mesh.client("c")
    told = []
    broker.on_interest = told.append
    assert not broker.has_client("_I.w")
    mesh.say(watcher, b"SUB _I.w 5\r\n")
    assert told == ["_I.w"]
    assert broker.has_client("_I.w")
    delivered(mesh, "a", "_I.w", 3)
    line = b"HMSG s.%d 5 $JS.ACK.r 18 19\r\n%b%d\r\n"
    assert mesh.heard(watcher) == b"".join(line % (n, BLOCK, n) for n in range(3))
    assert frames_out(mesh)["a", "c"] == 3
    mesh.say(watcher, b"UNSUB 5\r\n")
    assert told == ["_I.w"] * 2
    assert not broker.has_client("_I.w")


@pytest.mark.parametrize("near", ["", "SUB d 1", "SUB d q 1", "SUB d 1\r\nSUB * 2"])
@pytest.mark.parametrize("far", ["SUB d 1", "SUB d q 1", "SUB d 1\r\nSUB d r 2\r\nSUB > 3"])
@pytest.mark.parametrize("is_one", [True, False])
def test_deliveries_reach_the_same_clients_wherever_they_are(near, far, is_one):
    mesh = Mesh("a", "b", "c")
    ones = {"a": near, "b": far, "c": "" if is_one else far}
    conns = {name: mesh.client(name) for name in ones}
    for name, lines in ones.items():
        mesh.say(conns[name], lines.encode() + b"\r\n")
    delivered(mesh, "a", "d", 4)
    got = {name: Counter(payloads(mesh.heard(conn))) for name, conn in conns.items()}
    plain = {
        name: ones[name].count("SUB") - len(re.findall(r" [qr] ", ones[name])) for name in ones
    }
    groups = {group for lines in ones.values() for group in re.findall(r" ([qr]) ", lines)}
    for number in range(4):
        word = b"%d" % number
        assert all(got[name][word] >= plain[name] for name in ones)
        assert sum(each[word] for each in got.values()) == sum(plain.values()) + len(groups)


def test_the_servers_own_hear_no_deliveries_wherever_they_are():
    mesh = Mesh("a", "b")
    heard = []
    for name in "ab":
        mesh.nodes[name]._broker.subscribe("d", heard.append)
        mesh.nodes[name]._broker.subscribe("d", heard.append, "q")
        mesh.turn(name)
    mesh.settle()
    assert not mesh.nodes["a"]._broker.has_client("d")
    delivered(mesh, "a", "d", 3)
    assert heard == []
    mesh.nodes["a"]._broker.publish("d", "", None, b"")
    mesh.turn("a")
    mesh.settle()
    assert len(heard) == 3  # two plain ones, and one of the group


def test_a_listener_for_ones_own_clients_is_told_to_nobody_and_does_not_serve():
    mesh = Mesh("a", "b")
    heard = []
    for name in "ab":
        mesh.nodes[name]._broker.subscribe("g.>", lambda m, n=name: heard.append(n), is_local=True)
        mesh.turn(name)
    mesh.settle()
    assert not mesh.nodes["a"]._broker.is_served("g.x")
    mesh.publish(mesh.client("b"), "g.x")
    assert heard == ["b"]


def test_a_servers_own_listener_elsewhere_serves_and_is_no_client():
    mesh = Mesh("a", "b")
    sub = mesh.nodes["b"]._broker.subscribe("s.>", lambda _message: None)
    mesh.turn("b")
    mesh.settle()
    broker = mesh.nodes["a"]._broker
    assert broker.is_served("s.x")
    assert broker.has_interest("s.x")
    assert not broker.has_client("s.x")
    mesh.nodes["b"]._broker.unsubscribe(sub)
    mesh.turn("b")
    mesh.settle()
    assert not broker.is_served("s.x")
