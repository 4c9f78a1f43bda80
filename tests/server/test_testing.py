"""`kvcore.testing`: a server in the test's own process, from its users' end."""

import asyncio
import gc
import json
import os
import re
import socket
import subprocess
import sys
import threading
import tomllib
from contextlib import suppress
from pathlib import Path

import nats
import pytest

from kvcore import testing
from kvcore.node.node import Node
from kvcore.server.settings import SettingsError
from kvcore.storage.appendfile import AppendFile
from kvcore.storage.base import StorageError
from kvcore.storage.files import OsFileSystem
from tests.support.wait import eventually

ROOT = Path(__file__).resolve().parents[2]
PYTHON = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
README_TEST = next(text for text in PYTHON if "kvcore_server" in text)


async def greet(url: str, **options: object) -> None:
    """Fails unless the server is empty: its bucket is new and its first revision is 1."""
    nc = await nats.connect(url, allow_reconnect=False, **options)
    kv = await nc.jetstream().create_key_value(bucket="config")
    assert await kv.put("greeting", b"hello") == 1
    assert (await kv.get("greeting")).value == b"hello"
    await nc.close()


async def read_greeting(url: str) -> bytes | None:
    nc = await nats.connect(url, allow_reconnect=False)
    entry = await (await nc.jetstream().key_value("config")).get("greeting")
    await nc.close()
    return entry.value


def is_free(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def server_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name in ("kvcore", "disk")]


# Starting.


def test_a_server_on_the_callers_loop_serves_nats_py_and_is_gone_afterwards():
    async def main() -> int:
        async with testing.server() as server:
            assert server_threads() == []
            assert server.url == f"nats://127.0.0.1:{server.port}"
            await greet(server.url)
        assert len(asyncio.all_tasks()) == 1
        return server.port

    assert is_free(asyncio.run(main(), debug=True))
    assert server_threads() == []


def test_a_server_on_its_own_thread_serves_a_synchronous_test():
    with testing.server() as server:
        assert server_threads() == ["kvcore"]
        asyncio.run(greet(server.url))
    assert is_free(server.port)
    assert server_threads() == []


def test_demand_14_ten_servers_in_one_process_are_all_empty_and_apart():
    async def main() -> None:
        servers = [testing.server() for _ in range(10)]
        for server in servers:
            await server.__aenter__()
        assert len({server.port for server in servers}) == 10
        await asyncio.gather(*(greet(server.url) for server in servers))
        for server in servers:
            await server.__aexit__(None, None, None)

    asyncio.run(main())


def test_a_directory_keeps_what_was_stored_for_the_next_server(tmp_path):
    store = tmp_path / "new"
    with testing.server(store) as server:
        asyncio.run(greet(server.url))
    with testing.server(str(store), port=server.port) as again:
        assert again.port == server.port
        assert asyncio.run(read_greeting(again.url)) == b"hello"


def test_a_server_in_memory_leaves_nothing_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with testing.server() as server:
        asyncio.run(greet(server.url))
    assert list(tmp_path.iterdir()) == []


def test_without_jetstream_a_server_takes_plain_messages_alone():
    async def main(url: str) -> None:
        nc = await nats.connect(url, allow_reconnect=False)
        with pytest.raises(nats.js.errors.ServiceUnavailableError):
            await nc.jetstream().account_info()
        await nc.close()

    with testing.server(jetstream=False) as server:
        asyncio.run(main(server.url))


@pytest.mark.parametrize(
    "options", [{"user": "ann", "password": "apple"}, {"token": "cherry"}], ids=["user", "token"]
)
def test_a_server_that_asks_for_a_secret_refuses_whoever_has_none(options):
    with testing.server(**options) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as stranger:
            stranger.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
            heard = stranger.makefile("rb").read()
        assert heard.endswith(b"-ERR 'Authorization Violation'\r\n")
        asyncio.run(greet(server.url, **options))


def test_a_configuration_file_says_the_rest_but_neither_port_nor_store(tmp_path):
    config = tmp_path / "server.conf"
    config.write_text(
        f'port: 4222\nserver_name: "mine"\njetstream {{ store_dir: "{tmp_path}/no" }}\n'
    )

    async def name(url: str) -> str:
        nc = await nats.connect(url, allow_reconnect=False)
        await nc.close()
        return nc._server_info["server_name"]

    with testing.server(config=config) as server:
        assert server.port != 4222
        assert asyncio.run(name(server.url)) == "mine"
    assert not (tmp_path / "no").exists()


def test_settings_that_make_no_sense_are_refused_before_anything_is_opened():
    with pytest.raises(SettingsError, match="port 70000"):
        testing.server(port=70000)
    with pytest.raises(SettingsError, match="can't read configuration file"):
        testing.server(config="nowhere.conf")


def test_a_server_is_entered_once():
    server = testing.server()
    with server:
        pass
    with pytest.raises(RuntimeError, match="make another"), server:
        pass
    assert server_threads() == []


def test_a_directory_in_use_is_refused_and_the_port_is_free_again(tmp_path):
    second = testing.server(tmp_path)
    with (
        testing.server(tmp_path),
        pytest.raises(StorageError, match="in use by another server"),
        second,
    ):
        pass
    assert is_free(second.port)
    assert server_threads() == []


# Ending.


@pytest.mark.parametrize("store", [False, True], ids=["memory", "directory"])
def test_a_test_that_fails_leaves_nothing_behind(tmp_path, store):
    server = testing.server(tmp_path if store else None)
    with pytest.raises(ZeroDivisionError), server:  # noqa: PT012
        asyncio.run(greet(server.url))
        raise ZeroDivisionError
    assert is_free(server.port)
    assert server_threads() == []
    OsFileSystem(tmp_path).lock()


def test_clients_that_are_left_open_are_closed_and_do_not_hold_up_the_end():
    async def main() -> bytes:
        async with testing.server() as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            assert (await reader.readline()).startswith(b"INFO ")
        rest = await reader.read()
        writer.close()
        return rest

    assert asyncio.run(main()) == b""


def test_a_loop_that_was_closed_before_the_end_leaves_nothing_behind(tmp_path):
    loop = asyncio.new_event_loop()
    server = testing.server(tmp_path)
    loop.run_until_complete(server.__aenter__())
    port = server.port
    loop.close()
    assert server_threads() == ["disk"]
    del server, loop
    eventually(lambda: gc.collect() >= 0 and is_free(port), what="the port is free")
    assert server_threads() == []
    AppendFile(OsFileSystem(tmp_path)).close()


def test_leaving_after_the_loop_was_closed_gives_everything_back(tmp_path):
    loop = asyncio.new_event_loop()
    server = testing.server(tmp_path)
    loop.run_until_complete(server.__aenter__())
    loop.close()
    asyncio.run(server.__aexit__(None, None, None))
    assert is_free(server.port)
    assert server_threads() == []
    AppendFile(OsFileSystem(tmp_path)).close()


def refuse(*_args: object) -> None:
    raise KeyError("planted")


def test_a_bug_in_the_server_ends_it_at_once_and_fails_the_test(monkeypatch, caplog):
    server = testing.server()
    with pytest.raises(testing.ServerFailedError, match="planted"), server:  # noqa: PT012
        monkeypatch.setattr(Node, "handle", refuse)
        client = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        with client, suppress(ConnectionResetError):
            assert client.recv(1) == b""
    assert "planted" in caplog.text
    assert is_free(server.port)
    assert server_threads() == []


def test_a_bug_at_the_start_is_told_as_what_it_is(monkeypatch, caplog):
    monkeypatch.setattr(Node, "handle", refuse)
    with pytest.raises(testing.ServerFailedError, match="planted"), testing.server():
        pytest.fail("it must not start")
    assert "planted" in caplog.text
    assert server_threads() == []


# The fixture, in somebody else's project.


# without the plugins that are slow to load and have nothing to do here
PYTEST = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
PYTEST += ["-p", "no:nbval", "-p", "no:hypothesispytest", "-p", "no:xdist"]


def run_pytest(project: Path, *flags: str) -> tuple[int, str]:
    """pytest over `project`, which finds the plugin by the entry point in pyproject.toml."""
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    installed = project / "installed" / "kvcore_checkout-0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: kvcore-checkout\nVersion: 0\n"
    )
    lines = [f"{name} = {where}" for name, where in points["pytest11"].items()]
    (installed / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines, ""]))
    path = os.pathsep.join([str(installed.parent), str(ROOT)])
    done = subprocess.run(
        [*PYTEST, *flags],
        cwd=project,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_test_of_the_readme_passes_as_it_stands(tmp_path):
    pytest.importorskip("anyio")
    (tmp_path / "test_it.py").write_text(README_TEST)
    code, said = run_pytest(tmp_path)
    assert (code, "1 passed" in said) == (0, True), said


def test_each_test_of_a_project_has_a_fresh_server_even_after_one_that_failed(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import asyncio, nats, pytest, threading\n"
        "async def use(url):\n"
        "    nc = await nats.connect(url)\n"
        "    kv = await nc.jetstream().create_key_value(bucket='b')\n"
        "    assert await kv.put('k', b'v') == 1\n"
        "    await nc.close()\n"
        "@pytest.mark.parametrize('n', range(3))\n"
        "def test_fresh(kvcore_server, n):\n"
        "    asyncio.run(use(kvcore_server.url))\n"
        "    assert n != 1\n"
        "def test_nothing_runs():\n"
        "    assert [t.name for t in threading.enumerate()] == ['MainThread']\n"
    )
    code, said = run_pytest(tmp_path)
    assert (code, "1 failed, 3 passed" in said) == (1, True), said


def test_a_project_that_does_not_ask_for_a_server_does_not_load_one(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import sys\ndef test_it():\n"
        "    found = sorted(m for m in sys.modules if m.startswith('kvcore.'))\n"
        "    assert found == ['kvcore.pytest_plugin']\n"
    )
    code, said = run_pytest(tmp_path)
    assert code == 0, said


def test_a_server_needs_the_standard_library_alone():
    script = (
        "import sys\nbefore = set(sys.modules)\n"
        "from kvcore import testing\n"
        "with testing.server() as server: pass\n"
        "import json\n"
        "tops = {m.partition('.')[0] for m in set(sys.modules) - before}\n"
        "print(json.dumps(sorted(tops - sys.stdlib_module_names)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout) == ["kvcore"]
