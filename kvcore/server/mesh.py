"""The mesh: one link to each server of the cluster, made again whenever it breaks.

A server dials its routes, and whatever addresses its peers name: a newcomer that knows one
server soon knows all. Each address has a task that dials, waits while there is a link, and
tries again when there is none; pauses double from try to try and are jittered by the
generator that the mesh is given, so that servers which lost each other don't come back in
step. Both ends may dial at once; `handshake.py` says which link stays.

    route ──dial──▶ link ──handshake──▶ made ──▶ driver.linked(name)
                     ▲                   │ bytes of the node, both ways
                     └────── pause ◀─────┘ lost ──▶ driver.unlinked(name, why)

A name belongs to one server at a time. A second server that comes under the name of a peer,
or under our own, is refused, and both logs say so: two servers that vote as one could elect
two leaders. A peer that was killed and is back has a link that is over, so it isn't refused.

Without a secret nobody can be told from a stranger, so only this machine's servers are
taken, dialled or not. `cut` makes a partition: silence to and from named peers.

Left out: what travels on a link (`node/`), and who leads.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from random import Random
from typing import Protocol

from kvcore import limits
from kvcore.limits import SECOND_NS
from kvcore.server.clustering import (
    ClusterError,
    ClusterSettings,
    Route,
    is_this_machine,
    read_route,
)
from kvcore.server.handshake import Handshake, HandshakeError, Introduction, Refusal
from kvcore.server.link import PeerLink
from kvcore.server.log import Log
from kvcore.server.tls import make_context, make_dialing_context

_ERRORS_REPORTED_EVERY = 60  # tries, after the first
_REFUSALS_REPORTED_S = 1.0  # the same refusal is logged once in this time
_QUIET = ("self", "duplicate", "silence", "closed")  # ends that are part of an ordinary day


class Ears(Protocol):
    """Who is told: the driver."""

    def linked(self, peer: str) -> None:
        """There is a link to this peer."""

    def peer_data(self, peer: str, data: bytes) -> None:
        """Bytes from it."""

    def unlinked(self, peer: str, reason: str) -> None:
        """The link is gone."""


class Mesh:
    """All links of one server. `open` begins to dial and to listen, `close` ends it."""

    def __init__(
        self, settings: ClusterSettings, server: str, ears: Ears, rng: Random, log: Log
    ) -> None:
        self._settings = settings
        self._server = server
        self._ears = ears
        self._rng = rng
        self._log = log
        self._instance = os.urandom(8).hex()
        self._address = ""
        self._numbers = 0
        self._links: dict[str, PeerLink] = {}
        self._strangers: dict[int, PeerLink] = {}  # whose other end has proved nothing yet
        self._dials: dict[str, asyncio.Task[None]] = {}  # by address
        self._names: dict[str, str] = {}  # which server answered at an address; ours too
        self._cut: tuple[str, ...] = ()
        self._healed = asyncio.Event()
        self._healed.set()
        self._refusals: dict[tuple[str, str], float] = {}
        self._listening: asyncio.Server | None = None
        self._ending: list[PeerLink] = []
        tls = settings.tls
        self._tls = make_context(tls) if tls is not None else None
        self._dialing_tls = make_dialing_context(tls) if tls is not None else None

    @property
    def peers(self) -> tuple[str, ...]:
        """The servers that there is a link to, sorted."""
        return tuple(sorted(self._links))

    async def open(self, listener: socket.socket) -> None:
        """Let peers in, and dial the routes."""
        loop, settings = asyncio.get_running_loop(), self._settings
        port = listener.getsockname()[1]
        host = "*" if settings.host in ("0.0.0.0", "::", "") else settings.host  # noqa: S104
        self._address = settings.advertise or Route(host, port).address
        self._listening = await loop.create_server(
            lambda: self._link(None),
            sock=listener,
            ssl=self._tls,
            ssl_handshake_timeout=None if self._tls is None else settings.timeout / SECOND_NS,
        )
        self._log.info(f"Cluster name is {settings.name}")
        if not settings.has_secret:
            self._log.warn("the cluster has no secret: only servers on this machine may join it")
            self._log.warn("others need --cluster_secret_file, or authorization or tls in cluster")
        where = Route(settings.host, port).address
        self._log.info(f"Listening for route connections on {where}")
        for route in settings.routes:
            self._dial(route)

    def close(self) -> None:
        """End all links and dials; nobody is told any more."""
        if self._listening is not None:
            self._listening.close()
        for task in self._dials.values():
            task.cancel()
        self._dials.clear()
        self._ending = [*self._links.values(), *self._strangers.values()]
        self._links, self._strangers = {}, {}
        for link in self._ending:
            link.close("Server Shutdown")

    def abort(self) -> None:
        """Drop the links whose other end has not read its last bytes."""
        for link in self._ending:
            link.drop("Server Shutdown")

    # What the driver asks.

    def send(self, peer: str, data: bytes) -> None:
        """Bytes for a peer; lost without a link."""
        link = self._links.get(peer)
        if link is not None:
            link.send(data)

    def unlink(self, peer: str) -> None:
        """Close a link on which nothing made sense; the node has forgotten it."""
        link = self._links.pop(peer, None)
        if link is not None:
            link.close("Protocol Violation")

    # Partitions.

    def cut(self, peers: tuple[str, ...]) -> None:
        """Be silent to these servers and deaf to them, in place of those cut before."""
        self.heal(tuple(peer for peer in self._cut if peer not in peers))
        self._cut = peers
        if peers:
            self._healed.clear()
        for peer in peers:
            if peer in self._links:
                self._links[peer].is_cut = True

    def heal(self, peers: tuple[str, ...] | None = None) -> None:
        """Hear and speak again; the links that were cut are made anew."""
        healed = self._cut if peers is None else peers
        self._cut = tuple(peer for peer in self._cut if peer not in healed)
        self._healed.set()  # who waits looks again
        if self._cut:
            self._healed = asyncio.Event()
        links = [*self._links.values(), *self._strangers.values()]
        for link in links:
            if link.met is not None and link.met.server in healed:
                link.heal()

    # What links tell.

    def handshake(self, link: PeerLink) -> Handshake:
        """How a link begins: see `link.Mesh`."""
        if not self._settings.has_secret and not is_this_machine(link.remote[0]):
            raise HandshakeError("proof", "it is on another machine, and the cluster has no secret")
        if link.route is None and len(self._strangers) > limits.PEER_STRANGERS_COUNT:
            raise HandshakeError("crowd", "too many links have proved nothing yet")
        me = Introduction(
            self._settings.name,
            self._server,
            self._instance,
            os.urandom(16).hex(),
            self._address,
        )
        return Handshake(
            me,
            self._settings.key(link.route),
            is_dialer=link.route is not None,
            meet=lambda peer: self._meet(link, peer),
            judge=lambda peer: self._judge(link, peer),
        )

    def made(self, link: PeerLink) -> None:
        """A link is there."""
        peer = link.peer
        self._strangers.pop(link.number, None)
        self._names[_reached(link)] = peer.server
        if peer.server in self._cut:
            link.drop("a partition is on")
            return
        before = self._links.pop(peer.server, None)
        if before is not None:
            self._ears.unlinked(peer.server, "Duplicate Route")
            before.close("Duplicate Route")
        self._links[peer.server] = link
        self._log.info(f"{link.where} - rid:{link.number} - Route connection created")
        self._ears.linked(peer.server)
        others = {name: _reached(each) for name, each in self._links.items() if each is not link}
        link.tell(list(others.values()))
        for name in others:
            self._links[name].tell([_reached(link)])
        self.heard_of([_reached(link)])

    def received(self, link: PeerLink, data: bytes) -> None:
        """Bytes for the node, unless it has forgotten the link."""
        if self._links.get(link.peer.server) is link:
            self._ears.peer_data(link.peer.server, data)

    def heard_of(self, addresses: list[str]) -> None:
        """Dial what we don't know yet."""
        for address in addresses:
            try:
                route = read_route(address, "a peer's address")
            except ClusterError:
                continue
            most = len(self._settings.routes) + limits.PEER_ADDRESSES_COUNT
            if len(self._dials) < most and self._names.get(route.address) != self._server:
                self._dial(route, tries=limits.PEER_GOSSIP_TRIES_COUNT)

    def lost(self, link: PeerLink, reason: str) -> None:
        """A link is over, or never came to be."""
        self._strangers.pop(link.number, None)
        code = link.settled.result()
        who = f"{link.where} - rid:{link.number}"
        if link.is_made:
            peer = link.peer.server
            self._log.info(f"{who} - Router connection closed: {reason} - Remote: {peer}")
            if self._links.get(peer) is link:
                del self._links[peer]
                self._ears.unlinked(peer, reason)
        elif code not in _QUIET:
            self._refused(link, code, reason)

    # One link per pair, and one server per name.

    def _meet(self, link: PeerLink, peer: Introduction) -> Refusal:
        """Judge who says to be at the other end, before a proof."""
        if link.route is not None:
            self._names[link.route.address] = peer.server
        if peer.server == self._server:
            return "self" if peer.instance == self._instance else "name"
        if self._tls is not None and peer.server not in link.certified():
            return "certificate"
        if peer.server in self._cut:
            return "silence"
        if link.route is not None and peer.server in self._links and self._is_larger(peer):
            return "duplicate"
        return ""

    def _is_larger(self, peer: Introduction) -> bool:
        """Whether the decision is the peer's."""
        return self._server > peer.server

    def _judge(self, link: PeerLink, peer: Introduction) -> Refusal:
        """Decide about a peer that has proved what it says: the smaller name does."""
        held = self._links.get(peer.server)
        if held is None:
            return ""
        if held.peer.instance != peer.instance:
            return "name"
        # The other end dials while it has no link. If ours is older than this attempt, it has
        # lost it; if not, both of us dialled at once.
        return "duplicate" if held.made_at >= link.began else ""

    def _link(self, route: Route | None) -> PeerLink:
        self._numbers += 1
        link = PeerLink(self, self._numbers, route, self._settings.timeout)
        self._strangers[link.number] = link
        return link

    def _refused(self, link: PeerLink, code: str, reason: str) -> None:
        """Say so, but not for each of a thousand attempts of a minute."""
        now = asyncio.get_running_loop().time()
        key = (link.remote[0], code)
        if now - self._refusals.get(key, -_REFUSALS_REPORTED_S) < _REFUSALS_REPORTED_S:
            return
        if len(self._refusals) > limits.PEER_STRANGERS_COUNT:
            self._refusals.clear()
        self._refusals[key] = now
        name = f" {link.met.server!r}" if link.met is not None else ""
        self._log.error(f"{link.where} - rid:{link.number} - Route refused{name}: {reason}")

    # Dialling.

    def _dial(self, route: Route, tries: int = 0) -> None:
        if route.address not in self._dials:
            task = asyncio.get_running_loop().create_task(self._keep(route, tries))
            self._dials[route.address] = task
            task.add_done_callback(self._dial_ended(route.address))

    def _dial_ended(self, address: str) -> Callable[[asyncio.Task[None]], None]:
        def ended(task: asyncio.Task[None]) -> None:
            self._dials.pop(address, None)
            if not task.cancelled():
                task.result()  # a bug of ours ends the server

        return ended

    async def _keep(self, route: Route, tries: int) -> None:
        """Keep a link to whoever answers there; give up after `tries` in vain, 0 is never."""
        failed = attempt = 0
        while not tries or failed < tries:
            link = self._links.get(self._names.get(route.address, ""))
            if link is not None:
                await asyncio.shield(link.over)
                lasted = asyncio.get_running_loop().time() - link.made_at
                failed = 0 if lasted > limits.PEER_REDIAL_MAX_NS / SECOND_NS else failed + 1
                await asyncio.sleep(self._pause(failed))
                continue
            while self._names.get(route.address) in self._cut:
                await self._healed.wait()
            code = await self._try(route, attempt + 1)
            attempt = attempt + 1 if code == "unreachable" else 0
            if code == "self":
                self._names[route.address] = self._server
                return
            if code:
                failed += 1
                await asyncio.sleep(self._pause(failed))
        self._names.pop(route.address, None)

    def _pause(self, failed: int) -> float:
        """Seconds until the next try."""
        longest = min(limits.PEER_REDIAL_MIN_NS << min(failed, 20), limits.PEER_REDIAL_MAX_NS)
        return self._rng.uniform(0.5, 1.0) * longest / SECOND_NS

    async def _try(self, route: Route, attempt: int) -> str:
        """One attempt: "" once there is a link, else why there is none."""
        made: list[PeerLink] = []

        def make() -> PeerLink:
            made.append(self._link(route))
            return made[0]

        try:
            async with asyncio.timeout(self._settings.timeout / SECOND_NS):
                await asyncio.get_running_loop().create_connection(
                    make, route.host, route.port, ssl=self._dialing_tls
                )
        except OSError as error:  # TimeoutError and ssl.SSLError are
            for link in made:
                link.abandon()
            self._report(route, attempt, error)
            return "unreachable"
        return await asyncio.shield(made[0].settled)

    def _report(self, route: Route, attempt: int, error: OSError) -> None:
        if attempt % _ERRORS_REPORTED_EVERY == 1:
            reason = error.strerror or str(error) or "it takes too long"
            if isinstance(error, ssl.SSLError):
                reason = (error.reason or str(error)).replace("_", " ").lower()
            where = f"dial tcp {route.address}: {reason}"
            self._log.error(f"Error trying to connect to route (attempt {attempt}): {where}")


def _reached(link: PeerLink) -> str:
    """Where others reach the server at the other end."""
    host, _, port = link.peer.address.rpartition(":")
    return Route(link.remote[0], int(port)).address if host == "*" else link.peer.address
