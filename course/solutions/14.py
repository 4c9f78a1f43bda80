"""Reference answers of lesson 14. `reveal` shows them after a pass, or after three tries."""

import json

from nats.js.api import StreamInfo


def ex_14a__through_the_json__stands(reply):
    """Field by field; an absent part is an empty one."""
    info = json.loads(reply)
    config = info["config"]
    others = info.get("cluster", {}).get("replicas", [])
    up = sum(each["current"] and not each.get("offline", False) for each in others)
    return config["num_replicas"], config["discard"], 1 + up


def ex_14a__as_nats_py_reads_it__stands(reply):
    """The client's own types know the fields."""
    info = StreamInfo.from_response(json.loads(reply))
    peers = (info.cluster.replicas or []) if info.cluster else []
    counted = [peer for peer in peers if peer.current and not peer.offline]
    return info.config.num_replicas, info.config.discard, len(counted) + 1


ex_14b__by_the_table__causes = {
    "a killed leader is replaced after seconds, not tenths": "timers",
    "a second after its death a server still counts as online": "timers",
    "all go dark: puts of the last minute are gone": "sync",
    "all are killed: no acked put is gone": "no difference",
    "a client that sees one of three servers reads a value": "read path",
    "which of three servers leads": "chance",
    "nobody said how many copies: there is one": "no difference",
    "a full bucket refuses the newcomer": "no difference",
}

ex_14c__count_what_is_left__days = {
    "docker kill of all three": "there",
    "power cut of the one machine that all three run on": "gone",
    "power cut of one of three machines, nothing else wrong": "there",
    "power cut of all three machines": "gone",
    "the same, sync_interval: always": "there",
    "docker rm -f of all three, data in volumes": "there",
    "docker rm -f of all three, data in the containers": "gone",
    "a kernel panic of the one machine that all three run on": "gone",
}
