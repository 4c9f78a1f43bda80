"""Where NATS's own programs are looked for: PATH, Go's usual directory, the checkout's tools.

A directory of Go's is often not on a notebook's PATH, though `go install` put the program there.

Left out: other programs, and versions; whoever runs one says which it is made for.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def found(name: str) -> Iterator[str]:
    """The paths under which a program is installed, the first choice first."""
    for place in (None, str(Path.home() / "go" / "bin"), str(_ROOT / ".tools" / "bin")):
        path = shutil.which(name, path=place)
        if path is not None:
            yield path
