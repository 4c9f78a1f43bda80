"""The checks of lesson 07: when a put may be acknowledged, and what of it survives.

An ack rests on two rules, and the learner writes both: how far a leader may commit (07a, in
`l07_commit`) and what a follower may keep of its log (07b, in `l07_append`). Both are judged by
schedules of pure cores and by an explorer. What the promise is worth when the leader crashes,
07c, is foretold and then played in real worlds (`l07_crash`).

Left out: partitions, which are lesson 08's, and disks that lose what wasn't synced, lesson 10's.
"""

from kvcore.lab.lessons.l07_append import check_07b
from kvcore.lab.lessons.l07_commit import check_07a
from kvcore.lab.lessons.l07_crash import check_07c

__all__ = ["check_07a", "check_07b", "check_07c"]
