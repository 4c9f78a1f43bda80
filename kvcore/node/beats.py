"""One heartbeat for all groups that a server leads.

Each group owes its followers a heartbeat, and to a group without news it is four numbers
(`raft/beat.py`). Were each group to send its own in its own time, a server with a hundred idle
groups would have thousands of turns a second with nothing to do. So all groups beat at the same
moment: one turn, one frame for each peer, and one frame that answers.

    n1 ── BEAT (7: term 2, last 40) (9: term 1, last 3) … ──► n2     restarts their timers
    n1 ◄── HEARD (7: term 2, last 40) (9: term 1, last 3) … ── n2

A group that has anything else to say, or a follower that lacks something, falls back to
AppendEntries, and only then is the group looked at in that turn.

Left out: when a beat says enough; that is consensus's to judge.
"""

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from kvcore.limits import Nanos
from kvcore.node.groups import AnyGroup
from kvcore.raft.messages import Beat


class Post(Protocol):
    """Who brings frames to peers."""

    def send_beats(self, peer: str, beats: Sequence[tuple[int, Beat]]) -> None:
        """Heartbeats, each with its group's id."""

    def send_heard(self, peer: str, taken: Sequence[tuple[int, int, int]]) -> None:
        """Those that were taken: group, term, last entry."""


class Leading(Protocol):
    """A replica, as far as its heartbeat goes."""

    @property
    def group(self) -> AnyGroup:
        """Its log."""


R = TypeVar("R", bound=Leading)


class Beats(Generic[R]):
    """The groups that this server leads, and the one time at which all of them beat.

    `at` is that time; None: nobody has a follower here.
    """

    def __init__(self, post: Post) -> None:
        self.at: Nanos | None = None
        self._post = post
        self._leading: dict[R, None] = {}

    def note(self, replica: R) -> Nanos | None:
        """After anything happened to a replica: when consensus wants it to be woken by itself,
        which it needn't be for a heartbeat."""
        group = replica.group
        at = group.deadline()
        if not group.is_leader or at is None:  # nobody follows, or nobody does any more
            self._leading.pop(replica, None)
            return at
        if replica not in self._leading:
            self._leading[replica] = None
            self.at = at if self.at is None else min(at, self.at)
        return None

    def forget(self, replica: R) -> None:
        """It is gone from this server."""
        self._leading.pop(replica, None)

    def beat(self, now: Nanos) -> list[R]:
        """If the time has come: one heartbeat of all. Returns those that have to be looked
        after: they have more to say than that, or lead no more."""
        if self.at is None or now < self.at:
            return []
        self.at = None
        by_peer: dict[str, list[tuple[int, Beat]]] = {}
        restless: list[R] = []
        for replica in list(self._leading):
            group = replica.group
            told = group.beat() if group.is_leader and group.raft.followers else None
            if told is None:
                del self._leading[replica]
                restless.append(replica)
                continue
            beat, names = told
            self.at = group.deadline()  # the pace of all groups is the same
            if len(names) < len(group.raft.followers):
                restless.append(replica)
            for name in names:
                by_peer.setdefault(name, []).append((group.gid, beat))
        for name, beats in by_peer.items():
            self._post.send_beats(name, beats)
        return restless
