"""One text in each world: who has which verbs, what prints, and what happens at the end."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import nats
import pytest

from kvcore.lab import terminal
from kvcore.lab.cluster import Cluster, NotInThisWorld, run, run_apart
from kvcore.lab.remote import to_the_end
from tests.support.require import program, require


@pytest.fixture(autouse=True)
def world_by_default(monkeypatch):
    monkeypatch.delenv("KVCORE_WORLD", raising=False)


async def put_and_get(cluster):
    client = await cluster.connect()
    kv = await client.jetstream().create_key_value(bucket="b")
    await kv.put("key", b"value")
    return (await kv.get("key")).value


def test_the_same_main_runs_in_both_worlds(monkeypatch):
    seen = []

    async def main():
        cluster = Cluster.open(servers=1, seed=1)
        seen.append(cluster.world)
        value = await put_and_get(cluster)
        cluster.close()
        return value

    assert run(main) == b"value"
    monkeypatch.setenv("KVCORE_WORLD", "processes")
    assert run(main) == b"value"
    assert seen == ["sim", "processes"]


def test_an_unknown_world_is_refused_by_name(monkeypatch):
    monkeypatch.setenv("KVCORE_WORLD", "moon")
    with pytest.raises(
        ValueError, match="'moon'; it knows sim, processes, docker, nats-processes and nats"
    ):
        Cluster.open()


def test_a_script_may_make_one_world_after_the_other():
    async def main():
        first = Cluster.sim(seed=1)
        task = asyncio.create_task(asyncio.sleep(3600))
        await put_and_get(first)
        second = Cluster.sim(seed=2)
        assert task.cancelled()
        assert repr(first) == "Cluster sim · seed 1 · closed"
        return await put_and_get(second)

    assert run(main) == b"value"


def test_a_simulated_world_needs_a_loop_in_virtual_time():
    async def main():
        with pytest.raises(NotInThisWorld, match=r"kvcore.lab.run\(main\)"):
            Cluster.sim()

    asyncio.run(main())


def test_verbs_of_a_simulated_cluster():
    async def main():
        cluster = Cluster.sim()
        assert set(cluster.can) == {
            *("crash", "restart", "pause", "resume", "power_cut", "disconnect"),
            *("partition", "cut", "heal", "step_down", "swap", "rewind"),
        }
        client = await cluster.connect()
        kv = await client.jetstream().create_key_value(bucket="b")
        await kv.put("key", b"value")
        for verb, status in [
            (cluster.crash, "crashed"),
            (cluster.restart, "up"),
            (cluster.pause, "paused"),
            (cluster.resume, "up"),
            (cluster.power_cut, "without power"),
            (cluster.restart, "up"),
        ]:
            await verb()
            assert repr(cluster.servers) == f"[n1 {status}]"
        fresh = await cluster.connect()
        await cluster.disconnect(fresh)
        await asyncio.sleep(3)
        assert fresh.stats["reconnects"] == 1
        kv = await fresh.jetstream().key_value("b")
        assert (await kv.get("key")).value == b"value"

    run(main)


def test_a_verb_that_a_world_lacks_names_the_world_that_has_it():
    async def main():
        cluster = Cluster.sim()
        with pytest.raises(NotInThisWorld, match=r"Cluster.processes\(3\)"):
            cluster.shell("nats kv ls")

    run(main)


def test_a_simulated_cluster_has_no_rocksdb():
    with pytest.raises(NotInThisWorld, match=r"Cluster.processes\(3"):
        Cluster.sim(servers=3, engine="rocksdb")


def test_a_bucket_that_nobody_leads_has_no_leader_whoever_answers_and_a_swap_is_undone():
    async def main(cluster):
        client = await cluster.connect()
        await client.jetstream().create_key_value(bucket="b", replicas=3)
        found = await cluster.replicas("b")
        followers = [each.server for each in found if not each.is_leader]
        swaps = [cluster.swap(name, can_grant_vote=lambda *_: False) for name in followers]
        await cluster.crash(await cluster.leader("b"))
        await asyncio.sleep(5)
        assert await cluster.leader("b") == ""
        for each in swaps:
            each.undo()
        await asyncio.sleep(5)
        assert await cluster.leader("b") in followers

    for seed in (1, 2, 3):
        run_apart(main, seed=seed, servers=5)


def test_a_cluster_apart_repeats_its_seed_and_is_closed():
    async def main(cluster):
        client = await cluster.connect()
        return client._server_info["server_id"], client.new_inbox()

    one, same, other = (run_apart(main, seed=seed) for seed in (1, 1, 2))
    assert one == same != other


def test_a_cluster_of_processes_serves_crashes_pauses_and_ends():
    async def main():
        cluster = Cluster.processes(1)
        process = cluster.members[0]
        assert set(cluster.can) == {
            *("crash", "restart", "pause", "resume", "power_cut", "partition", "heal"),
            *("shell", "disconnect", "step_down"),
        }
        assert await put_and_get(cluster) == b"value"
        assert repr(cluster) == "Cluster processes · n1 up · 1 client"
        await cluster.pause()
        assert repr(cluster.servers) == "[n1 paused]"
        await cluster.resume()
        await cluster.crash()
        assert repr(cluster.servers) == "[n1 crashed]"
        await cluster.restart()
        fresh = await cluster.connect()
        kv = await fresh.jetstream().key_value("b")
        assert (await kv.get("key")).value == b"value"
        with pytest.raises(NotInThisWorld, match=r"Cluster.sim\(\)"):
            cluster.swap("n1")
        await fresh.close()
        pid, directory = process.pid, cluster.directory
        cluster.close()
        assert repr(cluster) == "Cluster processes · closed"
        assert not alive(pid)
        assert not directory.exists()

    asyncio.run(to_the_end(main))


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"


KERNEL = """
import os, signal, sys, time
from kvcore.lab import Cluster
cluster = Cluster.processes(1)
process = cluster.members[0]
if sys.argv[1] == "paused":
    os.kill(process.pid, signal.SIGSTOP)
print(process.pid, cluster.directory, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("state", ["serving", "paused"])
def test_no_server_outlives_its_kernel_even_one_that_was_killed(state, tmp_path):
    kernel = subprocess.Popen(
        [sys.executable, "-c", KERNEL, state],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    pid = int(kernel.stdout.readline().split()[0])
    assert alive(pid)
    kernel.send_signal(signal.SIGKILL)
    kernel.wait()
    kernel.stdout.close()
    deadline = time.monotonic() + 10
    while alive(pid):
        assert time.monotonic() < deadline, "the server outlived its kernel"
        time.sleep(0.01)


def test_the_command_line_prints_the_same_with_the_official_cli_and_with_ours(monkeypatch, capsys):
    require("go")
    official = program("nats")
    commands = (
        "nats kv add my_kv_store",
        'echo "hello world" | nats kv put my_kv_store greeting "hello world"',
        "nats kv get my_kv_store greeting",
        "nats kv get my_kv_store missing",
    )
    said = []
    for cli in (official, None):
        monkeypatch.setattr(terminal, "official_cli", lambda cli=cli: cli)
        cluster = Cluster.processes(1)
        try:
            for command in commands:
                cluster.shell(command)
        finally:
            cluster.close()
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert "greeting revision: 1 created @ YYYY-MM-DD hh:mm:ss" in said[0]
    assert said[0].endswith("nats: error: nats: key not found\n(exit code 1)\n")


def test_a_cluster_beside_another_leaves_it_current(capsys):
    async def main():
        cluster = Cluster.sim()
        beside = Cluster.processes(1, beside=True)
        try:
            assert await put_and_get(cluster) == b"value"
            beside.shell("echo $NATS_URL")
            with pytest.raises(NotInThisWorld, match="no real sockets"):
                await beside.connect()
        finally:
            beside.close()
        assert await put_and_get(cluster) == b"value"

    run(main)
    assert capsys.readouterr().out == "nats://127.0.0.1:<port>\n"


def test_nats_by_its_url_has_clients_and_a_shell_and_nothing_that_hurts_others(monkeypatch, capsys):
    async def main():
        servers = Cluster.processes(1, beside=True)
        monkeypatch.setenv("KVCORE_WORLD", "nats")
        monkeypatch.setenv("NATS_URL", servers.urls[0])
        try:
            cluster = Cluster.open()
            assert cluster.can == ("step_down", "disconnect", "shell")
            assert await put_and_get(cluster) == b"value"
            assert repr(cluster) == "Cluster nats · nats://127.0.0.1:<port>"
            with pytest.raises(NotInThisWorld, match="no crash"):
                await cluster.crash()
            cluster.shell("echo $NATS_URL")
            for client in cluster.clients:
                await client.close()
            cluster.close()
        finally:
            servers.close()

    asyncio.run(to_the_end(main))
    assert capsys.readouterr().out == "nats://127.0.0.1:<port>\n"


def test_a_call_from_a_button_runs_on_the_clients_loop():
    async def main():
        with_servers = Cluster.processes(1)
        try:
            client = await with_servers.connect()
            task = with_servers.call(client.flush())
            await task
            await client.close()
        finally:
            with_servers.close()

    asyncio.run(to_the_end(main))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("created @ 2026-11-23 13:17:06\n", "created @ YYYY-MM-DD hh:mm:ss\n"),
        ("RTT: 244.12µs", "RTT: …"),
        ("│ 83ms        │", "│ …           │"),
        ("│ 1.02s       │", "│ …           │"),
        ("Duplicate Window: 2m0s", "Duplicate Window: 2m0s"),
        ("Maximum Age: 1h0m0s", "Maximum Age: 1h0m0s"),
        ("nats://127.0.0.1:41234: x", "nats://127.0.0.1:<port>: x"),
        ("nats://ann:secret@n1:4222,nats://token@n2", "nats://…@n1:4222,nats://…@n2"),
        ("mail ann@example.org", "mail ann@example.org"),
        ("Leader: NBQ7NKZPOOTK4SDDS6ZB5A2XZSZAGJ2NZ5ZOHW2RZ7LZ4OCWN5IO5WB6", "Leader: <server id>"),
        ("_INBOX.WdT7uUrf1Qhy7K9oiXXCpY.x", "_INBOX.<id>.x"),
        ("hello world, 12 bytes", "hello world, 12 bytes"),
    ],
)
def test_only_what_differs_from_run_to_run_is_masked(text, masked):
    assert terminal.masked(text) == masked


def test_the_client_is_the_official_one():
    async def main():
        client = await Cluster.sim().connect(name="mine")
        assert type(client) is nats.aio.client.Client
        assert client.options["name"] == "mine"

    run(main)
