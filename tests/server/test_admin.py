"""The door through which whoever started a server makes partitions."""

import asyncio
import json
import stat

import pytest

from kvcore.server.admin import Admin, AdminError, ask


class Noted:
    """A mesh and clients that write down what they are told."""

    def __init__(self) -> None:
        self.told: list[tuple] = []
        self.peers = ("n2", "n3")

    def cut(self, names) -> None:
        self.told.append(("cut", names))

    def heal(self) -> None:
        self.told.append(("heal",))


async def opened(tmp_path, mesh, clients):
    admin = Admin("n1", clients, mesh)
    return admin, await admin.open(str(tmp_path))


def run(tmp_path, visit, mesh=None):
    """Has `visit(path)` done on a thread while a door is open; what the mesh and the clients
    were told, and what `visit` gave."""
    links, clients = mesh or Noted(), Noted()

    async def scenario():
        admin, path = await opened(tmp_path, links, clients)
        try:
            return await asyncio.to_thread(visit, path)
        finally:
            admin.close()
            await asyncio.sleep(0)

    found = asyncio.run(scenario())
    return links.told, clients.told, found


def test_a_cut_names_peers_and_clients_and_a_heal_ends_it(tmp_path):
    def visit(path):
        answer = ask(path, "cut", peers=["n2"], clients=["*"])
        ask(path, "heal")
        return answer

    links, clients, answer = run(tmp_path, visit)
    assert links == [("cut", ("n2",)), ("heal",)]
    assert clients == [("cut", ("*",)), ("heal",)]
    assert answer == {"ok": True, "server": "n1", "peers": ["n2", "n3"]}


def test_the_file_is_its_owners_and_goes_with_the_door(tmp_path):
    def visit(path):
        return path, stat.S_IMODE(path.stat().st_mode)

    path, mode = run(tmp_path, visit)[2]
    assert mode == 0o600
    assert not path.exists()


def test_a_wrong_token_does_nothing(tmp_path):
    def visit(path):
        door = json.loads(path.read_text())
        for token in ("", "x" * 64, None, door["token"][:-1]):
            path.write_text(json.dumps(door | {"token": token}))
            with pytest.raises(AdminError, match="wrong token"):
                ask(path, "cut", peers=["n2"])

    links, clients, _ = run(tmp_path, visit)
    assert links == clients == []


@pytest.mark.parametrize(
    ("do", "fields", "said"),
    [
        ("cut", {"peers": "n2"}, "lists of names"),
        ("cut", {"clients": [1]}, "lists of names"),
        ("stop", {}, "do is cut, heal or status"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(tmp_path, do, fields, said):
    def visit(path):
        with pytest.raises(AdminError, match=said):
            ask(path, do, **fields)

    links, clients, _ = run(tmp_path, visit)
    assert links == clients == []


@pytest.mark.parametrize("line", [b"{", b"[]", b"[" * 5000, b"\xff", b"null"])
def test_a_line_that_is_no_order_is_answered_with_an_error(line):
    assert "error" in Admin("n1", Noted(), Noted()).answer(line)


def test_a_server_that_is_gone_is_said_to_be(tmp_path):
    path = run(tmp_path, lambda path: path)[2]
    with pytest.raises(AdminError, match="does not answer"):
        ask(path, "heal")
