"""`make test` runs every test file, and each in one stage."""

import runpy
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
STAGES = runpy.run_path(str(ROOT / "scripts" / "run_tests.py"))["STAGES"]


def files(argument):
    path = ROOT / argument
    if argument.startswith("tests/") and path.is_dir():
        return path.rglob("test_*.py")
    return [path] if argument.startswith("tests/") else []


def test_each_test_file_is_run_in_one_stage_and_in_one_alone():
    commands = [command for stage in STAGES.values() for command in stage]
    run = Counter(file for command in commands for word in command for file in files(word))
    assert all(file.exists() for file in run)
    assert dict.fromkeys((ROOT / "tests").rglob("test_*.py"), 1) == run


def test_the_published_lessons_are_run_whole():
    stubs = STAGES["lessons-stub"]
    assert any("course" in command and "--nbval" in command for command in stubs)
