"""Lesson 10's two kinds of widget: a prediction, and the panel with the power-cut button."""

from tests.browser.test_lessons_in_jupyterlab import (
    error_outputs,
    last_text,
    open_lesson,
    run_cell,
    wait_until,
)

WORLD = """
from kvcore.lab import Cluster, control_panel, outcome, predict
predict("10.kill", "Which loses some?", ["neither", "only the power cut"])
cluster = Cluster.sim(servers=1, seed=3, sync="never")
kv = await (await cluster.connect()).jetstream().create_key_value(bucket="desk")
for number in range(60):
    await kv.put(f"k{number}", b"on")
control_panel(cluster)
"""
LEFT = """
kv = await (await cluster.connect()).jetstream().key_value("desk")
print(len(await kv.keys()) < 60)
"""


def test_python_and_the_picture_follow_a_prediction_and_a_power_cut(page, jupyter, screenshots):
    """The lesson's own run is another test's; here its widgets are clicked."""
    open_lesson(page, jupyter, "10_storage_engines.ipynb")
    run_cell(page, WORLD)
    panel = page.locator(".kvcore-panel").last
    panel.wait_for(state="attached")
    panel.scroll_into_view_if_needed()

    choice = page.get_by_text("only the power cut", exact=True).last
    choice.click()
    run_cell(page, "outcome('10.kill', 'only the power cut')")
    wait_until(lambda: "predicted  only the power cut" in last_text(page), page)

    panel.scroll_into_view_if_needed()
    panel.get_by_role("button", name="power cut n1").click()
    panel.locator("svg:has-text('n1 is down')").wait_for(state="attached")
    run_cell(page, "print('python says', cluster.servers[0].status)")
    wait_until(lambda: last_text(page) == "python says without power\n", page)
    panel.screenshot(path=screenshots / "10-panel-power-cut.png")
    panel.get_by_role("button", name="restart n1").click()
    panel.locator("svg:has-text('n1 is leader')").wait_for(state="attached")
    run_cell(page, LEFT)
    wait_until(lambda: last_text(page) == "True\n", page)
    assert error_outputs(page) == []
