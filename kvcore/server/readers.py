"""How one entry of a configuration file becomes one setting.

`conf.py` gives texts that know their line; a *reader* takes one and fills what it means into
the settings found so far. A block is a table of readers by key. Whatever can't be read is a
`ConfError` with the entry's line, and a key that no table knows is one too: a typing mistake
must not switch a safeguard off.

Left out: which keys there are; `settings.py` and `access.py` have the tables.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from kvcore.limits import SECOND_NS, Nanos
from kvcore.server import conf, flags
from kvcore.server.conf import ConfError, Entry


class Keys:
    """Fills `found` from blocks; each reader in a table is given this and an entry."""

    def __init__(self, found: dict[str, object], warnings: list[str]) -> None:
        self.found = found
        self.warnings = warnings

    def block(self, block: dict[str, Entry], readers: Mapping[str, "Reader"]) -> None:
        """Reads each key with its reader; an unknown one is refused unless a variable used it."""
        for key, entry in block.items():
            reader = readers.get(key.lower())
            if reader is not None:
                reader(self, entry)
            elif not entry.used:
                from difflib import get_close_matches

                near = get_close_matches(key.lower(), readers, n=1)
                advice = f'did you mean "{near[0]}"?' if near else "kvcore has no such setting"
                raise ConfError(entry.line, f'unknown field "{key}": {advice}')


Reader: TypeAlias = Callable[[Keys, Entry], None]


def as_text(entry: Entry) -> str:
    """The text as it was written."""
    if not isinstance(entry.value, str):
        found = "list" if isinstance(entry.value, list) else "block"
        raise ConfError(entry.line, f"expected a single value, not a {found}")
    return entry.value


def as_number(entry: Entry) -> int:
    """A number; sizes such as `64KB` are in bytes."""
    number = conf.size(as_text(entry))
    if number is None:
        raise ConfError(entry.line, f"expected a number, not {entry.value!r}")
    return number


def as_switch(entry: Entry) -> bool:
    """True or false, in any of their spellings."""
    found = conf.switch(as_text(entry))
    if found is None:
        raise ConfError(entry.line, f"expected true or false, not {entry.value!r}")
    return found


def as_duration(entry: Entry) -> Nanos:
    """A text such as `2m`, or a plain number of seconds."""
    text = as_text(entry)
    try:
        if text.replace(".", "", 1).isdecimal():
            return round(float(text) * SECOND_NS)
        return flags.parse_duration(text)
    except ValueError as error:
        raise ConfError(entry.line, str(error)) from error


def as_block(entry: Entry) -> dict[str, Entry]:
    """What stands in braces."""
    if not isinstance(entry.value, dict):
        raise ConfError(entry.line, "expected a block in braces")
    return entry.value


def as_list(entry: Entry) -> list[Entry]:
    """What stands in brackets; a lone value is a list of one."""
    return entry.value if isinstance(entry.value, list) else [entry]


def text(setting: str) -> Reader:
    """Fills this setting with a text."""
    return lambda keys, entry: keys.found.update({setting: as_text(entry)})


def number(setting: str) -> Reader:
    """Fills this setting with a number."""
    return lambda keys, entry: keys.found.update({setting: as_number(entry)})


def switch(setting: str) -> Reader:
    """Fills this setting with true or false."""
    return lambda keys, entry: keys.found.update({setting: as_switch(entry)})


def duration(setting: str) -> Reader:
    """Fills this setting with a time."""
    return lambda keys, entry: keys.found.update({setting: as_duration(entry)})


def ignored(what: str) -> Reader:
    """Warns: nothing is done about it, and nothing is less safe for that."""
    return lambda keys, entry: keys.warnings.append(f"line {entry.line}: {what} is ignored")


def later(what: str) -> Reader:
    """Refuses: going on without it would be less safe than was asked for."""

    def refuse(_keys: Keys, entry: Entry) -> None:
        raise ConfError(entry.line, f"{what} comes later: this kvcore can't honour it")

    return refuse


def checked_elsewhere(_keys: Keys, entry: Entry) -> None:
    """A text that the reader of the whole block uses."""
    as_text(entry)
