"""Figure 3 of the Raft paper, checked while a group runs.

Raft is right because five properties hold at every moment. A test that looks at answers sees
a violation late or never; one that looks at all servers' states after each event sees it in
the moment it happens, and can name it:

    Election Safety        at most one leader in a term (5.2)
    Leader Append-Only     a leader never overwrites or deletes an entry of its log (5.3)
    Log Matching           if two logs have an entry of the same index and term, they are equal
                           up to there (5.3)
    Leader Completeness    what is committed is in the log of every leader of a later term (5.4)
    State Machine Safety   no two servers commit different entries at one index (5.4.3)

All states of a group are given to `Invariants.observe` after each event, from outside: the
servers know nothing of it. It remembers who led each term, what was committed, and of each
pair of index and term the entry and the term before it; if these never contradict each
other, any two logs match. Only what has changed since the last look is looked at: a log is a
value, and one that is the same object is the same log.

Left out: promises to clients (`history.py`), and progress: a group that does nothing is safe.
"""

from collections.abc import Mapping

from kvcore.raft.entry import Entry
from kvcore.raft.state import Role, State

ELECTION_SAFETY = "Election Safety"
LEADER_APPEND_ONLY = "Leader Append-Only"
LOG_MATCHING = "Log Matching"
LEADER_COMPLETENESS = "Leader Completeness"
STATE_MACHINE_SAFETY = "State Machine Safety"


class InvariantViolated(AssertionError):  # noqa: N818 - what it says, not a mistake in the call
    """A property of figure 3 doesn't hold; `evidence` says which servers contradict it."""

    def __init__(self, name: str, evidence: str) -> None:
        super().__init__(f"{name}: {evidence}")
        self.name = name
        self.evidence = evidence


class Invariants:
    """The memory of one group; a crash doesn't make it forget."""

    def __init__(self) -> None:
        self._leaders: dict[int, str] = {}  # by term
        self._entries: dict[tuple[int, int], tuple[int, Entry]] = {}  # and the term before
        self._chosen: dict[int, tuple[Entry, int, str]] = {}  # committed in which term, by whom
        self._highest = 0  # of these
        self._seen: dict[str, State] = {}
        self._checked: dict[str, int] = {}  # by server: how far its commits were compared

    def observe(self, states: Mapping[str, State]) -> None:
        """Look at the servers that run; raises `InvariantViolated`."""
        changed = [s for name, s in states.items() if self._seen.get(name) is not s]
        for state in changed:
            before = self._seen.get(state.server)
            self._check_log(state, before)
            self._check_commits(state, before)
        for state in changed:
            self._check_leader(state, self._seen.get(state.server))
            self._seen[state.server] = state

    def _check_leader(self, state: State, before: State | None) -> None:
        if state.role is not Role.LEADER:
            return
        term = state.hard.term
        other = self._leaders.setdefault(term, state.server)
        if other != state.server:
            raise InvariantViolated(
                ELECTION_SAFETY, f"{other} and {state.server} both lead term {term}"
            )
        is_new = before is None or before.role is not Role.LEADER or before.hard.term != term
        if not is_new:
            assert before is not None
            self._check_append_only(state, before)
        if is_new and self._highest:
            self._check_complete(state, self._highest)

    def _check_append_only(self, state: State, before: State) -> None:
        last = before.log.last_index
        if state.log.last_index < last or state.log.term(last) != before.log.term(last):
            raise InvariantViolated(
                LEADER_APPEND_ONLY,
                f"{state.server} leads term {state.hard.term} and has changed its log, which "
                f"went up to {last}",
            )

    def _check_complete(self, leader: State, index: int) -> None:
        """That this leader has the committed entry; with Log Matching, all before it too."""
        entry, term, server = self._chosen[index]
        if term < leader.hard.term and index >= leader.log.base:
            mine = leader.log.term(index)
            if mine != entry.term:
                has = f"one of term {mine}" if mine else "none"
                raise InvariantViolated(
                    LEADER_COMPLETENESS,
                    f"{server} had entry {index} of term {entry.term} committed in term {term}; "
                    f"{leader.server}, leader of term {leader.hard.term}, has {has}",
                )

    def _check_log(self, state: State, before: State | None) -> None:
        log = state.log
        if before is not None and before.log is log:
            return
        for place in range(len(log) - 1, -1, -1):
            entry = log.entries[place]
            if before is not None and _at(before, entry.index) is entry:
                break  # and so is all before it
            if entry.index == log.base:
                break  # a marker: nothing but index and term
            found = (log.term(entry.index - 1), entry)
            if self._entries.setdefault((entry.index, entry.term), found) != found:
                raise InvariantViolated(
                    LOG_MATCHING,
                    f"{state.server}'s entry {entry.index} of term {entry.term} isn't the one "
                    "that another log has there, or another one stands before it",
                )

    def _check_commits(self, state: State, before: State | None) -> None:
        server, log = state.server, state.log
        commit = min(state.commit, log.last_index)
        start = self._checked.get(server, 0)
        if before is not None and state.commit < before.commit:
            start = 0  # it has begun anew
        for index in range(max(start + 1, log.first), commit + 1):
            self._choose(state, log.entries[index - log.first])
        self._checked[server] = commit

    def _choose(self, state: State, entry: Entry) -> None:
        index, term = entry.index, state.hard.term
        chosen = self._chosen.get(index)
        if chosen is None:
            if index == state.log.base:
                return  # a marker is no entry
            self._chosen[index] = (entry, term, state.server)
            self._highest = max(self._highest, index)
            for other in self._seen.values():
                if other.role is Role.LEADER and other.hard.term > term:
                    self._check_complete(other, index)
        elif chosen[0].term != entry.term or (index != state.log.base and chosen[0] != entry):
            raise InvariantViolated(
                STATE_MACHINE_SAFETY,
                f"{chosen[2]} has committed an entry of term {chosen[0].term} at {index}, "
                f"{state.server} one of term {entry.term}",
            )


def _at(state: State, index: int) -> Entry | None:
    place = index - state.log.first
    return state.log.entries[place] if 0 <= place < len(state.log) else None
