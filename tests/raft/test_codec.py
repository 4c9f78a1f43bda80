"""Messages as bytes: there and back, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvcore.raft.codec import decode_message, encode_message
from kvcore.raft.entry import (
    CodecError,
    Entry,
    EntryKind,
    HardState,
    Members,
    decode_hard_state,
    decode_members,
    encode_hard_state,
    encode_members,
)
from kvcore.raft.messages import (
    AppendEntries,
    AppendReply,
    InstallSnapshot,
    RequestVote,
    SnapshotReply,
    TimeoutNow,
    VoteReply,
)

u64 = st.integers(0, (1 << 64) - 1)
small = st.integers(0, 1 << 40)
name = st.text(min_size=1, max_size=20)
yes = st.booleans()

names = st.lists(name, max_size=5).map(tuple)
groups = st.builds(Members, names, names).map(encode_members)


@st.composite
def appends(draw):
    previous, term = draw(small), draw(small)
    datas = draw(st.lists(st.binary(max_size=50), max_size=5))
    kinds = [draw(st.sampled_from(EntryKind)) for _ in datas]
    entries = tuple(
        Entry(previous + n, draw(st.integers(0, term)), kind, data)
        for n, (kind, data) in enumerate(zip(kinds, datas, strict=True), 1)
    )
    return AppendEntries(
        draw(name), term, previous, draw(u64), entries, draw(u64), draw(u64), draw(yes)
    )


messages = st.one_of(
    appends(),
    st.builds(AppendReply, name, u64, yes, u64, u64, u64, yes),
    st.builds(RequestVote, name, u64, u64, u64, yes, yes),
    st.builds(VoteReply, name, u64, yes, yes),
    st.builds(InstallSnapshot, name, u64, u64, u64, groups, u64, st.binary(), yes),
    st.builds(SnapshotReply, name, u64, u64, u64, yes),
    st.builds(TimeoutNow, name, u64),
)


@given(messages)
def test_a_message_comes_back_as_it_was(message):
    assert decode_message(encode_message(message)) == message


@given(messages, st.data())
def test_a_message_cut_short_is_refused(message, data):
    encoded = encode_message(message)
    cut = encoded[: data.draw(st.integers(0, len(encoded) - 1))]
    try:
        found = decode_message(cut)
    except CodecError:
        return
    assert isinstance(message, InstallSnapshot)  # its last field has no length of its own
    assert message.data.startswith(found.data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data):
    try:
        message = decode_message(data)
    except CodecError:
        return
    assert encode_message(message) == data


@given(messages, st.data())
def test_a_flipped_bit_is_another_message_or_refused(message, data):
    encoded = bytearray(encode_message(message))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        assert decode_message(bytes(encoded)) != message
    except CodecError:
        return


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "damaged"),
        (encode_message(TimeoutNow("a", 1)) + b"x", "should have"),
        (b"\x09" + encode_message(TimeoutNow("a", 1))[1:], "no message is of kind"),
        (b"\x07\x01" + encode_message(TimeoutNow("a", 1))[2:], "no flags"),
        (
            encode_message(AppendEntries("a", 1, 5, 1, (Entry(7, 1, EntryKind.NOOP, b""),))),
            "wrong place",
        ),
        (
            encode_message(AppendEntries("a", 1, 6, 1, (Entry(7, 2, EntryKind.NOOP, b""),))),
            "wrong place",
        ),
        (encode_message(TimeoutNow("", 1)), "sender"),
        (encode_message(InstallSnapshot("a", 1, 5, 1, b"\x01", 0, b"", True)), "members"),  # noqa: FBT003
    ],
)
def test_what_is_odd_is_refused_with_its_reason(data, why):
    with pytest.raises(CodecError, match=why):
        decode_message(data)


@given(names, names)
def test_members_come_back_as_they_were(voters, learners):
    members = Members(voters, learners)
    assert decode_members(encode_members(members)) == members


@given(st.binary(max_size=60))
def test_any_bytes_are_members_or_refused(data):
    try:
        members = decode_members(data)
    except CodecError:
        return
    assert encode_members(members) == data


@given(u64, st.text(max_size=20), st.none() | st.builds(Members, names, names), yes)
def test_a_hard_state_with_members_comes_back_as_it_was(term, voted_for, members, is_recovering):
    hard = HardState(term, voted_for, members, is_recovering)
    assert decode_hard_state(encode_hard_state(hard)) == hard


def test_a_hard_state_of_a_server_alone_is_stored_as_it_always_was():
    assert encode_hard_state(HardState(3, "a"))[4:] == bytes(7) + b"\x03a"
