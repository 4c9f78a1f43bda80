"""Links between servers on real sockets, with ears instead of nodes."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from random import Random

import pytest

from kvcore import limits
from kvcore.limits import SECOND_NS
from kvcore.server.access import TlsSettings
from kvcore.server.clustering import ClusterSettings, Route
from kvcore.server.handshake import Handshake, Introduction
from kvcore.server.listener import bind
from kvcore.server.mesh import Mesh
from tests.support.certificates import Authority

SECRET = b"0123456789abcdef"


class Ears:
    """Writes down what a mesh tells."""

    def __init__(self) -> None:
        self.events: list[tuple[str, ...]] = []
        self.heard: dict[str, bytes] = {}

    def linked(self, peer: str) -> None:
        self.events.append(("linked", peer))

    def peer_data(self, peer: str, data: bytes) -> None:
        self.heard[peer] = self.heard.get(peer, b"") + data

    def unlinked(self, peer: str, reason: str) -> None:
        self.events.append(("unlinked", peer, reason))


class Said:
    """A log that is kept."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)

    warn = error = info

    def has(self, text: str) -> bool:
        return any(text in line for line in self.lines)


class Server:
    """A mesh with what it needs. `routes` are ports."""

    def __init__(self, name: str, listener: socket.socket, routes: list[int], **options) -> None:
        self.name, self.ears, self.log = name, Ears(), Said()
        self.port = listener.getsockname()[1]
        self.listener = listener
        credentials = options.pop("route_as", ("", ""))
        options = {"secret": SECRET, **options}
        options["name"] = options.pop("cluster", "c")
        settings = ClusterSettings(
            port=self.port,
            routes=tuple(Route("127.0.0.1", port, *credentials) for port in routes),
            **options,
        )
        self.mesh = Mesh(settings, name, self.ears, Random(1), self.log)

    async def open(self) -> "Server":
        await self.mesh.open(self.listener)
        return self


async def until(condition: Callable[[], object], what: str = "") -> None:
    try:
        async with asyncio.timeout(15):
            while not condition():
                await asyncio.sleep(0.001)
    except TimeoutError:
        raise AssertionError(f"not in time: {what}") from None


class Cluster:
    """Meshes of one test, which end with it."""

    def __init__(self) -> None:
        self.servers: list[Server] = []

    def listeners(self, count: int) -> list[socket.socket]:
        return [bind("127.0.0.1", -1) for _ in range(count)]

    async def server(self, name, listener=None, routes=(), **options) -> Server:
        listener = listener or bind("127.0.0.1", -1)
        server = Server(name, listener, list(routes), **options)
        self.servers.append(server)
        return await server.open()

    async def full(self, count: int, **options) -> list[Server]:
        listeners = self.listeners(count)
        ports = [each.getsockname()[1] for each in listeners]
        found = [
            await self.server(f"n{number + 1}", listener, ports, **options)
            for number, listener in enumerate(listeners)
        ]
        await until(lambda: meshed(found), "all linked")
        return found

    async def end(self, server: Server) -> None:
        server.mesh.close()
        server.mesh.abort()
        with suppress(ValueError):
            self.servers.remove(server)


def meshed(servers: list[Server]) -> bool:
    names = sorted(server.name for server in servers)
    return all(
        server.mesh.peers == tuple(name for name in names if name != server.name)
        for server in servers
    )


@asynccontextmanager
async def cluster():
    made = Cluster()
    try:
        yield made
    finally:
        for server in list(made.servers):
            await made.end(server)
        await asyncio.sleep(0.01)


def run(test):
    asyncio.run(test(), debug=False)


def test_servers_with_one_list_of_routes_are_linked_once_each():
    async def scenario():
        async with cluster() as c:
            servers = await c.full(4)
            for server in servers:
                linked = [event[1] for event in server.ears.events]
                assert sorted(linked) == sorted(s.name for s in servers if s is not server)
                assert not server.log.has("refused")

    run(scenario)


def test_bytes_arrive_in_order_and_nothing_else_does():
    async def scenario():
        async with cluster() as c:
            a, b = await c.full(2)
            big = Random(1).randbytes(3_000_000)
            for data in (b"one", b"two", big, b"end"):
                a.mesh.send("n2", data)
            await until(lambda: b.ears.heard.get("n1") == b"onetwo" + big + b"end")
            a.mesh.send("n9", b"lost")
            b.mesh.send("n1", b"back")
            await until(lambda: a.ears.heard == {"n2": b"back"})

    run(scenario)


def test_a_newcomer_that_knows_one_server_soon_knows_all():
    async def scenario():
        async with cluster() as c:
            seed = await c.server("n1")
            others = [await c.server(name, routes=[seed.port]) for name in ("n2", "n3", "n4")]
            await until(lambda: meshed([seed, *others]))

    run(scenario)


def test_both_dial_at_once_and_one_link_stays():
    """Many times over, since it is a race: each end sees one link begin, and none end."""

    async def scenario():
        for _ in range(40):
            async with cluster() as c:
                a, b = await c.full(2)
                await asyncio.sleep(0.005)
                assert a.ears.events == [("linked", "n2")]
                assert b.ears.events == [("linked", "n1")]
                a.mesh.send("n2", b"x")
                b.mesh.send("n1", b"y")
                await until(lambda a=a, b=b: a.ears.heard and b.ears.heard)

    run(scenario)


def test_a_server_that_comes_back_is_linked_again():
    async def scenario():
        async with cluster() as c:
            a, b, d = await c.full(3)
            await c.end(b)
            await until(lambda: a.ears.events[-1][:2] == ("unlinked", "n2"))
            said = "Error trying to connect to route (attempt 1): dial tcp 127.0.0.1"
            await until(lambda: a.log.has(said), str(a.log.lines))
            again = await c.server("n2", bind("127.0.0.1", b.port), [a.port, d.port])
            await until(lambda: meshed([a, again, d]))

    run(scenario)


def test_it_is_found_by_those_who_dial_even_if_it_dials_nobody():
    async def scenario():
        async with cluster() as c:
            a, b = await c.full(2)
            await c.end(b)
            again = await c.server("n2", bind("127.0.0.1", b.port))
            await until(lambda: meshed([a, again]))

    run(scenario)


def test_a_link_that_the_node_gives_up_is_closed_and_made_anew():
    async def scenario():
        async with cluster() as c:
            a, b = await c.full(2)
            a.mesh.unlink("n2")
            assert a.mesh.peers == ()
            await until(lambda: b.ears.events[-1] == ("linked", "n1") and len(b.ears.events) == 3)
            await until(lambda: a.ears.events == [("linked", "n2"), ("linked", "n2")])
            assert b.ears.events[1][:2] == ("unlinked", "n1")

    run(scenario)


def test_a_peer_that_leaves_too_much_unread_loses_its_link(monkeypatch):
    monkeypatch.setattr(limits, "PEER_PENDING_BYTES", 1000)

    async def scenario():
        async with cluster() as c:
            a, b = await c.full(2)
            link = a.mesh._links["n2"]
            b.mesh._links["n1"]._transport.pause_reading()
            while a.mesh.peers and not link._reason:
                a.mesh.send("n2", bytes(100_000))
            assert link._reason == "Slow Consumer"
            await until(lambda: ("unlinked", "n2", "Slow Consumer") in a.ears.events)
            await until(lambda: meshed([a, b]))

    run(scenario)


# Who is let in.


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"secret": b"another secret of some length"}, "does not know this cluster's secret"),
        ({"secret": b""}, "does not know this cluster's secret"),
        ({"cluster": "d"}, "cluster of another name: check --cluster_name"),
    ],
)
def test_a_wrong_peer_is_refused_and_both_logs_say_why(options, said):
    async def scenario():
        async with cluster() as c:
            a = await c.server("n1")
            b = await c.server("n2", routes=[a.port], **options)
            await until(lambda: a.log.has(said) and b.log.has(said))
            assert (a.ears.events, b.ears.events) == ([], [])
            assert a.mesh.peers == b.mesh.peers == ()

    run(scenario)


@pytest.mark.parametrize(("user", "password", "ok"), [("u", "p", True), ("u", "q", False)])
def test_user_and_password_are_proved_both_ways(user, password, ok):
    async def scenario():
        async with cluster() as c:
            a = await c.server("n1", secret=b"", user="u", password="p")
            b = await c.server("n2", routes=[a.port], secret=b"", user=user, password=password)
            if ok:
                await until(lambda: meshed([a, b]))
            else:
                await until(lambda: a.log.has("does not know this cluster's secret"))
                assert a.ears.events == []

    run(scenario)


def test_a_route_may_have_a_user_of_its_own():
    async def scenario():
        async with cluster() as c:
            a = await c.server("n1", secret=b"", user="u", password="p")
            b = await c.server("n2", routes=[a.port], secret=b"", route_as=("u", "p"))
            await until(lambda: meshed([a, b]))

    run(scenario)


def test_without_a_secret_only_this_machine_is_let_in_and_the_log_says_so(monkeypatch):
    async def scenario():
        async with cluster() as c:
            a, _ = await c.full(2, secret=b"")
            assert a.log.has("no secret: only servers on this machine")
            monkeypatch.setattr("kvcore.server.mesh.is_this_machine", lambda _host: False)
            stranger = await c.server("n3", routes=[a.port], secret=b"")
            await until(lambda: stranger.log.has("on another machine, and the cluster has no"))
            assert "n3" not in a.mesh.peers

    run(scenario)


def test_a_second_server_of_a_name_is_refused_and_the_first_stays():
    async def scenario():
        async with cluster() as c:
            a, b = await c.full(2)
            double = await c.server("n2", routes=[a.port])
            await until(lambda: double.log.has("another server has this name already"))
            await until(lambda: a.log.has("another server has this name already"))
            assert a.ears.events == [("linked", "n2")]
            assert meshed([a, b])
            assert double.ears.events == []

    run(scenario)


def test_a_server_of_our_own_name_is_refused():
    async def scenario():
        async with cluster() as c:
            a = await c.server("n1")
            double = await c.server("n1", routes=[a.port])
            await until(lambda: a.log.has("--server_name") and double.log.has("--server_name"))
            assert a.ears.events == double.ears.events == []

    run(scenario)


def test_a_server_never_links_with_itself_and_stops_trying():
    async def scenario():
        async with cluster() as c:
            listener = bind("127.0.0.1", -1)
            port = listener.getsockname()[1]
            a = await c.server("n1", listener, [port])
            await until(lambda: not a.mesh._dials)
            assert (a.ears.events, a.mesh.peers) == ([], ())
            assert not a.log.has("refused")

    run(scenario)


async def stranger(port, data, *, wait=True):
    """Says `data` at the cluster's port; what it hears until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        with suppress(OSError):
            return await reader.read() if wait else b""
        return b""
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def test_a_stranger_that_says_nothing_is_closed_in_time():
    async def scenario():
        async with cluster() as c:
            a = await c.server("n1", timeout=20_000_000)
            assert await stranger(a.port, b"") == b""
            await until(lambda: a.log.has("Authentication Timeout"))

    run(scenario)


def test_strangers_are_bounded_in_number(monkeypatch):
    monkeypatch.setattr(limits, "PEER_STRANGERS_COUNT", 3)

    async def scenario():
        async with cluster() as c:
            a = await c.server("n1", timeout=SECOND_NS // 2)
            waiting = [asyncio.create_task(stranger(a.port, b"")) for _ in range(3)]
            await until(lambda: len(a.mesh._strangers) == 3)
            assert await stranger(a.port, b"") == b""
            await until(lambda: a.log.has("too many links have proved nothing yet"))
            assert await asyncio.gather(*waiting) == [b"", b"", b""]
            await until(lambda: not a.mesh._strangers)
            b = await c.server("n2", routes=[a.port])
            await until(lambda: meshed([a, b]))

    run(scenario)


def test_forged_links_change_nothing_and_peers_are_served_meanwhile():
    """A thousand strangers on real sockets; ten thousand are in test_handshake.py."""

    async def scenario():
        rng = Random(1)
        hello = Introduction("c", "n3", "i", "00", "127.0.0.1:1").line() + b"\n"
        async with cluster() as c:
            a, b = await c.full(2, timeout=SECOND_NS // 4)
            for _ in range(40):
                forged = []
                for _ in range(25):
                    proof = b"PROOF " + rng.randbytes(32).hex().encode() + b"\nLINK\n"
                    data = rng.choice([rng.randbytes(300), hello + proof, hello, b"", proof])
                    data += rng.randbytes(50)
                    forged.append(stranger(a.port, data, wait=rng.random() < 0.1 and b"\n" in data))
                await asyncio.wait_for(asyncio.gather(*forged, return_exceptions=True), 30)
            assert a.ears.events == [("linked", "n2")]
            b.mesh.send("n1", b"still here")
            await until(lambda: a.ears.heard == {"n2": b"still here"})
            await until(lambda: not a.mesh._strangers)

    run(scenario)


@pytest.mark.parametrize(
    "parcel",
    [b"\x07\x00\x00\x00\x01x", b"\x01\xff\xff\xff\xff", b"\x00\x00\x00\x00\x05hello\x09abcd"],
)
def test_a_parcel_that_makes_no_sense_ends_the_link(parcel):
    async def scenario():
        async with cluster() as c:
            a, b = await c.full(2)
            b.mesh._links["n1"]._transport.write(parcel)
            await until(lambda: any("Protocol Violation" in event[-1] for event in a.ears.events))

    run(scenario)


def test_parcels_may_be_split_anywhere():
    async def scenario():
        async with cluster() as c:
            a, b = await c.full(2)
            transport = b.mesh._links["n1"]._transport
            for byte in b"\x00\x00\x00\x00\x05hello\x01\x00\x00\x00\x01 \x00\x00\x00\x00\x01!":
                transport.write(bytes([byte]))
                await asyncio.sleep(0)
            await until(lambda: a.ears.heard == {"n2": b"hello!"})

    run(scenario)


def test_addresses_that_make_no_sense_are_passed_over():
    async def scenario():
        async with cluster() as c:
            a, b = await c.full(2)
            b.mesh._links["n1"].tell(["", "x", "http://a:1", "h:", "h:0x1", "u:p", ":::"])
            many = [f"127.0.0.1:{port}" for port in range(1, 500)]
            b.mesh._links["n1"].tell(many)
            b.mesh.send("n1", b"after")
            await until(lambda: a.ears.heard)
            assert len(a.mesh._dials) <= 2 + limits.PEER_ADDRESSES_COUNT

    run(scenario)


# TLS.


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def tls(authority, name):
    pair = authority.pair(name)
    return TlsSettings(pair.cert, pair.key, authority.file, verify=True)


def test_under_tls_servers_are_known_by_the_names_in_their_certificates(authority):
    async def scenario():
        async with cluster() as c:
            a = await c.server("n1", secret=b"", tls=tls(authority, "n1"))
            b = await c.server("n2", routes=[a.port], secret=b"", tls=tls(authority, "n2"))
            await until(lambda: meshed([a, b]))
            a.mesh.send("n2", b"secretly")
            await until(lambda: b.ears.heard == {"n1": b"secretly"})
            assert not a.log.has("no secret")

    run(scenario)


def test_a_certificate_is_good_for_its_own_name_alone(authority):
    async def scenario():
        async with cluster() as c:
            a = await c.server("n1", secret=b"", tls=tls(authority, "n1"))
            for said, mine in (("n3", "n2"), ("n2", "n9")):
                b = await c.server(said, routes=[a.port], secret=b"", tls=tls(authority, mine))
                await until(lambda b=b: b.log.has("certificate is for another server's name"))
            await until(lambda: a.log.has("certificate is for another server's name"))
            assert a.ears.events == []

    run(scenario)


def test_a_certificate_of_another_authority_or_none_is_refused(authority, tmp_path):
    async def scenario():
        async with cluster() as c:
            a = await c.server("n1", secret=b"", tls=tls(authority, "n1"))
            other = Authority(tmp_path, "other")
            b = await c.server("n2", routes=[a.port], secret=b"", tls=tls(other, "n2"))
            plain = await c.server("n3", routes=[a.port], secret=b"")
            await until(lambda: b.log.has("Error trying to connect to route"))
            await until(lambda: not plain.mesh._strangers)
            assert a.ears.events == b.ears.events == plain.ears.events == []

    run(scenario)


# Partitions.


def test_a_cut_is_silence_and_a_heal_is_a_new_link():
    async def scenario():
        async with cluster() as c:
            a, b, d = await c.full(3)
            before = [list(server.ears.events) for server in (a, b, d)]
            a.mesh.cut(("n2", "n3"))
            for peer in ("n2", "n3"):
                a.mesh.send(peer, b"into the void")
            b.mesh.send("n1", b"unheard")
            b.mesh.send("n3", b"heard")
            await until(lambda: d.ears.heard.get("n2") == b"heard")
            assert [server.ears.events for server in (a, b, d)] == before
            assert a.ears.heard == {}
            a.mesh.heal()
            await until(lambda: ("unlinked", "n1") in [event[:2] for event in b.ears.events])
            await until(lambda: meshed([a, b, d]) and b.ears.events[-1] == ("linked", "n1"))
            assert "n1" not in b.ears.heard
            a.mesh.send("n2", b"again")
            await until(lambda: b.ears.heard.get("n1") == b"again")

    run(scenario)


def test_a_peer_that_dies_in_a_cut_is_not_heard_of_until_it_is_healed():
    async def scenario():
        async with cluster() as c:
            a, b = await c.full(2)
            a.mesh.cut(("n2",))
            await c.end(b)
            again = await c.server("n2", bind("127.0.0.1", b.port), [a.port])
            await until(lambda: a.mesh._strangers)  # it tries, and hears nothing
            await asyncio.sleep(0.05)
            assert a.ears.events == [("linked", "n2")]
            assert again.ears.events == []
            a.mesh.heal()
            await until(lambda: meshed([a, again]) and len(a.ears.events) == 3)
            assert a.ears.events[1][:2] == ("unlinked", "n2")

    run(scenario)


def test_a_cut_is_replaced_by_the_next():
    async def scenario():
        async with cluster() as c:
            a, b, d = await c.full(3)
            a.mesh.cut(("n2",))
            a.mesh.cut(("n3",))
            await until(lambda: a.ears.events[-1] == ("linked", "n2"))
            a.mesh.send("n3", b"lost")
            a.mesh.send("n2", b"arrives")
            await until(lambda: b.ears.heard.get("n1") == b"arrives")
            assert d.ears.heard == {}

    run(scenario)


def test_an_instance_that_dials_while_its_link_is_there_has_lost_it():
    """The far end closed it and our kernel was never told: the new link takes its place."""

    async def scenario():
        async with cluster() as c:
            a, b = await c.full(2)
            held = a.mesh._links["n2"]
            mine = Introduction("c", "n2", held.peer.instance, "00", f"127.0.0.1:{b.port}")
            handshake = Handshake(
                mine,
                b"secret\n" + SECRET,
                is_dialer=True,
                meet=lambda _peer: "",
                judge=lambda _peer: "",
            )
            reader, writer = await asyncio.open_connection("127.0.0.1", a.port)
            writer.write(handshake.begin())
            while not handshake.is_done:
                writer.write(handshake.feed(await reader.read(1000)))
            await until(lambda: a.mesh._links.get("n2") not in (held, None))
            assert a.ears.events[:2] == [("linked", "n2"), ("unlinked", "n2", "Duplicate Route")]
            writer.close()

    run(scenario)
