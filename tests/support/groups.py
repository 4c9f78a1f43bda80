"""One group on one store, driven by hand: the smallest server that can be killed."""

from kvcore.node.group_records import found
from kvcore.node.groups import FILE, Group, Wiring
from kvcore.storage import keys
from kvcore.storage.appendfile import AppendFile
from kvcore.storage.memory import MemoryStorage
from kvcore.storage.overlay import Overlay
from tests.support.stores import TINY_FLOOR_BYTES

GID = 5


class Tally:
    """A machine that keeps every command, in its records and in memory."""

    def __init__(self, gid, records):
        self._gid = gid
        self._records = records
        self.commands = [value for _, value in records.scan(*keys.messages(gid))]
        self.applied_here = []
        state = records.get(keys.state(gid))
        assert keys.applied_index(state) >= len(self.commands)

    @property
    def total(self):
        return len(self.commands)

    def apply(self, command, index):
        self.commands.append(command)
        self.applied_here.append(index)
        self._records.put(keys.message(self._gid, len(self.commands)), command)
        self._records.put(keys.state(self._gid), keys.encode_index(index))
        return len(self.commands), command


class Server:
    """A store, a group, a machine; `lead` takes it through its first sync."""

    def __init__(self, disk, engine=FILE, lead=True):
        self.file = AppendFile(disk, TINY_FLOOR_BYTES)
        self.overlay = Overlay(self.file)
        self._memory = MemoryStorage()
        records = self.overlay if engine == FILE else Overlay(self._memory)
        self._records = records
        state = found(GID, "a", records, self.overlay)
        self.machine = Tally(GID, records)
        wiring = Wiring(records, self.overlay)
        self.group = Group(GID, engine, self.machine, bytes, bytes, state, wiring)
        if lead:
            mark = self.group.flush()
            assert mark
            self.write_and_sync()
            self.group.persisted(mark)

    def persisted(self, mark):
        """The disk has this batch; the outcomes."""
        self.group.persisted(mark)
        return self.group.take()

    def write(self):
        """What a driver does at the end of a turn, without the sync."""
        self.file.write(self.overlay.take())
        if self._records is not self.overlay:
            self._memory.write(self._records.take())

    def write_and_sync(self):
        self.write()
        self.file.sync()

    def put(self, *commands):
        """One whole turn: the outcomes of these commands."""
        for command in commands:
            self.group.propose(command)
        mark = self.group.flush()
        self.write_and_sync()
        return self.persisted(mark)
