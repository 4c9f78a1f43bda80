"""Tells an untouched stub from an answer, without running it.

A published exercise is a function whose body is a docstring and `...`, or a dict whose
values are `...`. Checking one must not fail (a reader runs the notebook from top to
bottom), and must never pass. So before a check runs, the answers are looked at: by their
syntax tree where the source is at hand, by their byte code otherwise.

A body that computes something and still ends in the old `...` is an attempt. A placeholder
that is used as a value (`x = ...`, `return ...`) is not.

Left out: classes with some methods written and some not; they count as attempts, and the
check speaks about the missing part.
"""

import ast
import dis
import functools
import inspect
import textwrap
from collections.abc import Mapping
from types import CodeType, FunctionType

_IDLE = {
    "RESUME",
    "NOP",
    "CACHE",
    "COPY_FREE_VARS",
    "MAKE_CELL",
    "RETURN_GENERATOR",
    "POP_TOP",
    "LOAD_CONST",
    "RETURN_VALUE",
    "RETURN_CONST",
    "PRECALL",
    "NOT_TAKEN",
    # the handler that every generator and coroutine carries
    "CALL_INTRINSIC_1",
    "RERAISE",
}


def open_parts(answers: Mapping[str, object]) -> list[str]:
    """The names of what is still a placeholder: functions, or keys of a dict; empty if none."""
    found: list[str] = []
    for name, answer in answers.items():
        if isinstance(answer, Mapping):
            found += [str(key) for key, value in answer.items() if value is ...]
            found += [name] if not answer else []
        elif is_stub(answer):
            found.append(name)
    return found


def is_stub(answer: object) -> bool:
    """True for `...` itself, and for a function or class that nobody has written yet."""
    if answer is ...:
        return True
    if isinstance(answer, functools.partial):
        return is_stub(answer.func)
    if inspect.isclass(answer):
        methods = [each for each in vars(answer).values() if isinstance(each, FunctionType)]
        return bool(methods) and all(is_stub(each) for each in methods)
    function = inspect.unwrap(answer) if callable(answer) else answer
    function = getattr(function, "__func__", function)
    if not isinstance(function, FunctionType):
        return False
    if function.__name__ == "<lambda>":
        return ... in function.__code__.co_consts and _is_idle(function.__code__)
    node = _syntax(function)
    return _is_stub_body(node.body) if node else _is_idle(function.__code__)


def _syntax(function: FunctionType) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The function's own definition, or None where no source is at hand (or it is a lambda)."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None
    definitions = [
        each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return next((each for each in definitions if each.name == function.__name__), None)


def _is_stub_body(body: list[ast.stmt]) -> bool:
    work = [each for each in body if not _is_idle_statement(each)]
    return not work or any(_holds_placeholder(each) for each in work)


def _is_idle_statement(node: ast.stmt) -> bool:
    """A docstring, `...` or `pass`."""
    return isinstance(node, ast.Pass) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


def _holds_placeholder(node: ast.stmt) -> bool:
    """`x = ...`, `x: int = ...` or `return ...`, at any depth."""
    return any(
        isinstance(each, ast.Assign | ast.AnnAssign | ast.Return)
        and isinstance(each.value, ast.Constant)
        and each.value.value is ...
        for each in ast.walk(node)
    )


def _is_idle(code: CodeType) -> bool:
    """By byte code alone: it loads a constant, perhaps, and returns None (or `...`)."""
    constants = {type(each) for each in code.co_consts if not isinstance(each, str)}
    if not constants <= {type(None), type(...)}:
        return False
    return all(step.opname in _IDLE for step in dis.get_instructions(code))
