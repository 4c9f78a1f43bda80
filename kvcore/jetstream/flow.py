"""A flow-control window: how many bytes may be under way to a push consumer's client.

The window starts small and doubles with each answer, up to a bound, so that a slow client
is never flooded and a fast one is soon not held back. Past half a window one request is
sent; past a whole one nothing is sent until the client answers. The request's reply subject
names it, and only the answer to the latest counts.

Left out: time. A client that never answers is reminded by heartbeats, which carry the
request.
"""

from kvcore import limits

_IDS = 36**4
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Flow:
    """The window of one consumer; sizes in bytes."""

    def __init__(self, stream: str, consumer: str) -> None:
        self.window = limits.FLOW_WINDOW_FIRST_BYTES
        self.under_way = 0
        self.request = ""  # the reply subject that the client must answer, "" if none is open
        self._covered = 0  # bytes that the answer to the open request will clear
        self._prefix = f"$JS.FC.{stream}.{consumer}."
        self._count = 0

    @property
    def is_full(self) -> bool:
        """Whether nothing may be sent before an answer."""
        return self.under_way > self.window

    def sent(self, size: int) -> str:
        """Bytes went out; the reply subject of the request to send now, "" if none is due."""
        self.under_way += size
        if self.request:
            if self.under_way - self._covered >= self.window:
                self._covered += size
            return ""
        if self.under_way <= self.window // 2:
            return ""
        self.request, self._covered = self._prefix + self._next_id(), self.under_way
        return self.request

    def answered(self, subject: str) -> None:
        """The client answered on `subject`."""
        if subject != self.request or not subject:
            return
        self.window = min(2 * self.window, limits.FLOW_WINDOW_MAX_BYTES)
        self.under_way = max(0, self.under_way - self._covered)
        self.request, self._covered = "", 0

    def _next_id(self) -> str:
        self._count = (self._count + 1) % _IDS
        rest, out = self._count, ""
        for _ in range(4):
            rest, digit = divmod(rest, 36)
            out = _DIGITS[digit] + out
        return out
