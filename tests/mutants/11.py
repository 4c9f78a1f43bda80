"""Wrong answers to lesson 11, each with the hint that it must get.

Wrong answers to the two forms (11a, 11c) are made from their own lists of tempting ones; the
ones below hold one mistaken idea throughout.
"""

HINTS = {
    "ex_11a__new_drops_the_oldest": "11a.M17",
    "ex_11a__new_looks_at_revisions": "11a.M17_stale",
    "ex_11a__full_is_full": "11a.replaces",
    "ex_11b__new_makes_room": "11b.M17",
    "ex_11b__new_ignores_in_silence": "11b.shape",
    "ex_11b__old_refuses": "11b.old",
    "ex_11b__its_own_oldest": "11b.whose",
    "ex_11b__one_is_enough": "11b.enough",
    "ex_11b__room_before_history": "11b.first",
    "ex_11b__only_the_limits_that_refuse": "11b.history",
    "ex_11b__full_is_full": "11b.replaces",
    "ex_11b__a_replacement_always_fits": "11b.larger",
    "ex_11b__the_net_size": "11b.net",
    "ex_11b__per_subject_ignored": "11b.once",
    "ex_11b__history_refuses": "11b.cap",
    "ex_11b__exactly_full_is_over": "11b.exactly",
    "ex_11b__bodies_only": "11b.size",
    "ex_11b__headers_weigh_nothing": "11b.size",
    "ex_11b__largest_as_stored": "11b.largest",
    "ex_11b__largest_body": "11b.largest",
    "ex_11b__bytes_before_count": "11b.order",
    "ex_11b__subject_last": "11b.order",
    "ex_11b__size_last": "11b.order",
    "ex_11b__with_the_number": "11b.text",
    "ex_11b__tries_it_out": "11b.touched",
    "ex_11b__yes_or_no": "11b.shape",
    "ex_11b__the_messages": "11b.shape",
    "ex_11c__retention_spares_the_newest": "11c.M18",
    "ex_11c__all_is_allowed": "11c.copied",
    "ex_11c__nothing_ever_goes": "11c.at_once",
}

ERRORS = {
    "size": "message size exceeds maximum allowed",
    "subject": "maximum messages per subject exceeded",
    "count": "maximum messages exceeded",
    "bytes": "maximum bytes exceeded",
}
ORDER = ("size", "subject", "count", "bytes")

_RIGHT_A = {
    "1 put a, 10": "stored",
    "2 put a, 30": "stored",
    "3 put b, 40": "stored",
    "4 put c, 0": "refused: bytes",
    "5 put a, 10": "goes: 1",
    "6 put a, 31": "refused: bytes",
    "7 put a, 30, having read 1": "goes: 2",
    "8 delete b": "refused: bytes",
    "9 put c, 10": "goes: 3",
    "10 put a, 60": "goes: 4 5",
}
ex_11a__new_drops_the_oldest = _RIGHT_A | {
    "4 put c, 0": "goes: 1",
    "5 put a, 10": "goes: 2",
    "6 put a, 31": "goes: 3",
}
ex_11a__new_looks_at_revisions = _RIGHT_A | {"7 put a, 30, having read 1": "ignored"}
ex_11a__full_is_full = _RIGHT_A | {
    "5 put a, 10": "refused: bytes",
    "7 put a, 30, having read 1": "refused: bytes",
}

_RIGHT_C = {
    "history from 5 to 2": "old values go",
    "max_bytes from 4000 to 100": "nothing goes",
    "storage from file to memory": "refused",
    "deny_delete from on to off": "refused",
    "retention from limits to interest": "all goes",
    "retention from limits to workqueue": "refused",
}
ex_11c__retention_spares_the_newest = _RIGHT_C | {
    "retention from limits to interest": "old values go",
    "retention from limits to workqueue": "old values go",
}
ex_11c__all_is_allowed = _RIGHT_C | {
    "storage from file to memory": "nothing goes",
    "deny_delete from on to off": "nothing goes",
    "retention from limits to workqueue": "nothing goes",
}
ex_11c__nothing_ever_goes = dict.fromkeys(_RIGHT_C, "nothing goes")


def _size(write, weigh=("line", "body", "header")):
    line = 30 + len(write.subject) if "line" in weigh else 0
    header = 4 + len(write.header) if write.header and "header" in weigh else 0
    return line + len(write.body) + header


def _reasons(write, state, cfg, *, size, replaced, message, fits, slack):
    """The names of all limits that refuse this write to a stream that discards new ones."""
    if 0 < cfg["max_msg_size"] < (len(write.header + write.body) if message is None else message):
        yield "size"
    if cfg["discard"] == "old":
        return
    if replaced and cfg["discard_new_per_subject"]:
        yield "subject"
    if 0 < cfg["max_msgs"] <= len(state) + slack and not replaced:
        yield "count"
    total = sum(each.size for each in state) + size + slack
    if 0 < cfg["max_bytes"] < total and not (replaced and fits(replaced[0].size, size, total)):
        yield "bytes"


def _replaced(write, state, cfg):
    mine = [each for each in state if each.subject == write.subject]
    return mine if 0 < cfg["history"] <= len(mine) else []


def _as_large(old, new, _total):
    return old >= new


def _refusal(write, state, cfg, *, order=ORDER, size=None, fits=_as_large, message=None, slack=0):
    size = _size(write) if size is None else size
    replaced = _replaced(write, state, cfg)
    how = {"size": size, "replaced": replaced, "message": message, "fits": fits, "slack": slack}
    found = list(_reasons(write, state, cfg, **how))
    return next((ERRORS[each] for each in order if each in found), None)


def _is_over(left, size, cfg, slack=0):
    count = 0 < cfg["max_msgs"] < len(left) + 1 + slack
    return count or 0 < cfg["max_bytes"] < sum(each.size for each in left) + size + slack


def _evicted(write, state, cfg, *, size=None, victim=lambda _left, _write: 0, slack=0):
    """What goes when the write is stored: history's part, then the totals', if old ones go."""
    size = _size(write) if size is None else size
    gone = _replaced(write, state, cfg)[:1]
    left = [each for each in state if each not in gone]
    while cfg["discard"] == "old" and left and _is_over(left, size, cfg, slack):
        gone.append(left.pop(victim(left, write)))
    return sorted(each.revision for each in gone)


def _admit(write, state, cfg):
    """The right answer."""
    return _refusal(write, state, cfg) or _evicted(write, state, cfg)


def ex_11b__new_makes_room__admit(write, state, cfg):
    return _admit(write, state, cfg | {"discard": "old"})


def ex_11b__new_ignores_in_silence__admit(write, state, cfg):
    return None if _refusal(write, state, cfg) else _evicted(write, state, cfg)


def ex_11b__old_refuses__admit(write, state, cfg):
    return _admit(write, state, cfg | {"discard": "new"})


def ex_11b__its_own_oldest__admit(write, state, cfg):
    def own(left, write):
        places = [at for at, each in enumerate(left) if each.subject == write.subject]
        return places[0] if places else 0

    return _refusal(write, state, cfg) or _evicted(write, state, cfg, victim=own)


def ex_11b__one_is_enough__admit(write, state, cfg):
    refusal = _refusal(write, state, cfg)
    if refusal:
        return refusal
    gone = _evicted(write, state, cfg)
    mine = [each.revision for each in _replaced(write, state, cfg)[:1]]
    return sorted(mine + [each for each in gone if each not in mine][:1])


def ex_11b__room_before_history__admit(write, state, cfg):
    refusal = _refusal(write, state, cfg)
    if refusal:
        return refusal
    left = list(state)
    while cfg["discard"] == "old" and left and _is_over(left, _size(write), cfg):
        del left[0]
    gone = _replaced(write, left, cfg)[:1]
    return [each.revision for each in state if each not in left or each in gone]


def ex_11b__only_the_limits_that_refuse__admit(write, state, cfg):
    refusal = _refusal(write, state, cfg)
    return refusal or _evicted(write, state, cfg | {"history": -1})


def ex_11b__full_is_full__admit(write, state, cfg):
    if 0 < cfg["max_msg_size"] < len(write.header + write.body):
        return ERRORS["size"]
    if cfg["discard"] == "new":
        if cfg["discard_new_per_subject"] and _replaced(write, state, cfg):
            return ERRORS["subject"]
        if 0 < cfg["max_msgs"] <= len(state):
            return ERRORS["count"]
        if 0 < cfg["max_bytes"] < sum(each.size for each in state) + _size(write):
            return ERRORS["bytes"]
    return _evicted(write, state, cfg)


def ex_11b__a_replacement_always_fits__admit(write, state, cfg):
    def fits(_old, _new, _total):
        return True

    return _refusal(write, state, cfg, fits=fits) or _evicted(write, state, cfg)


def ex_11b__the_net_size__admit(write, state, cfg):
    def fits(old, _new, total):
        return total - old <= cfg["max_bytes"]

    return _refusal(write, state, cfg, fits=fits) or _evicted(write, state, cfg)


def ex_11b__per_subject_ignored__admit(write, state, cfg):
    return _admit(write, state, cfg | {"discard_new_per_subject": False})


def ex_11b__history_refuses__admit(write, state, cfg):
    return _admit(write, state, cfg | {"discard_new_per_subject": True})


def ex_11b__exactly_full_is_over__admit(write, state, cfg):
    refusal = _refusal(write, state, cfg, slack=1)
    return refusal or _evicted(write, state, cfg, slack=1)


def ex_11b__bodies_only__admit(write, state, cfg):
    size = _size(write, ("body",))
    return _refusal(write, state, cfg, size=size) or _evicted(write, state, cfg, size=size)


def ex_11b__headers_weigh_nothing__admit(write, state, cfg):
    size = _size(write, ("line", "body"))
    return _refusal(write, state, cfg, size=size) or _evicted(write, state, cfg, size=size)


def ex_11b__largest_as_stored__admit(write, state, cfg):
    return _refusal(write, state, cfg, message=_size(write)) or _evicted(write, state, cfg)


def ex_11b__largest_body__admit(write, state, cfg):
    return _refusal(write, state, cfg, message=len(write.body)) or _evicted(write, state, cfg)


def ex_11b__bytes_before_count__admit(write, state, cfg):
    order = ("size", "subject", "bytes", "count")
    return _refusal(write, state, cfg, order=order) or _evicted(write, state, cfg)


def ex_11b__subject_last__admit(write, state, cfg):
    order = ("size", "count", "bytes", "subject")
    return _refusal(write, state, cfg, order=order) or _evicted(write, state, cfg)


def ex_11b__size_last__admit(write, state, cfg):
    order = ("subject", "count", "bytes", "size")
    return _refusal(write, state, cfg, order=order) or _evicted(write, state, cfg)


def ex_11b__with_the_number__admit(write, state, cfg):
    said = _admit(write, state, cfg)
    return f"10077 {said}" if isinstance(said, str) else said


def ex_11b__tries_it_out__admit(write, state, cfg):
    gone = _admit(write, state, cfg)
    if not isinstance(gone, str):
        state[:] = [each for each in state if each.revision not in gone]
    return gone


def ex_11b__yes_or_no__admit(write, state, cfg):
    return _refusal(write, state, cfg) is None


def ex_11b__the_messages__admit(write, state, cfg):
    gone = _admit(write, state, cfg)
    return gone if isinstance(gone, str) else [e for e in state if e.revision in gone]
