"""Lesson 07's widget: a prediction that is chosen by a click, as the outcome takes it."""

from tests.browser.test_lessons_in_jupyterlab import (
    error_outputs,
    last_text,
    open_lesson,
    run_cell,
    wait_until,
)

SAID = "outcome('07.ack', 'only the leader')"


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


def test_python_follows_each_choice_of_a_prediction_of_lesson_07(page, jupyter, screenshots):
    open_lesson(page, jupyter, "07_what_an_ack_means.ipynb")
    run_up_to(page, 'predict("07.ack"')
    for choice, ending in (
        ("all three", "(not as predicted: why?)"),
        ("only the leader", "(as predicted)"),
    ):
        button = page.get_by_text(choice, exact=True).last
        button.wait_for()
        button.scroll_into_view_if_needed()
        button.click()
        run_cell(page, SAID)
        wait_until(lambda said=f"predicted  {choice}": said in last_text(page), page)
        assert last_text(page).strip().endswith(ending)
    page.screenshot(path=screenshots / "07-prediction.png")
    assert error_outputs(page) == []
