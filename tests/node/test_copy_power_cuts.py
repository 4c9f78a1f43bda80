"""Power cuts while streams copy from each other: nothing twice, nothing left out.

The machine is that of `test_node_power_cuts.py`: each start is compared with streams made
anew from their logs. Here the load is an origin O that forgets nothing, its mirror M, a
stream S that gathers O and has messages of its own, and V, a mirror in memory.
"""

import json

import pytest

from kvcore.limits import SECOND_NS
from kvcore.nats import headers
from kvcore.node.io import ClientData, TimerFired
from tests.node.test_node_power_cuts import MSG_ID, TTL, Machine, api, message
from tests.support.noted import note_proposals

CONFIGS = {
    "O": {"subjects": ["o.>"], "allow_msg_ttl": True, "duplicate_window": SECOND_NS},
    "M": {"mirror": {"name": "O"}},
    "S": {"sources": [{"name": "O", "filter_subject": "o.*"}], "subjects": ["s.>"]},
    "V": {"mirror": {"name": "O"}, "storage": "memory"},
}


class Copies(Machine):
    def request(self):
        rng, key = self.rng, f"o.{self.rng.randrange(5)}"
        name = rng.choice("OOMSV")
        config = {"name": name, **CONFIGS[name]}
        if name != "O":
            config["description"] = f"changed {rng.randrange(9)}"
        makes = [
            lambda: message(key, b"v" * rng.randrange(90)),
            lambda: message(f"{key}.unwanted", b"v"),
            lambda: message(key, b"t", TTL % 9000),
            lambda: message(key, b"i", MSG_ID % rng.randrange(9)),
            lambda: message("s.own", b"v"),
            lambda: api(f"STREAM.CREATE.{name}", {"name": name, **CONFIGS[name]}),
            lambda: api(f"STREAM.UPDATE.{name}", config),
            lambda: api("STREAM.MSG.DELETE.M", {"seq": rng.randrange(1, 60)}),
        ]
        (make,) = rng.choices(makes, [30, 6, 6, 6, 6, 20, 4, 3])
        return make()

    def rest(self):
        """Let everything be copied; who wants to be woken without end fails."""
        self.until_cut = None
        for name, config in CONFIGS.items():
            body = json.dumps({"name": name, **config}).encode()
            self.ask(message(f"$JS.API.STREAM.CREATE.{name}", body))
        for _ in range(500):
            self.settle()
            at = self.node.deadline()
            if at is None or at > self.now:
                return
            self.turn(TimerFired())
        raise AssertionError("copying has no end")

    def ask(self, line):
        self.turn(ClientData(self.starts, line))
        self.settle()


@pytest.mark.parametrize("seed", range(10))
def test_after_any_power_cut_copies_are_complete_and_single(seed, monkeypatch):
    logs = note_proposals(monkeypatch)
    machine = Copies(seed, logs)
    machine.run(100)
    machine.rest()
    assert machine.starts > 5
    origin, mirror, gathered, in_memory = (machine.node.streams[name] for name in "OMSV")
    assert origin.messages > 20
    assert [in_memory.message(seq) for seq in in_memory.sequences()] == [
        origin.message(seq) for seq in origin.sequences()
    ]
    assert mirror.last_seq == origin.last_seq
    for seq in mirror.sequences():
        assert mirror.message(seq) == origin.message(seq)
    taken = []
    for seq in gathered.sequences():
        source = headers.find(gathered.message(seq).header or b"", b"Nats-Stream-Source")
        if source:
            taken.append(int(source.split(" ")[1]))
    assert taken == origin.sequences(("o.*",))
