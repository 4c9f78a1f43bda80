"""What each group was asked to do, whatever became of it: the oracle of the power-cut tests."""

from typing import Any

import pytest

from kvcore.node.groups import Group


def note_proposals(monkeypatch: pytest.MonkeyPatch) -> dict[int, list[Any]]:
    """Group id to its commands in the log's order, kept up to date while servers run."""
    logs: dict[int, list[Any]] = {}
    propose = Group.propose

    def noted(group: Group[Any, Any], command: Any) -> int:
        index = propose(group, command)
        log = logs.setdefault(group.gid, [])
        del log[index - 1 :]  # a group in memory begins again
        log.append(command)
        return index

    monkeypatch.setattr(Group, "propose", noted)
    return logs
