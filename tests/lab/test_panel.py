"""The control panel: what each button says, what it does, and in which world it can't."""

import asyncio

import pytest

from kvcore.lab.cluster import Cluster, NotInThisWorld, ServerCard
from kvcore.lab.controls import VERBS, Control, carry_out, controls
from kvcore.lab.pictures import group_nodes, look, server_cards
from kvcore.lab.remote import NatsCluster
from kvcore.lab.replicas import Replica
from kvcore.lab.simulated import SimulatedCluster
from kvcore.sim.world import World
from tests.support.kernel import Kernel


@pytest.fixture
def cluster():
    world = World(3, seed=1)
    yield SimulatedCluster(world)
    world.close()


def pressed(cluster, control):
    said = []
    cluster.simulation.run(carry_out(cluster, control, said.append))
    return said


def by_verb(cluster, **chosen):
    return {each.verb: each for each in controls(cluster, **chosen)}


def test_every_verb_has_a_button_with_the_line_that_does_the_same(cluster):
    found = by_verb(cluster, server="n2", side=["n1", "n3"], bucket="config")
    assert tuple(found) == VERBS
    assert found["crash"].line == 'await cluster.crash("n2")'
    assert found["partition"].line == 'await cluster.partition(["n1", "n3"])'
    assert found["heal"].line == "await cluster.heal()"
    assert found["step_down"].line == 'await cluster.step_down("config")'
    assert found["power_cut"].words == "power cut n2"
    assert all(not each.reason for each in found.values())


def test_a_verb_that_the_world_lacks_has_the_reason_that_the_verb_itself_gives():
    cluster = NatsCluster("nats://127.0.0.1:1")
    try:
        reason = by_verb(cluster, server="nats")["power_cut"].reason
        assert "This world (nats) has no power_cut" in reason
        with pytest.raises(NotInThisWorld) as refused:
            asyncio.run(cluster.power_cut("nats"))
        assert str(refused.value) == reason
    finally:
        cluster.close()


@pytest.mark.parametrize("side", [[], ["n1", "n2", "n3"]])
def test_a_partition_needs_some_servers_on_one_side_and_not_all(cluster, side):
    found = by_verb(cluster, server="n1", side=side)
    assert "some, not all" in found["partition"].reason
    assert "bucket" in found["step_down"].reason


def test_a_click_does_what_its_line_does_and_says_it(cluster):
    assert pressed(cluster, Control("crash", "n2")) == ['await cluster.crash("n2")']
    assert [each.status for each in cluster.servers] == ["up", "crashed", "up"]
    said = pressed(cluster, Control("crash", "n2"))
    assert said == ["n2 is crashed: crash would change nothing"]
    pressed(cluster, Control("restart", "n2"))
    pressed(cluster, Control("pause", "n3"))
    assert [each.status for each in cluster.servers] == ["up", "up", "paused"]
    pressed(cluster, Control("resume", "n3"))
    pressed(cluster, Control("power_cut", "n1"))
    assert [each.status for each in cluster.servers] == ["without power", "up", "up"]


def test_a_click_that_fails_says_why_and_raises_nothing(cluster):
    (said,) = pressed(cluster, Control("partition", side=("n1", "n1")))
    assert said.startswith('await cluster.partition(["n1", "n1"]) failed: a server')


def test_the_cards_follow_what_was_done(cluster):
    pressed(cluster, Control("partition", side=("n1",)))
    assert "The network is cut: n1 ‖ n2 n3." in server_cards(cluster).alt
    pressed(cluster, Control("heal"))
    assert "cut" not in server_cards(cluster).alt
    pressed(cluster, Control("pause", "n2"))
    pressed(cluster, Control("crash", "n3"))
    roles = {row[0]: row[1] for row in cluster.simulation.run(look(cluster)).table.rows}
    assert "paused" in roles["n2"]
    assert roles["n3"] == "down"


@pytest.mark.parametrize(
    ("verb", "word"), [("pause", "paused"), ("crash", "down"), ("power_cut", "without power")]
)
def test_the_card_of_a_lone_server_says_what_was_done_to_it(verb, word):
    world = World(1, seed=1)
    try:
        cluster = SimulatedCluster(world)
        pressed(cluster, Control(verb, "n1"))
        assert word in server_cards(cluster).table.rows[0][1]
        pressed(cluster, Control("resume" if verb == "pause" else "restart", "n1"))
        assert word not in server_cards(cluster).table.rows[0][1]
    finally:
        world.close()


def test_a_world_that_is_not_ours_has_no_cards():
    cluster = Cluster.nats("nats://127.0.0.1:1")
    try:
        with pytest.raises(NotInThisWorld):
            server_cards(cluster)
    finally:
        cluster.close()


@pytest.fixture(scope="module")
def kernel():
    running = Kernel()
    running.run(
        "import ipywidgets\n"
        "from kvcore.lab import Cluster, control_panel, fault_buttons, panel as p\n"
        "shown = []\n"
        "p.show_widget = lambda widget, instead=None: shown.append(widget)\n"
        "def parts(widget):\n"
        "    yield widget\n"
        "    for child in getattr(widget, 'children', ()):\n"
        "        yield from parts(child)\n"
        "def button(words):\n"
        "    found = [e for e in parts(shown[-1]) if isinstance(e, ipywidgets.Button)]\n"
        "    return next(e for e in found if e.description == words)\n"
        "def words():\n"
        "    return [e.value for e in parts(shown[-1]) if isinstance(e, ipywidgets.HTML)]\n"
        "def said():\n"
        "    return next(each for each in words() if each.startswith('<code role='))\n"
    )
    yield running
    running.stop()


def ok(reply):
    assert not reply.error, reply.traceback
    return reply.stdout


def test_in_a_kernel_the_panel_prints_every_line_and_a_click_is_carried_out(kernel):
    made = ok(kernel.run("cluster = Cluster.sim(servers=1, seed=1)\ncontrol_panel(cluster)"))
    assert 'crash n1: await cluster.crash("n1")' in made
    assert "partition: a partition needs two servers" in made
    code = "button('crash n1').click()"
    ok(kernel.run(code))
    assert ok(kernel.run("print(cluster.servers[0].status, said())")) == (
        'crashed <code role="status">await cluster.crash("n1")</code>\n'
    )
    assert ok(kernel.run("print(any('n1 is down' in each for each in words()))")) == "True\n"


def test_a_click_while_a_cell_runs_is_carried_out_after_it(kernel):
    ok(kernel.run("cluster = Cluster.sim(servers=1, seed=1)\ncontrol_panel(cluster)"))
    during = "if True:\n    button('crash n1').click()\n    print(cluster.servers[0].status)"
    assert ok(kernel.run(during)) == "up\n"
    assert ok(kernel.run("print(cluster.servers[0].status)")) == "crashed\n"


def test_a_button_that_can_t_be_pressed_is_disabled_and_shows_why(kernel):
    ok(kernel.run("cluster = Cluster.sim(servers=1, seed=1)\ncontrol_panel(cluster)"))
    told = ok(kernel.run("b = button('partition'); print(b.disabled, '·', b.tooltip)"))
    assert told == "True · a partition needs two servers\n"
    assert "needs two servers</span>" in ok(kernel.run("print(words())"))


def test_the_buttons_of_real_processes_act_on_them(kernel):
    code = "cluster = Cluster.processes(1)\ncontrol_panel(cluster)"
    assert "power cut n1: " in ok(kernel.run(code))
    ok(kernel.run("button('pause n1').click()"))
    wait = "import asyncio\nwhile 'pause' not in said(): await asyncio.sleep(0.01)\n"
    told = ok(kernel.run(f"{wait}print(cluster.servers[0].status)"))
    assert told == "paused\n"
    ok(kernel.run("button('resume n1').click()"))
    wait = wait.replace("pause", "resume")
    assert ok(kernel.run(f"{wait}print(cluster.servers[0].status)\ncluster.close()")) == "up\n"


def test_fault_buttons_have_one_for_each_server_and_verb(kernel):
    made = ok(kernel.run("cluster = Cluster.sim(servers=1, seed=1)\nfault_buttons(cluster)"))
    assert 'the restart button is: await cluster.restart("n1")' in made
    ok(kernel.run("button('crash n1').click()"))
    assert ok(kernel.run("print(cluster.servers[0].status)")) == "crashed\n"


def test_the_cards_of_a_bucket_tell_who_has_no_copy_of_it(cluster):
    async def make():
        client = await cluster.connect()
        await client.jetstream().create_key_value(bucket="lone")
        await client.close()

    cluster.simulation.run(make())
    cards = group_nodes(cluster, "lone")
    assert sorted(card.role for card in cards) == ["leader", "no copy", "no copy"]
    assert {card.term for card in cards if card.role == "leader"} == {1}
    other = next(card.name for card in cards if card.role == "no copy")
    cluster.simulation.crash(other)
    gone = next(card for card in group_nodes(cluster, "lone") if card.name == other)
    assert (gone.role, gone.down) == ("no copy", True)
    assert all(card.role != "no copy" for card in group_nodes(cluster))


def test_a_real_server_that_the_leader_doesnt_name_has_no_copy():
    class Real:
        servers = tuple(ServerCard(name, "", lambda: "up") for name in ("n1", "n2", "n3"))

        async def replicas(self, _bucket):
            return [Replica("n1", is_leader=True), Replica("n2")]

    picture = asyncio.run(look(Real(), "b"))
    assert [row[1] for row in picture.table.rows] == ["leader", "follower", "no copy"]
