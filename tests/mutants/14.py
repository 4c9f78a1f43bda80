"""Wrong answers to lesson 14, each with the hint that it must get.

Wrong answers to the two forms (14b, 14c) are made from their own lists of tempting ones; the
ones below hold one mistaken idea throughout.
"""

import json

HINTS = {
    "ex_14a__three_by_default": "14a.M17",
    "ex_14a__as_many_as_are_listed": "14a.list",
    "ex_14a__as_many_as_are_up": "14a.list",
    "ex_14a__a_bucket_is_always_new": "14a.M2",
    "ex_14a__old_goes": "14a.M2",
    "ex_14a__the_dead_count": "14a.offline",
    "ex_14a__the_leader_is_forgotten": "14a.leader",
    "ex_14a__every_server_has_a_cluster": "14a.error",
    "ex_14a__a_list": "14a.shape",
    "ex_14b__all_is_timers": "14b.disk",
    "ex_14b__a_kill_is_a_power_cut": "14b.M16_kill",
    "ex_14b__real_is_different": "14b.look",
    "ex_14c__copies_are_enough": "14c.shared",
    "ex_14c__a_kill_is_a_power_cut": "14c.M16",
    "ex_14c__only_power_takes_bytes": "14c.inside",
}


def _right(reply):
    info = json.loads(reply)
    others = info.get("cluster", {}).get("replicas", [])
    up = 1 + sum(each["current"] and not each.get("offline", False) for each in others)
    return info["config"]["num_replicas"], info["config"]["discard"], up


def ex_14a__three_by_default__stands(reply):
    _, discard, up = _right(reply)
    return 3, discard, up


def ex_14a__as_many_as_are_listed__stands(reply):
    _, discard, up = _right(reply)
    return len(json.loads(reply).get("cluster", {}).get("replicas", [])), discard, up


def ex_14a__as_many_as_are_up__stands(reply):
    _, discard, up = _right(reply)
    return up, discard, up


def ex_14a__a_bucket_is_always_new__stands(reply):
    copies, _, up = _right(reply)
    return copies, "new", up


def ex_14a__old_goes__stands(reply):
    copies, _, up = _right(reply)
    return copies, "old", up


def ex_14a__the_dead_count__stands(reply):
    copies, discard, _ = _right(reply)
    return copies, discard, copies


def ex_14a__the_leader_is_forgotten__stands(reply):
    copies, discard, up = _right(reply)
    return copies, discard, up - 1


def ex_14a__every_server_has_a_cluster__stands(reply):
    info = json.loads(reply)
    others = info["cluster"]["replicas"]
    up = 1 + sum(each["current"] and not each.get("offline", False) for each in others)
    return info["config"]["num_replicas"], info["config"]["discard"], up


def ex_14a__a_list__stands(reply):
    return list(_right(reply))


_CAUSES = {
    "a killed leader is replaced after seconds, not tenths": "timers",
    "a second after its death a server still counts as online": "timers",
    "all go dark: puts of the last minute are gone": "sync",
    "all are killed: no acked put is gone": "no difference",
    "a client that sees one of three servers reads a value": "read path",
    "which of three servers leads": "chance",
    "nobody said how many copies: there is one": "no difference",
    "a full bucket refuses the newcomer": "no difference",
}
ex_14b__all_is_timers = {
    line: "timers" if cause == "sync" else cause for line, cause in _CAUSES.items()
}
ex_14b__a_kill_is_a_power_cut = _CAUSES | {"all are killed: no acked put is gone": "sync"}
ex_14b__real_is_different = _CAUSES | {
    "nobody said how many copies: there is one": "chance",
    "a full bucket refuses the newcomer": "timers",
}

_DAYS = {
    "docker kill of all three": "there",
    "power cut of the one machine that all three run on": "gone",
    "power cut of one of three machines, nothing else wrong": "there",
    "power cut of all three machines": "gone",
    "the same, sync_interval: always": "there",
    "docker rm -f of all three, data in volumes": "there",
    "docker rm -f of all three, data in the containers": "gone",
    "a kernel panic of the one machine that all three run on": "gone",
}
ex_14c__copies_are_enough = {
    day: "there" if "container" not in day else fate for day, fate in _DAYS.items()
}
ex_14c__a_kill_is_a_power_cut = {
    day: "gone" if "docker" in day else fate for day, fate in _DAYS.items()
}
ex_14c__only_power_takes_bytes = {
    day: fate if "power cut" in day or "always" in day else "there" for day, fate in _DAYS.items()
}
