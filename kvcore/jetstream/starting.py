"""Where a consumer begins: which of a stream's messages are its own to deliver.

The deliver policy says it: all, only new ones, from a sequence or a time on, or the last
message of each subject. The last is a list rather than a place, since a subject's older
messages between are left out. Messages stored after the creation are always included, so
the answer is the list up to `last_seq`, the stream's last sequence at the creation, and
then everything that matches. It comes in slices, since it may be long.

Left out: how far a consumer has come since (`ledger.py`).
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from kvcore.jetstream.consumer_config import ConsumerConfig
from kvcore.jetstream.state import StreamState

_LISTS = ("last", "last_per_subject")


def first_seq(stream: StreamState, config: ConsumerConfig, last_seq: int) -> int:
    """The first sequence to look at."""
    match config.deliver_policy:
        case "by_start_sequence":
            return max(config.opt_start_seq, stream.first_seq)
        case "by_start_time":
            return min(stream.seq_at_time(config.opt_start_time or 0), last_seq + 1)
        case "new":
            return last_seq + 1
        case _:
            return min(max(stream.first_seq, 1), last_seq + 1)


def search(
    stream: StreamState, config: ConsumerConfig, first: int, last_seq: int
) -> Iterator[Sequence[int]]:
    """The sequences to deliver as things stand at its first step, ascending, in slices."""
    if config.deliver_policy in _LISTS:
        return _search_newest(stream, config, last_seq)
    return stream.walk(config.filters, first)


def position(
    stream: StreamState, config: ConsumerConfig, first: int, last_seq: int, wanted: Sequence[int]
) -> int:
    """The stream sequence that a new consumer reports as delivered; of what is `wanted` only
    the first counts. Where every message is its subject's last, "the last of each subject"
    begins where "all" does."""
    if config.deliver_policy not in _LISTS:
        return first - 1
    per_subject = config.deliver_policy == "last_per_subject"
    if per_subject and stream.config.max_msgs_per_subject == 1:
        return first - 1
    if wanted:
        return wanted[0] - 1
    return max(first, last_seq) - 1 if per_subject or not config.filters else first - 1


def remaining(
    stream: StreamState, config: ConsumerConfig, delivered: int, last_seq: int
) -> Iterator[Sequence[int]]:
    """What is left to deliver of a consumer that came to `delivered`, in slices. The filters
    may be others than at its creation; `last_seq` is the stream's last sequence of then."""
    if config.deliver_policy != "last_per_subject" or delivered >= last_seq:
        yield from stream.walk(config.filters, delivered + 1)
        return
    for part in _search_newest(stream, config, last_seq):
        yield part[bisect_right(part, delivered) :]


def _search_newest(
    stream: StreamState, config: ConsumerConfig, last_seq: int
) -> Iterator[Sequence[int]]:
    later = stream.sequences(config.filters, last_seq + 1) if stream.last_seq > last_seq else []
    newest: Sequence[int] = ()
    for part in stream.walk_newest(config.filters, last_seq):
        if config.deliver_policy == "last":
            newest = part[-1:] or newest
            yield ()
        else:
            yield part
    yield [seq for seq in (*newest, *later) if stream.subject_of(seq) is not None]
