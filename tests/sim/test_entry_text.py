import pytest

from kvcore.jetstream.commands import Publish, Purge, encode
from kvcore.raft.entry import Entry, EntryKind
from kvcore.sim.entry_text import text_of, texts_of


def entry(command=None, kind=EntryKind.COMMAND, data=b"") -> Entry:
    return Entry(4, 2, kind, data if command is None else encode(command))


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (Publish("$KV.b.a", "", None, b"1", 0), "a=1"),
        (Publish("$KV.b.web.port", "", None, b"80\n", 0), "web.port=80⏎"),
        (Publish("$KV.b.a", "", b"NATS/1.0\r\nKV-Operation: DEL\r\n\r\n", b"", 0), "a ✕"),
        (Publish("orders.7", "", None, b"x", 0), "orders.7=x"),
        (Purge("", 0, 0, "", 0), "purge"),
    ],
    ids=lambda each: each if isinstance(each, str) else type(each).__name__,
)
def test_an_entry_is_told_as_what_it_does(command, text):
    assert text_of(entry(command)) == text


def test_what_is_no_command_has_a_word_and_nonsense_a_question_mark():
    assert text_of(entry(kind=EntryKind.NOOP)) == "no-op"
    assert text_of(entry(kind=EntryKind.MEMBERS)) == "members"
    assert text_of(entry(data=b"\xff\xff")) == "?"


def test_a_text_is_short_and_there_are_not_too_many():
    long = entry(Publish("$KV.b.a", "", None, b"x" * 1000, 0))
    assert len(text_of(long)) == 40
    told = texts_of([long] * 100).splitlines()
    assert len(told) == 32
    assert told[0].startswith("2 a=x")
