"""Tables, sizes and durations as the official CLI prints them.

A lesson shows what a command says. If our lines were only similar, a learner would meet two
pictures of one thing, so the layout is copied to the column: rounded boxes with a centred
title, sizes in powers of 1024, durations in Go's notation that knows days and years, and
values shown as base64 when a terminal could not show them.

Left out: colour, and terminals narrower than the table.
"""

import base64
import unicodedata
from collections.abc import Sequence
from datetime import datetime

from kvcore.limits import MILLISECOND_NS, SECOND_NS, Nanos

GET_BYTES = 120  # `kv get` shows this much of a value without --raw
CELL_CHARS = 40  # a longer value is shortened in a table
ENDS_CHARS = 15  # to its first and last so many characters


def table(
    title: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Sequence[int] = (),
) -> str:
    """A box with a title; the columns in `right` are aligned to the right."""
    cells = [[str(cell).split("\n") for cell in row] for row in rows]
    widths = [
        max(
            _width(name),
            *(max(_width(line) for line in row[at]) for row in cells),
            0,
        )
        for at, name in enumerate(head)
    ]
    inner = sum(widths) + 3 * len(widths) - 1
    if inner < _width(title) + 2:
        widths[-1] += _width(title) + 2 - inner
        inner = _width(title) + 2
    gap = inner - 2 - _width(title)
    lines = [
        f"╭{'─' * inner}╮",
        f"│ {' ' * ((gap + 1) // 2)}{title}{' ' * (gap // 2)} │",
        _rule("├", "┬", "┤", widths),
        _row(head, widths, ()),
        _rule("├", "┼", "┤", widths),
    ]
    for row in cells:
        for line in range(max(len(cell) for cell in row)):
            words = [cell[line] if line < len(cell) else "" for cell in row]
            lines.append(_row(words, widths, right))
    lines.append(_rule("╰", "┴", "╯", widths))
    return "\n".join(lines) + "\n"


def _rule(left: str, cross: str, right: str, widths: Sequence[int]) -> str:
    return left + cross.join("─" * (width + 2) for width in widths) + right


def _row(words: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> str:
    padded = []
    for at, (word, width) in enumerate(zip(words, widths, strict=True)):
        space = " " * (width - _width(word))
        padded.append(space + word if at in right else word + space)
    return "│ " + " │ ".join(padded) + " │"


def _width(text: str) -> int:
    """Columns of a terminal: wide East Asian characters take two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def size(count: int) -> str:
    """Bytes as `254 B`, `1.5 KiB`, `118 MiB`."""
    if count < 10:
        return f"{count} B"
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if value < 1024 or unit == "PiB":
            break
        value /= 1024
    value = int(value * 10 + 0.5) / 10
    return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"


def duration(span: Nanos) -> str:
    """Nanoseconds as `77ms`, `2.53s`, `1m30s`, `1d12h0m0s`, `1y2d3h4m5s`."""
    seconds = span // SECOND_NS
    if seconds < 1:
        return f"{span // MILLISECOND_NS}ms"
    if seconds < 60:
        return f"{span // (10 * MILLISECOND_NS) / 100:g}s"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    years, days = divmod(days, 365)
    if years:
        return f"{years}y{days}d{hours}h{minutes}m{seconds}s"
    if days:
        return f"{days}d{hours}h{minutes}m{seconds}s"
    return f"{hours}h{minutes}m{seconds}s" if hours else f"{minutes}m{seconds}s"


def local(moment: str) -> str:
    """An RFC 3339 time as `2026-01-01 00:00:00` on this machine's clock."""
    whole = moment[:19] + "+00:00"
    return f"{datetime.fromisoformat(whole).astimezone():%Y-%m-%d %H:%M:%S}"


def printable(value: bytes) -> str:
    """The value itself, or its base64 if one of its bytes is no visible ASCII character."""
    if all(0x20 <= byte < 0x7F for byte in value):
        return value.decode("ascii")
    return base64.b64encode(value).decode()


def shortened(text: str) -> str:
    """A long value's two ends."""
    if len(text) <= CELL_CHARS:
        return text
    return f"{text[:ENDS_CHARS]}...{text[-ENDS_CHARS:]}"


def shown_value(value: bytes) -> str:
    """What `kv get` prints below its heading."""
    text = printable(value)
    if len(text) <= GET_BYTES:
        return f"{text}\n"
    return (
        f"Showing first {GET_BYTES} bytes of {len(text)}, use --raw for full data\n\n"
        f"{text[:GET_BYTES]}\n"
    )


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """Names right-aligned before their values."""
    return "".join(f"{name:>23}: {value}\n" for name, value in rows)
