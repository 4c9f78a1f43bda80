"""Sizes, durations and tables look as the official CLI's do."""

import pytest

from kvcore.cli import layout
from kvcore.cli.commands import CommandError
from kvcore.cli.values import read_bytes, read_duration, read_history
from kvcore.limits import MILLISECOND_NS, SECOND_NS


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (254, "254 B"),
        (1024, "1.0 KiB"),
        (1500, "1.5 KiB"),
        (10 << 20, "10 MiB"),
        (123456789, "118 MiB"),
        (5 << 30, "5.0 GiB"),
    ],
)
def test_sizes(count, shown):
    assert layout.size(count) == shown


@pytest.mark.parametrize(
    ("span", "shown"),
    [
        (77 * MILLISECOND_NS, "77ms"),
        (2530 * MILLISECOND_NS, "2.53s"),
        (30 * SECOND_NS, "30s"),
        (90 * SECOND_NS, "1m30s"),
        (3600 * SECOND_NS, "1h0m0s"),
        (86400 * SECOND_NS, "1d0h0m0s"),
        (36 * 3600 * SECOND_NS, "1d12h0m0s"),
        ((367 * 86400 + 3 * 3600 + 245) * SECOND_NS, "1y2d3h4m5s"),
    ],
)
def test_durations(span, shown):
    assert layout.duration(span) == shown


def test_a_table_has_a_centred_title_and_rows_of_several_lines():
    assert layout.table("T", ("A", "B"), [("x\ny", "1")], right=(1,)) == (
        "╭───────╮\n│   T   │\n├───┬───┤\n│ A │ B │\n├───┼───┤\n│ x │ 1 │\n│ y │   │\n╰───┴───╯\n"
    )


@pytest.mark.parametrize(
    ("value", "shown"), [(b"plain", "plain"), (b"h\xc3\xa9", "aMOp"), (b"a\nb", "YQpi"), (b"", "")]
)
def test_values_that_a_terminal_cant_show_are_base64(value, shown):
    assert layout.printable(value) == shown


def test_words_of_a_command_line():
    assert read_bytes("1KB") == read_bytes("1KiB") == read_bytes("1k") == 1024
    assert read_bytes("-1") == -1
    assert read_duration("1d12h") == 36 * 3600 * SECOND_NS
    with pytest.raises(CommandError, match="invalid duration"):
        read_duration("soon")
    with pytest.raises(CommandError, match="less than or equal to 64"):
        read_history("65")
