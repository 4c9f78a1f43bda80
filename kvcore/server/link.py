"""One socket between two servers: first the handshake, then parcels.

Until the handshake is done a link takes a few short lines and nothing else (`handshake.py`),
and has little time for them. After it, all that travels is in parcels:

    parcel    kind u8 | length u32 | bytes
    DATA      the node's own frames, cut anywhere: handed on as they come
    ADDRESSES host:port …, separated by blanks: where the sender's other peers listen

The second kind is for the mesh: a server that knows one other hears of the rest. Nothing is
kept of a parcel of data, so its length needs no bound; that of addresses has one.

A link can be cut, as a partition cuts it: what comes is read and dropped, nothing is sent,
and nobody is told, not even of its end. What was dropped leaves a hole in the stream, so a
link that was cut is closed when the cut is healed.

Left out: asking whether a silent peer is alive. The kernel does that (TCP keep-alive) for a
machine that vanished, consensus for a process that stands still.
"""

import asyncio
import socket
import ssl
from struct import Struct
from typing import Protocol, cast

from kvcore import limits
from kvcore.limits import SECOND_NS, Nanos
from kvcore.server.clustering import Route
from kvcore.server.handshake import Handshake, HandshakeError, Introduction, refusal

_DATA, _ADDRESSES = 0, 1
_HEAD = Struct(">BI")
_KEEPALIVE_S = (5, 1, 3)  # silence before the first probe, between probes; probes without answer


class Mesh(Protocol):
    """What a link asks of those who keep it."""

    def handshake(self, link: "PeerLink") -> Handshake:
        """How this link begins; raises `HandshakeError` if it may not."""

    def made(self, link: "PeerLink") -> None:
        """The handshake is done."""

    def received(self, link: "PeerLink", data: bytes) -> None:
        """Bytes for the node."""

    def heard_of(self, addresses: list[str]) -> None:
        """Where the peer's peers listen."""

    def lost(self, link: "PeerLink", reason: str) -> None:
        """The link is over, or never came to be."""


class PeerLink(asyncio.Protocol):
    """One end. `route` is where we dialled, None for a link that came in."""

    def __init__(self, mesh: Mesh, number: int, route: Route | None, patience: Nanos) -> None:
        loop = asyncio.get_running_loop()
        self.number = number
        self.route = route
        self.remote = ("", 0)
        self.began = loop.time()
        self.made_at = 0.0
        self.is_made = False
        self.is_cut = False
        self.settled: asyncio.Future[str] = loop.create_future()  # "" once made, or why not
        self.over: asyncio.Future[None] = loop.create_future()
        self._mesh = mesh
        self._patience = loop.call_later(patience / SECOND_NS, self._lost_patience)
        self._transport: asyncio.Transport | None = None
        self._handshake: Handshake | None = None
        self._reason = ""
        self._code = ""
        self._head = b""
        self._kind = _DATA
        self._missing = 0
        self._addresses: list[bytes] = []

    @property
    def peer(self) -> Introduction:
        """Who is at the other end."""
        assert self._handshake is not None
        assert self._handshake.peer is not None
        return self._handshake.peer

    @property
    def met(self) -> Introduction | None:
        """Who says to be at the other end, proved or not."""
        return self._handshake.peer if self._handshake is not None else None

    @property
    def where(self) -> str:
        """The other end's address, as log lines name it."""
        host, port = self.remote
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def certified(self) -> tuple[str, ...]:
        """The names in the other end's certificate, which an authority of ours signed."""
        assert self._transport is not None
        certificate = self._transport.get_extra_info("peercert") or {}
        names = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]
        for part in certificate.get("subject", ()):
            names += [value for kind, value in part if kind == "commonName"]
        return tuple(names)

    # The socket.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open; under TLS, its handshake is over."""
        self._transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername") or ("", 0)
        self.remote = (str(name[0]), int(name[1]))
        sock = transport.get_extra_info("socket")
        if sock is not None:
            _notice_vanished(sock)
        try:
            self._handshake = self._mesh.handshake(self)
        except HandshakeError as error:
            self._refuse(error)
            return
        if words := self._handshake.begin():
            self._transport.write(words)

    def data_received(self, data: bytes) -> None:
        """Bytes, in pieces of any size."""
        if self.is_cut or self.over.done() or self._code:
            return
        if not self.is_made:
            assert self._handshake is not None
            assert self._transport is not None
            try:
                words = self._handshake.feed(data)
            except HandshakeError as error:
                self._refuse(error)
                return
            if words:
                self._transport.write(words)
            if not self._handshake.is_done:
                return
            data = self._handshake.rest
            self._begin()
        try:
            self._parcels(data)
        except HandshakeError as error:
            self.drop(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed, by whichever side."""
        self._patience.cancel()
        self._transport = None
        reason = self._reason or (str(exc) if exc else "Client Closed")
        if isinstance(exc, ssl.SSLError):
            self._code = self._code or "certificate"
        if not self.is_cut:
            self._end(reason)
        else:
            self._reason = reason  # told when the cut is healed

    def _end(self, reason: str) -> None:
        if not self.over.done():
            self.over.set_result(None)
            if not self.settled.done():
                self.settled.set_result(self._code or "closed")
            self._mesh.lost(self, reason)

    def abandon(self) -> None:
        """There was nobody to talk to."""
        self._patience.cancel()
        if self._transport is not None:
            self._transport.abort()
        else:
            self._end("unreachable")

    def _begin(self) -> None:
        self._patience.cancel()
        self.is_made = True
        self.made_at = asyncio.get_running_loop().time()
        self.settled.set_result("")
        self._mesh.made(self)

    def _refuse(self, error: HandshakeError) -> None:
        self._code = error.code
        self._reason = str(error)
        if error.code == "silence":
            return  # as if the line were dead, until patience ends
        assert self._transport is not None
        if words := refusal(error.code):
            self._transport.write(words)
        self._transport.close()

    def _lost_patience(self) -> None:
        self._code = self._code or "timeout"
        self.drop(self._reason or "Authentication Timeout")

    # What travels.

    def send(self, data: bytes) -> None:
        """The node's bytes; a peer that has left too much unread loses its link."""
        if self._transport is None or self.is_cut:
            return
        if self._transport.get_write_buffer_size() > limits.PEER_PENDING_BYTES:
            self.drop("Slow Consumer")
            return
        self._transport.writelines((_HEAD.pack(_DATA, len(data)), data))

    def tell(self, addresses: list[str]) -> None:
        """Where our other peers listen."""
        text = " ".join(addresses).encode()[: limits.PEER_ADDRESSES_BYTES]
        if text and self._transport is not None and not self.is_cut:
            self._transport.write(_HEAD.pack(_ADDRESSES, len(text)) + text)

    def _parcels(self, data: bytes) -> None:
        at = 0
        while at < len(data) and not self.over.done() and not self._reason:
            if not self._missing:
                take = _HEAD.size - len(self._head)
                self._head += data[at : at + take]
                at += take
                if len(self._head) < _HEAD.size:
                    return
                self._kind, self._missing = _HEAD.unpack(self._head)
                self._head = b""
                self._judge_head()
                continue
            piece = data[at : at + self._missing]
            at += len(piece)
            self._missing -= len(piece)
            if self._kind == _DATA:
                self._mesh.received(self, piece)
            else:
                self._addresses.append(piece)
                if not self._missing:
                    text, self._addresses = b"".join(self._addresses), []
                    self._mesh.heard_of(text.decode("utf-8", "replace").split())

    def _judge_head(self) -> None:
        if self._kind not in (_DATA, _ADDRESSES):
            raise HandshakeError("parcel", "Protocol Violation: a parcel of no known kind")
        if self._kind == _ADDRESSES and self._missing > limits.PEER_ADDRESSES_BYTES:
            raise HandshakeError("parcel", "Protocol Violation: too many addresses")

    # The end.

    def close(self, reason: str) -> None:
        """Close once all is sent."""
        self._reason = self._reason or reason
        if self._transport is not None:
            self._transport.close()

    def drop(self, reason: str) -> None:
        """Close at once. Whoever keeps the link is told in a later turn."""
        self._reason = self._reason or reason
        if self._transport is not None:
            self._transport.abort()

    def heal(self) -> None:
        """End a link that was cut; nobody was told of anything that befell it."""
        self.is_cut = False
        if self._transport is not None:
            self.drop("the partition is healed")
        else:
            self._end(self._reason)


def _notice_vanished(sock: socket.socket) -> None:
    """Have the kernel notice a machine that is gone without a word."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in zip(("KEEPIDLE", "KEEPINTVL", "KEEPCNT"), _KEEPALIVE_S, strict=True):
        option = getattr(socket, f"TCP_{name}", None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
