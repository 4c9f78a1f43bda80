"""The lessons as a learner meets them: JupyterLab in a real browser.

Each notebook of course/ is opened, run top to bottom, and each of its widgets is clicked, in
the light theme and in the dark one; `table.py` says what must follow.
"""

import re
from pathlib import Path
from typing import assert_never

import pytest

from tests.browser.table import LESSONS, Click, Controls, Prediction
from tests.support.require import require_for

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "course").glob("[0-9][0-9]_*.ipynb"))
BROKEN = re.compile(
    "model not found|Error (displaying|creating) widget|Loading widget", re.IGNORECASE
)
DONE = "==="


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_lesson_runs_and_python_and_its_pictures_follow_each_widget_in_both_themes(
    notebook, lab, screenshots
):
    require_for(notebook)
    number = notebook.name[:2]
    row = LESSONS.get(number)
    assert row, f"lesson {number} has no row in table.py"
    lab.open(notebook.name)
    lab.run_all()
    assert lab.errors() == []
    for begins in row.again:
        lab.run_again(begins)
    places = lab.widgets()
    assert len(places) == len(row.widgets), "each widget has a row, each row a widget"
    for theme in ("light", "dark"):
        lab.theme(theme)
        work_all(lab, row.widgets, places, theme)
        figure = lab.page.locator(f"svg[role=img]:has-text('{row.figure}')").first
        figure.screenshot(path=screenshots / f"lesson-{number}-{theme}.png")
    assert BROKEN.findall(lab.text()) == []
    assert lab.errors() == []


def work_all(lab, widgets, places, theme):
    """Clicks in each widget, and asks Python of all of them in one cell."""
    expected = []
    code = ["from kvcore.lab import outcome"]
    for widget, place in zip(widgets, places, strict=True):
        match widget:
            case Prediction(name):
                labels = place.locator(".widget-radio-box label")
                first, last = labels.first.text_content(), labels.last.text_content()
                chosen = labels.first if theme == "light" else labels.last
                chosen.click()
                assert chosen.locator("input").is_checked()
                ending = "as predicted" if theme == "light" else "not as predicted: why?"
                said = first if theme == "light" else last
                pattern = f"predicted  {re.escape(said)}\n.*{re.escape(f'({ending})')}\n"
                expected.append((name, pattern))
                code.append(f"outcome({name!r}, {first!r})")
            case Controls(light, dark):
                click = light if theme == "light" else dark
                follow(place, click)
                expected.append((" ".join(click.press), click.says))
                code.append(click.code)
            case _:
                assert_never(widget)
        code.append(f"print({DONE!r})")
    told = lab.run("\n".join(code)).split(f"{DONE}\n")
    assert lab.errors() == []
    for (name, pattern), said in zip(expected, told[:-1], strict=True):
        assert re.fullmatch(rf"\s*{pattern}", said, re.DOTALL), (theme, name, said)


def follow(place, click: Click):
    """Presses, and waits for the picture."""
    for words in click.press:
        if words.startswith("Arrow"):
            place.get_by_role("slider").focus()
            place.page.keyboard.press(words)
            continue
        place.locator(f"button:is(:text-is('{words}'), [title='{words}'])").first.click()
    if click.shown:
        place.locator(f"svg:has-text('{click.shown}')").wait_for()
    if click.hidden:
        place.locator(f"svg:has-text('{click.hidden}')").wait_for(state="detached")
