"""A simulated world in a real IPython kernel: one test for each trap that was met."""

import time

import pytest

from tests.support.kernel import Kernel

SETUP = """
import asyncio
from kvcore.lab import Cluster
from kvcore.lab.shell import SHELL
"""
BUCKET = """
client = await cluster.connect()
kv = await client.jetstream().create_key_value(bucket="b")
"""


@pytest.fixture(scope="module")
def shared():
    kernel = Kernel()
    assert not kernel.run(SETUP).error
    yield kernel
    kernel.stop()


@pytest.fixture
def kernel(shared):
    yield shared
    left = shared.run("SHELL.leave()")
    assert left.error == ""
    assert left.stderr == ""


@pytest.fixture
def world(kernel):
    """The kernel, with a world, a client and a bucket in it."""
    said = kernel.run("cluster = Cluster.sim(seed=1)" + BUCKET)
    assert (said.error, said.stderr) == ("", "")
    return kernel


def test_a_world_is_made_and_used_in_one_cell(kernel):
    said = kernel.run("cluster = Cluster.sim(seed=1)" + BUCKET + "await kv.put('key', b'value')")
    assert (said.result, said.error, said.stderr) == ("1", "", "")


def test_a_task_made_in_a_cell_without_await_runs_in_the_world(world):
    world.run("task = asyncio.create_task(kv.put('key', b'value'))")
    assert world.run("await task").result == "1"


def test_a_captured_cell_may_await(world):
    said = world.run("%%capture out\nprint('inside')\nprint(await kv.put('key', b'value'))")
    assert (said.stdout, said.error) == ("", "")
    assert world.run("print(out.stdout)").stdout == "inside\n1\n\n"


def test_a_good_cell_follows_one_that_raised(world):
    failed = world.run("await kv.get('missing')")
    assert failed.error == "KeyNotFoundError"
    assert "In[" in failed.traceback
    assert world.run("await kv.put('key', b'value')").result == "1"
    assert world.run("1/0").error == "ZeroDivisionError"
    assert world.run("await kv.put('key', b'value')").result == "2"


def interrupted(kernel, code):
    """What came of a cell that was interrupted after it had printed a line."""
    code = "if True:\n print('begun', flush=True)\n" + code  # one statement
    message = kernel.send(code)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        seen = kernel.client.get_iopub_msg(timeout=30)
        if seen["msg_type"] == "stream" and "begun" in seen["content"]["text"]:
            break
    kernel.manager.interrupt_kernel()
    return kernel.collect(message, timeout=20)


@pytest.mark.parametrize(
    "code",
    [
        " while True: await asyncio.sleep(1)",
        " while True: await kv.put('key', b'')",
        " while True: pass",
        " await asyncio.gather(spin(), spin())",
    ],
)
def test_an_interrupt_ends_the_cell_and_what_it_awaited(world, code):
    world.run("count = 0\nasync def spin():\n    while True:\n        await asyncio.sleep(1)")
    world.run("before = len(asyncio.all_tasks())")
    said = interrupted(world, code)
    assert said.error == "KeyboardInterrupt"
    assert world.run("len(asyncio.all_tasks()) - before").result == "0"
    assert world.run("(await kv.put('other', b'')) > 0").result == "True"


def test_waiting_for_what_never_comes_is_a_stall_in_a_sentence(world):
    said = world.run("watcher = await kv.watchall()\nasync for entry in watcher:\n    pass")
    assert said.error == "SimulationStalled"
    assert "1 h of virtual time" in said.message
    assert "async for entry in watcher" in said.message
    assert said.traceback == f"SimulationStalled: {said.message}"
    assert world.run("await kv.put('key', b'value')").result == "1"


def test_the_patience_for_a_stall_can_be_chosen(kernel):
    kernel.run("cluster = Cluster.sim(stall_hours=0.5, stall_seconds=0.2)" + BUCKET)
    assert "0.5 h" in kernel.run("await asyncio.Future()").message
    spin = "while True:\n    await asyncio.sleep(0)"
    assert "0.2 s of real time" in kernel.run(spin).message


def test_a_second_world_leaves_the_first(world):
    said = world.run(
        "first, task = cluster, asyncio.create_task(asyncio.sleep(3600))\n"
        "cluster = Cluster.sim(seed=2)" + BUCKET + "print(await kv.put('key', b'other'))\n"
        "print(first)\nprint(task.cancelled())"
    )
    assert said.stdout == "1\nCluster sim · seed 1 · closed\nTrue\n"
    assert said.stderr == ""


def test_leaving_restores_the_shell_and_the_clocks(world):
    said = world.run("cluster.close()\nprint(cluster)")
    assert said.stdout == "Cluster sim · seed 1 · closed\n"
    said = world.run(
        "import time, nats.aio.client as c\n"
        "print('run_code' in vars(get_ipython()), time.sleep.__module__, c.time is time)\n"
        "await asyncio.sleep(0.01)\n"
        "print(type(asyncio.get_running_loop()).__name__ == 'VirtualLoop')"
    )
    assert said.stdout == "False time True\nFalse\n"
    assert said.stderr == ""


def test_async_with_at_the_top_level_is_refused_with_a_sentence(kernel):
    said = kernel.run("async with Cluster.sim() as cluster:\n    print('inside')")
    assert said.error == "NotInThisWorld"
    assert "cluster = Cluster.sim()" in said.message
    assert said.stdout == ""
    assert kernel.run("cluster = Cluster.sim()" + BUCKET).error == ""


def test_gather_runs_in_the_world(world):
    said = world.run("await asyncio.gather(*[kv.put(f'k{n}', b'') for n in range(3)])")
    assert said.result == "[1, 2, 3]"


def test_a_watch_is_read_with_async_for(world):
    world.run("await kv.put('a', b'1')\nwatcher = await kv.watchall()")
    said = world.run(
        "async for entry in watcher:\n    if entry is None:\n        break\n    print(entry.key)"
    )
    assert said.stdout == "a\n"


def test_two_virtual_minutes_cost_nothing(world):
    world.run("before = cluster.now()")
    said = world.run("await asyncio.sleep(120)\nprint((cluster.now() - before).seconds)")
    assert said.stdout == "120\n"
    assert said.seconds < 30


def test_real_sleep_warns_once_and_names_the_other(world):
    said = world.run("import time\nfor _ in range(3):\n    time.sleep(0.001)")
    assert said.stderr.count("await asyncio.sleep(") == 1
    assert world.run("time.sleep(0.001)").stderr == ""


def test_a_button_pressed_between_cells_acts_at_once(world):
    """A widget's message arrives on the shell channel, and its handler is a plain function."""
    world.run(
        "from ipywidgets import Button\n"
        "pressed = []\n"
        "button = Button()\n"
        "def press(_):\n"
        "    pressed.append(cluster.call(kv.put('key', b'pressed')))\n"
        "button.on_click(press)\n"
    )
    model = world.run("print(button.model_id)").stdout.strip()
    press(world, model)
    said = world.run("print(pressed, (await kv.get('key')).value)")
    assert said.stdout == "[1] b'pressed'\n"


def press(kernel, model):
    """What a front end sends when a button is clicked."""
    data = {"method": "custom", "content": {"event": "click"}}
    content = {"comm_id": model, "data": data}
    kernel.client.shell_channel.send(kernel.client.session.msg("comm_msg", content))


def test_a_button_pressed_while_a_cell_runs_acts_after_it(world):
    world.run(
        "from ipywidgets import Button\n"
        "button = Button()\n"
        "button.on_click(lambda _: cluster.call(kv.put('key', b'pressed')))\n"
    )
    model = world.run("print(button.model_id)").stdout.strip()
    message = world.send(
        "import time as t\nend = t.monotonic() + 0.5\nwhile t.monotonic() < end: pass"
    )
    press(world, model)
    world.collect(message)
    assert world.run("print((await kv.get('key')).value)").stdout == "b'pressed'\n"


def test_a_call_from_another_thread_waits_for_the_statement(world):
    """JupyterLab delivers widgets' messages on a thread of its own unless told otherwise."""
    said = world.run(
        "import threading\n"
        "def from_thread():\n"
        "    cluster.call(kv.put('key', b'threaded'))\n"
        "async def statement():\n"
        "    thread = threading.Thread(target=from_thread)\n"
        "    thread.start(); thread.join()\n"
        "    await asyncio.sleep(5)\n"
        "    return (await kv.status()).values\n"
        "print(await statement())\n"
        "print((await kv.get('key')).value)\n"
    )
    assert (said.stdout, said.stderr) == ("0\nb'threaded'\n", "")


def test_a_call_from_a_thread_between_cells_runs_on_the_kernels_own(world):
    world.run(
        "import threading, time\n"
        "def later():\n"
        "    cluster.call(kv.put('key', b'late'))\n"
        "timer = threading.Timer(0.05, later)\n"
        "timer.start()\n"
    )
    for _ in range(100):
        said = world.run("timer.join(); print((await kv.status()).values)")
        if said.stdout == "1\n":
            break
    assert said.stdout == "1\n"


def test_an_error_in_a_buttons_call_is_shown_and_stops_nothing(world):
    said = world.run(
        "import threading\n"
        "thread = threading.Thread(target=lambda: cluster.call(kv.get('missing')))\n"
        "thread.start(); thread.join()\n"
        "print('goes on')"
    )
    assert "KeyNotFoundError" in said.stdout + said.stderr + said.traceback
    assert "goes on" in said.stdout


def test_a_check_in_a_world_of_its_own_leaves_the_current_one_alone(world):
    said = world.run(
        "from kvcore.lab.cluster import run_apart\n"
        "async def check(other):\n"
        "    client = await other.connect()\n"
        "    kv = await client.jetstream().create_key_value(bucket='b')\n"
        "    await other.restart()\n"
        "    return await kv.put('key', b'')\n"
        "before = cluster.now()\n"
        "print(run_apart(check, seed=9), cluster.now() == before)\n"
        "print(await kv.put('key', b''))\n"
    )
    assert (said.stdout, said.stderr, said.error) == ("1 True\n1\n", "", "")


def test_reprs_are_status_lines(world):
    assert world.run("cluster").result == (
        "Cluster sim · seed 1 · n1 up · 1 client · 2026-01-01 00:00:00.007 UTC"
    )
    world.run("await cluster.crash()")
    assert world.run("cluster.servers").result == "[n1 crashed]"


NOTEBOOK = [
    "cluster = Cluster.open(servers=1, seed=5)\ncluster",
    BUCKET + "client.connected_url.netloc, client._server_info['server_id']",
    "for n in range(20):\n    print(await kv.put(f'k{n % 3}', b'x'), cluster.now())",
    "await cluster.crash(); await asyncio.sleep(2); await cluster.restart()\ncluster",
    "await asyncio.sleep(5)\nprint(await kv.keys(), await kv.get('k1'), client.stats)",
    "client._nuid.next(), client.new_inbox()",
    "await asyncio.Future()",
    "print(cluster.trace_text()[-2000:])",
]


def test_two_runs_of_a_notebook_give_the_same_text():
    runs = []
    for hash_seed in ("1", "2"):
        fresh = Kernel(PYTHONHASHSEED=hash_seed)
        fresh.run(SETUP)
        runs.append([(r.stdout, r.stderr, r.result, r.message) for r in map(fresh.run, NOTEBOOK)])
        fresh.stop()
    assert runs[0] == runs[1]
    assert all(stderr == "" for _, stderr, _, _ in runs[0])


def test_a_simulated_world_gives_way_to_real_processes_and_back(world):
    real = "print(cluster, type(asyncio.get_running_loop()).__name__ == 'VirtualLoop')\n"
    put = "print(await kv.put('key', b'value'))"
    said = world.run("cluster = Cluster.processes(1)" + BUCKET + real + put)
    assert said.stdout == "Cluster processes · n1 up · 1 client False\n1\n"
    assert (said.error, said.stderr) == ("", "")
    world.run("pid = cluster.members[0].pid")
    said = world.run("cluster = Cluster.sim(seed=1)" + BUCKET + real + put)
    assert said.stdout.endswith(" True\n1\n")
    assert (said.error, said.stderr) == ("", "")
    gone = "import os\ntry:\n    os.kill(pid, 0)\nexcept ProcessLookupError:\n    print('gone')"
    assert world.run(gone).stdout == "gone\n"


def test_a_listed_cell_says_on_real_servers_why_it_is_skipped_and_runs_once_they_are_left(kernel):
    waits = 'print("waits")  # await asyncio.sleep(301)'
    assert kernel.run(waits).stdout == "waits\n"
    assert kernel.run("real = Cluster.processes(1)").error == ""
    said = kernel.run(waits)
    assert (said.error, said.stderr, said.stdout.count("\n")) == ("", "", 1)
    assert said.stdout.startswith("Skipped in this world (processes): this cell waits five minutes")
    assert kernel.run('print("not listed")').stdout == "not listed\n"
    kernel.run("another = Cluster.processes(1)")  # leaves the first
    assert kernel.run(waits).stdout.startswith("Skipped")
    kernel.run("real.close()")  # which is not the current one
    assert kernel.run(waits).stdout.startswith("Skipped")
    kernel.run("cluster = Cluster.sim(seed=1)")
    assert kernel.run(waits).stdout == "waits\n"
    kernel.run("third = Cluster.processes(1)")
    kernel.run("third.close()")
    assert kernel.run(waits).stdout == "waits\n"
