"""Lesson 06's control panel, on its five servers, in JupyterLab."""

from tests.browser.test_lessons_in_jupyterlab import (
    error_outputs,
    last_text,
    open_lesson,
    run_cell,
    wait_until,
    wait_until_idle,
)

BUSY = "import time; begin = time.monotonic()\nwhile time.monotonic() < begin + 2: pass\n"
SAID = "print('n5 is', cluster.servers[4].status)"


def run_up_to(page, code):
    """Runs the lesson as far as the cell that has this code."""
    page.evaluate(
        """(code) => {
            const content = window.jupyterapp.shell.currentWidget.content;
            const cells = [...content.model.sharedModel.cells];
            content.activeCellIndex = cells.findIndex(c => c.source.includes(code)) + 1;
            window.jupyterapp.commands.execute('notebook:run-all-above');
        }""",
        code,
    )


def test_a_click_on_the_panel_counts_while_a_cell_runs_and_after_it(page, jupyter, screenshots):
    open_lesson(page, jupyter, "06_how_many_copies.ipynb")
    run_up_to(page, "control_panel(cluster")
    panel = page.locator(".kvcore-panel").first
    panel.wait_for(state="attached")
    wait_until_idle(page)
    panel.scroll_into_view_if_needed()
    panel.get_by_role("button", name="n5").first.click()
    crash, restart = (
        panel.get_by_role("button", name=f"{verb} n5") for verb in ("crash", "restart")
    )
    down = panel.locator("svg:has-text('n5 is down')")
    crash.wait_for()
    run_cell(page, BUSY + SAID)
    page.wait_for_function(
        "() => /Busy/.test(document.querySelector('#jp-main-statusbar').innerText)"
    )
    panel.scroll_into_view_if_needed()
    crash.click()
    down.wait_for(state="attached")
    wait_until_idle(page)
    assert last_text(page) == "n5 is up\n"
    run_cell(page, SAID)
    wait_until(lambda: last_text(page) == "n5 is crashed\n", page)
    panel.scroll_into_view_if_needed()
    panel.screenshot(path=screenshots / "06-panel.png")
    restart.click()
    down.wait_for(state="detached")
    run_cell(page, SAID)
    wait_until(lambda: last_text(page) == "n5 is up\n", page)
    assert error_outputs(page) == []
