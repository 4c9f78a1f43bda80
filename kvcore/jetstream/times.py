"""Times as JetStream writes them: RFC 3339 in UTC, as many decimals as there are.

Inside, a time is nanoseconds since the epoch. On the wire it is text with up to nine
decimals, trailing zeros cut, and a `Z`; a time that was never set is Go's zero time, which
clients know to mean "never". Python's own datetime has microseconds, so the fraction is
handled here.

Left out: leap seconds, which neither form has, and time zones in what we write.
"""

import re
from datetime import UTC, datetime, timedelta

from kvcore.limits import SECOND_NS, Nanos

NEVER = "0001-01-01T00:00:00Z"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORM = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII)


def rfc3339(time: Nanos) -> str:
    """`2026-01-01T00:00:00.25Z`; 0 is `NEVER`."""
    if not time:
        return NEVER
    seconds, nanos = divmod(time, SECOND_NS)
    whole = (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
    fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
    return f"{whole}{fraction}Z"


def parse_rfc3339(text: str) -> Nanos | None:
    """The time that a text says, None if it says none, or one that UTC can't write in four
    digits of year; decimals past the ninth are cut."""
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    date, clock, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{clock}{zone.replace('Z', '+00:00')}")
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    since = moment - _EPOCH
    nanos = int((fraction or "0")[:9].ljust(9, "0"))
    return (since.days * 86_400 + since.seconds) * SECOND_NS + nanos
