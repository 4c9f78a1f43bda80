import xml.etree.ElementTree as ET

from kvcore.viz.spacetime import Band, Operation, space_time

SVG = "{http://www.w3.org/2000/svg}"
RACE = [
    Operation("A", "n1", 0, 0.2, 0.2, 0.4, "get → 5"),
    Operation("B", "n1", 0.1, 0.3, 0.3, 0.5, "get → 5"),
    Operation("A", "n1", 0.4, 0.6, 1.4, 1.6, "put 6 → #2", note="#2"),
    Operation("B", "n1", 0.5, 0.62, 1.5, 1.7, "put 6 ✗ refused", "failed"),
    Operation("B", "n1", 2.0, None, None, None, "put 7 ?", "unknown"),
]


def texts(picture):
    return [each.text for each in ET.fromstring(picture.svg).iter(f"{SVG}text")]


def test_each_lane_is_named_and_each_operation_labelled():
    said = texts(space_time(["A", "B", "n1"], RACE, title="a race"))
    assert {"a race", "A", "B", "n1", "ms"} <= set(said)
    assert {each.label for each in RACE} <= set(said)


def test_the_outcome_is_said_in_words_and_by_the_edge():
    picture = space_time(["A", "B", "n1"], RACE)
    assert "unknown-edge dotted" in picture.svg
    assert "lost-edge" in picture.svg
    assert "×" in texts(picture)
    assert [row[-1] for row in picture.table.rows] == ["ok", "ok", "ok", "failed", "unknown"]


def test_the_alt_text_tells_the_operations_in_the_order_of_their_arrival():
    picture = space_time(["A", "B", "n1"], [*RACE[2:4], *RACE[:2]], title="a race")
    order = "A get → 5; B get → 5; A put 6 → #2; B put 6 ✗ refused"
    assert picture.alt == f"a race: lanes A, B, n1. In the order of arrival: {order}."


def test_a_message_that_never_came_is_never_in_the_table():
    row = space_time(["B", "n1"], RACE[4:]).table.rows[0]
    assert row == ("B", "put 7 ?", "2.00 ms", "never", "never", "never", "unknown")


def test_a_band_names_what_befell_its_lanes():
    picture = space_time(["A", "B", "n1"], RACE, bands=[Band(1, 3, ("n1",), "n1 paused")])
    assert "‖ n1 paused" in texts(picture)
    assert picture.table.rows[-1] == ("n1", "n1 paused", "1.00 ms", "", "", "3.00 ms", "")
    assert picture.alt.endswith("n1 paused.")


def test_notes_at_the_same_moment_do_not_cover_each_other():
    two = [Operation("A", "n1", 0, 1, 2, 3, "x", note="#1")] * 2
    root = ET.fromstring(space_time(["A", "n1"], two).svg)
    heights = [each.get("y") for each in root.iter(f"{SVG}text") if each.text == "#1"]
    assert len(set(heights)) == 2


def test_an_empty_diagram_is_still_a_picture():
    assert space_time(["A", "n1"], []).table.rows == ()


def test_what_a_pill_says_is_written_over_the_arrows_that_cross_it():
    crossing = [
        Operation("A", "n1", 0, 1, 2, 3, "a long get"),
        Operation("B", "n1", 0, 1, 2, 3, "another get"),
    ]
    svg = space_time(["A", "B", "n1"], crossing).svg
    assert svg.index(">another get<", svg.index("</desc>")) > svg.rindex("<line")
