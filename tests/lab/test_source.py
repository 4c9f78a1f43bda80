import pytest

import kvcore.lab
from kvcore.lab import show_source
from kvcore.lab.feedback import Word, clip
from kvcore.lab.source import source_of


def test_the_source_is_that_of_the_function_that_runs(capsys):
    show_source(clip)
    out = capsys.readouterr().out
    assert out.startswith("# kvcore/lab/feedback.py\n")
    assert "def clip(text: str" in out


def test_a_docstring_can_be_left_out():
    assert '"""' not in source_of(clip, docstring=False)
    assert "half = " in source_of(clip, docstring=False)


def test_methods_and_classes_are_shown_without_their_indentation():
    assert source_of(Word.symbol).splitlines()[1] == "@property"
    assert "class Word(Enum):" in source_of(Word)


def test_a_source_that_is_elsewhere_shows_no_absolute_path():
    assert source_of(test_a_docstring_can_be_left_out).startswith("# test_source.py\n")


@pytest.mark.parametrize("name", ["check", "hint", "predict", "progress", "reveal", "show", "use"])
def test_what_the_lab_exports_is_a_function_even_after_its_modules_were_imported(name):
    assert callable(getattr(kvcore.lab, name))
    assert name in dir(kvcore.lab)
