"""The judge of histories: each kind of violation is found, and what may happen is let pass."""

from kvcore.check.history import judge
from kvcore.sim.operations import Entry, History, Watch


class Story:
    """Builds a history: each call takes one unit of time, from its beginning to its end."""

    def __init__(self):
        self.history = History()
        self.now = 0

    def call(self, kind, key, value, result, revision=0, *, expected=0, found=None):
        number = self.begin(kind, key, value, expected)
        self.end(number, result, revision, found)
        return number

    def begin(self, kind, key, value=None, expected=0):
        self.now += 1
        return self.history.begin("c", kind, key, value, expected, self.now)

    def end(self, number, result, revision=0, found=None):
        self.now += 1
        if result == "ok":
            self.history.ok(number, self.now, revision, found)
        elif result == "refused":
            self.history.refused(number, self.now, "no")

    def put(self, key, value, revision):
        return self.call("put", key, value, "ok", revision)

    def kinds(self, *log, **options):
        return [each.kind for each in judge(self.history, log, **options)]


A1 = Entry(1, "a", b"1")
A2 = Entry(2, "a", b"2")
B2 = Entry(2, "b", b"2")


def test_a_log_that_agrees_is_fine():
    story = Story()
    story.put("a", b"1", 1)
    story.call("update", "a", b"2", "ok", 2, expected=1)
    story.call("get", "a", None, "ok", 2, found=b"2")
    assert story.kinds(A1, A2) == []


def test_an_acknowledged_write_that_is_gone_is_lost():
    story = Story()
    story.put("a", b"1", 1)
    story.put("b", b"2", 2)
    assert story.kinds(A1) == ["lost"]


def test_an_acknowledged_revision_that_is_anothers_is_lost():
    story = Story()
    story.put("a", b"1", 1)
    story.call("put", "a", b"x", "unknown")
    assert story.kinds(Entry(1, "a", b"x")) == ["lost", "order"]


def test_what_a_purge_took_or_the_history_dropped_is_not_lost():
    story = Story()
    story.put("a", b"1", 1)
    story.call("purge", "a", b"2", "ok", 2)
    assert story.kinds(Entry(2, "a", b"2", "PURGE")) == []
    story = Story()
    story.put("a", b"1", 1)
    story.put("a", b"2", 2)
    assert story.kinds(A2, kept=1) == []
    assert story.kinds(A2, kept=2) == ["lost"]


def test_a_write_without_an_answer_may_be_there_or_not():
    story = Story()
    story.call("put", "a", b"1", "unknown")
    assert story.kinds() == []
    assert story.kinds(A1) == []


def test_what_nobody_wrote_is_a_phantom():
    assert Story().kinds(A1) == ["phantom"]


def test_what_was_refused_must_not_appear():
    story = Story()
    story.call("put", "a", b"1", "refused")
    assert story.kinds() == []
    assert story.kinds(A1) == ["phantom"]


def test_a_write_appears_once():
    story = Story()
    story.call("put", "a", b"1", "unknown")
    assert story.kinds(A1, Entry(2, "a", b"1")) == ["phantom"]


def test_a_write_stands_where_it_was_acknowledged():
    story = Story()
    story.put("a", b"2", 1)
    assert story.kinds(A2) == ["lost", "moved"]


def test_a_write_that_began_after_another_was_told_stands_behind_it():
    story = Story()
    story.put("b", b"2", 2)
    story.put("a", b"1", 1)
    assert story.kinds(A1, B2) == ["order"]


def test_writes_at_the_same_time_may_stand_either_way():
    story = Story()
    first, second = story.begin("put", "a", b"1"), story.begin("put", "b", b"2")
    story.end(second, "ok", 2)
    story.end(first, "ok", 1)
    assert story.kinds(A1, B2) == []


def test_a_write_without_an_answer_stands_behind_what_was_told_before_it_began():
    story = Story()
    story.put("b", b"2", 2)
    story.call("put", "a", b"1", "unknown")
    assert story.kinds(A1, B2) == ["order"]


def test_a_revision_is_given_once():
    story = Story()
    first, second = story.begin("put", "a", b"1"), story.begin("put", "b", b"1")
    story.end(first, "ok", 1)
    story.end(second, "ok", 1)
    assert "order" in story.kinds(A1)


def test_an_update_follows_the_revision_that_it_demands():
    story = Story()
    story.put("a", b"1", 1)
    story.put("a", b"2", 2)
    story.call("update", "a", b"3", "ok", 3, expected=1)
    assert story.kinds(A1, A2, Entry(3, "a", b"3")) == ["condition"]


def test_a_create_finds_no_value():
    story = Story()
    story.put("a", b"1", 1)
    story.call("create", "a", b"2", "ok", 2)
    assert story.kinds(A1, A2) == ["condition"]
    story = Story()
    story.call("delete", "a", b"1", "ok", 1)
    story.call("create", "a", b"2", "ok", 2)
    assert story.kinds(Entry(1, "a", b"1", "DEL"), A2) == []


def test_a_read_finds_what_was_told_before_it_began():
    story = Story()
    story.put("a", b"1", 1)
    story.put("a", b"2", 2)
    story.call("get", "a", None, "ok", 1, found=b"1")
    assert story.kinds(A1, A2) == ["stale"]


def test_a_read_finds_what_another_read_has_found():
    story = Story()
    story.call("put", "a", b"1", "unknown")
    story.call("get", "a", None, "ok", 1, found=b"1")
    story.call("get", "a", None, "ok", 0)
    assert story.kinds(A1) == ["stale"]


def test_a_read_finds_nothing_that_the_log_does_not_have():
    story = Story()
    story.call("put", "a", b"1", "unknown")
    story.call("get", "a", None, "ok", 1, found=b"1")
    assert story.kinds() == ["dirty"]
    assert story.kinds(Entry(1, "b", b"x")) == ["phantom", "dirty"]


def watched(after, *seen):
    story = Story()
    story.put("a", b"1", 1)
    story.put("a", b"2", 2)
    story.history.watches.append(Watch("w", after, list(seen)))
    return story.kinds(A1, A2)


def test_a_watcher_is_told_everything_once_and_in_order():
    assert watched(0, A1, A2) == []
    assert watched(1, A2) == []
    assert watched(0, A2) == ["watch"]
    assert watched(0, A1) == ["watch"]
    assert watched(0, A1, A2, A2) == ["watch"]
    assert watched(0, A2, A1) == ["watch"]


def test_a_watcher_is_told_nothing_else():
    assert watched(0, A1, A2, Entry(3, "a", b"3")) == ["dirty"]
    assert watched(0, A1, Entry(2, "a", b"x")) == ["dirty"]


def test_a_violation_shows_its_operations():
    story = Story()
    story.put("a", b"1", 1)
    (found,) = judge(story.history, [])
    assert str(found).splitlines()[0].startswith("lost: revision 1 was acknowledged")
    assert "c put a 1 → revision 1" in str(found)
