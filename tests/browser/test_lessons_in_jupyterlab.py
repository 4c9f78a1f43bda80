"""The lessons as a learner meets them: JupyterLab in a real browser."""

import re
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LESSONS = sorted((ROOT / "course").glob("[0-9][0-9]_*.ipynb"))


def open_lesson(page, jupyter, name):
    base, token = jupyter
    page.goto(f"{base}/lab/tree/{name}?token={token}&reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
    wait_until_idle(page)


def wait_until_idle(page, timeout=90_000):
    page.wait_for_function(
        "() => /\\| Idle/.test(document.querySelector('#jp-main-statusbar')?.innerText || '')",
        timeout=timeout,
    )


def wait_until(holds, page, seconds=60):
    """Asks until it holds; the page goes on meanwhile."""
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up
        page.wait_for_timeout(50)


def run_all(page):
    page.click(".lm-MenuBar-item:has-text('Run')")
    page.click(".lm-Menu-item[data-command='runmenu:run-all']")
    last = page.locator(".jp-Notebook .jp-CodeCell").last
    last.scroll_into_view_if_needed()
    page.wait_for_function(
        """() => {
            const shell = window.jupyterapp?.shell?.currentWidget?.content;
            const cells = shell?.model?.sharedModel?.cells;
            return cells && [...cells].every(
                c => c.cell_type !== 'code' || !c.source.trim() || c.execution_count);
        }""",
        timeout=120_000,
    )
    wait_until_idle(page)


def error_outputs(page):
    return page.evaluate(
        """() => [...window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells]
            .flatMap(c => c.cell_type === 'code' ? c.outputs : [])
            .filter(o => o.output_type === 'error').map(o => o.ename + ': ' + o.evalue)"""
    )


def set_theme(page, name):
    page.evaluate(
        f"() => window.jupyterapp.commands.execute('apputils:change-theme', {{theme: '{name}'}})"
    )
    page.wait_for_function(f"() => document.body.dataset.jpThemeName === '{name}'")


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda p: p.stem)
def test_a_lesson_runs_top_to_bottom_without_an_error_in_both_themes(
    lesson, page, jupyter, screenshots
):
    open_lesson(page, jupyter, lesson.name)
    run_all(page)
    assert error_outputs(page) == []
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        set_theme(page, theme)
        pictures = page.locator(".jp-OutputArea-output svg[role=img]")
        assert pictures.count() >= 1
        pictures.first.scroll_into_view_if_needed()
        page.screenshot(path=screenshots / f"{lesson.stem}-{theme.split()[-1].lower()}.png")
    set_theme(page, "JupyterLab Light")


def run_cell(page, code):
    """Puts a cell at the end of the lesson and starts it."""
    page.evaluate(
        """(code) => {
            const content = window.jupyterapp.shell.currentWidget.content;
            const cells = content.model.sharedModel;
            cells.insertCell(cells.cells.length, {cell_type: 'code', source: code});
            content.activeCellIndex = cells.cells.length - 1;
            window.jupyterapp.commands.execute('notebook:run-cell');
        }""",
        code,
    )


def last_text(page):
    """What the last cell printed."""
    return page.evaluate(
        """() => [...window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells]
            .at(-1).outputs.map(o => [o.text || ''].flat().join('')).join('')"""
    )


def test_a_button_works_while_a_cell_runs_and_after_it(page, jupyter, screenshots):
    """Lesson 00's fault buttons: Python and the picture follow each click."""
    open_lesson(page, jupyter, "00_start_here.ipynb")
    run_all(page)
    panel = page.locator(".kvcore-panel").first
    panel.scroll_into_view_if_needed()
    crash = panel.get_by_role("button", name=re.compile("^crash n1", re.IGNORECASE))
    restart = panel.get_by_role("button", name=re.compile("^restart n1", re.IGNORECASE))
    down = panel.locator("svg:has-text('n1 is down')")
    leads = panel.locator("svg:has-text('n1 is leader')")
    crash.click()
    down.wait_for(state="attached")
    run_cell(page, "print('python says', cluster.servers[0].status)")
    wait_until(lambda: last_text(page) == "python says crashed\n", page)
    panel.scroll_into_view_if_needed()
    restart.click()
    leads.wait_for(state="attached")
    # While a cell is running: the click waits for its end, and is not lost.
    busy = "import time; begin = time.monotonic()\nwhile time.monotonic() < begin + 4: pass\n"
    run_cell(page, busy + "print('at its end', cluster.servers[0].status)")
    page.wait_for_function(
        "() => /Busy/.test(document.querySelector('#jp-main-statusbar').innerText)"
    )
    panel.scroll_into_view_if_needed()
    crash.click()
    down.wait_for(state="attached")
    wait_until_idle(page)
    assert last_text(page) == "at its end up\n"
    run_cell(page, "print('python says', cluster.servers[0].status)")
    wait_until(lambda: last_text(page) == "python says crashed\n", page)
    assert error_outputs(page) == []
    panel.scroll_into_view_if_needed()
    page.screenshot(path=screenshots / "panel-after-click.png")


def test_the_control_panel_is_worked_with_the_keyboard_alone(page, jupyter, screenshots):
    """Choose a server, pause it; cut the network: the picture and the line follow each key."""
    open_lesson(page, jupyter, "00_start_here.ipynb")
    run_cell(
        page,
        "from kvcore.lab import Cluster, control_panel\n"
        "cluster = Cluster.sim(servers=3, seed=1)\n"
        "control_panel(cluster)",
    )
    panel = page.locator(".kvcore-panel").last
    panel.wait_for(state="attached")
    panel.scroll_into_view_if_needed()
    panel.get_by_role("button", name="n2").first.focus()
    page.keyboard.press("Space")
    pause = panel.get_by_role("button", name="pause n2")
    pause.wait_for()
    pause.focus()
    page.keyboard.press("Space")
    panel.locator("[role=status]:has-text('pause(\"n2\")')").wait_for()
    page.keyboard.press("Tab")  # on to the next button
    assert page.evaluate("() => document.activeElement.textContent") == "resume n2"
    partition = panel.get_by_role("button", name="partition").last
    partition.focus()
    page.keyboard.press("Enter")
    panel.locator("svg:has-text('cut: n1 ‖ n2 n3')").wait_for(state="attached")
    run_cell(page, "print('python says', cluster.servers[1].status)")
    wait_until(lambda: last_text(page) == "python says paused\n", page)
    assert error_outputs(page) == []
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        set_theme(page, theme)
        panel.scroll_into_view_if_needed()
        panel.screenshot(path=screenshots / f"control-panel-{theme.split()[-1].lower()}.png")
