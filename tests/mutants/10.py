"""Wrong answers to lesson 10, each with the hint that it must get.

Wrong answers to the two forms (10a, 10d) are made from their own lists of tempting ones; the
ones below hold one mistaken idea throughout.
"""

import struct
import zlib

HINTS = {
    "ex_10a__copies_are_enough": "10a.M15",
    "ex_10a__a_kill_is_a_power_cut": "10a.M16",
    "ex_10a__always_is_not_enough": "10a.always",
    "ex_10b__told_before_synced": "10b.early",
    "ex_10b__told_before_written": "10b.early",
    "ex_10b__never_synced": "10b.M15",
    "ex_10b__synced_before_written": "10b.cache",
    "ex_10b__a_vote_is_no_write": "10b.vote",
    "ex_10b__the_vote_in_memory": "10b.vote",
    "ex_10b__entries_later": "10b.entries",
    "ex_10b__entries_first": "10b.order",
    "ex_10b__promises_only_when_written": "10b.unsent",
    "ex_10b__pickled": "10b.what",
    "ex_10c__trusts_the_length": "10c.length",
    "ex_10c__skips_the_bad": "10c.skip",
    "ex_10c__looks_for_the_next": "10c.skip",
    "ex_10c__empty_records": "10c.zeros",
    "ex_10c__drops_one_more": "10c.cautious",
    "ex_10c__all_or_nothing": "10c.all",
    "ex_10c__gives_up": "10c.all",
    "ex_10c__short_header": "10c.error",
    "ex_10c__counts": "10c.kind",
    "ex_10d__rocksdb_everywhere": "10d.M19",
    "ex_10d__kvcore_takes_it_by_wire": "10d.wire",
    "ex_10d__the_interval_is_fixed": "10d.opt_in",
}

_RIGHT_A = {
    "R1, always, power cut": "none",
    "R1, interval, kill -9": "none",
    "R1, interval, power cut": "some",
    "R3, always, power cut of all": "none",
    "R3, interval, power cut of all": "some",
    "R3, never, kill -9 of all": "none",
    "R3, interval, power cut of the leader": "none",
    "R3, interval, partition and one power cut": "some",
}
ex_10a__copies_are_enough = {
    case: "none" if case.startswith("R3") else right for case, right in _RIGHT_A.items()
}
ex_10a__a_kill_is_a_power_cut = {
    case: "some" if "kill" in case else right for case, right in _RIGHT_A.items()
}
ex_10a__always_is_not_enough = {
    case: "some" if "always" in case else right for case, right in _RIGHT_A.items()
}


def ex_10b__told_before_synced(turn, disk, net):
    disk.write(turn.hard)
    disk.write(turn.entries)
    net.send(turn.news + turn.promises)
    disk.sync()


def ex_10b__told_before_written(turn, disk, net):
    disk.write(turn.entries)
    disk.sync()
    net.send(turn.news + turn.promises)
    disk.write(turn.hard)
    disk.sync()


def ex_10b__never_synced(turn, disk, net):
    disk.write(turn.hard)
    disk.write(turn.entries)
    net.send(turn.news)
    net.send(turn.promises)


def ex_10b__synced_before_written(turn, disk, net):
    disk.sync()
    disk.write(turn.hard)
    disk.write(turn.entries)
    net.send(turn.news + turn.promises)


def ex_10b__a_vote_is_no_write(turn, disk, net):
    disk.write(turn.hard)
    if turn.entries:
        disk.write(turn.entries)
        disk.sync()
    net.send(turn.news + turn.promises)


def ex_10b__the_vote_in_memory(turn, disk, net):
    if turn.entries:
        disk.write(turn.hard)
        disk.write(turn.entries)
        disk.sync()
    net.send(turn.news + turn.promises)


def ex_10b__entries_later(turn, disk, net):
    if turn.hard:
        disk.write(turn.hard)
        disk.sync()
    disk.write(turn.entries)
    net.send(turn.news + turn.promises)


def ex_10b__entries_first(turn, disk, net):
    disk.write(turn.entries)
    disk.sync()
    disk.write(turn.hard)
    disk.sync()
    net.send(turn.news + turn.promises)


def ex_10b__promises_only_when_written(turn, disk, net):
    net.send(turn.news)
    if turn.hard or turn.entries:
        disk.write(turn.hard)
        disk.write(turn.entries)
        disk.sync()
        net.send(turn.promises)


def ex_10b__pickled(turn, disk, net):
    disk.write(repr((turn.hard, turn.entries)).encode())
    disk.sync()
    net.send(turn.news + turn.promises)


def _records(data):
    at = 0
    while at + 8 <= len(data):
        length, checksum = struct.unpack_from(">II", data, at)
        body = data[at + 8 : at + 8 + length]
        is_whole = len(body) == length and zlib.crc32(body) == checksum
        yield at, body, is_whole
        at += 8 + length


def ex_10c__trusts_the_length(data):
    return [body for _, body, _ in _records(data) if body]


def ex_10c__skips_the_bad(data):
    return [body for _, body, is_whole in _records(data) if body and is_whole]


def ex_10c__looks_for_the_next(data):
    bodies, at = [], 0
    while at + 8 <= len(data):
        length, checksum = struct.unpack_from(">II", data, at)
        body = data[at + 8 : at + 8 + length]
        if length and len(body) == length and zlib.crc32(body) == checksum:
            bodies.append(body)
            at += 8 + length
        else:
            at += 1
    return bodies


def ex_10c__empty_records(data):
    bodies = []
    for _, body, is_whole in _records(data):
        if not is_whole:
            break
        bodies.append(body)
    return bodies


def ex_10c__drops_one_more(data):
    bodies = []
    for _, body, is_whole in _records(data):
        if not (body and is_whole):
            return bodies[:-1]
        bodies.append(body)
    return bodies


def ex_10c__all_or_nothing(data):
    found = list(_records(data))
    if not all(body and is_whole for _, body, is_whole in found):
        return []
    if sum(8 + len(body) for _, body, _ in found) != len(data):
        return []
    return [body for _, body, _ in found]


def ex_10c__gives_up(data):
    bodies = []
    for _, body, is_whole in _records(data):
        if not (body and is_whole):
            return None
        bodies.append(body)
    return bodies


def ex_10c__short_header(data):
    bodies, at = [], 0
    while at < len(data):
        length, checksum = struct.unpack_from(">II", data, at)
        body = data[at + 8 : at + 8 + length]
        if not body or len(body) < length or zlib.crc32(body) != checksum:
            break
        bodies.append(body)
        at += 8 + length
    return bodies


def ex_10c__counts(data):
    return len(ex_10c__empty_records(data))


_RIGHT_D = {
    "nats kv add b --storage memory": "nats-server",
    "nats kv add b --storage rocksdb": "neither",
    "jetstream { sync_interval: always }": "nats-server",
    "jetstream { sync_interval: never }": "neither",
    "jetstream { sync_interval: 30s }": "nats-server",
    "jetstream { storage: rocksdb }": "neither",
    "serve --engine rocksdb": "kvcore only",
}
ex_10d__rocksdb_everywhere = {
    line: "nats-server" if "rocksdb" in line else right for line, right in _RIGHT_D.items()
}
ex_10d__kvcore_takes_it_by_wire = {
    line: "kvcore only" if "rocksdb" in line else right for line, right in _RIGHT_D.items()
}
ex_10d__the_interval_is_fixed = {
    line: "neither" if "sync_interval" in line else right for line, right in _RIGHT_D.items()
}
