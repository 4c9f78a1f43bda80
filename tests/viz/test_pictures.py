import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from kvcore.viz import (
    Decision,
    Entry,
    Lane,
    Node,
    Operation,
    View,
    bars,
    bytes_view,
    decision_flow,
    log_strip,
    node_card,
    node_cards,
    space_time,
    step_lines,
    three_lanes,
    watch_views,
)
from kvcore.viz.figure import Picture

SVG = "{http://www.w3.org/2000/svg}"
LOG = [
    Entry(1, "a", "v", state="removed", reason="history 1", removed_at=3),
    Entry(2, "b", "w"),
    Entry(3, "a", "x"),
    Entry(4, "b", operation="delete"),
]
LANES = [
    Lane('echo "hi" | nats kv put b k', b"hi\n", ""),
    Lane("nats kv get b k", None, "b > k revision: 1\n\nhi"),
]

SIZES = {"delete": [(0, 90), (1, 730), (2, 200), (4, 0)], "purge": [(0, 80), (2, 100), (4, 0)]}
FLOW = [
    Decision(
        "Is it larger than the limit for one message, headers and body?", "10054", refuses=True
    ),
    Decision("Is it one too many?", "the oldest goes"),
]


def all_pictures() -> dict[str, Picture]:
    return {
        "strip": log_strip(LOG, commit=3, title="bucket b"),
        "long strip": log_strip([Entry(n, "abcdef"[n % 6], "v" * n) for n in range(1, 41)]),
        "empty strip": log_strip([]),
        "cards": node_cards([Node("n1", "leader", timer=0.7), Node("n2", down=True)]),
        "card": node_card(Node("n1", "candidate", votes=2, unsynced=1)),
        "lanes": three_lanes(LANES),
        "space-time": space_time(["A", "n1"], [Operation("A", "n1", 0, 1, 2, 3, "get <5>")]),
        "bars": bars({"expected": 400, "with put": 55}, measure="expected", title="345 lost"),
        "bytes": bytes_view(b"hello\n", title="value <&>"),
        "no bytes": bytes_view(b""),
        "many bytes": bytes_view(bytes(range(256))),
        "views": watch_views(LOG, [View("all", ">", [2, None, 3])], title="heard"),
        "no views": watch_views([], [], title="nobody"),
        "steps": step_lines(SIZES, title="size", x="minutes", y="bytes", events={2: "compact"}),
        "flow": decision_flow(FLOW, end="stored", title="may <it> come in?", yes=[2]),
        "flow, no case": decision_flow(FLOW, end="stored", title="may it?"),
        "flat steps": step_lines({"none": [(0, 0)]}, title="size", x="minutes", y="bytes"),
    }


PICTURES = all_pictures()


def texts(picture: Picture) -> list[str]:
    return [each.text or "" for each in ET.fromstring(picture.svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_well_formed_and_named_for_those_who_listen(name):
    root = ET.fromstring(PICTURES[name].svg)
    assert root.get("role") == "img"
    ids = root.get("aria-labelledby").split()
    assert [root.find(f"{SVG}title").get("id"), root.find(f"{SVG}desc").get("id")] == ids
    assert root.find(f"{SVG}title").text
    assert root.find(f"{SVG}desc").text == PICTURES[name].alt


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_at_most_720_wide_and_everything_is_inside(name):
    root = ET.fromstring(PICTURES[name].svg)
    width, height = float(root.get("width")), float(root.get("height"))
    assert width <= 720
    for box in root.iter(f"{SVG}rect"):
        assert float(box.get("x", "0")) + float(box.get("width")) <= width
        assert float(box.get("y", "0")) + float(box.get("height")) <= height
    for text in root.iter(f"{SVG}text"):
        assert 0 <= float(text.get("x")) <= width
        assert 0 < float(text.get("y")) < height


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_takes_its_colours_from_tokens_alone(name):
    svg = PICTURES[name].svg
    body = re.sub(r"<style>.*?</style>", "", svg)
    assert not re.search(r"#[0-9A-Fa-f]{6}|rgb\(|(fill|stroke)=", body)


@pytest.mark.parametrize("name", PICTURES)
def test_the_text_twin_is_a_closed_table_with_headed_columns(name):
    html = PICTURES[name].html()
    assert "<details><summary>" in html
    assert 'scope="col"' in html
    assert "<details open" not in html


def test_ids_are_unique_on_a_page_and_the_bytes_are_the_same_on_each_run():
    ids = re.findall(r'id="([^"]+)"', "".join(each.svg for each in PICTURES.values()))
    assert len(ids) == len(set(ids)) == 2 * len(PICTURES)
    code = (
        "from kvcore.viz import *\n"
        "print(log_strip([Entry(1,'a','v'),Entry(2,'b','w')], commit=1).html())"
        "\nprint(node_card(Node('n1')).html())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


def test_a_strip_names_the_last_entry_of_each_key_and_what_was_removed_and_why():
    strip = PICTURES["strip"]
    shown = texts(strip)
    assert {"● last of a", "● last of b", "delete marker", "history 1", "× removed"} <= set(shown)
    assert "commit index 3" in shown
    assert strip.table.columns == ("revision", "key", "operation", "value", "state", "note")
    assert strip.table.rows[0] == ("1", "a", "put", "v", "removed", "history 1")
    assert strip.table.rows[3] == ("4", "b", "delete", "(no value)", "committed", "last of b")
    assert strip.alt == (
        "bucket b: 4 entries, revisions 1 to 4, 1 of them removed, commit index 3. "
        "The last entry of each key: a at 3, b at 4."
    )


def test_uncommitted_is_dashed_and_empty_and_truncated_is_struck_and_named():
    cut = Entry(1, "a", "v", state="truncated", term=1)
    strip = log_strip([cut, Entry(2, "a", "w", state="uncommitted", term=2)])
    root = ET.fromstring(strip.svg)
    classes = [each.get("class") for each in root.iter(f"{SVG}rect")]
    assert "lost-edge dashed" in classes
    assert "ink-edge dashed" in classes
    assert "boxed" not in classes
    assert any(each.get("class") == "lost-edge" for each in root.iter(f"{SVG}line"))
    assert {"× truncated", "not committed", "t1", "t2"} <= set(texts(strip))
    assert strip.table.columns[1] == "term"


def test_a_long_log_folds_in_the_middle_and_the_table_keeps_every_entry():
    strip = PICTURES["long strip"]
    assert "27 more" in texts(strip)
    assert {"#1", "#40"} <= set(texts(strip))
    assert "#20" not in texts(strip)
    assert len(strip.table.rows) == 40


def test_a_strip_of_an_earlier_moment_shows_what_had_not_been_removed_yet():
    strip = log_strip(LOG, upto=2)
    assert [row[:1] + row[4:5] for row in strip.table.rows] == [
        ("1", "committed"),
        ("2", "committed"),
    ]
    assert log_strip(LOG, upto=3).table.rows[0][4] == "removed"
    assert log_strip(LOG, upto=4).svg == log_strip(LOG).svg


def test_a_key_is_told_by_its_name_and_by_a_bar_of_its_own_dash_not_by_hue_alone():
    strip = log_strip([Entry(n + 1, key, "v") for n, key in enumerate("abcd")])
    bars = [
        each
        for each in ET.fromstring(strip.svg).iter(f"{SVG}line")
        if each.get("class", "").startswith("key")
    ]
    assert len({each.get("stroke-dasharray") for each in bars}) == 4


def test_a_node_that_is_down_is_dashed_and_struck_through_and_says_so():
    down = node_card(Node("n2", "leader", down=True))
    assert "dashed" in down.svg
    assert 'class="big follower struck"' in down.svg
    assert any("down" in each for each in texts(down))
    assert "n2 is down" in down.alt
    assert "▲" not in "".join(texts(down))


def test_a_leader_has_the_triangle_and_the_word():
    assert any(each.startswith("▲ leader") for each in texts(node_card(Node("n1", "leader"))))


def test_lanes_show_the_line_end_that_a_shell_adds():
    shown = texts(PICTURES["lanes"])
    assert {"3 bytes", "hi⟨LF⟩", "68 69 0a", "(nothing stored)", "(nothing shown)"} <= set(shown)
    assert PICTURES["lanes"].table.rows[0][1:3] == ("3", "hi⟨LF⟩")


def test_bytes_are_shown_as_number_and_character_and_a_line_end_by_name():
    shown = texts(PICTURES["bytes"])
    assert "value <&>: 6 bytes" in shown
    assert {"68", "h", "0a", "LF"} <= set(shown)
    assert "the last byte is LF" in PICTURES["bytes"].alt


def test_more_bytes_than_fit_are_counted():
    assert "… 192 more" in texts(PICTURES["many bytes"])


def test_step_lines_jump_are_named_at_their_highest_point_and_differ_in_dash():
    root = ET.fromstring(PICTURES["steps"].svg)
    paths = {each.get("class"): each for each in root.iter(f"{SVG}path")}
    assert not re.search("[LCQ]", "".join(each.get("d") for each in paths.values()))
    assert {each.get("stroke-dasharray") for each in paths.values()} == {None, "9 4"}
    shown = {each.text: each for each in root.iter(f"{SVG}text")}
    assert {"delete", "purge", "compact", "minutes", "bytes", "800"} <= set(shown)
    mark = float(shown["1"].get("x"))  # the first line is highest at minute 1
    assert mark - 10 < float(shown["delete"].get("x")) < mark


def test_a_name_gives_way_to_a_line_that_runs_through_it():
    lines = {"high": [(n, n * 10) for n in range(31)], "low": [(n, 90) for n in range(31)]}
    root = ET.fromstring(step_lines(lines, title="t", x="x", y="y").svg)
    shown = {each.text: float(each.get("y")) for each in root.iter(f"{SVG}text")}
    low = next(e for e in root.iter(f"{SVG}path") if e.get("class") == "candidate-edge")
    height = float(re.match(r"M[\d.]+ ([\d.]+)", low.get("d")).group(1))
    assert shown["low"] < height
    crossing = {"low": lines["low"], "high": [(n, 110 if n < 30 else 400) for n in range(31)]}
    root = ET.fromstring(step_lines(crossing, title="t", x="x", y="y").svg)
    shown = {each.text: float(each.get("y")) for each in root.iter(f"{SVG}text")}
    low = next(e for e in root.iter(f"{SVG}path") if e.get("class") == "leader-edge")
    assert shown["low"] > float(re.match(r"M[\d.]+ ([\d.]+)", low.get("d")).group(1))


def test_the_table_of_step_lines_has_a_row_for_each_change_and_each_event():
    steps = PICTURES["steps"]
    assert steps.table.columns == ("minutes", "delete", "purge", "done")
    assert steps.table.rows == (
        ("0", "90", "80", ""),
        ("1", "730", "80", ""),
        ("2", "200", "100", "compact"),
        ("4", "0", "0", ""),
    )
    assert steps.alt == (
        "size. bytes: delete at most 730, in the end 0; purge at most 100, in the end 0."
    )


def test_bars_say_their_names_and_numbers():
    picture = bars({"expected": 1400, "with put": 0}, measure="expected", title="all are lost")
    assert picture.alt == "all are lost: expected 1,400, with put 0."
    assert picture.table.rows == (("expected", "1,400"), ("with put", "0"))
    assert {"expected", "with put", "1,400", "0"} <= set(texts(picture))
    assert "dashed" in picture.svg


def test_watch_views_tell_first_live_again_skipped_before_and_other_keys_apart():
    log = [Entry(at, key, f"{at}") for at, key in enumerate("aababaa", start=1)]
    picture = watch_views(log, [View("one", "a", [2, None, 4, 4, 7])], title="one watcher")
    states = [row[-1] for row in picture.table.rows]
    assert states == ["before", "first", "other key", "again", "other key", "skipped", "live"]
    assert picture.alt.endswith("one heard 2, None, 4, 4, 7 and skipped 1.")


def test_a_watcher_that_wants_only_new_values_has_no_mark_and_an_empty_bucket_s_comes_first():
    only_new, empty = View("new", ">", [2, 3]), View("empty", ">", [None, 1])
    assert only_new.initial is None
    assert [only_new.state(each) for each in LOG[:2]] == ["before", "live"]
    assert empty.initial == 0
    assert empty.state(LOG[0]) == "live"


def test_many_revisions_are_drawn_narrow_and_still_inside_the_picture():
    log = [Entry(at, "key.with.a.long.name", f"{at}") for at in range(1, 21)]
    root = ET.fromstring(watch_views(log, [View("all", ">", [None])], title="many").svg)
    boxes = [each for each in root.iter(f"{SVG}rect") if each.get("x")]
    right = [float(each.get("x")) + float(each.get("width")) for each in boxes]
    assert len(boxes) == 2 * len(log)
    assert max(right) <= 720


def test_a_decision_flow_ends_at_the_first_refusal():
    refused = decision_flow(FLOW, end="stored", title="May it?", yes=[1, 2])
    through = decision_flow(FLOW, end="stored", title="May it?", yes=[2])
    assert [row[3] for row in refused.table.rows] == ["yes", "", ""]
    assert [row[3] for row in through.table.rows] == ["no", "yes", "reached"]
    assert refused.alt == "May it? Answered yes: 1 (10054). The way ends at a refusal."
    assert through.alt == "May it? Answered yes: 2 (the oldest goes). The way ends at stored."
    assert decision_flow(FLOW, end="stored", title="May it?").table.columns[-1] == "if yes"


def test_a_text_that_ends_in_empty_lines_makes_its_row_no_taller():
    plain, ended = (three_lanes([Lane("get", b"hi", f"hi{tail}")]) for tail in ("", "\n\n\n\n"))
    assert plain.svg.partition("viewBox")[2][:20] == ended.svg.partition("viewBox")[2][:20]
