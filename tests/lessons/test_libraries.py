"""Where pandas, matplotlib, ipywidgets and docker serve a lesson.

Each of them is something that a learner has to install, so each has rows here: the lesson,
what a cell of it says, and the module that imports the library for it. The table is held
against what notebooks and modules really import, late imports included: a library that no
lesson uses fails, and so does a use that has no row.
"""

import ast
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from kvcore import lab

ROOT = Path(__file__).parents[2]
IN_THE_CELL = "the cell"


@dataclass(frozen=True, slots=True)
class Use:
    lesson: str
    says: str  # in a cell: a name of kvcore.lab, or the library's own
    by: str  # the module that imports it
    why: str


MEASURED = "kvcore.viz.measured"
PANEL = "kvcore.lab.panel"
USES = {
    "pandas": [
        Use("06", "pd.DataFrame", IN_THE_CELL, "elections by the terms they took"),
        Use("14", "pd.set_option", IN_THE_CELL, "sentences in a table that are not cut off"),
        Use("14", "expectations", "kvcore.lab.compared", "where real NATS differs, by topic"),
    ],
    "matplotlib": [
        Use("06", "election_histogram", MEASURED, "two hundred elections at a glance"),
        Use("10", "loss_curve", MEASURED, "what a sync costs, against what it saves"),
    ],
    "ipywidgets": [
        Use("00", "preflight", "kvcore.lab.machine", "does Python hear a click?"),
        Use("00", "fault_buttons", PANEL, "a crash by hand"),
        Use("01", "predict", "kvcore.lab.predictions", "a choice before the run"),
        Use("02", "log_slider", "kvcore.viz.slider", "the log at each moment of its life"),
        Use("08", "control_panel", PANEL, "a partition by hand"),
    ],
    "docker": [
        Use("01", "Cluster.open", "kvcore.lab.engine", "KVCORE_WORLD=docker: on containers"),
    ],
}
LESSONS = {path.name[:2] for path in (ROOT / "course").glob("[0-9][0-9]_*.ipynb")}
ALL = [(library, use) for library, uses in USES.items() for use in uses if use.lesson in LESSONS]


@cache
def imports(source: str) -> frozenset[str]:
    """Every module that is imported anywhere in this code."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
    return frozenset(found)


@cache
def cells(lesson: str) -> tuple[str, ...]:
    (path,) = (ROOT / "course").glob(f"{lesson}_*.ipynb")
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return tuple("".join(each["source"]) for each in found if each["cell_type"] == "code")


def source_of(module: str) -> str:
    path = ROOT / (module.replace(".", "/") + ".py")
    return path.read_text(encoding="utf-8") if path.exists() else ""


def behind(module: str) -> set[str]:
    """The modules of kvcore that this one leads to, itself among them."""
    found, left = set(), [module]
    while left:
        name = left.pop()
        if name not in found and (source := source_of(name)):
            found.add(name)
            left += [each for each in imports(source) if each.startswith("kvcore.")]
    return found


def uses(source: str, library: str) -> bool:
    return any(name.partition(".")[0] == library for name in imports(source))


def home(use: Use) -> str:
    return lab._HOME[use.says.partition(".")[0]]


@pytest.mark.parametrize(("library", "use"), ALL, ids=lambda each: getattr(each, "says", each))
def test_a_library_is_used_where_the_table_says(library, use):
    assert any(f"{use.says}(" in cell for cell in cells(use.lesson))
    if use.by == IN_THE_CELL:
        assert any(uses(cell, library) for cell in cells(use.lesson) if use.says in cell)
    else:
        assert uses(source_of(use.by), library)
        assert use.by in behind(home(use))


@pytest.mark.parametrize("library", USES)
def test_each_library_serves_a_lesson_that_is_there(library):
    assert library in dict(ALL)


@pytest.mark.parametrize("library", USES)
def test_no_other_lesson_or_module_uses_a_library(library):
    by_hand = {
        lesson
        for lesson in LESSONS
        if any(uses(cell, library) for cell in cells(lesson) if library in cell)
    }
    assert by_hand == {use.lesson for use in USES[library] if use.by == IN_THE_CELL}
    importers = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "kvcore").rglob("*.py")
        if uses(path.read_text(encoding="utf-8"), library)
    }
    known = {m for use in USES[library] if use.by != IN_THE_CELL for m in behind(home(use))}
    plots = behind(MEASURED) if library == "matplotlib" else set()
    assert importers <= known | plots
