"""Grades the graders: stubs are not attempted, references pass, wrong answers get their hint.

A check that passes everything, or that rejects for the wrong reason, teaches falsehood, and
running the notebooks would not show it. So tests call the checks in process:

* `grade_stubs(notebook)`: what a reader finds in the cells tagged `exercise`;
* `grade_references("02")`: each approach in `course/solutions/02.py`, on many seeds;
* `grade_mutants("02", folder)`: each wrong answer in `tests/mutants/02.py`, whose `HINTS`
  maps it to the hint id that it must get ({"ex_02a__per_key_counter": "02a.M1"}); parts that
  it doesn't define come from the first reference. Tempting answers of a questionnaire are
  generated.

`gaps` lists what a lesson lacks, `leaks` finds solutions in a published notebook, and
`solve` writes a copy of a notebook with the references in its stub cells.

Left out: running notebooks; the tests do that with the copies made here.
"""

import __future__

import ast
import json
import linecache
import re
import runpy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvcore.lab import solutions
from kvcore.lab.exercise import Exercise, get, judge
from kvcore.lab.feedback import Result, Word

REFERENCES_COUNT = 2
MUTANTS_COUNT = 3
SEEDS_COUNT = 50
PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Grade:
    """One answer that was judged: what was wanted, what came; `ok` when they agree."""

    id: str
    approach: str
    wanted: str
    result: Result

    @property
    def got(self) -> str:
        """PASS, NOT ATTEMPTED, UNKNOWN, or the hint id of a rejection."""
        rejected = self.result.verdict.word is Word.NOT_YET
        return self.result.hint_id if rejected else self.result.word

    @property
    def ok(self) -> bool:
        """True when the check did what it must."""
        return self.got == self.wanted

    def __str__(self) -> str:
        news = f"wanted {self.wanted}, got {self.got}"
        return f"{self.id} {self.approach}: {news}\n{self.result.text}"


def exercises(lesson: str) -> list[Exercise]:
    """The exercises of a lesson ("02"), a to z without gaps."""
    found: list[Exercise] = []
    for letter in "abcdefghijklmnopqrstuvwxyz":
        try:
            found.append(get(f"{lesson}{letter}"))
        except LookupError:
            return found
    return found


def grade_stubs(notebook: Path) -> list[Grade]:
    """Each `check(…)` call of the published notebook, on its untouched stubs."""
    grades = []
    for exercise_id, answers in stubs_of(notebook).items():
        result = judge(exercise_id, answers)
        grades.append(Grade(exercise_id, "stub", Word.NOT_ATTEMPTED.text, result))
    return grades


def grade_references(lesson: str, seeds: Iterable[int] = range(1, SEEDS_COUNT + 1)) -> list[Grade]:
    """Each reference of each exercise of the lesson."""
    todo = list(seeds)
    grades = []
    for task in exercises(lesson):
        for each in solutions.references(task.id):
            result = judge(task.id, each.ordered(task.names), todo, patience=PATIENCE)
            grades.append(Grade(task.id, each.approach, Word.PASS.text, result))
    return grades


def grade_mutants(lesson: str, folder: Path) -> list[Grade]:
    """Each wrong answer, with the exercise's own seeds: it must be found by a learner's check."""
    grades = []
    for task, approach, answers, wanted in _mutants(lesson, folder):
        grades.append(Grade(task.id, approach, wanted, judge(task.id, answers)))
    return grades


def _mutants(lesson: str, folder: Path) -> Iterator[tuple[Exercise, str, tuple[object, ...], str]]:
    for task in exercises(lesson):
        for number, (value, key) in enumerate(task.tempting, start=1):
            yield task, f"tempting_{number}", (value,), task.hint(key)[0]
    file = folder / f"{lesson}.py"
    if not file.is_file():
        return
    hints = runpy.run_path(str(file))["HINTS"]
    for each in solutions.load(file):
        task = get(each.id)
        parts = dict(each.parts)
        if "" not in parts and set(parts) != set(task.names):
            first = solutions.references(task.id)[0]
            right = dict(zip(task.names, first.ordered(task.names), strict=True))
            parts = right | parts
        answers = tuple(parts[""] if "" in parts else parts[name] for name in task.names)
        yield task, each.approach, answers, hints[f"ex_{each.id}__{each.approach}"]


def gaps(lesson: str, mutants: Path) -> list[str]:
    """What is missing before a lesson may be published, as sentences; empty when complete."""
    found: list[str] = []
    counted = [(task.id, hint) for task, _, _, hint in _mutants(lesson, mutants)]
    for task in exercises(lesson):
        needed = REFERENCES_COUNT if task.kind == "code" else 1
        have = len(solutions.references(task.id))
        if have < needed:
            found.append(f"{task.id} has {have} references of {needed}")
        hints = [hint for key, hint in counted if key == task.id]
        if len(hints) < MUTANTS_COUNT:
            found.append(f"{task.id} has {len(hints)} wrong answers of {MUTANTS_COUNT}")
        unused = [key for key in task.wrong if f"{task.id}.{key}" not in hints]
        found += [f"{task.id}: no wrong answer meets the hint {key!r}" for key in unused]
    return found


def stubs_of(notebook: Path) -> dict[str, tuple[object, ...]]:
    """By exercise id: what the notebook's `check("…", …)` calls get, if nobody wrote anything."""
    space: dict[str, Any] = {}
    calls: dict[str, tuple[str, ...]] = {}
    for number, cell in enumerate(_cells(notebook)):
        tree = _parsed(_text(cell))
        if tree is None:
            continue
        calls |= dict(_check_calls(tree))
        if "exercise" in _tags(cell):
            _execute(_text(cell), f"<{notebook.name}, cell {number}>", space)
        else:
            for node in tree.body:
                if isinstance(node, ast.Import | ast.ImportFrom):
                    _execute(ast.unparse(node), f"<{notebook.name}, imports>", space)
    return {key: tuple(space[name] for name in names) for key, names in calls.items()}


def _execute(text: str, name: str, space: dict[str, Any]) -> None:
    """Runs a cell under a name by which its source can be found again."""
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    flags = __future__.annotations.compiler_flag
    exec(compile(text, name, "exec", flags=flags, dont_inherit=True), space)  # noqa: S102


def _check_calls(tree: ast.Module) -> Iterator[tuple[str, tuple[str, ...]]]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="check"), args=[ast.Constant(value=str(key)), *rest]):
                yield key, tuple(each.id for each in rest if isinstance(each, ast.Name))
            case _:
                pass


def solve(notebook: Path, target: Path, approach: int = 0) -> list[str]:
    """Writes a copy with references in its stub cells; returns the ids that were solved."""
    document = json.loads(notebook.read_text(encoding="utf-8"))
    done: list[str] = []
    tasks = {key: get(key) for key in stubs_of(notebook)}
    for cell in document["cells"]:
        if cell["cell_type"] != "code" or "exercise" not in _tags(cell):
            continue
        for key, task in tasks.items():
            text = _text(cell)
            if not _definitions(text, task.names):
                continue
            found = solutions.references(key)
            answer = found[min(approach, len(found) - 1)]
            fresh = _replaced(text, task.names, answer.source(task.names), first=key not in done)
            cell["source"] = fresh.splitlines(keepends=True)
            done.append(key)
    target.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return list(dict.fromkeys(done))


def leaks(notebook: Path, lesson: str) -> list[str]:
    """Ids of exercises whose reference body stands in the notebook, whatever the spacing."""
    cells = "\n".join(_text(cell) for cell in _cells(notebook, code_only=False))
    page = re.sub(r"\s+", "", cells)
    found = []
    for task in exercises(lesson):
        for each in solutions.references(task.id):
            nodes = _definitions(each.source(task.names), task.names)
            if any(_is_in(_bare_body(node), page) for node in nodes):
                found.append(f"{task.id} {each.approach}")
    return found


def _is_in(body: str, page: str) -> bool:
    return bool(body) and body in page


def _bare_body(node: ast.stmt) -> str:
    """The code of a definition without its signature and docstring, without white space."""
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return re.sub(r"\s+", "", ast.unparse(node.value)) if node.value else ""
    body = list(getattr(node, "body", []))
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        del body[0]
    return re.sub(r"\s+", "", "\n".join(ast.unparse(each) for each in body))


def _replaced(text: str, names: tuple[str, ...], solution: str, *, first: bool) -> str:
    """The cell without the stubs of `names`, and with the solution in their place."""
    lines = text.splitlines()
    nodes = _definitions(text, names)
    start = min(_first_line(node) for node in nodes)
    for node in sorted(nodes, key=_first_line, reverse=True):
        del lines[_first_line(node) - 1 : node.end_lineno]
    lines[start - 1 : start - 1] = solution.splitlines() if first else []
    return "\n".join(lines) + "\n"


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(each.lineno for each in decorators)])


def _definitions(text: str, names: tuple[str, ...]) -> list[ast.stmt]:
    tree = _parsed(text)
    found: list[ast.stmt] = []
    for node in tree.body if tree else []:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found += [node] if node.name in names else []
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found += [node] if name in names else []
            case _:
                pass
    return found


def _cells(notebook: Path, *, code_only: bool = True) -> list[dict[str, Any]]:
    document = json.loads(notebook.read_text(encoding="utf-8"))
    return [c for c in document["cells"] if not code_only or c["cell_type"] == "code"]


def _text(cell: dict[str, Any]) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def _tags(cell: dict[str, Any]) -> list[str]:
    return list(cell.get("metadata", {}).get("tags", []))


def _parsed(text: str) -> ast.Module | None:
    """The cell's syntax tree, top-level await allowed; None for magics and the like."""
    try:
        flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        tree = compile(text, "<cell>", "exec", flags=flags, dont_inherit=True)
    except SyntaxError:
        return None
    return tree if isinstance(tree, ast.Module) else None
