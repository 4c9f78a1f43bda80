from pathlib import Path

import pytest

from kvcore.viz.measure import lines, shortened, width

WORDS = [
    *("commit index 4", "n1 is leader in term 12", "cut: n1 n2 ‖ n3 n4 n5", "put a=5 → #2"),
    *("▲ leader · term 2", "× truncated", "WWWWMMMM", "illicit lilt", "$KV.b.key_1", "100 %"),
]


@pytest.fixture(scope="module")
def faces():
    ft2font = pytest.importorskip("matplotlib.ft2font")
    import matplotlib as mpl

    folder = Path(mpl.get_data_path()) / "fonts/ttf"
    return {
        "": ft2font.FT2Font(folder / "DejaVuSans.ttf"),
        "bold": ft2font.FT2Font(folder / "DejaVuSans-Bold.ttf"),
        "mono": ft2font.FT2Font(folder / "DejaVuSansMono.ttf"),
    }


@pytest.mark.parametrize("style", ["", "bold", "mono"])
@pytest.mark.parametrize("text", WORDS)
def test_a_width_is_that_of_a_wide_font_or_a_little_more(text, style, faces):
    face = faces[style]
    face.set_size(12, 72)
    face.set_text(text)
    real = face.get_width_height()[0] / 64
    assert real - 1 <= width(text, style) <= 1.25 * real + 3


def test_what_does_not_fit_is_cut_and_says_so():
    assert shortened("commit index", 500) == "commit index"
    cut = shortened("commit index", 50)
    assert cut.endswith("…")
    assert width(cut) <= 50


def test_lines_break_at_spaces_and_each_fits():
    told = lines("the leader of the minority acks nothing", 90)
    assert " ".join(told) == "the leader of the minority acks nothing"
    assert all(width(each) <= 90 for each in told)
    assert len(told) > 1
