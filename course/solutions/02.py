"""Reference answers of lesson 02. `reveal` shows them after a pass, or after three tries."""

PREFIX = "$KV.flags."
GONE = ("DEL", "PURGE")


def ex_02a__walk_back__kv_get(stream, key):
    """Walk back from the newest message, and stop at the first of this key."""
    for message in reversed(stream):
        if message.subject == PREFIX + key:
            if (message.headers or {}).get("KV-Operation") in GONE:
                return None
            return message.data, message.seq
    return None


def ex_02a__walk_back__kv_keys(stream):
    subjects = {message.subject for message in stream}
    keys = [subject.removeprefix(PREFIX) for subject in subjects]
    return [key for key in keys if ex_02a__walk_back__kv_get(stream, key) is not None]


def _folded(stream):
    state = {}
    for message in stream:
        key = message.subject[len(PREFIX) :]
        state.pop(key, None)
        if message.headers is None or "KV-Operation" not in message.headers:
            state[key] = (message.data or b"", message.seq)
    return state


def ex_02a__fold__kv_get(stream, key):
    """One pass from the oldest message, with a dict of what each key is so far."""
    return _folded(stream).get(key)


def ex_02a__fold__kv_keys(stream):
    return list(_folded(stream))


ex_02b__as_a_list = {
    "2 put size=10": 2,
    "3 get size": 2,
    "4 put colour=blue": 3,
    "5 delete size": 4,
    "6 put size=12": 5,
    "7 get colour": 3,
    "8 put colour=grey in stock": 1,
}

ex_02c__as_the_cli__settings = {
    "name": "KV_shop",
    "subjects": ["$KV.shop.>"],
    "retention": "limits",
    "max_msgs_per_subject": 5,
    "discard": "new",
    "deny_delete": True,
    "allow_rollup_hdrs": True,
    "allow_direct": True,
}
ex_02c__as_the_cli__late_put = "stored"
