"""Two servers make sure of each other before either listens to the other.

Whoever reaches the cluster's port could vote, append and answer if frames were believed. So
a link begins with a few short lines, and nothing else is looked at until both ends have
proved that they know the cluster's secret. The secret itself never travels.

    dialer    KVCORE-ROUTE 1 CLUSTER SERVER INSTANCE NONCE ADDRESS
    listener  KVCORE-ROUTE 1 CLUSTER SERVER INSTANCE NONCE ADDRESS
    dialer    PROOF  hex of HMAC-SHA256(key, "dialer"   + both lines)
    listener  PROOF  hex of HMAC-SHA256(key, "listener" + both lines)
    dialer    LINK                                   if its name is the smaller one

The lines hold the protocol's version, the cluster's name, both servers' names and both
nonces: so a proof is good for this link alone, in this direction, between these two. The
dialer proves first: a stranger learns no proof. Either end may say `REFUSED why` and close.

Two servers may dial each other at once, and one link is enough. The one with the smaller
name decides: its last line (PROOF as listener, LINK as dialer) makes the link, and until it
comes there is none.

The key is the shared secret, or user and password of nats-server's `cluster{authorization}`.
Without either it is empty, which proves nothing: then the mesh takes servers of this machine
alone. Under TLS the server's name must stand in its certificate as well.

Left out: secrecy of what follows, which is TLS's; and guesses at a short secret by somebody
who recorded a proof, for which the secret has a least length.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from kvcore import limits

VERSION = 1
_GREETING: Final = "KVCORE-ROUTE"

Refusal: TypeAlias = Literal[
    "", "version", "cluster", "self", "name", "certificate", "proof", "duplicate", "silence"
]
_SAID: dict[str, str] = {
    "version": "it speaks another version of this protocol: run one kvcore on all servers",
    "cluster": "it belongs to a cluster of another name: check --cluster_name on both",
    "self": "it is this server itself",
    "name": "another server has this name already: give each its own --server_name",
    "certificate": "its certificate is for another server's name",
    "proof": "it does not know this cluster's secret: check the secret file, or user and password",
    "duplicate": "Duplicate Route",
    "silence": "a partition is on",
}


class HandshakeError(Exception):
    """The link must end. `code` is for the other end, the text for the log."""

    def __init__(self, code: str, text: str = "") -> None:
        super().__init__(text or _SAID.get(code, code))
        self.code = code


@dataclass(frozen=True, slots=True)
class Introduction:
    """A server as its first line names it; `instance` differs from start to start."""

    cluster: str
    server: str
    instance: str
    nonce: str
    address: str  # where it listens for peers; the host is * if it listens everywhere

    def line(self) -> bytes:
        """The first line, without its end."""
        words = (_GREETING, str(VERSION), self.cluster, self.server, self.instance)
        return " ".join((*words, self.nonce, self.address)).encode()


def read_introduction(line: bytes) -> Introduction:
    """The server that a first line names; raises `HandshakeError`."""
    try:
        words = line.decode().split(" ")
    except UnicodeDecodeError:
        raise HandshakeError("version", "it is no kvcore server") from None
    if words[0] != _GREETING:
        raise HandshakeError("version", "it is no kvcore server")
    if words[1:2] != [str(VERSION)]:
        raise HandshakeError("version")
    if len(words) != 7 or not all(word and word.isprintable() for word in words):
        raise HandshakeError("version", "its first line makes no sense")
    port = words[6].rpartition(":")[2]
    if not port.isdecimal() or int(port) > 65535:
        raise HandshakeError("version", "its address makes no sense")
    return Introduction(*words[2:])


class Handshake:
    """One end of it: bytes in, bytes out, until `is_done` or `HandshakeError`.

    `meet` is asked as soon as the other end has said its name, `judge` when it has proved it
    and we are to decide; both give a refusal, or "". What came behind the last line is `rest`.
    """

    def __init__(
        self,
        me: Introduction,
        key: bytes,
        *,
        is_dialer: bool,
        meet: Callable[[Introduction], Refusal],
        judge: Callable[[Introduction], Refusal],
    ) -> None:
        self._me = me
        self._key = key
        self._is_dialer = is_dialer
        self._meet = meet
        self._judge = judge
        self._waits_for: Literal["introduction", "proof", "link"] = "introduction"
        self._lines = (b"", b"")  # the dialer's and the listener's
        self._buffer = b""
        self.peer: Introduction | None = None
        self.is_done = False
        self.rest = b""

    def begin(self) -> bytes:
        """What is said unasked."""
        return self._me.line() + b"\n" if self._is_dialer else b""

    def feed(self, data: bytes) -> bytes:
        """Take in what came; the bytes to be sent."""
        out = b""
        self._buffer += data
        while not self.is_done:
            line, end, rest = self._buffer.partition(b"\n")
            if len(line) > limits.PEER_LINE_BYTES:
                raise HandshakeError("version", "its line is too long")
            if not end:
                return out
            self._buffer = rest
            out += self._take(line)
        self.rest, self._buffer = self._buffer, b""
        return out

    def _take(self, line: bytes) -> bytes:
        word, _, said = line.partition(b" ")
        if word == b"REFUSED":
            code = said.decode("ascii", "replace")
            if code not in _SAID:
                raise HandshakeError("refused", "the other end refuses it without a reason")
            raise HandshakeError(code, f"so says the other end: {_SAID[code]}")
        match self._waits_for:
            case "introduction":
                return self._introduced(line)
            case "proof":
                return self._proved(word, said)
            case "link":
                if line != b"LINK":
                    raise HandshakeError("version", "its last line makes no sense")
                self.is_done = True
                return b""

    def _introduced(self, line: bytes) -> bytes:
        peer = read_introduction(line)
        if peer.cluster != self._me.cluster:
            raise HandshakeError("cluster")
        if code := self._meet(peer):
            raise HandshakeError(code)
        self.peer = peer
        self._waits_for = "proof"
        if self._is_dialer:
            self._lines = (self._me.line(), line)
            return self._proof("dialer")
        self._lines = (line, self._me.line())
        return self._me.line() + b"\n"

    def _proved(self, word: bytes, said: bytes) -> bytes:
        assert self.peer is not None
        theirs = "listener" if self._is_dialer else "dialer"
        if word != b"PROOF" or not hmac.compare_digest(said, self._digest(theirs)):
            raise HandshakeError("proof")
        decides = self._me.server < self.peer.server
        if decides and (code := self._judge(self.peer)):
            raise HandshakeError(code)
        if self._is_dialer:
            # The other end's proof made the link if it decides; else our word does.
            self.is_done = True
            return b"LINK\n" if decides else b""
        self.is_done = decides
        self._waits_for = "link"
        return self._proof("listener")

    def _proof(self, role: str) -> bytes:
        return b"PROOF " + self._digest(role) + b"\n"

    def _digest(self, role: str) -> bytes:
        text = b"\n".join((role.encode(), *self._lines))
        return hmac.digest(self._key, text, "sha256").hex().encode()


def refusal(code: str) -> bytes:
    """What is said to the other end before the link is closed."""
    return f"REFUSED {code}\n".encode() if code in _SAID else b""
