"""Making and restoring backups of a `driven.Driver` with raw requests, as a client would."""

import json
from collections.abc import Callable

from kvcore.jetstream.archive import ArchiveReader, Head, Pairs, written
from kvcore.jetstream.archive_checks import stored_key
from kvcore.node.io import ClientConnected, ClientData
from kvcore.storage.memory import MemoryStorage
from kvcore.storage.overlay import Overlay

HELLO = b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n'


def messages(heard: bytes) -> list[tuple[str, str, bytes, bytes]]:
    """Subject, reply, header and payload of each message in what a client heard."""
    found, at = [], 0
    while at < len(heard):
        end = heard.index(b"\r\n", at)
        verb, *words = heard[at:end].decode("utf-8", "surrogateescape").split(" ")
        at = end + 2
        if verb not in {"MSG", "HMSG"}:
            assert verb in {"PING", "PONG"}, heard[at : at + 100]
            continue
        total = int(words.pop())
        cut = int(words.pop()) if verb == "HMSG" else 0
        body, at = heard[at : at + total], at + total + 2
        reply = words[2] if len(words) == 3 else ""
        found.append((words[0], reply, body[:cut], body[cut:]))
    return found


def begin(server, stream: str, conn: int = 7, **asked) -> dict:
    """Asks for a backup to the subject `backup` of the client `conn`."""
    if conn not in server.out:
        hello = HELLO + b"SUB backup 1\r\n"
        server.turn(ClientConnected(conn, "h", conn), ClientData(conn, hello))
    server.out[conn] = b""
    return server.request(
        f"$JS.API.STREAM.SNAPSHOT.{stream}", {"deliver_subject": "backup", **asked}
    )


def receive(server, conn: int = 7) -> tuple[bytes, list[bytes], bytes]:
    """Takes and acknowledges all chunks: the archive, the chunks, and the last header."""
    chunks: list[bytes] = []
    while True:
        server.wait(0.001)
        heard, server.out[conn] = server.out[conn], b""
        for _, reply, header, payload in messages(heard):
            if not payload:
                return b"".join(chunks), chunks, header
            chunks.append(payload)
            if reply:
                server.turn(ClientData(conn, f"PUB {reply} 0\r\n\r\n".encode()))


def backup(server, stream: str, **asked) -> tuple[dict, bytes]:
    """The answer, which a client keeps beside the archive, and the archive."""
    answer = begin(server, stream, **asked)
    assert "error" not in answer, answer
    data, _, header = receive(server)
    assert header == b"NATS/1.0 204\r\n\r\n"
    return answer, data


def open_restore(server, answer: dict, **changes) -> str:
    """Where to send the chunks."""
    config = {**answer["config"], **changes}
    body = {"config": config, "state": answer["state"]}
    said = server.request(f"$JS.API.STREAM.RESTORE.{config['name']}", body)
    assert "error" not in said, said
    return said["deliver_subject"]


def send(server, subject: str, payload: bytes) -> dict | None:
    """One chunk; None if it was taken, else the answer."""
    server.heard()
    server.publish(subject, payload, "_I.chunk")
    server.sync()
    server.wait(0.001)
    server.sync()
    answers = [m for m in messages(server.heard()) if m[0] == "_I.chunk"]
    (_, _, header, answer), *_ = answers or [("", "", b"", b"null")]
    if b"503" in header:
        return {"error": {"description": "no responders"}}
    return json.loads(answer) if answer else None


def restore(server, answer: dict, data: bytes, size: int = 1000, **changes) -> dict | None:
    """Sends an archive in chunks of `size`; the first refusal, or the last answer."""
    subject = open_restore(server, answer, **changes)
    for start in range(0, len(data), size):
        refusal = send(server, subject, data[start : start + size])
        if refusal is not None:
            return refusal
    return send(server, subject, b"")


def forged(data: bytes, change: Callable[[dict[bytes, bytes]], object]) -> bytes:
    """An archive whose records were changed by hand, with good checksums."""
    reader, store, records, name = ArchiveReader(), Overlay(MemoryStorage()), {}, ""
    reader.feed(data)
    while (frame := reader.next()) is not None:
        match frame:
            case Head(stream=name):
                pass
            case Pairs(pairs):
                records |= dict(pairs)
    change(records)
    for key, value in records.items():
        store.put(stored_key(9, key), value)
    names = [key[1:].decode() for key in records if key[:1] == b"C"]
    return b"".join(written(name, 9, store, names))
