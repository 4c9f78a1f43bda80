"""Storing a message: the part that a publish, a copy and a marker have in common.

Whatever brings a message, it takes a sequence, makes the limits drop what is now too much,
may have a time to live, and may replace what was there before it. What comes of it is told
as the sequences that are gone.

Left out: whether a message may come at all. `publish.py` and `copying.py` judge that.
"""

from kvcore.jetstream import conditions, retention
from kvcore.jetstream.filters import matcher
from kvcore.jetstream.state import StreamState
from kvcore.limits import Nanos
from kvcore.nats import headers as header_blocks


class Storing(StreamState):
    """A stream that can take a message in."""

    def _store(
        self, subject: str, block: bytes | None, payload: bytes, ttl: int, time: Nanos = 0
    ) -> tuple[int, list[int]]:
        """Append a message and enforce the limits: its sequence, and what had to go."""
        time = time or self._time
        seq = self._messages.append(subject, block, payload, time)
        if ttl:
            self._expiry.add(seq, time, ttl)
        return seq, self._forget(retention.enforce(self.config, self._messages, subject))

    def _forget(self, removed: list[int]) -> list[int]:
        if self._expiry:
            for seq in removed:
                self._expiry.forget(seq)
        return removed

    def _raised(self, ttl: int, block: bytes | None) -> tuple[int, bytes | None]:
        """A time to live below the marker's is raised to it, in the stored header as well.

        Otherwise a marker could outlive the message after it. With one message a subject
        there is nothing to outlive.
        """
        marker_ttl = retention.marker_seconds(self.config)
        if not 0 < ttl < marker_ttl or self.config.max_msgs_per_subject == 1:
            return ttl, block
        assert block is not None
        name = conditions.TTL.decode()
        rest = header_blocks.without(block, (name,))
        return marker_ttl, header_blocks.with_header(rest, name, str(marker_ttl))

    def _roll_up(self, value: bytes, subject: str, seq: int) -> list[int]:
        """Drop what a rollup replaces: its subject's earlier messages, or all."""
        if not value:
            return []
        filters = (subject,) if value.lower() == b"sub" else ()
        return self._forget(self._messages.remove_below(filters, seq))

    def _note_id(self, msg_id: str, seq: int) -> None:
        self.last_msg_id = msg_id
        if msg_id and self.config.duplicate_window:
            self._recent.add(msg_id, seq, self._time)

    def _is_wanted(self, subject: str) -> bool:
        return any(
            matcher(consumer.config.filters)(subject) for consumer in self.consumers.values()
        )
