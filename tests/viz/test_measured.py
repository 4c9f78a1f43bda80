"""Pictures of what was measured: heat map, histogram, curve, stacked bars, disk layers."""

import re
import xml.etree.ElementTree as ET

import pytest

from kvcore.viz import (
    Cell,
    Kept,
    SyncPoint,
    disk_layers,
    election_histogram,
    heat_map,
    loss_curve,
    show,
    stacked_bars,
)
from kvcore.viz.heatmap import STRONGEST
from kvcore.viz.measure import width
from kvcore.viz.tokens import TEXT_CONTRAST, contrast, named

SVG = "{http://www.w3.org/2000/svg}"
CELLS = {
    ("R3", "0"): Cell(1.0, "goes on"),
    ("R3", "1"): Cell(1.0, "goes on"),
    ("R3", "2"): Cell(0.0, "stands still"),
    ("R5", "2"): Cell(0.42, "in some of the runs"),
}
RUNS = [Kept("kill -9", 400), Kept("power cut", 345, 55, 7), Kept("nothing written")]
TIMES = [180.0, 190.0, 200.0, 210.0, 480.0]
POINTS = [
    SyncPoint("always", 0, 9000),
    SyncPoint("10 ms", 0.01, 21000),
    SyncPoint("lazy", 120, 31000),
]


def pictures():
    return {
        "heat": heat_map(CELLS, rows="copies", columns="servers down", title="R3 bears <one>"),
        "no heat": heat_map({}, rows="copies", columns="servers down", title="nothing"),
        "stack": stacked_bars(RUNS, title="A power cut takes 55"),
        "disk": disk_layers(buffered=1, cached=0, stored=12_345),
    }


def texts(picture) -> list[str]:
    return [each.text or "" for each in ET.fromstring(picture.svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", pictures())
def test_nothing_leaves_the_picture_and_colours_are_tokens(name):
    picture = pictures()[name]
    root = ET.fromstring(picture.svg)
    assert root.find(f"{SVG}desc").text == picture.alt
    for text in root.iter(f"{SVG}text"):
        wide = width(text.text, text.get("class") or "")
        shift = {"end": wide, "middle": wide / 2}.get(text.get("text-anchor"), 0)
        left = float(text.get("x")) - shift
        assert 0 <= left <= left + wide <= 720, text.text
    for box in root.iter(f"{SVG}rect"):
        assert float(box.get("x", "0")) + float(box.get("width")) <= 720
    assert not re.search(r"#[0-9A-Fa-f]{6}", re.sub(r"<style>.*?</style>", "", picture.svg))


def test_a_heat_map_says_each_share_as_a_number_and_none_as_a_cross_with_a_dashed_edge():
    picture = pictures()["heat"]
    assert {"100 %", "goes on", "× 0 %", "42 %"} <= set(texts(picture))
    assert picture.svg.count("lost-edge dashed") == 1
    assert picture.table.columns == ("copies", "0", "1", "2")
    assert picture.table.rows[1] == ("R5", "", "", "42% in some of the runs")
    assert "R3 by servers down: 0: 100%, 1: 100%, 2: 0%" in picture.alt


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_keep_their_contrast_on_the_fullest_cell(theme):
    over, under, ink = (getattr(named(each), theme) for each in ("client", "ground", "ink"))

    def channel(at):
        mixed = STRONGEST * int(over[at : at + 2], 16) + (1 - STRONGEST) * int(
            under[at : at + 2], 16
        )
        return f"{round(mixed):02X}"

    cell = "#" + "".join(channel(at) for at in (1, 3, 5))
    assert contrast(cell, ink) >= TEXT_CONTRAST


def test_a_stacked_bar_says_acked_survived_lost_and_unknown_and_hatches_what_is_lost():
    picture = pictures()["stack"]
    assert {"400 acked:", "345 survived", "× 55 lost", "? 7 unknown"} <= set(texts(picture))
    assert picture.table.rows[1] == ("power cut", "400", "345", "55", "7")
    hatches = list(ET.fromstring(picture.svg).iter(f"{SVG}line"))
    assert len(hatches) > 3
    assert "power cut: of 400 acked writes 345 survived and 55 were lost" in picture.alt


def test_the_disk_s_layers_say_what_each_fault_takes():
    picture = disk_layers(buffered=3, cached=52, stored=345)
    assert {"× kill -9 takes 3 entries", "× a power cut takes up to 55 entries"} <= set(
        texts(picture)
    )
    assert picture.table.rows[1][2:] == ("52", "power cut")
    assert picture.alt.endswith("kill -9 takes 3, a power cut up to 55.")


def test_a_histogram_states_the_median_and_has_every_election_in_its_table():
    pytest.importorskip("matplotlib")
    plot = election_histogram(TIMES, timeout=(150, 300))
    assert plot.figure.axes[0].get_title(loc="left") == "Half of 5 elections took 200 ms or less"
    assert "180 to 480 ms, median 200 ms" in plot.alt
    assert sum(int(count) for _, count in plot.table.rows) == len(TIMES)
    assert election_histogram([200.0]).table.rows == (("200 to 201", "1"),)


def test_a_curve_names_each_point_and_what_is_at_risk():
    pytest.importorskip("matplotlib")
    plot = loss_curve(POINTS, title="10 ms is cheap")
    assert plot.alt.startswith("10 ms is cheap. always 9,000 a second, none at risk; ")
    assert plot.table.rows[2] == ("lazy", "2 min", "31,000")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_plot_is_opaque_720_pixels_wide_in_its_theme_and_all_words_are_inside(theme):
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("PIL.Image")
    import io

    for plot in (
        election_histogram(TIMES, timeout=(150, 300), theme=theme),
        loss_curve(POINTS, title="10 ms has two thirds of the speed of hardly any", theme=theme),
    ):
        bitmap = image.open(io.BytesIO(plot.png())).convert("RGBA")
        ground = named("ground")
        wanted = ground.light if theme == "light" else ground.dark
        assert bitmap.width == 720
        assert bitmap.getpixel((0, 0)) == (*bytes.fromhex(wanted[1:]), 255)
        figure = plot.figure
        for text in [*figure.axes[0].texts, figure.axes[0].title, figure.axes[0]._left_title]:
            box = text.get_window_extent()
            assert box.x0 >= 0, text.get_text()
            assert box.x1 <= figure.bbox.x1 + 1, text.get_text()
            assert text.get_fontsize() >= 11


def test_show_takes_a_plot_and_prints_its_twin_without_a_front_end(capsys):
    pytest.importorskip("matplotlib")
    show(election_histogram(TIMES))
    assert "median 200 ms" in capsys.readouterr().out


def test_a_run_that_lost_nothing_says_so_without_the_colour_of_a_loss():
    whole, part = (
        stacked_bars([run], title="one run")
        for run in (Kept("kill -9", 400), Kept("power cut", 345, 55))
    )
    assert "none lost" in texts(whole)
    assert 'bold lost"' not in whole.svg
    assert "× 55 lost" in texts(part)
    assert 'bold lost"' in part.svg
