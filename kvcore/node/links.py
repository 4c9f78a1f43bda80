"""One end of the link to one peer: what has come half, what is to be said, what was counted.

What is said to a peer waits here until the turn ends, as a client's messages wait in its
session, so that a turn makes one write per link however many frames it has. What waits has a
bound. A link that is over it takes no more: it is `is_overrun`, and whoever owns it drops it
when the turn ends, for a gap in a stream of frames can't be mended.

A peer can want a hundred thousand subjects. When the link goes, they cease to count at once
(`is_over`) and are taken out of the tree in slices; so are those told to a new peer.

Left out: who owns the links, and what frames mean (`peers.py`).
"""

from collections.abc import Sequence
from typing import TypeAlias

from kvcore import limits
from kvcore.limits import Nanos
from kvcore.node.frames import Hello, Reader

Key: TypeAlias = tuple[bool, str, str]  # is it the server's own, queue, subject


class Link:
    """The link to the server `peer`; `dirty` is where it puts itself when it has to write."""

    __slots__ = (
        "dirty",
        "hello",
        "in_bytes",
        "in_msgs",
        "is_over",
        "is_overrun",
        "out",
        "out_bytes",
        "out_msgs",
        "peer",
        "pending_bytes",
        "reader",
        "since",
        "untold",
    )

    def __init__(self, peer: str, dirty: "list[Link]", now: Nanos) -> None:
        self.peer = peer
        self.dirty = dirty
        self.since = now
        self.reader = Reader()
        self.hello: Hello | None = None  # what the peer said of itself
        self.untold: dict[Key, None] = {}  # interest that it hasn't heard of yet
        self.out: list[bytes] = []
        self.pending_bytes = 0
        self.is_over = False
        self.is_overrun = False
        self.in_msgs = self.in_bytes = self.out_msgs = self.out_bytes = 0

    def __repr__(self) -> str:
        return f"Link({self.peer!r})"

    def write(self, pieces: Sequence[bytes]) -> bool:
        """Says a frame, given in pieces, when the turn ends; whether there was room for it."""
        if self.is_over or self.is_overrun:
            return False
        if not self.out:
            self.dirty.append(self)
        self.out += pieces
        for piece in pieces:
            self.pending_bytes += len(piece)
        if self.pending_bytes > limits.PEER_PENDING_BYTES:
            self.is_overrun = True
            self.out.clear()
        return not self.is_overrun

    def carry(self, frame: tuple[bytes, bytes], size: int) -> bool:
        """Says a message's frame, and counts it."""
        if not self.write(frame):
            return False
        self.out_msgs += 1
        self.out_bytes += size
        return True

    def take(self) -> bytes:
        """All that is to be written."""
        data = b"".join(self.out)
        self.out.clear()
        self.pending_bytes = 0
        return data
