"""A server that only knows its peers: it notes what it hears, and says what a test tells it to."""

from random import Random

from kvcore.node.config import NodeConfig
from kvcore.node.io import Effects, Event, PeerClosed, PeerConnected, PeerData
from kvcore.sim.run import Parts
from kvcore.sim.world import PARTS


class PeerNode:
    """Hears events, and has words for peers."""

    def __init__(self, config: NodeConfig, _engines, _rng: Random, _now, _trace) -> None:
        self.heard: list[str] = []
        self.taken: dict[str, bytes] = {}
        self.words: dict[str, bytes] = {}
        self.unlinks: tuple[str, ...] = ()

    def handle(self, event: Event, _now: int) -> None:
        match event:
            case PeerConnected(peer):
                self.heard.append(f"+{peer}")
                self.taken[peer] = b""
            case PeerData(peer, data):
                self.taken[peer] += data
            case PeerClosed(peer):
                self.heard.append(f"-{peer}")

    def say(self, peer: str, data: bytes) -> None:
        self.words[peer] = self.words.get(peer, b"") + data

    def effects(self) -> Effects:
        words, self.words = self.words, {}
        unlinks, self.unlinks = self.unlinks, ()
        return Effects(peers=words, unlinks=unlinks)

    def deadline(self) -> int | None:
        return None


PEERS = Parts(make_node=PeerNode, make_engines=PARTS.make_engines)
