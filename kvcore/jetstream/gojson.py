"""Small texts exactly as Go writes them, because clients and tests compare bytes.

nats-server's answers come from Go's encoder. It escapes `<`, `>` and `&` in JSON strings,
and prints durations as `1m30s`. A header that is rewritten, or an error that quotes what a
client sent, must read the same from ours.

Left out: parsing JSON, which Python's own module does well enough.
"""

import json

from kvcore.limits import HOUR_NS, MICROSECOND_NS, MILLISECOND_NS, MINUTE_NS, SECOND_NS, Nanos

_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def quoted(text: str, *, html: bool = True) -> str:
    """A JSON string; with `html`, escaped as Go's encoder does by default."""
    literal = json.dumps(text, ensure_ascii=False)
    return literal.translate(_HTML) if html else literal


def is_unicode(text: str) -> bool:
    """Whether a text can be written in JSON as it is: a client may send any bytes as a name."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def seconds(total: int) -> str:
    """Whole seconds as Go prints a duration: `3s`, `1m0s`, `1h0m5s`."""
    hours, rest = divmod(total, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{left}s"
    return f"{minutes}m{left}s" if minutes else f"{left}s"


def duration(nanos: Nanos) -> str:
    """A duration as Go prints it: `1.5s`, `250ms`, `2h0m0s`."""
    if nanos >= SECOND_NS:
        whole, rest = divmod(nanos, SECOND_NS)
        fraction = f"{rest:09d}".rstrip("0")
        text = seconds(whole)
        return f"{text[:-1]}.{fraction}s" if fraction else text
    for unit, size in (("ms", MILLISECOND_NS), ("µs", MICROSECOND_NS)):
        if nanos >= size:
            return f"{nanos / size:.6f}".rstrip("0").rstrip(".") + unit
    return f"{nanos}ns" if nanos else "0s"


_UNITS: dict[str, Nanos] = {
    "ns": 1,
    "us": MICROSECOND_NS,
    "µs": MICROSECOND_NS,
    "μs": MICROSECOND_NS,
    "ms": MILLISECOND_NS,
    "s": SECOND_NS,
    "m": MINUTE_NS,
    "h": HOUR_NS,
}
_DIGITS = "0123456789"
_LONGEST = 64  # characters; no duration worth writing is longer
_MAX_NS = (1 << 63) - 1


def parse_duration(text: str) -> Nanos | None:
    """A duration as Go reads it (`1h30m`, `1.5s`, `-2m`, `0`), or None if it isn't one."""
    if not 0 < len(text) <= _LONGEST:
        return None
    negative = text[0] == "-"
    rest = text[1:] if text[0] in "+-" else text
    if rest == "0":
        return 0
    if not rest:
        return None
    total = 0
    while rest:
        whole = _leading(rest, _DIGITS)
        rest = rest[len(whole) :]
        fraction = ""
        if rest.startswith("."):
            fraction = _leading(rest[1:], _DIGITS)
            rest = rest[1 + len(fraction) :]
        unit = ""
        while rest and rest[0] not in "." + _DIGITS:
            unit += rest[0]
            rest = rest[1:]
        if not whole + fraction or unit not in _UNITS:
            return None
        scale = _UNITS[unit]
        total += int(whole or "0") * scale
        total += int(fraction or "0") * scale // 10 ** len(fraction)
        if total > _MAX_NS:
            return None
    return -total if negative else total


def _leading(text: str, allowed: str) -> str:
    end = 0
    while end < len(text) and text[end] in allowed:
        end += 1
    return text[:end]
