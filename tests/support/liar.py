"""A server that lies: it passes everything on, and changes some words of what a server says.

A comparison that does not notice a lie is worth nothing. A lie replaces bytes by as many
others, so that the frames stay whole; one that is cut in two by a packet's end is not told.
"""

import re
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_CHUNK = 1 << 16


@dataclass
class Liar:
    """Passes on what `127.0.0.1:server_port` says, with each pattern's matches replaced."""

    server_port: int
    changes: Sequence[tuple[bytes, bytes]]
    port: int = 0
    told: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, listener: socket.socket) -> None:
        """Take connections until the listener is closed."""
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.server_port))
            threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with source, suppress(OSError):
            while data := source.recv(_CHUNK):
                target.sendall(self._changed(data) if is_answer else data)
            target.shutdown(socket.SHUT_WR)

    def _changed(self, data: bytes) -> bytes:
        said = data
        for pattern, replacement in self.changes:
            said, count = re.subn(pattern, replacement, said)
            with self._lock:
                self.told += count
        assert len(said) == len(data), "a lie is as long as the truth"
        return said


@contextmanager
def lying(server_port: int, changes: Sequence[tuple[bytes, bytes]]) -> Iterator[Liar]:
    """A liar in front of the server at a port, for the length of a `with` block."""
    liar = Liar(server_port, changes)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        liar.port = listener.getsockname()[1]
        threading.Thread(target=liar.serve, args=(listener,), daemon=True).start()
        yield liar
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
