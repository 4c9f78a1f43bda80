"""What a log entry does, in a word or two that a trace can keep and a picture has room for.

A message of consensus carries entries, and an entry carries bytes. Whoever follows one write
from the server that took it in to the server that threw it away wants to see "a=1", not bytes.

Left out: what isn't a put or a delete of a key; that has the name of its command.
"""

from collections.abc import Sequence

from kvcore.jetstream.commands import CodecError, Publish, decode
from kvcore.raft.entry import Entry, EntryKind

_TEXT_CHARACTERS = 40
_ENTRIES_COUNT = 32


def texts_of(entries: Sequence[Entry]) -> str:
    """A line for each entry (the first 32): its term, a blank, and what it does."""
    return "\n".join(f"{each.term} {text_of(each)}" for each in entries[:_ENTRIES_COUNT])


def text_of(entry: Entry) -> str:
    """What an entry does: "a=1" for a put, else a word."""
    if entry.kind is not EntryKind.COMMAND:
        return "no-op" if entry.kind is EntryKind.NOOP else "members"
    try:
        command = decode(entry.data)
    except CodecError:
        return "?"
    if not isinstance(command, Publish):
        return _words(type(command).__name__)
    key = command.subject
    if key.startswith("$KV."):
        key = key.split(".", 2)[-1]
    if not command.payload and command.header and b"KV-Operation" in command.header:
        return f"{key} ✕"[:_TEXT_CHARACTERS]
    value = command.payload[:_TEXT_CHARACTERS].decode("utf-8", "replace")
    return f"{key}={value}".replace("\n", "⏎")[:_TEXT_CHARACTERS]


def _words(name: str) -> str:
    """CreateConsumer as "create consumer"."""
    return "".join(f" {each.lower()}" if each.isupper() else each for each in name).strip()
