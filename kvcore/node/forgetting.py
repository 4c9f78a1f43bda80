"""Streams in memory that a majority of their servers have forgotten: they begin again, empty.

A replica in memory that restarts has lost its log. It neither votes nor counts until a leader
has sent it everything, so one crash at a time costs nothing. When a majority has restarted,
there can't be a leader any more: those who forgot don't vote, and the others are too few. Left
alone the stream would wait for ever. So each replica of a stream in memory that has no leader
tells the meta group's leader, now and then, whether it has forgotten; and says so when it is
led again:

    → {"leaderless": true, "forgot": true}       about the group of the note
    → {"leaderless": false, "forgot": false}     it is led again

The meta group's leader begins the stream anew (`meta_leader.py`) when a majority of its servers
have forgotten it, and every one that is linked has told that it has no leader. Who is led, or
has been heard of otherwise, thus stands in the way: as long as one leader could be left,
nothing is given up. What a server told counts only while its link stands.

Left out: streams on disk. A majority of emptied disks is an operator's business.
"""

from collections.abc import Callable, Mapping

from kvcore import limits
from kvcore.limits import Nanos
from kvcore.nats.json_text import Json
from kvcore.node.cluster_view import View
from kvcore.node.groups import MEMORY
from kvcore.node.hosting import Host
from kvcore.node.hosts import Hosts
from kvcore.node.peers import Peers
from kvcore.node.wakeups import Clock
from kvcore.raft.entry import CodecError


class Forgetting:
    """What this server tells of its own replicas and, if it leads the meta group, hears of all.

    `begin_anew(stream, gid)` is called when a stream has to be begun again.
    """

    def __init__(
        self,
        view: View,
        peers: Peers,
        hosts: Hosts,
        clock: Clock,
        begin_anew: Callable[[str, int], None],
    ) -> None:
        self._view = view
        self._peers = peers
        self._hosts = hosts
        self._clock = clock
        self._begin_anew = begin_anew
        self._look_at: Nanos = clock.now
        self._leaderless: dict[int, None] = {}  # groups here that had no leader at the last look
        self._led_again: dict[int, None] = {}  # those of which nobody could be told yet
        self._told: dict[int, dict[str, bool]] = {}  # by group: who has no leader; who forgot

    # -- telling ---------------------------------------------------------------------------

    def deadline(self) -> Nanos | None:
        """When the next look is due; None while all that is here is led."""
        return self._look_at if self._leaderless or self._led_again else None

    def work(self) -> None:
        """Now and then: tell of every replica that has had no leader since the last look."""
        if self._clock.now < self._look_at:
            return
        self._look_at = self._clock.now + limits.FORGOTTEN_ASK_NS
        before, self._leaderless = {**self._leaderless, **self._led_again}, {}
        self._led_again.clear()
        for host in self._hosts:
            gid = host.group.gid
            if self._is_leaderless(host):
                self._leaderless[gid] = None
                if gid in before:
                    self._tell(gid, is_leaderless=True, forgot=host.group.raft.is_recovering)
            elif gid in before and not self._tell(gid, is_leaderless=False, forgot=False):
                self._led_again[gid] = None

    def _is_leaderless(self, host: Host) -> bool:
        group = host.group
        is_shared = group.engine == MEMORY and len(host.assignment.peers) > 1
        return is_shared and not group.is_led

    def _tell(self, gid: int, *, is_leaderless: bool, forgot: bool) -> bool:
        """Tell the meta group's leader, if it is known."""
        leader = self._view.meta_leader()
        if leader == self._view.own:
            self._hear(leader, gid, is_leaderless=is_leaderless, forgot=forgot)
        elif leader:
            self._peers.note(leader, gid, {"leaderless": is_leaderless, "forgot": forgot})
        return leader != ""

    # -- hearing ---------------------------------------------------------------------------

    def on_note(self, peer: str, gid: int, fields: Mapping[str, Json]) -> bool:
        """Whether a note was about this; raises `CodecError` if it makes no sense."""
        if "leaderless" not in fields:
            return False
        is_leaderless, forgot = fields["leaderless"], fields.get("forgot")
        if not isinstance(is_leaderless, bool) or not isinstance(forgot, bool):
            raise CodecError("leaderless, or forgotten, is no yes or no")
        if self._view.meta_leader() == self._view.own:
            self._hear(peer, gid, is_leaderless=is_leaderless, forgot=forgot)
        return True

    def on_gone(self, peer: str) -> None:
        """A link is gone: what the peer told may not be true any more."""
        for told in self._told.values():
            told.pop(peer, None)

    def clear(self) -> None:
        """This server leads the meta group no more, or only now."""
        self._told.clear()

    def _hear(self, peer: str, gid: int, *, is_leaderless: bool, forgot: bool) -> None:
        streams = self._view.streams()
        found = (name for name, each in streams.items() if each.gid == gid)
        name = next(found, "")
        if not name or peer not in streams[name].peers:
            self._told.pop(gid, None)
            return
        told = self._told.setdefault(gid, {})
        if not is_leaderless:
            told.pop(peer, None)
            return
        told[peer] = forgot
        if self._is_hopeless(streams[name].peers, told):
            del self._told[gid]
            self._begin_anew(name, gid)

    def _is_hopeless(self, servers: tuple[str, ...], told: Mapping[str, bool]) -> bool:
        """Whether no server of a group can ever lead it again."""
        forgetful = [server for server in servers if told.get(server)]
        here = [each for each in servers if each == self._view.own or each in self._peers.names]
        return 2 * len(forgetful) > len(servers) and all(each in told for each in here)
