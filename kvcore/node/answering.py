"""Long answers, a slice of them a turn.

A batch of direct gets may be a thousand messages, a list of all subjects megabytes. Neither
may hold up the others, so such an answer is a generator. Each turn takes from the first
that waits: messages until the turn has had its share, or one step of work that has no
message to show yet (`None`). Those who wait behind it have not begun, and cost nothing.

Left out: short answers, which leave in the turn of their request.
"""

from collections import deque
from collections.abc import Callable

from kvcore import limits
from kvcore.jetstream.answers import Answer, Answers


class LongAnswers:
    """The answers of one server that are under way; `send` is given each message."""

    def __init__(self, send: Callable[[Answer], None]) -> None:
        self._send = send
        self._waiting: deque[Answers] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, answers: Answers) -> None:
        """Send this after the others."""
        self._waiting.append(answers)

    def work(self) -> None:
        """A turn's worth."""
        count = size = 0
        while self._waiting:
            for answer in self._waiting[0].parts:
                if answer is None:
                    return
                self._send(answer)
                count += 1
                size += len(answer.payload)
                is_enough = count >= limits.DELIVERIES_PER_TURN_COUNT
                if is_enough or size >= limits.DELIVERIES_PER_TURN_BYTES:
                    return
            self._waiting.popleft()
