"""Bad weather for a group of pure cores, by seed: loss, reordering, doubling, crashes, cuts."""

from collections import Counter
from random import Random

from kvcore.check.invariants import Invariants
from kvcore.raft.state import NotLeader, Role
from tests.support.rafts import Net

KINDS = ["crash", "cut", "heal", "trim", "transfer", "restart", "restart", "closed"]
KINDS += ["duel", "duel", "reboot"]


class Storm:
    """One run: random events, the five properties checked after each, then calm."""

    def __init__(self, seed, names="abc", *, crashes=True, memory=False, sync_late=True, **options):
        self.random = Random(seed)
        self.invariants = Invariants()
        self.net = Net(
            names, seed=seed, auto_sync=not sync_late, memory=memory,
            observe=self.invariants.observe, **options,
        )  # fmt: skip
        self.crashes = crashes
        self.memory = memory
        self.counts = Counter()
        self.sent = 0
        self.acked: list[bytes] = []

    def step(self):
        net, random = self.net, self.random
        choice = random.random()
        if net.flying and choice < 0.60:
            place = random.randrange(min(len(net.flying), 8))
            kind = random.random()
            if kind < 0.03:
                net.flying.pop(place)
                self.counts["lost"] += 1
            elif kind < 0.06:
                net.deliver(place, keep=True)
                self.counts["doubled"] += 1
            else:
                net.deliver(place if random.random() < 0.3 else 0)
        elif choice < 0.74:
            server = net.servers[random.choice(net.names)]
            if server.is_up:
                net.sync(server, 1)
                net.settle(server)
        elif choice < 0.90:
            net.tick(random.choice((1, 5, 20)))
        elif choice < 0.985:
            self.propose()
        else:
            self.fault()

    def propose(self):
        name = self.random.choice(self.net.names)
        server = self.net.servers[name]
        if server.is_up and server.raft.role is Role.LEADER:
            self.sent += 1
            try:
                self.net.propose(name, b"%d" % self.sent)
            except NotLeader:
                self.counts["refused"] += 1

    def fault(self):
        net, random = self.net, self.random
        down = [name for name, server in net.servers.items() if not server.is_up]
        kind = random.choice(KINDS)
        name = random.choice(net.names)
        if kind == "crash" and self.crashes and net.servers[name].is_up:
            # a majority in memory that is gone is gone: at most one at a time
            if self.memory and (down or any(s.raft.is_recovering for s in net.servers.values())):
                return
            net.crash(name)
            net.flying = [f for f in net.flying if name not in {f[0], f[1].sender}]
        elif kind == "restart" and down:
            net.restart(down[0])
        elif kind == "cut":
            side = random.sample(net.names, random.randrange(1, len(net.names)))
            net.partition(side, [n for n in net.names if n not in side])
        elif kind == "heal":
            net.heal()
        elif kind == "trim" and net.servers[name].is_up:
            net.trim(name, keep=random.choice((0, 3)))
        elif kind == "transfer" and net.servers[name].is_up:
            if net[name].role is Role.LEADER:
                net[name].transfer(random.choice(net.names), net.now)
                net.settle(net.servers[name])
        elif kind == "closed" and net.servers[name].is_up:
            net[name].peer_closed(random.choice(net.names), net.now)
        elif kind == "duel":
            net.pass_by_leases()
            for rival in random.sample(net.names, 2):
                if net.servers[rival].is_up:
                    net[rival].stand(net.now, is_rehearsed=True)
                    net.settle(net.servers[rival])
        elif kind == "reboot" and self.crashes and net.servers[name].is_up and not self.memory:
            net.crash(name)
            net.restart(name)
        else:
            return
        self.counts[kind] += 1

    def calm(self):
        """Everything works again: the group agrees, and goes on."""
        net = self.net
        net.heal()
        for name, server in net.servers.items():
            if not server.is_up:
                net.restart(name)
        for server in net.servers.values():
            server.raft._part.state = server.raft.state._replace(transfer=None)
        net.auto_sync = True
        for server in net.servers.values():
            net.sync(server)
            net.settle(server)
        net.pass_time(5000, 20)
        leaders = net.leaders()
        assert len(leaders) == 1, {n: s.raft.state for n, s in net.servers.items()}
        net.propose(leaders[0], b"last")
        net.pass_time(200)
        logs = {name: tuple(net.values(name)) for name in net.names}
        assert len(set(logs.values())) == 1, logs
        assert logs[leaders[0]][-1] == b"last"
        assert not any(server.raft.is_recovering for server in net.servers.values())


def storm(seed, steps, *args, **options):
    run = Storm(seed, *args, **options)
    for _ in range(steps):
        run.step()
    run.calm()
    return run
