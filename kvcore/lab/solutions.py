"""Reads answers from a file: the references of `course/solutions/NN.py`, the wrong ones of tests.

An answer is found by its name, so that the file reads as plain Python:

    def ex_02a__walk_back__kv_get(log, key): ...     # exercise, approach, name in the notebook
    def ex_02a__walk_back__kv_keys(log): ...
    ex_02c__right = {"max_msgs_per_subject": 1, …}   # one name in the exercise: no third part

The first line of a docstring is the approach's title. `source` is what a learner would have
typed: the same text under the notebook's names, with the imports and `_helpers` it needs.

Left out: the notebook's side (grading.py writes `source` into its stub cells).
"""

import ast
import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"ex_(\d\d[a-z])__([a-z0-9]+(?:_[a-z0-9]+)*)(?:__(\w+))?")


@dataclass(frozen=True, slots=True)
class Answer:
    """One approach to an exercise: `parts` by the notebook's name ("" if there is one only).

    `text` holds each part under its name in the file; `source` gives the notebook's names.
    """

    id: str
    approach: str
    title: str
    parts: dict[str, object]
    text: str

    def ordered(self, names: tuple[str, ...]) -> tuple[object, ...]:
        """The parts in the order of an exercise's names; KeyError for a missing one."""
        if "" in self.parts:
            assert len(names) == 1, f"ex_{self.id}__{self.approach} must say for which of {names}"
            return (self.parts[""],)
        return tuple(self.parts[name] for name in names)

    def source(self, names: tuple[str, ...]) -> str:
        """What a learner would have typed: the parts under the exercise's names."""
        text = self.text
        for part in self.parts:
            full = f"ex_{self.id}__{self.approach}" + (f"__{part}" if part else "")
            text = re.sub(rf"\b{full}\b", part or names[0], text)
        return text


def folder() -> Path:
    """Where the references are: beside the package, above the notebook, or as told."""
    told = os.environ.get("KVCOURSE_SOLUTIONS")
    if told:
        return Path(told)
    here = Path.cwd()
    for root in (Path(__file__).resolve().parents[2], here, *here.parents):
        if (root / "course" / "solutions").is_dir():
            return root / "course" / "solutions"
    raise LookupError("the course's solutions are not here; open the notebook in its clone")


def references(exercise_id: str) -> list[Answer]:
    """The reference answers of an exercise, in the order of the file."""
    file = folder() / f"{exercise_id[:2]}.py"
    found = [each for each in load(file) if each.id == exercise_id] if file.is_file() else []
    if not found:
        raise LookupError(f"{file} has no ex_{exercise_id}__…")
    return found


def load(file: Path) -> list[Answer]:
    """All answers in a file, grouped by exercise and approach, in the order they stand."""
    spec = importlib.util.spec_from_file_location(f"kvcourse_{file.parent.name}_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = file.read_text(encoding="utf-8")
    top = _top_level(text)
    groups: dict[tuple[str, str], dict[str, str]] = {}
    for name in top:
        if match := _NAME.fullmatch(name):
            groups.setdefault((match[1], match[2]), {})[match[3] or ""] = name
    return [
        Answer(
            key,
            approach,
            _title(approach, [getattr(module, name) for name in parts.values()]),
            {part: getattr(module, name) for part, name in parts.items()},
            _source(text, top, parts),
        )
        for (key, approach), parts in groups.items()
    ]


def _title(approach: str, values: list[object]) -> str:
    for value in values:
        doc = getattr(value, "__doc__", None) if callable(value) else None
        if doc:
            return str(doc).strip().splitlines()[0].rstrip(".")
    return approach.replace("_", " ")


def _top_level(text: str) -> dict[str, ast.stmt]:
    """Every name that the file binds, with the statement that binds it."""
    found: dict[str, ast.stmt] = {}
    for node in ast.parse(text).body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found[node.name] = node
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found[name] = node
            case ast.Import() | ast.ImportFrom():
                found |= {(each.asname or each.name.split(".")[0]): node for each in node.names}
            case _:
                pass
    return found


def _source(text: str, top: dict[str, ast.stmt], parts: dict[str, str]) -> str:
    """Imports and helpers that the parts reach, then the parts under their notebook names."""
    wanted = _reached(top, list(parts.values()))
    lines = text.splitlines()
    imports = sorted({_text(lines, node) for node in wanted if _is_import(node)})
    bodies = [_text(lines, node) for node in wanted if not _is_import(node)]
    return "\n\n\n".join([*(["\n".join(imports)] if imports else []), *bodies]) + "\n"


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _reached(top: dict[str, ast.stmt], names: list[str]) -> list[ast.stmt]:
    found: dict[str, ast.stmt] = {}
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in found or name not in top:
            continue
        found[name] = top[name]
        todo += [each.id for each in ast.walk(top[name]) if isinstance(each, ast.Name)]
    unique = {id(node): node for node in found.values()}
    return sorted(unique.values(), key=lambda node: node.lineno)


def _text(lines: list[str], node: ast.stmt) -> str:
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(each.lineno for each in decorators)])
    return "\n".join(lines[first - 1 : node.end_lineno])
