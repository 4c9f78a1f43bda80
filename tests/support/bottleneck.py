"""A way to a server that breaks after so many bytes: it is cut, or it takes nothing more."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_CHUNK = 1 << 14


@dataclass
class Bottleneck:
    """Passes `most` bytes on to the server, then cuts the connection, or holds it in silence."""

    server_port: int
    most: int
    is_cut: bool
    port: int = 0
    full: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def serve(self, listener: socket.socket) -> None:
        """Take connections until the listener is closed."""
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.server_port))
            threading.Thread(target=self._ask, args=(client, server), daemon=True).start()
            threading.Thread(target=self._answer, args=(client, server), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        passed = 0
        with suppress(OSError):
            while data := client.recv(_CHUNK):
                passed += len(data)
                if passed > self.most:
                    self.full.set()
                    if not self.is_cut:
                        while client.recv(_CHUNK):
                            pass
                    break
                server.sendall(data)
        for each in (client, server):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _answer(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(_CHUNK):
                client.sendall(data)


@contextmanager
def bottleneck(server_port: int, most: int, *, is_cut: bool) -> Iterator[Bottleneck]:
    """A bottleneck in front of the server at a port, for the length of a `with` block."""
    found = Bottleneck(server_port, most, is_cut)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found.port = listener.getsockname()[1]
        threading.Thread(target=found.serve, args=(listener,), daemon=True).start()
        yield found
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
