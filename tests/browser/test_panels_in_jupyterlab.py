"""The panels of buttons, by hand: while a cell runs, and with the keyboard alone."""

import pytest

LESSON = "11_the_levers.ipynb"  # any: what runs here are cells of the tests' own
WORLD = """
from kvcore.lab import Cluster, control_panel, fault_buttons
cluster = Cluster.sim(servers=3, seed=1)
"""
BUSY = """
import time
begin = time.monotonic()
while time.monotonic() < begin + 2: pass
"""
SAID = "print('python says', cluster.servers[0].status)"


@pytest.mark.parametrize("show", ["fault_buttons(cluster)", "control_panel(cluster)"])
def test_a_click_while_a_cell_runs_counts_after_it(show, lab):
    lab.open(LESSON)
    lab.run(WORLD + show)
    (panel,) = lab.widgets()
    down = panel.locator("svg:has-text('n1 is down')")
    lab.start(BUSY + SAID)
    lab.wait_until_busy()
    panel.get_by_role("button", name="crash n1").click()
    assert lab.finish() == "python says up\n"
    down.wait_for()
    assert lab.run(SAID) == "python says crashed\n"
    panel.get_by_role("button", name="restart n1").click()
    down.wait_for(state="detached")
    assert lab.run(SAID) == "python says up\n"
    assert lab.errors() == []


def test_the_control_panel_is_worked_with_the_keyboard_alone(lab):
    """Choose a server, pause it; cut the network: the picture and the line follow each key."""
    lab.open(LESSON)
    lab.run(WORLD + "control_panel(cluster)")
    (panel,) = lab.widgets()
    keyboard = lab.page.keyboard
    panel.get_by_role("button", name="n2").first.focus()
    keyboard.press("Space")
    pause = panel.get_by_role("button", name="pause n2")
    pause.wait_for()
    pause.focus()
    keyboard.press("Space")
    panel.locator("[role=status]:has-text('pause(\"n2\")')").wait_for()
    keyboard.press("Tab")  # on to the next button
    assert lab.page.evaluate("() => document.activeElement.textContent") == "resume n2"
    panel.get_by_role("button", name="partition").last.focus()
    keyboard.press("Enter")
    panel.locator("svg:has-text('cut: n1 ‖ n2 n3')").wait_for()
    assert lab.run("print(cluster.servers[1].status)") == "paused\n"
    assert lab.errors() == []
