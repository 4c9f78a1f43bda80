"""Every stage of the tests is in a lane, and every test in a stage."""

from pathlib import Path

from scripts import run_tests

ROOT = Path(__file__).parents[2]


def test_every_stage_runs_in_one_lane():
    assert sorted(name for lane in run_tests.LANES for name in lane) == sorted(run_tests.STAGES)


def test_every_file_of_tests_is_run_by_a_stage():
    asked = {word for stage in run_tests.STAGES.values() for line in stage for word in line}
    files = [path.relative_to(ROOT) for path in ROOT.glob("tests/**/test_*.py")]
    assert len(files) > 100
    for file in files:
        assert any(str(place) in asked for place in [file, *file.parents]), file
