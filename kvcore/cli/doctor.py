"""`kvcore doctor`: is this machine ready, and what to do where it isn't?

The checks are those of lesson 00's preflight (kvcore/lab/machine.py), so that the terminal
and the notebook give one answer. Something required that is missing makes the exit code 1.

Left out: repairs. It says what to type, and types nothing.
"""

from typing import TextIO

from kvcore.lab.machine import report


def doctor(out: TextIO) -> int:
    """Write the report to `out`; 1 when something required is missing, else 0."""
    ready = report(out)
    out.write(
        "\nReady to serve.\n" if ready else "\nSomething required is missing: see FAIL above.\n"
    )
    return int(not ready)
