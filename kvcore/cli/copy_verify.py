"""Whether two streams hold the same, number by number.

Both are read from the beginning, side by side, so that memory stays small however large the
bucket is. A pair is the same when subject, value and headers are: but for the headers that
only a publish needs, and for the time that a message has left, which runs.

Time passes while one reads. A message whose own time is up may be missing on either side; and
what the source has lost since the copy caught up, by writes or its maximum age, the target
may still have. Such messages are counted, not blamed.

Left out: the time at which a message was stored, which is the target's own.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from kvcore.cli.copy_wire import Message
from kvcore.limits import SECOND_NS, Nanos

SHOWN = 5
_GRACE_NS = 3 * SECOND_NS  # rounding, and two clocks


@dataclass(slots=True)
class Comparison:
    """What was found; `differences` are sentences, the first `SHOWN` of `wrong`."""

    same: int = 0
    gone: int = 0
    wrong: int = 0
    differences: tuple[str, ...] = ()

    def blame(self, sentence: str) -> None:
        """Count a difference, and keep its sentence if it is among the first."""
        self.wrong += 1
        if len(self.differences) < SHOWN:
            self.differences += (sentence,)


async def compare(
    source: AsyncIterator[Message],
    target: AsyncIterator[Message],
    *,
    upto: int,
    now: Callable[[], Nanos],
    may_lose: Callable[[Message], bool],
    step: Callable[[int], None],
) -> Comparison:
    """Compare numbers to `upto`. `now` is the source's time; `may_lose` says whether the source
    may have lost this message since it was copied."""
    found = Comparison()
    ours, theirs = await _next(source, upto), await _next(target, upto)
    while ours or theirs:
        if ours and (theirs is None or ours.seq < theirs.seq):
            if ours.lives is not None and ours.stamp + ours.lives < now() + _GRACE_NS:
                found.gone += 1
            else:
                found.blame(f"revision {ours.seq} ({ours.subject}) is missing on the target")
            ours = await _next(source, upto)
        elif theirs and (ours is None or theirs.seq < ours.seq):
            if may_lose(theirs):
                found.gone += 1
            else:
                said = f"revision {theirs.seq} ({theirs.subject}) is on the target only"
                found.blame(said)
            theirs = await _next(target, upto)
        else:
            assert ours is not None
            assert theirs is not None
            if part := _difference(ours, theirs):
                found.blame(f"revision {ours.seq} ({ours.subject}) has another {part}")
            else:
                found.same += 1
            step(ours.seq)
            ours, theirs = await _next(source, upto), await _next(target, upto)
    return found


async def _next(messages: AsyncIterator[Message], upto: int) -> Message | None:
    found = await anext(messages, None)
    return found if found and found.seq <= upto else None


def _difference(ours: Message, theirs: Message) -> str:
    if ours.subject != theirs.subject:
        return "key"
    if ours.data != theirs.data:
        return "value"
    left, right = dict(ours.said), dict(theirs.said)
    if (ours.lives is None) != (theirs.lives is None):
        return "time to live"
    left.pop("Nats-TTL", None)
    right.pop("Nats-TTL", None)
    return "header" if left != right else ""
