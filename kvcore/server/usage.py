"""What this process takes of the machine, as the operating system tells it.

The node can't know it and must not: it is a `Measured` event, so that a recorded run replays.
Reading it costs some microseconds, and the driver does so at most once a second, when
something happens anyway: an idle server stays idle.

Left out: memory on systems without `/proc`, where only its peak is told; it is absent there.
"""

import os
import time
from pathlib import Path

from kvcore.node.io import Measured

_PAGES = Path("/proc/self/statm")


def measure() -> Measured:
    """Memory in use (0 where it isn't told), processor time so far, and cores."""
    try:
        memory = int(_PAGES.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        memory = 0
    return Measured(memory, time.process_time_ns(), os.cpu_count() or 1)
