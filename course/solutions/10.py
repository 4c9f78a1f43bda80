"""Reference answers of lesson 10. `reveal` shows them after a pass, or after three tries."""

import io
import struct
import zlib

ex_10a__by_counting__lost = {
    "R1, always, power cut": "none",
    "R1, interval, kill -9": "none",
    "R1, interval, power cut": "some",
    "R3, always, power cut of all": "none",
    "R3, interval, power cut of all": "some",
    "R3, never, kill -9 of all": "none",
    "R3, interval, power cut of the leader": "none",
    "R3, interval, partition and one power cut": "some",
}


def ex_10b__one_sync(turn, disk, net):
    """Everything that is new, one sync, then everything that is said."""
    disk.write(turn.hard)
    disk.write(turn.entries)
    if turn.hard or turn.entries:
        disk.sync()
    net.send([*turn.news, *turn.promises])


def ex_10b__news_overtake(turn, disk, net):
    """The news leave while the disk works; term and vote have a sync of their own."""
    net.send(turn.news)
    for what in (turn.hard, turn.entries):
        if what:
            disk.write(what)
            disk.sync()
    net.send(turn.promises)


def ex_10c__an_offset(data):
    """An offset that only moves over whole records."""
    bodies, at = [], 0
    while at + 8 <= len(data):
        length, checksum = struct.unpack_from(">II", data, at)
        body = data[at + 8 : at + 8 + length]
        if not length or len(body) < length or zlib.crc32(body) != checksum:
            break
        bodies.append(body)
        at += 8 + length
    return bodies


def _pieces(data):
    stream = io.BytesIO(data)
    while len(header := stream.read(8)) == 8:
        body = stream.read(int.from_bytes(header[:4], "big"))
        yield header, body


def ex_10c__a_stream(data):
    """Pieces from a stream, each packed again and compared with its header."""
    bodies = []
    for header, body in _pieces(data):
        if body == b"" or header != struct.pack(">II", len(body), zlib.crc32(body)):
            return bodies
        bodies.append(body)
    return bodies


ex_10d__by_asking_the_servers__lines = {
    "nats kv add b --storage memory": "nats-server",
    "nats kv add b --storage rocksdb": "neither",
    "jetstream { sync_interval: always }": "nats-server",
    "jetstream { sync_interval: never }": "neither",
    "jetstream { sync_interval: 30s }": "nats-server",
    "jetstream { storage: rocksdb }": "neither",
    "serve --engine rocksdb": "kvcore only",
}
