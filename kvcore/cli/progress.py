"""A bar on standard error while a list is long, and nothing otherwise.

Whoever reads ten keys sees no bar, and whoever pipes the output sees none either: it is
drawn only on a terminal and only from `LONG` entries on. rich is imported for it alone.

Left out: guesses. The total is what the server said was pending.
"""

import sys
from collections.abc import AsyncIterator

from kvcore.cli.bucket import KeyEntry

LONG = 1000


async def tracked(
    entries: AsyncIterator[KeyEntry], what: str, total: int = 0
) -> AsyncIterator[KeyEntry]:
    """The same entries, with a bar when there are many; their number may come with the first."""
    first = await anext(entries, None)
    if first is None:
        return
    count = total or first.pending + 1
    if count < LONG or not sys.stderr.isatty():
        yield first
        async for entry in entries:
            yield entry
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=count)
        bar.advance(task)
        yield first
        async for entry in entries:
            bar.advance(task)
            yield entry
