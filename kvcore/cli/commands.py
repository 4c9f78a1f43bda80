"""A command line that reads and answers as the official CLI's does.

People who know `nats kv` should not have to learn ours, and a notebook that shows our output
where the official tool is missing should show the same lines. So commands are described as
values (arguments, flags, help), and this module reads a command line by them and prints the
usage text in the same layout: flags anywhere between the arguments, `--flag value` or
`--flag=value`, `--no-flag` for a switch that can be turned off, `--` before values that
begin with a dash.

A mistake prints the command's usage on standard output and one `error: …` line on standard
error, exit code 1, which is what scripts written for the official tool see.

Left out: completion, and anything that asks questions on a terminal but a yes or no.
"""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

WIDTH = 80
Values: TypeAlias = Mapping[str, object]


class CommandError(Exception):
    """What was asked could not be done; the text is shown after `nats: error: `."""


class UsageError(Exception):
    """The command line can't be read; `usage` is the text of what would have been right."""

    def __init__(self, message: str, usage: str) -> None:
        super().__init__(message)
        self.usage = usage


@dataclass(frozen=True, slots=True)
class Arg:
    """A word by its position."""

    name: str
    help: str
    required: bool = True

    @property
    def shown(self) -> str:
        """As in the usage line."""
        return f"<{self.name}>" if self.required else f"[<{self.name}>]"


@dataclass(frozen=True, slots=True)
class Flag:
    """A named value; a switch has no `value`, a list may be given more than once."""

    name: str
    help: str
    value: str = ""
    default: str = ""
    short: str = ""
    negatable: bool = False
    many: bool = False
    keeps: bool = False  # when nothing is said, what there is stays: no default
    read: Callable[[str], object] = str

    @property
    def shown(self) -> str:
        """As in the list of flags."""
        name = f"--[no-]{self.name}" if self.negatable else f"--{self.name}"
        if self.value:
            name += f"={self.default or self.value}"
        return name + (" ..." if self.many else "")

    @property
    def absent(self) -> object:
        """The value when nothing was said."""
        if self.keeps:
            return None
        if self.many:
            return ()
        if not self.value:
            return self.negatable and self.default == "on"
        return self.read(self.default) if self.default else None


@dataclass(frozen=True, slots=True)
class Command:
    """One command and what carries it out."""

    name: str
    help: str
    args: tuple[Arg, ...]
    flags: tuple[Flag, ...]
    run: Callable[[Values], int]
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Commands under one word, and the flags that all of them take."""

    name: str
    help: str
    commands: tuple[Command, ...]
    common: tuple[Flag, ...]
    globals: tuple[Flag, ...]

    def find(self, word: str) -> Command | None:
        """The command of that name or alias."""
        for command in self.commands:
            if word == command.name or word in command.aliases:
                return command
        return None


_MORE = "use --help for full help including flags and arguments"
HELP = Flag("help", "Show context-sensitive help", short="h")


def run(group: Group, words: Sequence[str]) -> tuple[Command | None, Values, str]:
    """Read `words`: the command, its values, and the text to show instead of running it.

    Raises `UsageError`, and `CommandError` for a value that its flag refuses.
    """
    command: Command | None = None
    plain: list[str] = []
    given: dict[str, object] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            plain += rest
            break
        if word.startswith("-") and word != "-":
            _flag(group, command, word, rest, given)
        elif command is None:
            command = group.find(word)
            if command is None:
                message = f'expected command but got "{word}"'
                raise UsageError(f"{message}, {_MORE}", group_usage(group))
        elif len(plain) == len(command.args):
            raise UsageError(f"unexpected {word}", usage(group, command))
        else:
            plain.append(word)
    if given.pop("help", False):
        text = usage(group, command, full=True) if command else group_usage(group, full=True)
        return command, {}, text
    if command is None:
        message = f"a subcommand from the list below is required, {_MORE}"
        raise UsageError(message, group_usage(group))
    for arg in command.args[len(plain) :]:
        if arg.required:
            raise UsageError(f"required argument '{arg.name}' not provided", usage(group, command))
    values: dict[str, object] = {flag.name: flag.absent for flag in _known(group, command)}
    values |= {arg.name: None for arg in command.args}
    values |= dict(zip((arg.name for arg in command.args), plain, strict=False))
    for name, value in given.items():
        values[name] = value
    return command, values, ""


def _known(group: Group, command: Command | None) -> tuple[Flag, ...]:
    return (*(command.flags if command else ()), *group.globals, HELP)


def _flag(
    group: Group, command: Command | None, word: str, rest: list[str], given: dict[str, object]
) -> None:
    text = usage(group, command) if command else group_usage(group)
    flags = _known(group, command)
    name, equals, value = word.lstrip("-").partition("=")
    if word.startswith("--"):
        flag = next((f for f in flags if f.name == name), None)
        off = next((f for f in flags if f.negatable and f"no-{f.name}" == name), None)
        if flag is None and off is not None:
            given[off.name] = False
            return
        if flag is None:
            raise UsageError(f"unknown long flag '--{name}'", text)
    else:
        letter, attached = word[1], word[2:]
        flag = next((f for f in flags if f.short == letter), None)
        if flag is None:
            raise UsageError(f"unknown short flag '-{letter}'", text)
        if attached and flag.value:
            equals, value = "=", attached.removeprefix("=")
        elif attached:
            rest.insert(0, f"-{attached}")
    if not flag.value:
        given[flag.name] = True
        return
    if not equals:
        if not rest:
            raise UsageError(f"expected argument for flag '--{flag.name}'", text)
        value = rest.pop(0)
    read = flag.read(value)
    if flag.many:
        before = given.get(flag.name, ())
        assert isinstance(before, tuple)
        given[flag.name] = (*before, read)
    else:
        given[flag.name] = read


# The usage text.


def usage(group: Group, command: Command, *, full: bool = False) -> str:
    """What `nats kv COMMAND` takes; with the flags of all commands if `full`."""
    words = ["usage: nats", group.name, command.name]
    words += ["[<flags>]"] if command.flags else []
    words += [arg.shown for arg in command.args]
    lines = [" ".join(words), "", *textwrap.wrap(command.help, WIDTH), ""]
    if command.args:
        lines += ["Args:", *_columns([(arg.shown, arg.help) for arg in command.args]), ""]
    if command.flags:
        lines += ["Flags:", *_columns(_flag_rows(command.flags)), ""]
    aliases = ", ".join(command.aliases)
    lines += [f"Command Aliases: {aliases}", ""] if aliases else [""]
    return _ended(lines, group, full=full)


def group_usage(group: Group, *, full: bool = False) -> str:
    """The commands of a group."""
    lines = [f"usage: nats {group.name} <command> [<args> ...]", ""]
    for paragraph in group.help.split("\n\n"):
        lines += [*textwrap.wrap(paragraph, WIDTH), ""]
    rows = [(f"{group.name} {command.name}", command.help) for command in group.commands]
    lines += ["Subcommands:", *_columns(rows), "", ""]
    return _ended(lines, group, full=full)


def _ended(lines: list[str], group: Group, *, full: bool) -> str:
    if full:
        lines += ["Global Flags:", *_columns(_flag_rows((HELP, *group.globals))), ""]
    else:
        lines += ["Pass --help to see global flags applicable to this command."]
    return "\n".join(lines) + "\n"


def _flag_rows(flags: Sequence[Flag]) -> list[tuple[str, str]]:
    indent = "    " if any(flag.short for flag in flags) else ""
    return [
        ((f"-{flag.short}, " if flag.short else indent) + flag.shown, flag.help) for flag in flags
    ]


def _columns(rows: Sequence[tuple[str, str]]) -> list[str]:
    left = max(len(shown) for shown, _ in rows) + 2
    lines: list[str] = []
    for shown, text in rows:
        first, *more = textwrap.wrap(text, WIDTH - left - 2) or [""]
        lines.append(f"  {shown:<{left}}{first}")
        lines += [" " * (left + 2) + line for line in more]
    return lines
