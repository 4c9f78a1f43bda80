"""Shows the source of the very function that runs.

A lesson never carries a copy of kvcore's code: copies drift. `show_source(obj)` prints what
the interpreter executes, with the file it came from, from the package of the kernel. No
line number: an edit elsewhere in that file would change what a lesson printed.

Left out: highlighting beyond what the notebook gives Markdown, and C code, which has none.
"""

import inspect
import textwrap
from pathlib import Path

from kvcore.lab.feedback import say

_PACKAGE = Path(__file__).resolve().parents[1]


def source_of(item: object, *, docstring: bool = True) -> str:
    """The text of a function, method, class or module, led by where it stands."""
    target = inspect.unwrap(item) if callable(item) else item
    target = target.fget if isinstance(target, property) else target
    text = textwrap.dedent(inspect.getsource(target)).rstrip()  # type: ignore[arg-type]
    if not docstring:
        text = _without_docstring(text)
    return f"# {_where(target)}\n{text}"


def show_source(item: object, *, docstring: bool = True) -> None:
    """Prints the source of `item` as it runs in this kernel."""
    say(source_of(item, docstring=docstring))


def _where(target: object) -> str:
    file = Path(inspect.getsourcefile(target) or "?")  # type: ignore[arg-type]
    if file.is_relative_to(_PACKAGE):
        return str(Path("kvcore") / file.relative_to(_PACKAGE))
    return file.name


def _without_docstring(text: str) -> str:
    import ast

    tree = ast.parse(text)
    node = tree.body[0] if tree.body else tree
    body = getattr(node, "body", [])
    if not body or ast.get_docstring(node) is None:  # type: ignore[arg-type]
        return text
    lines = text.splitlines()
    del lines[body[0].lineno - 1 : body[0].end_lineno]
    return "\n".join(lines)
