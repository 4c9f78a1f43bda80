"""Wrong answers to lesson 02, each with the hint that it must get."""

PREFIX = "$KV.flags."
GONE = ("DEL", "PURGE")

HINTS = {
    "ex_02a__per_key_counter": "02a.M1",
    "ex_02a__place_in_the_list": "02a.position",
    "ex_02a__tombstone_is_a_value": "02a.M5",
    "ex_02a__value_before_the_delete": "02a.older",
    "ex_02a__deleted_for_ever": "02a.forever",
    "ex_02a__one_kind_of_tombstone": "02a.purge",
    "ex_02a__empty_is_deleted": "02a.empty",
    "ex_02a__oldest_message": "02a.first",
    "ex_02a__starts_with": "02a.prefix",
    "ex_02a__ends_with": "02a.prefix",
    "ex_02a__value_alone": "02a.shape",
    "ex_02a__raises_for_missing": "02a.error",
    "ex_02a__no_end": "02a.loop",
    "ex_02a__keys_as_subjects": "02a.subject",
    "ex_02a__keys_by_last_token": "02a.prefix",
    "ex_02a__keys_by_first_token": "02a.prefix",
    "ex_02a__keys_of_tombstones": "02a.M5",
    "ex_02a__keys_more_than_once": "02a.twice",
    "ex_02b__one_counter_a_key": "02b.M1",
    "ex_02b__a_get_counts": "02b.read",
    "ex_02b__a_delete_takes_no_number": "02b.delete",
    "ex_02b__a_deleted_key_starts_afresh": "02b.restart",
    "ex_02b__newest_of_the_bucket": "02b.newest",
    "ex_02b__one_counter_a_server": "02b.server",
    "ex_02c__named_as_the_stream": "02c.address",
    "ex_02c__keys_of_one_token": "02c.subjects",
    "ex_02c__keys_of_one_or_two_tokens": "02c.subjects",
    "ex_02c__no_subject_at_all": "02c.address",
    "ex_02c__all_buckets": "02c.wide",
    "ex_02c__everything": "02c.wide",
    "ex_02c__interest": "02c.interest",
    "ex_02c__workqueue": "02c.workqueue",
    "ex_02c__one_message": "02c.history",
    "ex_02c__no_history_limit": "02c.history",
    "ex_02c__discard_old": "02c.old",
    "ex_02c__erasable": "02c.deny_delete",
    "ex_02c__no_rollup": "02c.rollup",
    "ex_02c__leader_reads_only": "02c.direct",
    "ex_02c__new_drops_stale": "02c.M17",
    "ex_02c__new_refuses_stale": "02c.M17",
}


def _mine(stream, key):
    return [message for message in stream if message.subject == PREFIX + key]


def _gone(message):
    return (message.headers or {}).get("KV-Operation") in GONE


def ex_02a__per_key_counter__kv_get(stream, key):
    mine = _mine(stream, key)
    if not mine or _gone(mine[-1]):
        return None
    return mine[-1].data, len(mine)


def ex_02a__place_in_the_list__kv_get(stream, key):
    for place in range(len(stream), 0, -1):
        message = stream[place - 1]
        if message.subject == PREFIX + key:
            return None if _gone(message) else (message.data, place)
    return None


def ex_02a__tombstone_is_a_value__kv_get(stream, key):
    mine = _mine(stream, key)
    return (mine[-1].data, mine[-1].seq) if mine else None


def ex_02a__value_before_the_delete__kv_get(stream, key):
    mine = [message for message in _mine(stream, key) if not _gone(message)]
    return (mine[-1].data, mine[-1].seq) if mine else None


def ex_02a__deleted_for_ever__kv_get(stream, key):
    mine = _mine(stream, key)
    if not mine or any(_gone(message) for message in mine):
        return None
    return mine[-1].data, mine[-1].seq


def ex_02a__one_kind_of_tombstone__kv_get(stream, key):
    mine = _mine(stream, key)
    if not mine or (mine[-1].headers or {}).get("KV-Operation") == "DEL":
        return None
    return mine[-1].data, mine[-1].seq


def ex_02a__empty_is_deleted__kv_get(stream, key):
    mine = _mine(stream, key)
    if not mine or not mine[-1].data:
        return None
    return mine[-1].data, mine[-1].seq


def ex_02a__oldest_message__kv_get(stream, key):
    for message in stream:
        if message.subject == PREFIX + key:
            return None if _gone(message) else (message.data, message.seq)
    return None


def ex_02a__starts_with__kv_get(stream, key):
    for message in reversed(stream):
        if message.subject.startswith(PREFIX + key):
            return None if _gone(message) else (message.data, message.seq)
    return None


def ex_02a__ends_with__kv_get(stream, key):
    for message in reversed(stream):
        if message.subject.endswith("." + key):
            return None if _gone(message) else (message.data, message.seq)
    return None


def ex_02a__value_alone__kv_get(stream, key):
    mine = _mine(stream, key)
    return mine[-1].data if mine and not _gone(mine[-1]) else None


def ex_02a__raises_for_missing__kv_get(stream, key):
    last = _mine(stream, key)[-1]
    return None if _gone(last) else (last.data, last.seq)


def ex_02a__no_end__kv_get(stream, key):
    place = len(stream) - 1
    while stream[place].subject != PREFIX + key:
        pass
    return stream[place].data, stream[place].seq


def _living(stream):
    last = {message.subject: message for message in stream}
    return [subject for subject, message in last.items() if not _gone(message)]


def ex_02a__keys_as_subjects__kv_keys(stream):
    return _living(stream)


def ex_02a__keys_by_last_token__kv_keys(stream):
    return list({subject.split(".")[-1] for subject in _living(stream)})


def ex_02a__keys_by_first_token__kv_keys(stream):
    return list({subject.split(".")[2] for subject in _living(stream)})


def ex_02a__keys_of_tombstones__kv_keys(stream):
    return list({message.subject.removeprefix(PREFIX) for message in stream})


def ex_02a__keys_more_than_once__kv_keys(stream):
    living = _living(stream)
    return [m.subject.removeprefix(PREFIX) for m in stream if m.subject in living]


def _revisions(*numbers):
    lines = (
        "2 put size=10",
        "3 get size",
        "4 put colour=blue",
        "5 delete size",
        "6 put size=12",
        "7 get colour",
        "8 put colour=grey in stock",
    )
    return dict(zip(lines, numbers, strict=True))


ex_02b__one_counter_a_key = _revisions(1, 1, 2, 2, 3, 2, 1)
ex_02b__a_get_counts = _revisions(2, 3, 4, 5, 6, 7, 1)
ex_02b__a_delete_takes_no_number = _revisions(2, 2, 3, 2, 4, 3, 1)
ex_02b__a_deleted_key_starts_afresh = _revisions(2, 2, 3, 4, 1, 3, 1)
ex_02b__newest_of_the_bucket = _revisions(2, 2, 3, 4, 5, 5, 1)
ex_02b__one_counter_a_server = _revisions(2, 2, 3, 4, 5, 3, 6)


def _settings(**changes):
    right = {
        "name": "KV_shop",
        "subjects": ["$KV.shop.>"],
        "retention": "limits",
        "max_msgs_per_subject": 5,
        "discard": "new",
        "deny_delete": True,
        "allow_rollup_hdrs": True,
        "allow_direct": True,
    }
    return right | changes


ex_02c__named_as_the_stream__settings = _settings(subjects=["KV_shop.>"])
ex_02c__keys_of_one_token__settings = _settings(subjects=["$KV.shop.*"])
ex_02c__keys_of_one_or_two_tokens__settings = _settings(subjects=["$KV.shop.*", "$KV.shop.*.*"])
ex_02c__no_subject_at_all__settings = _settings(subjects=["$KV.shop."])
ex_02c__all_buckets__settings = _settings(subjects=["$KV.>"])
ex_02c__everything__settings = _settings(subjects=[">"])
ex_02c__interest__settings = _settings(retention="interest")
ex_02c__workqueue__settings = _settings(retention="workqueue")
ex_02c__one_message__settings = _settings(max_msgs_per_subject=1)
ex_02c__no_history_limit__settings = _settings(max_msgs_per_subject=-1)
ex_02c__discard_old__settings = _settings(discard="old")
ex_02c__erasable__settings = _settings(deny_delete=False)
ex_02c__no_rollup__settings = _settings(allow_rollup_hdrs=False)
ex_02c__leader_reads_only__settings = _settings(allow_direct=False)
ex_02c__new_drops_stale__late_put = "dropped"
ex_02c__new_refuses_stale__late_put = "refused"
