"""Wrong answers to lesson 05, each with the hint that it must get."""

HINTS = {
    "ex_05a__ready_at_once": "05a.M6",
    "ex_05a__ready_with_the_first_entry": "05a.M6",
    "ex_05a__ready_when_nothing_pends": "05a.empty_bucket",
    "ex_05a__ready_if_it_has_something": "05a.empty_bucket",
    "ex_05a__ready_with_the_next_update": "05a.late",
    "ex_05a__never_ready": "05a.late",
    "ex_05a__ready_for_a_moment": "05a.flips",
    "ex_05a__ready_is_a_method": "05a.shape",
    "ex_05a__awaits": "05a.shape",
    "ex_05a__no_tombstones": "05a.tombstones",
    "ex_05a__deletes_but_no_purges": "05a.tombstones",
    "ex_05a__the_last_that_came": "05a.order",
    "ex_05a__no_guard_and_no_memory": "05a.order",
    "ex_05a__gone_is_forgotten": "05a.revived",
    "ex_05a__empty_is_gone": "05a.empty_value",
    "ex_05a__live_alone": "05a.initial",
    "ex_05a__one_after_the_other": "05a.gap",
    "ex_05a__the_entry": "05a.shape",
    "ex_05a__no_bytes_for_no_key": "05a.missing",
    "ex_05a__none_is_an_entry": "05a.error",
    "ex_05b__nothing_is_skipped": "05b.M6",
    "ex_05b__a_gap_is_a_loss": "05b.gap",
    "ex_05b__never_sure": "05b.ends",
    "ex_05b__counts_before": "05b.ends",
    "ex_05b__a_gap_is_a_doubt": "05b.there",
    "ex_05b__gone_was_mine": "05b.whose",
    "ex_05b__gone_is_a_doubt": "05b.only",
    "ex_05b__any_other_key": "05b.quiet",
    "ex_05b__true_or_false": "05b.shape",
    "ex_05b__the_network": "05b.network",
    "ex_05b__batches": "05b.batch",
    "ex_05b__numbers": "05b.numbers",
    "ex_05b__in_words": "05b.shape",
}


class Right:
    """From which the wrong ones depart."""

    def __init__(self):
        self.ready = False
        self.newest = {}

    def apply(self, entry):
        if entry is None:
            self.ready = True
        elif self.takes(entry):
            self.newest[entry.key] = entry

    def takes(self, entry):
        known = self.newest.get(entry.key)
        return known is None or entry.revision > known.revision

    def get(self, key):
        entry = self.newest.get(key)
        return self.value(entry) if entry else None

    def value(self, entry):
        return None if entry.operation else entry.value


class ex_05a__ready_at_once__LocalCache(Right):
    def __init__(self):
        super().__init__()
        self.ready = True


class ex_05a__ready_with_the_first_entry__LocalCache(Right):
    def apply(self, entry):
        super().apply(entry)
        self.ready = True


class ex_05a__ready_when_nothing_pends__LocalCache(Right):
    def apply(self, entry):
        if entry is not None:
            super().apply(entry)
            self.pending = entry.delta

    pending = 1

    @property
    def ready(self):
        return self.pending == 0

    @ready.setter
    def ready(self, value):
        pass


class ex_05a__ready_if_it_has_something__LocalCache(Right):
    def apply(self, entry):
        if entry is not None or self.newest:
            super().apply(entry)


class ex_05a__ready_with_the_next_update__LocalCache(Right):
    complete = False

    def apply(self, entry):
        if entry is not None:
            super().apply(entry)
            self.ready = self.complete
        self.complete = self.complete or entry is None


class ex_05a__never_ready__LocalCache(Right):
    def apply(self, entry):
        if entry is not None:
            super().apply(entry)


class ex_05a__ready_for_a_moment__LocalCache(Right):
    def apply(self, entry):
        super().apply(entry)
        self.ready = entry is None


class ex_05a__ready_is_a_method__LocalCache(Right):
    complete = False

    def __init__(self):
        self.newest = {}

    def apply(self, entry):
        if entry is None:
            self.complete = True
        else:
            super().apply(entry)

    def ready(self):
        return self.complete


class ex_05a__awaits__LocalCache(Right):
    async def apply(self, entry):
        super().apply(entry)


class ex_05a__no_tombstones__LocalCache(Right):
    def value(self, entry):
        return entry.value


class ex_05a__deletes_but_no_purges__LocalCache(Right):
    def value(self, entry):
        return None if entry.operation == "DEL" else entry.value


class ex_05a__the_last_that_came__LocalCache(Right):
    def takes(self, entry):
        return True


class ex_05a__no_guard_and_no_memory__LocalCache:
    def __init__(self):
        self.values = {}
        self.ready = False

    def apply(self, entry):
        if entry is None:
            self.ready = True
        elif entry.operation:
            self.values.pop(entry.key, None)
        else:
            self.values[entry.key] = entry.value

    def get(self, key):
        return self.values.get(key)


class ex_05a__gone_is_forgotten__LocalCache(Right):
    def apply(self, entry):
        super().apply(entry)
        if entry is not None and entry.operation and self.newest[entry.key] is entry:
            del self.newest[entry.key]


class ex_05a__empty_is_gone__LocalCache(Right):
    def value(self, entry):
        return entry.value or None


class ex_05a__live_alone__LocalCache(Right):
    def apply(self, entry):
        if entry is None or self.ready:
            super().apply(entry)


class ex_05a__one_after_the_other__LocalCache(Right):
    last = 0

    def takes(self, entry):
        if self.ready and entry.revision != self.last + 1:
            return False
        self.last = entry.revision
        return super().takes(entry)


class ex_05a__the_entry__LocalCache(Right):
    def value(self, entry):
        return None if entry.operation else entry


class ex_05a__no_bytes_for_no_key__LocalCache(Right):
    def get(self, key):
        return super().get(key) if key in self.newest else b""


class ex_05a__none_is_an_entry__LocalCache(Right):
    def apply(self, entry):
        self.newest[entry.key] = entry


def ex_05b__nothing_is_skipped__skipped(key, before, after, left):
    return "no"


def ex_05b__a_gap_is_a_loss__skipped(key, before, after, left):
    return "yes" if after > before + 1 else "no"


def ex_05b__never_sure__skipped(key, before, after, left):
    return "can't know"


def _verdict(key, between, left, candidates):
    gone = [each for each in between if each not in left]
    if any(set(candidates(each)) == {key} for each in gone):
        return "yes"
    return "can't know" if gone else "no"


def ex_05b__counts_before__skipped(key, before, after, left):
    later = lambda gone: [left[each] for each in left if each > gone]  # noqa: E731
    return _verdict(key, range(before, after), left, later)


def ex_05b__a_gap_is_a_doubt__skipped(key, before, after, left):
    return "can't know" if after > before + 1 else "no"


def ex_05b__gone_was_mine__skipped(key, before, after, left):
    return _verdict(key, range(before + 1, after), left, lambda _gone: [key])


def ex_05b__gone_is_a_doubt__skipped(key, before, after, left):
    return _verdict(key, range(before + 1, after), left, lambda _gone: [])


def ex_05b__any_other_key__skipped(key, before, after, left):
    return _verdict(key, range(before + 1, after), left, lambda _gone: left.values())


def ex_05b__true_or_false__skipped(key, before, after, left):
    return any(each not in left for each in range(before + 1, after))


ex_05b__the_network__why = "network"
ex_05b__batches__why = "batch"
ex_05b__numbers__why = "numbers"
ex_05b__in_words__why = "because it is legal"
