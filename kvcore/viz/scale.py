"""Round numbers for axes: steps of 1, 2 or 5 with zeros.

An axis that is marked at 137, 274, 411 can be read by nobody. Each picture knows how many
marks it has room for; the step is the smallest round number with which they suffice.

Left out: dates, and logarithmic axes, which matplotlib does.
"""


def round_step(least: float, smallest: float = 1.0) -> float:
    """The smallest of 1, 2, 5, 10, 20, … times `smallest` that is at least `least`."""
    size = 1.0
    while True:
        for factor in (1, 2, 5):
            step = size * factor * smallest
            if step >= least:
                return round(step, 9)
        size *= 10
