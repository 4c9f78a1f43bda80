"""Reference answers of lesson 11. `reveal` shows them after a pass, or after three tries."""

TOO_LARGE = "message size exceeds maximum allowed"
PER_SUBJECT = "maximum messages per subject exceeded"
MESSAGES = "maximum messages exceeded"
BYTES = "maximum bytes exceeded"

ex_11a__with_a_list_on_paper__outcomes = {
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


def _size(write):
    header = 4 + len(write.header) if write.header else 0
    return 30 + len(write.subject) + len(write.body) + header


def ex_11b__question_by_question__admit(write, state, cfg):
    """As it is drawn: each question in turn, then what goes."""
    size = _size(write)
    if 0 < cfg["max_msg_size"] < len(write.header) + len(write.body):
        return TOO_LARGE
    mine = [each for each in state if each.subject == write.subject]
    at_cap = 0 < cfg["history"] <= len(mine)
    total = sum(each.size for each in state)
    if cfg["discard"] == "new":
        if at_cap and cfg["discard_new_per_subject"]:
            return PER_SUBJECT
        if 0 < cfg["max_msgs"] <= len(state) and not at_cap:
            return MESSAGES
        if 0 < cfg["max_bytes"] < total + size and not (at_cap and mine[0].size >= size):
            return BYTES
    gone = [mine[0].revision] if at_cap else []
    left = [each for each in state if each.revision not in gone]
    if cfg["discard"] == "old":
        while left and (
            0 < cfg["max_msgs"] <= len(left)
            or 0 < cfg["max_bytes"] < sum(each.size for each in left) + size
        ):
            gone.append(left.pop(0).revision)
    return sorted(gone)


def _over(limit, amount):
    return limit > 0 and amount > limit


def _reasons(write, state, cfg, oldest):
    """What refuses, in the order in which it is asked, each with whether it does."""
    total = sum(each.size for each in state) + _size(write)
    is_new = cfg["discard"] == "new"
    shrinks = oldest is not None and oldest.size >= _size(write)
    yield TOO_LARGE, _over(cfg["max_msg_size"], len(write.header + write.body))
    yield PER_SUBJECT, is_new and cfg["discard_new_per_subject"] and oldest is not None
    yield MESSAGES, is_new and _over(cfg["max_msgs"], len(state) + 1) and oldest is None
    yield BYTES, is_new and _over(cfg["max_bytes"], total) and not shrinks


def ex_11b__the_first_that_fires__admit(write, state, cfg):
    """The questions as data; what goes is found by looking for a front that is short enough."""
    mine = [each for each in state if each.subject == write.subject]
    oldest = mine[0] if 0 < cfg["history"] <= len(mine) else None
    for text, fires in _reasons(write, state, cfg, oldest):
        if fires:
            return text
    left = [each for each in state if each is not oldest]
    front = 0
    if cfg["discard"] == "old":
        sizes = [each.size for each in left] + [_size(write)]
        while _over(cfg["max_msgs"], len(sizes) - front) or _over(
            cfg["max_bytes"], sum(sizes[front:])
        ):
            front += 1
    kept = {each.revision for each in left[front:]}
    return [each.revision for each in state if each.revision not in kept]


ex_11c__tried_on_a_spare__changes = {
    "history from 5 to 2": "old values go",
    "max_bytes from 4000 to 100": "nothing goes",
    "storage from file to memory": "refused",
    "deny_delete from on to off": "refused",
    "retention from limits to interest": "all goes",
    "retention from limits to workqueue": "refused",
}
