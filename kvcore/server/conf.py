"""nats-server's configuration syntax, read into values that know their line.

People who run NATS have configuration files, and a message about one is only useful with a
line number. So every value is an `Entry`: what was written, and where.

    key: value      key = value      key value        # three ways to say it
    block { key: value, key: value }                  // either comment
    list: [a, "b c", 'd']                             sizes: 64KB, 1GiB; true/yes/on
    name = secret; password: $name                    a variable, from this block outwards,
                                                      then from the environment that was given

A bare word ends at white space or at one of `, ; ] }`; a `#` or `//` inside one is part of
it, which is why a URL needs no quotes. A word is kept as it was written: whether `2m` is two
minutes, two million or a password is known to whoever uses it. `size` and `switch` read the
commonest meanings (`1k` is 1000, `1kb` and `1kib` are 1024). The whole file may stand in
braces: so JSON, which programs write, can be read too.

Left out: `include`, which is refused by name; dates; block strings in parentheses.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from kvcore import limits

Value: TypeAlias = "str | list[Entry] | dict[str, Entry]"


class ConfError(Exception):
    """The file can't be used; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(slots=True)
class Entry:
    """One value and the line on which it (or its key) stands.

    `used` says that a variable referred to it, so that its key may be any name.
    """

    value: Value
    line: int
    used: bool = False


_SIZES = {
    "k": 10**3,
    "kb": limits.KIB,
    "ki": limits.KIB,
    "kib": limits.KIB,
    "m": 10**6,
    "mb": limits.MIB,
    "mi": limits.MIB,
    "mib": limits.MIB,
    "g": 10**9,
    "gb": limits.GIB,
    "gi": limits.GIB,
    "gib": limits.GIB,
    "t": 10**12,
    "tb": 1024 * limits.GIB,
    "ti": 1024 * limits.GIB,
    "tib": 1024 * limits.GIB,
}
_NUMBER = re.compile(r"(-?\d+)([a-zA-Z]{0,3})")
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", '"': '"', "\\": "\\"}
_SWITCHES = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_DEPTH = limits.JSON_DEPTH_COUNT


def parse(text: str, environment: Mapping[str, str]) -> dict[str, Entry]:
    """The file's outermost block; raises `ConfError`."""
    return _Reader(text, environment).file()


def size(text: str) -> int | None:
    """`1GB` and the like in bytes, None if `text` is no size."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    unit = match[2].lower()
    if unit and unit not in _SIZES:
        return None
    return int(match[1]) * _SIZES.get(unit, 1)


def switch(text: str) -> bool | None:
    """Whether `text` says on or off, None if neither."""
    return _SWITCHES.get(text.lower())


class _Reader:
    def __init__(self, text: str, environment: Mapping[str, str]) -> None:
        self._text = text
        self._environment = environment
        self._at = 0
        self._line = 1

    def file(self) -> dict[str, Entry]:
        """The outermost block, which may stand in braces."""
        self._skip(separators=True)
        if self._peek() != "{":
            return self.block(closed_by="", scopes=[])
        self._at += 1
        found = self.block("}", [])
        self._skip(separators=True)
        if self._peek():
            raise ConfError(self._line, "the block that is the whole file ends before this")
        return found

    def block(self, closed_by: str, scopes: list[dict[str, Entry]]) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        opened = self._line
        if len(scopes) > _DEPTH:
            raise ConfError(self._line, f"blocks nest deeper than {_DEPTH}")
        while True:
            self._skip(separators=True)
            if self._peek() == closed_by:
                self._at += 1
                return found
            if not self._peek():
                raise ConfError(self._line, f"the file ends inside the block of line {opened}")
            line = self._line
            key = self._key()
            if key == "include":
                raise ConfError(line, "include is not supported: put everything into one file")
            self._skip(separators=False)
            if self._peek() in (":", "="):
                self._at += 1
                self._skip(separators=False, newlines=True)
            found[key] = Entry(self._value([found, *scopes]), line)

    def _key(self) -> str:
        if self._peek() in ('"', "'"):
            return self._quoted()
        match = re.compile(r"[^\s:={}\[\],;#\"']+").match(self._text, self._at)
        if match is None:
            raise ConfError(self._line, f"expected a name, not {self._peek()!r}")
        self._at = match.end()
        return match[0]

    def _value(self, scopes: list[dict[str, Entry]]) -> Value:
        first = self._peek()
        if first == "{":
            self._at += 1
            return self.block("}", scopes)
        if first == "[":
            self._at += 1
            return self._list(scopes)
        if first in ('"', "'"):
            return self._quoted()
        return self._bare(scopes)

    def _list(self, scopes: list[dict[str, Entry]]) -> list[Entry]:
        items: list[Entry] = []
        opened = self._line
        if len(scopes) > _DEPTH:
            raise ConfError(self._line, f"lists nest deeper than {_DEPTH}")
        while True:
            self._skip(separators=True)
            if self._peek() == "]":
                self._at += 1
                return items
            if not self._peek():
                raise ConfError(self._line, f"the file ends inside the list of line {opened}")
            line = self._line
            items.append(Entry(self._value([{}, *scopes]), line))

    def _bare(self, scopes: list[dict[str, Entry]]) -> Value:
        match = re.compile(r"[^\s,;\]}]+").match(self._text, self._at)
        if match is None:
            raise ConfError(self._line, "a value is missing")
        self._at = match.end()
        word = match[0]
        if word.startswith("$"):
            return self._variable(word[1:], scopes)
        return word

    def _variable(self, name: str, scopes: list[dict[str, Entry]]) -> Value:
        for scope in scopes:
            if name in scope:
                scope[name].used = True
                return scope[name].value
        if name in self._environment:
            return self._environment[name]
        raise ConfError(self._line, f"variable ${name} is set nowhere")

    def _quoted(self) -> str:
        quote = self._peek()
        opened = self._line
        self._at += 1
        out: list[str] = []
        while (char := self._peek()) != quote:
            if not char:
                raise ConfError(opened, "a quoted text never ends")
            self._at += 1
            if char == "\n":
                self._line += 1
            if char == "\\" and quote == '"':
                escape = self._peek()
                if escape not in _ESCAPES:
                    raise ConfError(self._line, f"unknown escape \\{escape} in a quoted text")
                char = _ESCAPES[escape]
                self._at += 1
            out.append(char)
        self._at += 1
        return "".join(out)

    def _skip(self, *, separators: bool, newlines: bool = False) -> None:
        """Pass over white space and comments; `separators` are new lines, commas, semicolons."""
        while char := self._peek():
            if char == "\n":
                if not (separators or newlines):
                    return
                self._line += 1
            elif char == "#" or self._text.startswith("//", self._at):
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
                continue
            elif not (char.isspace() or (separators and char in ",;")):
                return
            self._at += 1

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]
