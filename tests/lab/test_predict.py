import os
import subprocess
import sys

import pytest

from kvcore.lab import journal, outcome, predict

OPTIONS = ["2", "3", "4"]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch):
    monkeypatch.setenv("KVCOURSE_PROGRESS", "off")
    monkeypatch.setattr(journal, "_memory", {})


def test_without_anyone_at_the_keyboard_there_is_no_prediction(capsys):
    predict("02b", "Which revision?", OPTIONS)
    assert capsys.readouterr().out.splitlines() == [
        "Predict 02b: Which revision?",
        "  2  ·  3  ·  4",
        '  the same in Python: predict("02b", answer="2")',
    ]
    outcome("02b", 3)
    assert capsys.readouterr().out == "  predicted  no prediction\n  happened   3\n"


def test_an_answer_in_python_is_recorded_and_put_beside_the_outcome(capsys):
    predict("02b", "Which revision?", OPTIONS)
    predict("02b", answer="2")
    predict("02b", "Which revision?", OPTIONS)
    capsys.readouterr()
    outcome("02b", 3, because="all keys share the sequence")
    assert capsys.readouterr().out.splitlines() == [
        "  predicted  2",
        "  happened   3  (not as predicted: why?)",
        "  because    all keys share the sequence",
    ]


def test_a_right_prediction_is_said_and_not_scored(capsys):
    predict("02b", "Which revision?", OPTIONS, answer="3")
    capsys.readouterr()
    outcome("02b", 3)
    assert "3  (as predicted)" in capsys.readouterr().out
    assert journal.records() == {}


def test_an_answer_that_is_no_option_is_refused():
    with pytest.raises(ValueError, match="'7' is none of 2, 3, 4"):
        predict("02b", "Which revision?", OPTIONS, answer="7")


IN_A_KERNEL = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.kernel = None
import ipywidgets
from IPython.utils.capture import capture_output
from kvcore.lab import journal, predict
with capture_output() as out:
    predict("02b", "Which revision?", ["2", "3"])
widgets = [each for each in ipywidgets.Widget.widgets.values()] \
    if hasattr(ipywidgets.Widget, "widgets") else []
import ipywidgets.widgets.widget as w
buttons = [each for each in w._instances.values() if isinstance(each, ipywidgets.RadioButtons)]
print(len(out.outputs), len(buttons), buttons[0].value)
buttons[0].value = "3"
print(journal.predicted("02b"))
"""


def test_in_a_kernel_a_choice_is_shown_and_a_click_is_recorded(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IN_A_KERNEL],
        env={**os.environ, "IPYTHONDIR": str(tmp_path), "KVCOURSE_PROGRESS": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["1", "1", "None", "3"], done.stderr
