"""A group: propose, flush, sync, apply; and what a restart finds."""

import pytest

from kvcore.node.group_records import destroy, found
from kvcore.node.groups import FILE, MEMORY, Group, NotLeader, Role, Wiring
from kvcore.raft.entry import Entry, EntryKind, encode_entry
from kvcore.storage import keys
from kvcore.storage.appendfile import AppendFile
from kvcore.storage.base import Batch, StorageError
from tests.support.groups import GID, Server, Tally
from tests.support.stores import contents, simulated


@pytest.fixture
def disk():
    return simulated(1)[0]


@pytest.fixture
def server(disk):
    return Server(disk)


def test_a_group_leads_once_its_term_is_durable(disk):
    server = Server(disk, lead=False)
    assert server.group.role is Role.CANDIDATE
    with pytest.raises(NotLeader):
        server.group.propose(b"early")
    mark = server.group.flush()
    assert mark
    server.write_and_sync()
    server.persisted(mark)
    assert server.group.is_leader
    assert server.group.term == 1


def test_outcomes_come_only_when_the_entries_are_durable_and_in_order(server):
    group = server.group
    assert [group.propose(b"a"), group.propose(b"b")] == [1, 2]
    mark = group.flush()
    assert mark
    assert server.machine.total == 0
    server.write_and_sync()
    assert server.persisted(mark) == [(1, b"a"), (2, b"b")]
    assert group.applied == 2
    assert not group.flush()


def test_two_turns_may_be_on_their_way_to_the_disk(server):
    group = server.group
    group.propose(b"a")
    first = group.flush()
    server.write()
    group.propose(b"b")
    second = group.flush()
    server.write()
    assert server.persisted(first) == [(1, b"a")]
    assert server.persisted(second) == [(2, b"b")]


def test_a_later_sync_covers_the_earlier_ones(server):
    for command in (b"a", b"b", b"c"):
        server.group.propose(command)
        mark = server.group.flush()
        server.write()
    assert server.persisted(mark) == [(1, b"a"), (2, b"b"), (3, b"c")]


def test_a_restart_applies_the_logs_tail_and_tells_nobody(disk, server):
    server.put(b"a", b"b")
    server.group.propose(b"c")
    server.group.flush()
    server.write_and_sync()  # durable, but the report of it never came
    disk.power_cut()
    again = Server(disk)
    assert again.machine.commands == [b"a", b"b", b"c"]
    assert again.group.applied == 3
    assert again.group.propose(b"d") == 4


def test_the_term_rises_with_each_start(disk):
    terms = []
    for _ in range(3):
        terms.append(Server(disk).group.term)
        disk.power_cut()
    assert terms == [1, 2, 3]


def test_effects_are_not_waited_for_but_are_found_again_through_the_log(disk, server):
    server.put(b"a")
    server.write()  # the effects: written, not synced
    disk.close()  # only the process dies
    again = Server(disk)
    assert again.machine.commands == [b"a"]
    assert again.machine.applied_here == []  # nothing to apply again


def stored_log(server):
    return [keys.number(key) for key, _ in server.file.scan(*keys.entries(GID))]


def test_the_log_is_trimmed_only_when_the_effects_are_durable(server):
    server.put(b"a", b"b")  # 1 and 2 are durable, their effects are in the next batch
    assert stored_log(server) == [1, 2]
    server.put(b"c")
    server.write()
    assert stored_log(server) == [2, 3]  # 2 stays, for its term
    for _ in range(50):
        server.put(b"more")
    server.write()
    assert len(stored_log(server)) <= 3
    assert len(server.group._raft.state.log) <= 3


def test_a_restart_after_trimming_goes_on_where_it_was(disk, server):
    for number in range(30):
        server.put(b"%d" % number)
    disk.power_cut()
    again = Server(disk)
    assert again.machine.commands == [b"%d" % number for number in range(30)]
    assert again.group.propose(b"next") == 31


def test_a_memory_group_commits_without_waiting_for_the_disk(disk):
    server = Server(disk, engine=MEMORY)
    server.group.propose(b"a")
    assert not server.group.flush()
    assert server.group.take() == [(1, b"a")]
    assert stored_log(server) == []


def test_a_memory_group_restarts_empty_in_a_higher_term(disk):
    server = Server(disk, engine=MEMORY)
    server.put(b"a")
    disk.power_cut()
    again = Server(disk, engine=MEMORY)
    assert again.machine.commands == []
    assert again.group.term == server.group.term + 1
    assert again.group.last_index == 0


def test_a_memory_group_keeps_no_log_of_what_it_applied(disk):
    server = Server(disk, engine=MEMORY)
    for _ in range(100):
        server.group.propose(b"x")
        server.group.flush()
    assert len(server.group._raft.state.log) <= 1


def test_the_commands_bytes_are_what_is_stored_with_index_term_and_kind(server):
    server.group.propose(b"payload")
    server.group.flush()
    server.write()
    stored = server.file.get(keys.entry(GID, 1))
    assert stored == encode_entry(Entry(1, 1, EntryKind.COMMAND, b"payload"))


def test_a_destroyed_group_leaves_nothing_behind(server):
    before = contents(AppendFile(simulated(2)[0]))
    server.put(b"a", b"b")
    server.group.propose(b"on its way")
    server.group.flush()
    destroy(GID, server.overlay, server.overlay)
    server.write()
    assert contents(server.file) == before == {}


def test_destroying_one_group_leaves_its_neighbours_alone(server):
    server.put(b"a")
    for gid in (GID - 1, GID + 1):
        server.file.write(Batch([(keys.message(gid, 1), b"kept")]))
    destroy(GID, server.overlay, server.overlay)
    server.write()
    assert len(contents(server.file)) == 2


def test_two_groups_share_one_store_and_one_sync(disk, server):
    overlay = server.overlay
    state = found(GID + 1, "a", overlay, overlay)
    machine, wiring = Tally(GID + 1, overlay), Wiring(overlay, overlay)
    other = Group(GID + 1, FILE, machine, bytes, bytes, state, wiring)
    term = other.flush()
    server.group.propose(b"a")
    mark = server.group.flush()
    syncs = disk.syncs
    server.write_and_sync()
    assert disk.syncs == syncs + 1
    assert server.persisted(mark) == [(1, b"a")]
    other.persisted(term)
    assert other.take() == []
    assert other.is_leader


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (keys.entry(GID, 2), b"short"),
        (keys.hard_state(GID), b"bad checksum....."),
        (keys.entry(GID, 9), encode_entry(Entry(9, 1, EntryKind.COMMAND, b""))),
        (keys.entry(GID, 2), encode_entry(Entry(2, 99, EntryKind.COMMAND, b""))),
        (keys.state(GID), keys.encode_index(1000)),
    ],
    ids=["entry", "hard state", "gap", "term of the future", "applied beyond the log"],
)
def test_records_that_contradict_each_other_are_refused(disk, server, key, value):
    server.put(b"a", b"b")
    server.write()
    server.file.write(Batch([(key, value)]))
    server.file.close()
    with pytest.raises(StorageError, match=f"group {GID}:"):
        Server(disk)
