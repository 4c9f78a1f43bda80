"""The shape of kvcore, checked: layers, purity, size, and a theory at the top of each file.

Each rule is a few lines over the syntax tree, so that a rule that hurts is easy to find,
to argue with (docs/adr/) and to change.
"""

import ast
import itertools
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "kvcore"
FILES = sorted(ROOT.rglob("*.py"))
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50

# Who may import whom. A layer sees those listed and itself.
BASE = {"limits", "trace", "__init__"}
BELOW = {
    "limits": set(),
    "trace": {"limits"},
    "nats": BASE,
    "raft": BASE,
    "storage": BASE,
    "jetstream": BASE | {"nats", "raft", "storage"},
    "node": BASE | {"nats", "raft", "storage", "jetstream"},
    "server": BASE | {"nats", "raft", "storage", "jetstream", "node"},
    "sim": BASE | {"nats", "raft", "storage", "jetstream", "node"},
    # Other people's tests: the server and what it stands on, nothing of the course.
    "testing": BASE | {"nats", "raft", "storage", "jetstream", "node", "server"},
    "pytest_plugin": {"testing"},
    "check": BASE | {"nats", "raft", "storage", "jetstream", "node", "server", "sim"},
    "viz": BASE | {"nats", "raft", "storage", "jetstream", "node", "server", "sim", "check"},
    "lab": BASE | {"nats", "raft", "storage", "jetstream", "node", "server", "sim", "check", "viz"},
    "cli": BASE
    | {"nats", "raft", "storage", "jetstream", "node", "server", "sim", "check", "viz", "lab"},
    "__init__": set(),
}

PURE = ["limits.py", "trace.py", "nats", "raft", "jetstream", "node", "storage/base.py"]
PURE += ["storage/memory.py", "storage/overlay.py", "storage/keys.py"]
BANNED = {
    *("time", "secrets", "uuid", "os", "socket", "ssl", "threading", "asyncio"),
    *("subprocess", "logging", "multiprocessing", "signal", "select", "pathlib", "io"),
}
BANNED_ANYWHERE = {"pickle", "marshal", "shelve", "nest_asyncio"}


def layer(path: Path) -> str:
    part = path.relative_to(ROOT).parts[0]
    return part.removesuffix(".py")


def is_pure(path: Path) -> bool:
    name = path.relative_to(ROOT).as_posix()
    return any(name == p or name.startswith(p + "/") for p in PURE)


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            module = node.module or ""
            # `from kvcore import limits` imports kvcore.limits
            found += [f"kvcore.{a.name}" for a in node.names] if module == "kvcore" else [module]
    return found


def names(paths):
    return [p.relative_to(ROOT).as_posix() for p in paths]


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_a_module_imports_only_from_the_layers_below_it(path):
    allowed = BELOW[layer(path)] | {layer(path)}
    for name in imports(path):
        if name.startswith("kvcore."):
            target = name.split(".")[1]
            assert target.startswith("__") or target in allowed, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", [p for p in FILES if is_pure(p)], ids=lambda p: p.name)
def test_a_pure_module_has_no_clock_no_chance_and_no_world(path):
    tree = ast.parse(path.read_text())
    for name in imports(path):
        assert name.split(".")[0] not in BANNED, f"{path} imports {name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "random":
            assert [a.name for a in node.names] == ["Random"], f"{path}: only random.Random"
        if isinstance(node, ast.Import):
            assert "random" not in [a.name for a in node.names], (
                f"{path}: from random import Random"
            )
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            where = f"{path}:{node.lineno}"
            assert node.func.id not in {"open", "input", "print", "eval", "exec"}, where
            assert node.func.id != "hash", f"{where}: hash() depends on PYTHONHASHSEED"


@pytest.mark.parametrize("path", [p for p in FILES if is_pure(p)], ids=lambda p: p.name)
def test_a_pure_module_never_iterates_a_set(path):
    for node in ast.walk(ast.parse(path.read_text())):
        loops = []
        if isinstance(node, ast.For):
            loops = [node.iter]
        elif isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            loops = [g.iter for g in node.generators]
        for it in loops:
            is_set = isinstance(it, ast.Set | ast.SetComp) or (
                isinstance(it, ast.Call)
                and isinstance(it.func, ast.Name)
                and it.func.id in {"set", "frozenset"}
            )
            assert not is_set, f"{path}:{it.lineno} iterates a set: its order is the hash seed's"


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_no_module_reads_pickles_or_evaluates_text(path):
    assert not BANNED_ANYWHERE & {n.split(".")[0] for n in imports(path)}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"eval", "__import__"}, f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_a_file_is_a_lecture_not_a_book(path):
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE_LINES
    doc = ast.get_docstring(ast.parse(text))
    assert doc, f"{path} opens with the problem and the idea"
    if path.name != "__init__.py":
        assert len(doc.splitlines()) >= 4, f"{path}: one line is a title, not a theory"
        assert "Left out" in doc, f"{path} says what it leaves out"


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_no_function_is_longer_than_a_screen(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = node.end_lineno - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{path}:{node.lineno} {node.name} is {lines} long"


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_every_exception_caught_has_a_name(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            caught = (
                [n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)] if node.type else []
            )
            reraises = any(
                (isinstance(n, ast.Raise) and n.exc is None)
                or (isinstance(n, ast.Attribute) and n.attr == "set_exception")
                for n in ast.walk(node)
            )
            broad = not caught or {"Exception", "BaseException"} & set(caught)
            # where a learner's code is called, it may raise anything
            is_learners = path.name == "sandbox.py" or path.parent.name == "lessons"
            assert not broad or reraises or is_learners, f"{path}:{node.lineno} catches everything"


def test_the_layers_have_no_cycle():
    order = ["limits", "trace", "nats", "raft", "storage", "jetstream", "node", "server", "sim"]
    order += ["check", "viz", "lab", "cli"]
    for lower, upper in itertools.combinations(order, 2):
        assert upper not in BELOW[lower], f"{lower} must not see {upper}"


def test_the_rules_can_fail(tmp_path, monkeypatch):
    bad = ROOT / "nats" / "planted.py"
    source = "import time\nfrom kvcore.node import node\nfor x in {1, 2}:\n    pass\n"
    monkeypatch.setattr(Path, "read_text", lambda self, *a, **k: source)
    for rule in (
        test_a_module_imports_only_from_the_layers_below_it,
        test_a_pure_module_has_no_clock_no_chance_and_no_world,
        test_a_pure_module_never_iterates_a_set,
        test_a_file_is_a_lecture_not_a_book,
    ):
        with pytest.raises(AssertionError):
            rule(bad)
