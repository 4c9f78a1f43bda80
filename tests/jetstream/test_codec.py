"""Commands in the log: what is written is read back, and old logs stay readable."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvcore.jetstream.commands import (
    Acked,
    AssignPeers,
    BeginRestore,
    CodecError,
    CompleteRestore,
    Copy,
    CreateConsumer,
    CreateStream,
    DeleteConsumer,
    DeleteMessage,
    DeleteStream,
    Expire,
    PauseConsumer,
    Publish,
    Purge,
    UpdateConfig,
    UpdateStream,
    decode,
    decode_meta,
    decode_stream,
    encode,
)

number = st.integers(0, (1 << 64) - 1)
text = st.binary(max_size=40).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
names = st.lists(text, max_size=5).map(tuple)
block = st.none() | st.binary(min_size=1, max_size=60)

stream_commands = st.one_of(
    st.builds(Publish, text, text, block, st.binary(max_size=60), number, st.booleans()),
    st.builds(Expire, number),
    st.builds(Purge, text, number, number, text, number),
    st.builds(DeleteMessage, number, st.booleans(), text, number),
    st.builds(UpdateConfig, st.binary(max_size=60), text, number),
    st.builds(CreateConsumer, st.binary(max_size=60), text, text, text, number),
    st.builds(DeleteConsumer, text, text, number),
    st.builds(
        Copy,
        text,
        text,
        number,
        number,
        text,
        st.binary(max_size=60),
        st.binary(max_size=60),
        number,
        number,
    ),
    st.builds(PauseConsumer, text, number, text, number),
    st.builds(Acked, text, st.binary(max_size=60), text, number),
)
meta_commands = st.one_of(
    st.builds(CreateStream, st.binary(max_size=60), text, number, st.booleans(), names, text),
    st.builds(UpdateStream, st.binary(max_size=60), text, number, st.booleans(), names, text),
    st.builds(DeleteStream, text, text, number),
    st.builds(BeginRestore, st.binary(max_size=60), text, number, text, text),
    st.builds(
        CompleteRestore, number, st.binary(max_size=60), text, number, st.booleans(), names, text
    ),
    st.builds(AssignPeers, text, number, names, text, number, st.booleans()),
)


@given(stream_commands)
def test_a_stream_command_is_read_as_it_was_written(command):
    assert decode_stream(encode(command)) == command


@given(meta_commands)
def test_a_meta_command_is_read_as_it_was_written(command):
    assert decode_meta(encode(command)) == command


@given(stream_commands | meta_commands, st.data())
def test_a_cut_command_is_another_one_or_an_error(command, data):
    """Never an exception of another kind; the log's checksum is what finds damage."""
    cut = encode(command)[: data.draw(st.integers(0, 30))]
    with suppress(CodecError):
        decode(cut)


def test_the_logs_of_each_machine_are_kept_apart():
    with pytest.raises(CodecError, match="a stream's log holds a DeleteStream"):
        decode_stream(encode(DeleteStream("s", "", 0)))
    with pytest.raises(CodecError, match="the meta log holds a Expire"):
        decode_meta(encode(Expire(0)))
    with pytest.raises(CodecError, match="no command has the letter"):
        decode(b"?")


def test_the_stored_form_does_not_change():
    """These bytes are in logs of the first version: change them and old stores don't open."""
    publish = Publish("s.a", "r", b"NATS/1.0\r\n\r\n", b"v", 1)
    assert encode(publish) == (b"P\0\0\0\0\0\0\0\1\0\3\0\1\0\0\0\x0cs.arNATS/1.0\r\n\r\nv")
    assert encode(Expire(2)) == b"E\0\0\0\0\0\0\0\2"
    assert encode(DeleteMessage(seq=1, no_erase=True, reply="r", time=2)) == (
        b"D\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1\0\0\0\1r\0\0\0\0\0\0\0\2"
    )


def old_form(letter: bytes, *fields: int | bytes) -> bytes:
    """A command as the versions before clusters wrote it."""
    parts = [letter]
    for field in fields:
        if isinstance(field, int):
            parts.append(field.to_bytes(8, "big"))
        else:
            parts += (len(field).to_bytes(4, "big"), field)
    return b"".join(parts)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (old_form(b"S", b"{}", b"r", 7, 1), CreateStream(b"{}", "r", 7, over_quota=True)),
        (old_form(b"T", b"{}", b"r", 7, 0), UpdateStream(b"{}", "r", 7)),
        (old_form(b"R", b"{}", b"r", 7), BeginRestore(b"{}", "r", 7)),
        (old_form(b"r", 5, b"{}", b"r", 7, 1), CompleteRestore(5, b"{}", "r", 7, over_quota=True)),
    ],
)
def test_a_log_from_before_there_were_clusters_stays_readable(written, meant):
    assert decode_meta(written) == meant
    with pytest.raises(CodecError):
        decode_meta(written + b"\0")
