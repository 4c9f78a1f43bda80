"""STREAM.INFO of a stream with very many subjects: its page of subjects, made in slices.

A hundred thousand subjects with their counts are megabytes of JSON, and take a tenth of a
second to write. Nobody else may wait for that. So the subjects that may match are noted at
once, then counted and written slice by slice over several turns; the rest of the answer is
made at the end. A subject that has lost its last message meanwhile is left out, and each
count is of the moment when it was written: the page is no snapshot, as no walk over several
pages ever was.

Left out: short answers; `bodies.py` makes them at once.
"""

from collections.abc import Callable, Iterator

from kvcore import limits
from kvcore.jetstream.documents import write
from kvcore.jetstream.filters import matcher
from kvcore.jetstream.stream import Stream

_PLACE = b'"subjects":{}'  # in JSON text only an empty object of this name looks so


def is_long(stream: Stream, pattern: str) -> bool:
    """Whether a page of what matches had better be made in slices."""
    return stream.may_match(pattern) > limits.SEARCH_SLICE_COUNT


def pages(
    stream: Stream, pattern: str, offset: int, finish: Callable[[tuple[int, int]], bytes]
) -> Iterator[bytes | None]:
    """None for each slice, then the answer: `finish` makes it without the subjects, told how
    many match and how many are on the page that begins at `offset`."""
    near, matches = stream.near(pattern), matcher((pattern,))
    end = offset + limits.SUBJECTS_PAGE_COUNT
    total = shown = 0
    texts: list[bytes] = []
    for start in range(0, len(near), limits.SEARCH_SLICE_COUNT):
        part = {
            subject: count
            for subject in near[start : start + limits.SEARCH_SLICE_COUNT]
            if matches(subject) and (count := stream.count_for(subject))
        }
        page = list(part.items())[max(offset - total, 0) : max(end - total, 0)]
        total += len(part)
        shown += len(page)
        if page:
            texts.append(write(dict(page))[1:-1])
        yield None
    before, place, after = finish((total, shown)).partition(_PLACE)
    if place:
        place = b'"subjects":{%b}' % b",".join(texts)
    yield b"".join((before, place, after))
