"""Pictures of a group of servers: ring, logs, story, and how a trace becomes them."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

from kvcore.limits import MILLISECOND_NS
from kvcore.trace import Trace
from kvcore.viz import (
    LogEntry,
    Node,
    Operation,
    Pointers,
    ServerLog,
    election_times,
    logs_at,
    node_cards,
    nodes_at,
    server_logs,
    server_ring,
    story_of,
    story_picture,
    truncations,
)
from kvcore.viz.measure import width

SVG = "{http://www.w3.org/2000/svg}"
GROUP = "KV_config"
A_2 = {"texts": "1 a=2"}
FIVE = ("n1", "n2", "n3", "n4", "n5")


def at(ms: float, server: str, kind: str, **fields: object) -> Trace:
    return Trace(round(ms * MILLISECOND_NS), server, kind, fields)


def sent(ms: float, sender: str, to: str, number: int, rpc: str, **fields: object) -> Trace:
    return at(ms, sender, "peer-send", to=to, id=number, group=GROUP, rpc=rpc, **fields)


def a_partition() -> Iterator[Trace]:
    """n1 leads, is cut off with n2, takes a write in, and loses it to n3 after the heal."""
    for name in FIVE:
        yield at(0, name, "start")
        yield at(1, name, "vote", group=GROUP, term=1, to="n1")
    yield at(2, "n1", "role", group=GROUP, role="leader", term=1)
    for name in FIVE:
        yield at(3, name, "append", group=GROUP, first=1, last=1, term=1, text="a=1")
        yield at(3, name, "sync")
        yield at(4, name, "commit", group=GROUP, index=1)
    yield at(10, "world", "partition", groups="n1 n2 | n3 n4 n5")
    yield at(20, "n1", "append", group=GROUP, first=2, last=2, term=1)
    yield sent(20, "n1", "n3", 7, "AppendEntries", term=1, first=2, last=2, **A_2)
    yield at(20, "n1", "peer-lost", to="n3", id=7)
    yield sent(20, "n1", "n2", 8, "AppendEntries", term=1, first=3, last=2)
    yield at(21, "n2", "peer-receive", **{"from": "n1"}, id=8)
    yield sent(22, "n2", "n1", 9, "AppendReply", term=1, ok=True)
    yield at(23, "n1", "peer-receive", **{"from": "n2"}, id=9)
    yield at(30, "n3", "deadline", group=GROUP, at=50 * MILLISECOND_NS)
    yield at(50, "n3", "election-timeout", group=GROUP, term=2)
    yield at(50, "n3", "role", group=GROUP, role="candidate", term=2)
    yield sent(50, "n3", "n4", 1, "RequestVote", term=2)
    yield at(51, "n4", "peer-receive", **{"from": "n3"}, id=1)
    for name in ("n3", "n4", "n5"):
        yield at(52, name, "vote", group=GROUP, term=2, to="n3")
    yield at(53, "n3", "role", group=GROUP, role="leader", term=2)
    yield at(54, "n3", "append", group=GROUP, first=2, last=2, term=2, text="a=3")
    yield at(55, "n3", "commit", group=GROUP, index=2)
    yield at(60, "n1", "step-down", group=GROUP, reason="no majority")
    yield at(60, "n1", "role", group=GROUP, role="follower", term=1)
    yield at(70, "world", "heal")
    yield at(80, "n1", "truncate", group=GROUP, **{"from": 2}, term=1)
    yield at(81, "n1", "append", group=GROUP, first=2, last=2, term=2, text="a=3")
    yield at(81, "n1", "role", group=GROUP, role="follower", term=2)
    yield at(90, "n5", "crash")
    yield at(91, "n9", "role", group="KV_other", role="leader", term=9)


CALLS = [
    Operation("A", "n1", 19, 20, None, None, "put a=2 ?", "unknown"),
    Operation("B", "n3", 53, 54, 56, 57, "put a=3 → #2"),
]


@pytest.fixture(scope="module")
def story():
    return story_of(a_partition(), GROUP, servers=FIVE, since=0, operations=CALLS)


def texts(picture) -> list[str]:
    return [each.text or "" for each in ET.fromstring(picture.svg).iter(f"{SVG}text")]


def pictures(story):
    nodes = nodes_at(a_partition(), GROUP, at=51 * MILLISECOND_NS, servers=FIVE)
    logs = logs_at(a_partition(), GROUP, servers=FIVE)
    long = [LogEntry(n, 1, f"key{n}=value") for n in range(1, 60)]
    return {
        "cards": node_cards(nodes),
        "ring": server_ring(nodes, title="an election", cut=[FIVE[:2], FIVE[2:]]),
        "ring of 3": server_ring(nodes[:3]),
        "no ring": server_ring([]),
        "logs": server_logs(logs, pointers=[Pointers("n1", 2, 3), Pointers("n2", 1, 2)]),
        "long logs": server_logs([ServerLog("a-server-with-a-name", tuple(long), 40)]),
        "no logs": server_logs([]),
        "story": story_picture(story, title="a <partition>"),
    }


def test_every_text_is_inside_its_picture_by_the_widths_of_a_wide_font(story):
    for name, picture in pictures(story).items():
        root = ET.fromstring(picture.svg)
        total = float(root.get("width"))
        assert total <= 720
        for text in root.iter(f"{SVG}text"):
            x, wide = float(text.get("x")), width(text.text or "", text.get("class") or "")
            anchor = text.get("text-anchor")
            left = x - {"end": wide, "middle": wide / 2}.get(anchor, 0)
            assert left >= 0, (name, text.text)
            assert left + wide <= total, (name, text.text)
            assert 10 < float(text.get("y")) <= float(root.get("height")), (name, text.text)


def test_a_picture_of_a_group_is_named_coloured_by_tokens_and_the_same_each_time(story):
    again = pictures(story)
    for name, picture in pictures(story).items():
        root = ET.fromstring(picture.svg)
        assert root.find(f"{SVG}desc").text == picture.alt
        body = re.sub(r"<style>.*?</style>", "", picture.svg)
        assert not re.search(r"#[0-9A-Fa-f]{6}|rgb\(|(fill|stroke)=", body)
        assert picture == again[name]


def test_a_trace_tells_who_stood_for_whom_and_how_long_each_timer_still_ran():
    now = 40 * MILLISECOND_NS
    waiting = {each.name: each for each in nodes_at(a_partition(), GROUP, at=now)}
    assert waiting["n3"].timer == pytest.approx(0.5)
    assert waiting["n1"].role == "leader"
    assert (waiting["n1"].log_end, waiting["n1"].commit, waiting["n1"].unsynced) == (2, 1, 1)
    assert waiting["n1"].timer is None
    later = {e.name: e for e in nodes_at(a_partition(), GROUP, at=52 * MILLISECOND_NS)}
    assert (later["n3"].role, later["n3"].votes) == ("candidate", 3)
    assert later["n4"].voted_for == "n3"
    assert later["n1"].voted_for == "n1"
    in_the_end = {each.name: each for each in nodes_at(a_partition(), GROUP)}
    assert in_the_end["n5"].down
    assert "n9" not in {e.name for e in nodes_at(a_partition(), GROUP, servers=FIVE)}


def test_a_truncated_entry_stays_under_its_place_with_its_own_term():
    logs = logs_at(a_partition(), GROUP, servers=FIVE)
    first = logs[0]
    assert first.entries == (LogEntry(1, 1, "a=1"), LogEntry(2, 2, "a=3"))
    assert first.truncated == (LogEntry(2, 1, "a=2"),)
    picture = server_logs(logs)
    assert "truncated" in texts(picture)
    assert ("n1", "2", "1", "a=2", "truncated") in picture.table.rows
    assert ("n1", "2", "2", "a=3", "not committed") in picture.table.rows
    assert "truncated 2 of term 1" in picture.alt


def test_two_looks_at_a_log_tell_what_was_truncated_between_and_not_what_was_compacted():
    before = ServerLog("n1", tuple(LogEntry(n, 1, f"a={n}") for n in range(1, 6)), 3)
    after = ServerLog("n1", (LogEntry(3, 1, "a=3"), LogEntry(4, 2, "b=1")), 4)
    (told,) = truncations([before], [after])
    assert [each.index for each in told.truncated] == [4, 5]
    assert truncations([], [after]) == (after,)


def test_what_a_server_knows_committed_is_solid_and_the_rest_dashed_in_words_too():
    log = ServerLog("n1", (LogEntry(1, 1, "a=1"), LogEntry(2, 1, "a=2")), 1, "leader", 1)
    picture = server_logs([log], pointers=[])
    boxes = [each.get("class") for each in ET.fromstring(picture.svg).iter(f"{SVG}rect")]
    assert boxes == ["ground", "boxed", "leader-edge", "leader-edge dashed"]
    assert [row[-1] for row in picture.table.rows] == ["committed", "not committed"]


def test_the_leader_s_pointers_stand_under_the_follower_s_row_and_in_the_table():
    log = ServerLog("n2", (LogEntry(1, 1, "a=1"),), 1)
    picture = server_logs([log], pointers=[Pointers("n2", 1, 2)])
    root = ET.fromstring(picture.svg)
    places = {e.text: float(e.get("x")) for e in root.iter(f"{SVG}text")}
    assert places["↑ next"] - places["● match"] == 66
    assert ("n2", "", "", "match 1, next 2", "pointers") in picture.table.rows


def test_a_long_log_folds_and_says_how_many_entries_of_each_server_it_hides():
    logs = [ServerLog(f"n{n}", tuple(LogEntry(i, 1) for i in range(1, 40 - n))) for n in (1, 2)]
    picture = server_logs(logs)
    assert {"#1", "#38", "31 more"} <= set(texts(picture))
    assert len([each for each in texts(picture) if each.endswith("more")]) == 2
    assert len(picture.table.rows) == 38 + 37


def test_a_story_has_reigns_with_terms_a_cut_with_sides_votes_losses_and_truncation(story):
    picture = story_picture(story, title="a partition")
    shown = set(texts(picture))
    assert {"▲ leads term 1", "▲ leads term 2", "cut: n1 n2 ‖ n3 n4 n5", "vote? term 2"} <= shown
    assert {"truncates from #2", "timer ran out", "steps down: no majority", "down", "×"} <= shown
    assert "n1 leads in term 1 from 2 ms." in picture.alt
    assert "2 messages between servers, 1 of them lost." in picture.alt
    assert picture.alt.endswith("1 heartbeats are not drawn.")
    rows = {row[1:] for row in picture.table.rows}
    assert ("n1", "append #2 a=2", "n3", "never", "lost") in rows
    assert ("n1", "leads in term 1", "", "60.00 ms", "") in rows
    assert ("A", "put a=2 ?", "n1", "never", "unknown") in rows
    assert list(picture.table.rows) == sorted(
        picture.table.rows, key=lambda row: float(row[0].split()[0])
    )


def test_between_the_sides_of_a_cut_runs_a_double_line(story):
    root = ET.fromstring(story_picture(story).svg)
    assert len([e for e in root.iter(f"{SVG}line") if e.get("class") == "lost-edge"]) == 2 + 1


def test_a_heartbeat_and_its_answer_are_drawn_only_when_asked_for(story):
    everything = story_of(a_partition(), GROUP, servers=FIVE, since=0, heartbeats=True)
    assert len(everything.messages) == len(story.messages) + 2
    assert not everything.left_out


def test_a_story_begins_where_it_is_asked_to_with_what_held_by_then():
    part = story_of(a_partition(), GROUP, servers=FIVE, since=40 * MILLISECOND_NS)
    assert [(each.server, each.start, each.term) for each in part.reigns] == [
        ("n1", 0, 1),
        ("n3", 13, 2),
    ]
    assert part.bands[0].start == 0
    assert all(each.sent >= 0 for each in part.messages)


def test_an_election_takes_from_the_loss_of_the_leader_to_the_next_one():
    assert election_times(a_partition(), GROUP) == (43.0,)
    crash = [
        at(0, "n1", "role", group=GROUP, role="leader", term=1),
        at(10, "n1", "crash"),
        at(250, "n2", "role", group=GROUP, role="leader", term=2),
        at(300, "n3", "crash"),
    ]
    assert election_times(crash, GROUP) == (240.0,)
    assert election_times(crash, "KV_other") == ()


def test_a_ring_draws_a_vote_a_timer_as_an_arc_and_says_both():
    nodes = [Node("n1", "candidate", 2, votes=2, voted_for="n1"), Node("n2", term=2, timer=0.25)]
    nodes.append(Node("n3", term=2, voted_for="n1", down=True))
    picture = server_ring(nodes, title="an election")
    root = ET.fromstring(picture.svg)
    arcs = [each for each in root.iter(f"{SVG}path") if "A37" in each.get("d")]
    assert len(arcs) == 1
    assert "candidate-edge dotted" in picture.svg
    assert {"candidate ●●", "timer 25 % left", "voted for n1", "down"} <= set(texts(picture))
    assert "25 % of its timer left" in picture.alt
    assert picture.table.columns[-2:] == ("vote", "election timer")


def test_a_server_that_tells_nothing_has_question_marks_and_a_dotted_edge():
    picture = node_cards([Node("n1", "unknown", engine="file", doing="paused")])
    assert "unknown-edge dotted" in picture.svg
    assert {"? unknown, paused", "?"} <= set(texts(picture))
    assert picture.table.rows[0][:3] == ("n1", "unknown, paused", "?")


def test_a_server_outside_a_bucket_s_group_is_no_follower_but_has_no_copy():
    picture = node_cards([Node("n1", "leader", term=2, voted_for="n1"), Node("n3", "no copy")])
    assert "n3 has no copy." in picture.alt
    assert picture.table.rows[1][:3] == ("n3", "no copy", "")
    card = picture.svg[picture.svg.index(">n3<") :]
    assert "no copy" in card
    assert "follower</text>" not in card
    assert "log end" not in card
    down = node_cards([Node("n3", "no copy", down=True, doing="down")])
    assert "n3 is down; it has no copy." in down.alt


def test_the_entry_that_founded_a_group_is_named_where_no_record_tells_it():
    begun = [at(0, "n1", "append", group=GROUP, first=1, last=2, term=1)]
    (log,) = logs_at(begun, GROUP, servers=["n1"])
    assert [each.text for each in log.entries] == ["members", ""]
