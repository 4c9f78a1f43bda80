"""What each client asked and what came back, with the times at both ends.

The server's trace knows when a request came in and when its answer left. A picture of a race
needs the other two times as well: when the client sent, and when it heard. A `Wire` listens
on both links of each client that it is given and pairs requests with answers by the reply
address, which the client makes up anew for each request.

    wire = Wire({"A": client_a, "B": client_b})
    ...
    for each in wire.exchanges: print(each.client, each.sent, each.request)

Left out: connections that a client opens later, after a break; pushed messages, which answer
no request.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from nats.aio.client import Client

from kvcore.limits import Nanos
from kvcore.sim.gate import transport_of


@dataclass(slots=True)
class Exchange:
    """One request and its answer; a time is None while, or because, it did not come so far."""

    client: str
    subject: str
    reply_to: str
    headers: bytes
    payload: bytes
    sent: Nanos
    arrived: Nanos | None  # at the server
    answered: Nanos | None = None  # by the server
    heard: Nanos | None = None  # by the client
    answer_headers: bytes = b""
    answer: bytes = b""


class Wire:
    """The exchanges of these clients from now on, in the order in which requests arrived."""

    def __init__(self, clients: Mapping[str, Client]) -> None:
        self.exchanges: list[Exchange] = []
        self.servers = {name: _server(client) for name, client in clients.items()}
        self._listen(clients)

    def _listen(self, clients: Mapping[str, Client]) -> None:
        for name, client in clients.items():
            transport = transport_of(client)
            transport.out.tap = self._requests(name)
            transport.into.tap = self._heard

    def clear(self) -> None:
        """Forgets what was heard so far."""
        self.exchanges.clear()

    def _requests(self, name: str) -> "_Requests":
        return _Requests(name, self.exchanges)

    def _heard(self, sent: Nanos, arrived: Nanos | None, data: bytes) -> None:
        for line, headers, payload in _frames(data, (b"MSG", b"HMSG")):
            subject = line[1].decode()
            for each in reversed(self.exchanges):
                if each.reply_to == subject and each.answered is None:
                    each.answered, each.heard = sent, arrived
                    each.answer_headers, each.answer = headers, payload
                    break


def _server(client: Client) -> str:
    """The host that the client is connected to, which in a world is a server's name."""
    url = client.connected_url
    return (url.hostname or "") if url is not None else ""


class _Requests:
    """The tap of one client's outgoing link."""

    def __init__(self, name: str, exchanges: list[Exchange]) -> None:
        self._name = name
        self._exchanges = exchanges

    def __call__(self, sent: Nanos, arrived: Nanos | None, data: bytes) -> None:
        for line, headers, payload in _frames(data, (b"PUB", b"HPUB")):
            sizes = 2 if line[0] == b"HPUB" else 1
            reply = line[2].decode() if len(line) == 3 + sizes else ""
            subject = line[1].decode()
            self._exchanges.append(
                Exchange(self._name, subject, reply, headers, payload, sent, arrived)
            )


def _frames(data: bytes, kinds: tuple[bytes, ...]) -> list[tuple[list[bytes], bytes, bytes]]:
    """The frames of these kinds in a chunk: control line, headers, payload.

    nats-py and the server write whole frames; what a chunk breaks off is left out.
    """
    found = []
    at = 0
    while (end := data.find(b"\r\n", at)) >= 0:
        words = data[at:end].split()
        at = end + 2
        if not words or words[0] not in (b"PUB", b"HPUB", b"MSG", b"HMSG"):
            continue
        size = int(words[-1])
        split = int(words[-2]) if words[0][:1] == b"H" else 0
        body = data[at : at + size]
        at += size + 2
        if words[0] in kinds:
            found.append((words, body[:split], body[split:]))
    return found
