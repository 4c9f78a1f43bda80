"""The lessons as a learner meets them: JupyterLab in a real browser."""

import re
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


def test_a_button_works_while_a_cell_runs_and_after_it(page, jupyter, screenshots):
    """Lesson 00's fault buttons: Python and the picture follow each click."""
    open_lesson(page, jupyter, "00_start_here.ipynb")
    run_all(page)
    panel = page.locator(".kvcore-panel").first
    panel.scroll_into_view_if_needed()
    crash = page.get_by_role("button", name=re.compile("crash n1", re.IGNORECASE)).first
    restart = page.get_by_role("button", name=re.compile("^restart n1", re.IGNORECASE)).first
    crash.click()
    page.wait_for_selector(".kvcore-panel svg [data-state='down']", state="attached")
    restart.click()
    page.wait_for_selector(".kvcore-panel svg [data-state='leader']", state="attached")
    # While a cell is running: the click waits for its end, and is not lost.
    code = "sum(i * i for i in range(30_000_000)); cluster.servers['n1'].state"
    page.evaluate(
        """(code) => {
            const content = window.jupyterapp.shell.currentWidget.content;
            const model = content.model.sharedModel;
            model.insertCell(model.cells.length, {cell_type: 'code', source: code});
            content.activeCellIndex = model.cells.length - 1;
            window.jupyterapp.commands.execute('notebook:run-cell');
        }""",
        code,
    )
    page.wait_for_function(
        "() => /Busy/.test(document.querySelector('#jp-main-statusbar').innerText)"
    )
    panel.scroll_into_view_if_needed()
    crash.click()
    page.wait_for_selector(".kvcore-panel svg [data-state='down']", state="attached")
    wait_until_idle(page)
    assert error_outputs(page) == []
    page.screenshot(path=screenshots / "panel-after-click.png")
