"""Golden transcripts: a script of commands, and after each all that it brought about.

A line that begins with "> " is a command, what follows it is what the servers did, and a line
that begins with "#" is the author's. `transcript` plays the commands of a text and writes the
text anew; a test compares the two. Messages are sent, and arrive only when told to.

    servers a b c          found a group       stand a         stand, after a rehearsal
    add d                  start another one   elect a         stand, and all messages arrive
    deliver a>b            the oldest one      run             all messages arrive
    lose a>b | lose all    forget them         tick 50         milliseconds pass
                           wait 500        they pass, and all messages arrive
    partition ab c | heal                      crash a | restart a
    propose a x y          commands            read a 7        a read
    change a abc d         voters, learners    transfer a b    leadership
    trim a                 forget the log      show            every server's log
"""

from kvcore.check.explored import content
from kvcore.raft.entry import EntryKind, Members
from kvcore.raft.messages import AppendEntries, InstallSnapshot, RequestVote
from kvcore.raft.state import ChangeUnderWay, NotLeader, Role
from tests.support.rafts import Net


def transcript(text):
    """The same script with what comes of it now."""
    play, lines = Play(), []
    for line in text.splitlines():
        if line.startswith("> "):
            lines.append(line)
            lines += [f"  {told}" for told in play.do(line[2:].split())]
        elif line.startswith("#") or not line.strip():
            lines.append(line)
    return "\n".join(lines) + "\n"


class Play:
    """One group and its transcript."""

    def __init__(self):
        self.net = None
        self.told = []
        self.before = {}

    def do(self, words):
        self.told = []
        getattr(self, words[0])(*words[1:])
        return self.told

    def look(self):
        """Tell what has changed since the last look."""
        for name, server in self.net.servers.items():
            state, old = server.raft.state, self.before.get(name)
            if old is None or not server.is_up:
                continue
            self.tell_change(name, old[0], state)
            new = [item for item in server.disk.machine if item[0] > old[1]]
            if new:
                values = ", ".join(f"{index} {data.decode()}" for index, data in new)
                self.told.append(f"{name} applies {values}")
            for context, index in server.reads[old[2] :]:
                self.told.append(f"{name} may serve read {context} at {index}")
        self.remember()

    def tell_change(self, name, old, state):
        what = []
        if old.role is not state.role:
            what.append(f"{old.role.value} -> {state.role.value}")
        if old.hard.term != state.hard.term:
            what.append(f"term {old.hard.term} -> {state.hard.term}")
        if state.hard.voted_for and _vote(old) != _vote(state):
            what.append(f"votes for {state.hard.voted_for}")
        if old.leader != state.leader and state.leader:
            what.append(f"leader {state.leader}")
        if old.log is not state.log:
            agree = 0
            for mine in state.log.entries:
                place = mine.index - old.log.first
                if 0 <= place < len(old.log) and old.log.entries[place] == mine:
                    agree = mine.index
            agree = max(agree, state.log.first - 1)
            if old.log.last_index > agree:
                what.append(f"cuts its log after {agree}")
            if state.log.last_index > agree:
                added = (strip(e) for e in state.log.entries if e.index > agree)
                what.append(f"appends {' '.join(added)}")
        if old.commit != state.commit:
            what.append(f"commit {old.commit} -> {state.commit}")
        if old.members != state.members:
            members = state.members
            learners = f" learners {','.join(members.learners)}" if members.learners else ""
            what.append(f"voters {','.join(members.voters)}{learners}")
        if old.hard.is_recovering != state.hard.is_recovering:
            what.append("has lost its log" if state.hard.is_recovering else "has its log again")
        if what:
            self.told.append(f"{name}: {'; '.join(what)}")

    def remember(self):
        self.before = {
            name: (server.raft.state, server.disk.applied, len(server.reads))
            for name, server in self.net.servers.items()
        }

    def act(self, name):
        """One server has been told something: let it work, tell it, and what it sends."""
        count = len(self.net.flying)
        self.net.settle(self.net.servers[name])
        self.look()
        self.tell_sent(count)

    def tell_sent(self, count):
        for to, message in self.net.flying[count:]:
            self.told.append(f"{message.sender}>{to} {say(message)}")

    # commands

    def servers(self, *names):
        self.net = Net("".join(names))
        self.remember()

    def add(self, name):
        self.net.add(name)
        self.remember()

    def stand(self, name):
        self.net[name].stand(self.net.now)
        self.act(name)

    def elect(self, name):
        self.net.pass_by_leases()
        self.stand(name)
        self.told.clear()
        self.run()

    def deliver(self, pair):
        sender, to = pair.split(">")
        count = len(self.net.flying) - 1
        self.net.deliver_between(sender, to)
        self.look()
        self.tell_sent(count)

    def run(self):
        for _ in range(1000):
            if not self.net.flying:
                break
            self.net.deliver()
            self.look()

    def lose(self, which):
        pairs = None if which == "all" else tuple(which.split(">"))
        self.net.flying = [
            f for f in self.net.flying if pairs is not None and (f[1].sender, f[0]) != pairs
        ]

    def tick(self, ms):
        count = len(self.net.flying)
        self.net.tick(int(ms))
        self.look()
        self.tell_sent(count)

    def wait(self, ms):
        for _ in range(0, int(ms), 10):
            self.net.tick(10)
            self.look()
            self.run()

    def propose(self, name, *data):
        try:
            for item in data:
                self.net[name].propose(item.encode())
        except NotLeader as refused:
            self.told.append(str(refused))
        self.act(name)

    def read(self, name, context):
        self.net[name].read(int(context))
        self.act(name)

    def change(self, name, voters, learners=""):
        try:
            self.net[name].change(Members(tuple(voters), tuple(learners)))
        except ChangeUnderWay as refused:
            self.told.append(f"refused: {refused}")
        self.act(name)

    def transfer(self, name, to):
        self.net[name].transfer(to, self.net.now)
        self.act(name)

    def partition(self, *sides):
        self.net.partition(*sides)

    def heal(self):
        self.net.heal()

    def crash(self, name):
        self.net.crash(name)
        self.net.flying = [f for f in self.net.flying if f[0] != name]

    def restart(self, name):
        self.net.restart(name)
        self.remember()

    def trim(self, name):
        self.net.trim(name)
        self.told.append(f"{name}'s log begins at {self.net[name].state.first}")
        self.remember()

    def show(self):
        for name, server in self.net.servers.items():
            state = server.raft.state
            log = " ".join(strip(entry) for entry in state.log.entries)
            role = state.role.value if server.is_up else "down"
            mark = "*" if state.role is Role.LEADER and server.is_up else " "
            self.told.append(
                f"{mark}{name} {role} term {state.hard.term} commit {state.commit} | {log}"
            )


def _vote(state):
    return state.hard.term, state.hard.voted_for


def strip(entry):
    what = {EntryKind.NOOP: "-", EntryKind.MEMBERS: "members"}.get(entry.kind)
    return f"{entry.index}:{entry.term}:{what or entry.data.decode()}"


def say(message):
    name = type(message).__name__
    if isinstance(message, RequestVote) and message.is_pre:
        return f"RequestVote (rehearsal): {content(message)}"
    if isinstance(message, AppendEntries):
        return f"{name}: {content(message)}, commit {message.commit}"
    if isinstance(message, InstallSnapshot):
        end = ", the last" if message.is_done else ""
        return f"{name}: of {message.last_index} from byte {message.offset}{end}"
    return f"{name}: {content(message)}"
