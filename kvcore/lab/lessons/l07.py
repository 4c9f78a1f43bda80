"""The checks of lesson 07: when a put may be acknowledged, and what of it survives.

Left out: the checks themselves; each exercise has a module.
"""

from kvcore.lab.lessons.l07_append import check_07b
from kvcore.lab.lessons.l07_commit import check_07a
from kvcore.lab.lessons.l07_crash import check_07c

__all__ = ["check_07a", "check_07b", "check_07c"]
