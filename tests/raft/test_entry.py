"""What consensus stores, byte by byte: the final form, from the first version on."""

from dataclasses import replace
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvcore.raft.entry import (
    CodecError,
    Entry,
    EntryKind,
    HardState,
    decode_entry,
    decode_hard_state,
    encode_entry,
    encode_hard_state,
)

U64 = st.integers(0, 2**64 - 1)
ENTRIES = st.builds(Entry, U64, U64, st.sampled_from(EntryKind), st.binary(max_size=200))
QUICK = settings(max_examples=100, deadline=None, database=None, derandomize=True)


@given(ENTRIES)
@QUICK
def test_an_entry_comes_back_as_it_was(entry):
    assert decode_entry(encode_entry(entry)) == entry


@given(U64, st.text(max_size=40))
@QUICK
def test_a_hard_state_comes_back_as_it_was(term, name):
    assert decode_hard_state(encode_hard_state(HardState(term, name))) == HardState(term, name)


def test_the_stored_form_is_fixed():
    entry = Entry(5, 3, EntryKind.COMMAND, b"data")
    assert encode_entry(entry).hex() == "f2e4dc87000000000000000500000000000000030164617461"
    assert encode_hard_state(HardState(3, "n1")).hex() == "4b6c903c00000000000000036e31"


def test_every_flipped_bit_and_every_cut_of_an_entry_is_noticed():
    whole = encode_entry(Entry(5, 3, EntryKind.COMMAND, b"data"))
    for at in range(len(whole)):
        with pytest.raises(CodecError):
            decode_entry(whole[:at])
        for bit in range(8):
            bad = bytearray(whole)
            bad[at] ^= 1 << bit
            with pytest.raises(CodecError):
                decode_entry(bytes(bad))


def test_every_flipped_bit_and_every_cut_of_a_hard_state_is_noticed():
    whole = encode_hard_state(HardState(3, "n1"))
    for at in range(len(whole)):
        with pytest.raises(CodecError):
            decode_hard_state(whole[:at])
        for bit in range(8):
            bad = bytearray(whole)
            bad[at] ^= 1 << bit
            with pytest.raises(CodecError):
                decode_hard_state(bytes(bad))


def test_an_unknown_kind_of_entry_is_refused_not_skipped():
    whole = bytearray(encode_entry(Entry(5, 3, EntryKind.COMMAND, b"")))
    whole[20] = 9
    whole[:4] = crc32(whole[4:]).to_bytes(4)
    with pytest.raises(CodecError, match="unknown kind 9"):
        decode_entry(bytes(whole))


def test_values_are_equal_and_hash_by_content():
    assert hash(Entry(1, 1, EntryKind.NOOP, b"a")) == hash(Entry(1, 1, EntryKind.NOOP, b"a"))
    assert HardState(1, "a") == HardState(1, "a")
    assert len({HardState(1, "a"), HardState(1, "a"), HardState(2, "a")}) == 2


def test_an_entrys_bytes_are_made_once_and_travel_on_as_they_came():
    entry = Entry(7, 2, EntryKind.COMMAND, b"data")
    assert encode_entry(entry) is encode_entry(entry)
    came = bytes(bytearray(encode_entry(entry)))
    assert encode_entry(decode_entry(came)) is came
    assert decode_entry(came) == Entry(7, 2, EntryKind.COMMAND, b"data")
    changed = replace(entry, term=3)
    assert decode_entry(encode_entry(changed)).term == 3
