"""What the words of a command line mean, and what is said when they mean nothing.

Each `read_…` turns a flag's text into a value or raises `CommandError` with the official
CLI's words. The other functions take a value that was read out of a command's values, with
the type that its flag promises.

Left out: nothing is guessed; a number is a number.
"""

import re

from kvcore.cli.commands import CommandError, Values
from kvcore.limits import MICROSECOND_NS, MILLISECOND_NS, SECOND_NS, Nanos

HISTORY_MAX = 64
_DAY_NS = 24 * 3600 * SECOND_NS
_UNITS: dict[str, Nanos] = {
    "ns": 1,
    "us": MICROSECOND_NS,
    "µs": MICROSECOND_NS,
    "ms": MILLISECOND_NS,
    "s": SECOND_NS,
    "m": 60 * SECOND_NS,
    "h": 3600 * SECOND_NS,
    "d": _DAY_NS,
    "w": 7 * _DAY_NS,
    "M": 30 * _DAY_NS,
    "y": 365 * _DAY_NS,
}
_STORAGES = {"file": "file", "f": "file", "memory": "memory", "m": "memory"}
_POWERS = "BKMGT"


def read_number(word: str) -> int:
    """A whole number from 0 on."""
    if not word.isdecimal():
        raise CommandError(f'strconv.ParseUint: parsing "{word}": invalid syntax')
    return int(word)


def read_history(word: str) -> int:
    """How many values per key: 1 to 64."""
    count = read_number(word)
    if count < 1:
        raise CommandError("history: must be greater than or equal to 1")
    if count > HISTORY_MAX:
        raise CommandError(f"history: must be less than or equal to {HISTORY_MAX}")
    return count


def read_storage(word: str) -> str:
    """`file` or `memory`, which may be said with one letter."""
    if word not in _STORAGES:
        raise CommandError(f"enum value must be one of {','.join(_STORAGES)}, got '{word}'")
    return _STORAGES[word]


def read_duration(word: str) -> Nanos:
    """`90s`, `1h30m`, `1d`, `1y2d`."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d|w|M|y)", word)
    if not parts or "".join(number + unit for number, unit in parts) != word:
        raise CommandError("invalid duration")
    return sum(round(float(number) * _UNITS[unit]) for number, unit in parts)


def read_bytes(word: str) -> int:
    """`1024`, `1KB`, `10M`, `1GiB`: powers of 1024."""
    match = re.fullmatch(r"(-?\d+)\s*(?:([BKMGT])(?:I?B)?)?", word.upper())
    if match is None:
        ends = "bytes must end in B, K, KB, M, MB, G, GB, T or TB"
        raise CommandError(f"invalid bytes specification {word}: {ends}")
    power: int = 1024 ** _POWERS.index(match[2] or "B")
    return int(match[1]) * power


def read_label(word: str) -> str:
    """`KEY=VALUE`, or `KEY:VALUE`, whichever sign comes first."""
    parts = re.split("[:=]", word, maxsplit=1)
    if len(parts) == 1:
        raise CommandError(f"expected KEY=VALUE got '{word}'")
    return "=".join(parts)


def text(values: Values, name: str) -> str:
    """A value that is there."""
    found = values[name]
    assert isinstance(found, str)
    return found


def optional_text(values: Values, name: str) -> str | None:
    """A value that may be missing."""
    found = values[name]
    assert found is None or isinstance(found, str)
    return found


def whole(values: Values, name: str) -> int:
    """A number, 0 if it is missing."""
    found = values[name]
    assert found is None or isinstance(found, int)
    return found or 0


def switch(values: Values, name: str) -> bool:
    """Whether a switch is on."""
    return bool(values[name])


def many(values: Values, name: str) -> tuple[str, ...]:
    """All values of a flag that may be given more than once."""
    found = values[name]
    assert isinstance(found, tuple)
    return found
