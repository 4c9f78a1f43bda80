import os
import subprocess
import sys

import pytest

from kvcore.viz import Entry, Table, log_slider, log_strip, show

ROWS = [{"server": "n1", "acks": 3}, {"server": "n2", "acks": 0}]
ALT = "Two bars: n1 acked three writes, n2 none."


def test_show_fails_without_alt_text():
    with pytest.raises(ValueError, match="alt text"):
        show("<svg></svg>", table=ROWS)


def test_show_fails_without_a_table():
    with pytest.raises(ValueError, match="table"):
        show("<svg></svg>", alt=ALT)


def test_show_refuses_what_is_no_picture():
    with pytest.raises(TypeError, match="Picture"):
        show(42, alt=ALT, table=ROWS)


def test_without_a_front_end_the_text_twin_is_printed(capsys):
    show("<svg></svg>", alt=ALT, table=ROWS)
    assert capsys.readouterr().out == f"{ALT}\nserver  acks\nn1      3\nn2      0\n"


def test_our_pictures_bring_their_own_text(capsys):
    show(log_strip([Entry(1, "a", "v")], title="b"))
    assert capsys.readouterr().out.startswith("b: 1 entry, revisions 1 to 1.")


def test_a_table_comes_from_dicts_a_frame_or_a_table():
    pandas = pytest.importorskip("pandas")
    wanted = Table(("server", "acks"), (("n1", "3"), ("n2", "0")))
    assert Table.of(ROWS) == Table.of(pandas.DataFrame(ROWS)) == Table.of(wanted) == wanted


def test_a_table_escapes_what_it_holds_and_shows_line_ends():
    table = Table(("k",), (("<b>\n",),))
    assert "<td>&lt;b&gt;\n</td>" in table.html()
    assert table.text() == "k\n<b>⏎"


def test_the_slider_shows_the_final_state_and_says_the_same_in_python(capsys):
    log_slider([Entry(1, "a", "v"), Entry(2, "a", "w")], title="b", name="log")
    out = capsys.readouterr().out
    assert "a at 2" in out
    assert "show(log_strip(log, upto=2))" in out


IN_A_SHELL = """
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
shell = InteractiveShell.instance()
code = '''
from kvcore.viz import Entry, log_strip, show
show(log_strip([Entry(1, "a", "v")]))
show("<svg></svg>", alt="An empty square, to be replaced.", table=[{"a": 1}])
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
from kvcore.viz.plots import styled
with styled():
    figure, axes = plt.subplots()
show(figure, alt="Axes without any data, for a test.", table=[{"a": 1}])
print(plt.get_fignums())
'''
with capture_output() as out:
    result = shell.run_cell(code)
result.raise_error()
for each in out.outputs:
    print(sorted(each.data), each.metadata)
print(out.outputs[1].data["text/html"][:90])
print(out.stdout)
"""


def test_in_a_shell_a_picture_is_html_with_a_plain_twin_and_a_plot_is_png_with_alt(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", IN_A_SHELL],
        env={**os.environ, "IPYTHONDIR": str(tmp_path), "MPLCONFIGDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "['text/html', 'text/plain'] {}"
    assert lines[2].startswith("['image/png', 'text/plain'] {'image/png': {'alt': 'Axes without")
    assert lines[3] == "['text/html', 'text/plain'] {}"
    assert lines[4].startswith('<div class="kv"><style>')
    assert lines[5] == "[]"
