"""Lesson 08's two kinds of widget: a prediction, and the buttons that part the cluster."""

from tests.browser.test_lessons_in_jupyterlab import (
    error_outputs,
    last_text,
    open_lesson,
    run_all,
    run_cell,
    wait_until,
)

PUTS = "for kv in (ann, bo, ann, bo):\n    print((await put(kv, b'pink')).split()[0])"
UNTIL_ACKED = """
while not (await put(bo, b'rose')).startswith('acked'):
    await asyncio.sleep(0.1)
print((await ann.get('c')).value)
"""


def test_python_and_the_picture_follow_a_prediction_and_a_cut_of_lesson_08(
    page, jupyter, screenshots
):
    """The cut that exercise 5's text asks for: neither client is answered, until the heal."""
    open_lesson(page, jupyter, "08_partitions.ipynb")
    run_all(page)

    choice = page.get_by_text("green: by the leader", exact=True).last
    choice.scroll_into_view_if_needed()
    choice.click()
    run_cell(page, "outcome('08.cut', 'neither')")
    wait_until(lambda: "predicted  green: by the leader" in last_text(page), page)

    panel = page.locator(".kvcore-panel").last
    panel.scroll_into_view_if_needed()
    panel.get_by_role("button", name="n3").last.click()
    panel.locator(':text(\'partition(["n1", "n3"])\')').first.wait_for()
    panel.get_by_role("button", name="partition").last.click()
    panel.locator("svg:has-text('cut: n1 n3 ‖ n2 n4 n5')").wait_for(state="attached")
    run_cell(page, PUTS)
    wait_until(lambda: len(last_text(page).split()) == 4, page)
    assert set(last_text(page).split()) <= {"unknown", "error"}
    assert last_text(page).endswith("error\n")
    panel.scroll_into_view_if_needed()
    panel.screenshot(path=screenshots / "08-panel-cut.png")
    panel.get_by_role("button", name="heal").click()
    panel.locator("svg:has-text('cut:')").wait_for(state="detached")
    run_cell(page, UNTIL_ACKED)
    wait_until(lambda: "b'rose'" in last_text(page), page)
    assert error_outputs(page) == []
