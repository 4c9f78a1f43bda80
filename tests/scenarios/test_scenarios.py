"""Each transcript is what its script brings about. `--rewrite` writes them anew."""

from pathlib import Path

import pytest

from tests.support.scenario import transcript

SCENARIOS = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_script_brings_about_its_transcript(path, request):
    text = path.read_text()
    played = transcript(text)
    if request.config.getoption("--rewrite", default=False):
        path.write_text(played)
    assert played == text or request.config.getoption("--rewrite", default=False)


def test_there_are_scenarios_and_a_changed_one_is_noticed():
    assert len(SCENARIOS) >= 8
    text = SCENARIOS[0].read_text()
    assert transcript(text.replace("; votes for a", "; votes for b", 1)) == text
    assert "; votes for a" in text
