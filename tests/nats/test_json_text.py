"""JSON from strangers is bounded and strict."""

import pytest

from kvcore.nats.json_text import loads


def test_nesting_up_to_the_bound_is_read_and_one_more_is_refused() -> None:
    assert loads(b"[" * 32 + b"]" * 32) is not None
    with pytest.raises(ValueError, match="nested"):
        loads(b"[" * 33 + b"]" * 33)
    with pytest.raises(ValueError, match="nested"):
        loads(b"[" * 100_000)


def test_brackets_inside_strings_and_side_by_side_are_not_nesting() -> None:
    assert loads(b'["' + b"[" * 100 + b'\\"[["]') == ["[" * 100 + '"[[']
    assert loads(b"[" + b"[]," * 100 + b"[]]") == [[]] * 101


@pytest.mark.parametrize(
    "text", [b"", b"{", b"NaN", b"[Infinity]", b"{} x", b"01", b'"\t"', b"\xef\xbb\xbf{}"]
)
def test_text_that_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        loads(text)


def test_bytes_that_are_no_utf8_are_replaced() -> None:
    assert loads(b'"\xff"') == "\ufffd"
