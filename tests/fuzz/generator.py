"""Makes byte strings that a client might send, whole and broken, from a seed.

A string is a few frames of the client protocol, each with plausible arguments; most strings
are then mutated: bytes flipped, cut, doubled, spliced, numbers made extreme, separators
changed. `cut` splits a string at random places, as a network would.

With `core=True` the strings stay off JetStream's subjects, whose answers nats-server sends
from other goroutines, in any order.
"""

from random import Random

SUBJECTS = (
    *(b"a", b"a.b", b"a.b.c", b"foo", b"FOO", b"_INBOX.x", b"a.*", b"a.>", b">", b"*", b"*.*"),
    *(b"a..b", b".a", b"a.", b">.a", b"a.>.b", b"a.b>", b"a*", b"", b"\xc3\xa4", b"\xff\xfe"),
    *(b"x" * 300, b".".join([b"t"] * 40), b"$SYS.x", b"a\x00b", b"a\tb"),
)
STREAMED = (
    *(b"$KV.fuzz.k", b"$KV.fuzz.a.b", b"$KV.fuzz.", b"$KV.fuzz.*", b"$KV.none.k", b"$JS.API.INFO"),
    *(b"$JS.API.STREAM.INFO.KV_fuzz", b"$JS.API.STREAM.NAMES", b"$JS.API.STREAM.LIST"),
    *(b"$JS.API.STREAM.CREATE.F1", b"$JS.API.STREAM.UPDATE.KV_fuzz", b"$JS.API.STREAM.DELETE.F1"),
    *(b"$JS.API.STREAM.PURGE.F1", b"$JS.API.STREAM.MSG.GET.KV_fuzz", b"$JS.API.NONE"),
    *(b"$JS.API.DIRECT.GET.KV_fuzz", b"$JS.API.DIRECT.GET.KV_fuzz.$KV.fuzz.k", b"$JS.API.>"),
    *(b"$JS.API.CONSUMER.CREATE.KV_fuzz", b"$JS.API.CONSUMER.CREATE.KV_fuzz.c.$KV.fuzz.>"),
    *(
        b"$JS.API.CONSUMER.INFO.KV_fuzz.c",
        b"$JS.API.CONSUMER.DELETE.KV_fuzz.c",
        b"$JS.FC.KV_fuzz.c.x",
    ),
    *(b"$JS.ACK.KV_fuzz.c.1.1.1.1.1", b"$SYS.REQ.USER.INFO", b"$JS.API.STREAM.MSG.DELETE.KV_fuzz"),
)
BODIES = (
    *(b"", b"hello", b"{}", b"null", b"[]", b"[" * 200, b'{"a":' * 100, b"\x00\xff" * 9, b"1e999"),
    *(b'{"seq":1}', b'{"seq":-1}', b'{"seq":1e40}', b'{"last_by_subj":"$KV.fuzz.k"}'),
    *(b'{"offset":0}', b'{"offset":-5}', b'{"filter":"a","keep":1}', b'{"seq":1,"keep":1}'),
    *(b'{"name":"F1","subjects":["f1"]}', b'{"name":"F1","subjects":[">"]}', b'{"name":5}'),
    *(b'{"name":"F1","subjects":["f1"],"storage":"rocksdb"}', b'{"name":"../../etc"}'),
    b'{"stream_name":"KV_fuzz","config":{"deliver_subject":"a","ack_policy":"none"}}',
    b'{"stream_name":"KV_fuzz","config":{"deliver_policy":"nonsense","idle_heartbeat":-1}}',
    b'{"batch":1000000000}',
    b'{"multi_last":["$KV.fuzz.>"]}',
    '{"ä":"\\ud800"}'.encode(),
)
NUMBERS = (
    *(
        b"0",
        b"1",
        b"2",
        b"5",
        b"00",
        b"007",
        b"-1",
        b"+5",
        b"1_0",
        b"0x10",
        b"1e3",
        b"5.0",
        b"",
        b" ",
    ),
    *(b"4096", b"65536", b"1048576", b"1048577", b"2147483648", b"9223372036854775807"),
    *(b"9223372036854775808", b"99999999999999999999", b"\xd9\xa3", b"NaN", b"five"),
)
OPTIONS = (
    *(b"{}", b"", b"{", b"null", b"[]", b"5", b'"x"', b'{"verbose":false}', b'{"verbose":"yes"}'),
    *(b'{"verbose":false,"pedantic":false}', b'{"verbose":false,"headers":true}'),
    *(
        b'{"verbose":false,"protocol":1}',
        b'{"protocol":2}',
        b'{"protocol":"1"}',
        b'{"protocol":-1}',
    ),
    *(b'{"verbose":false,"headers":true,"no_responders":true}', b'{"no_responders":true}'),
    *(b'{"echo":false,"verbose":false}', b'{"user":"u","pass":"p"}', b'{"auth_token":"t"}'),
    *(b'{"name":"n","lang":"python3","version":"2.16.0"}', b'{"VERBOSE":false}', b'{"x":[[[[]]]]}'),
    *(b'{"verbose":null}', b'{"name":5}', b'{"verbose":false} trailing', b'{"verbose":false,}'),
)
HEADERS = (
    b"NATS/1.0\r\n\r\n",
    b"NATS/1.0\r\nA: b\r\n\r\n",
    b"NATS/1.0\r\nNats-Msg-Id: x\r\nNats-TTL: 1\r\n\r\n",
    b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: 0\r\n\r\n",
    b"NATS/1.0\r\nNats-Rollup: all\r\n\r\n",
    b"NATS/1.0 503\r\n\r\n",
    b"NATS/1.0\r\nbroken\r\n\r\n",
    b"NATS/1.0\r\n: \r\n\r\n",
    b"",
    b"nonsense",
    b"\r\n\r\n",
)
LINES = (b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"", b"\r\r\n", b" \r\n", b"\t\r\n")
OTHERS = (
    b"+OK",
    b"-ERR 'x'",
    b"INFO {}",
    b"MSG a 1 2",
    b"GET / HTTP/1.1",
    b"\x16\x03\x01",
)
MAX_PIECES = 4


class Generator:
    """The strings of one seed, in order."""

    def __init__(self, seed: int, *, core: bool = False) -> None:
        self.random = Random(seed)
        self.subjects = SUBJECTS if core else SUBJECTS + STREAMED + STREAMED

    def string(self) -> bytes:
        """The next string."""
        r = self.random
        frames = [self._connect()] if r.random() < 0.5 else []
        frames += [self._frame() for _ in range(r.randint(1, 5))]
        if r.random() < 0.5:
            frames.append(b"PING\r\n")
        data = b"".join(frames)
        if r.random() < 0.75:
            for _ in range(r.randint(1, 3)):
                data = self._mutate(data)
        return data

    def framed(self) -> bytes:
        """A message whose framing is right and whose subject, header and body may not be."""
        r = self.random
        body = self._pick(BODIES)
        for _ in range(r.randint(0, 2)):
            body = self._mutate(body)
        subject = self._pick(STREAMED) if r.random() < 0.8 else self._pick((b"a", b"a.b"))
        reply = b" _INBOX.x" if r.random() < 0.9 else b""
        if r.random() < 0.6:
            return b"PUB %s%s %d\r\n%s\r\n" % (subject, reply, len(body), body)
        header = self._pick(HEADERS)
        if r.random() < 0.5:
            header = self._mutate(header)
        sizes = (len(header), len(header) + len(body))
        return b"HPUB %s%s %d %d\r\n%s%s\r\n" % (subject, reply, *sizes, header, body)

    def cut(self, data: bytes) -> list[bytes]:
        """The string in up to `MAX_PIECES` pieces, none empty."""
        places = sorted(self.random.randint(0, len(data)) for _ in range(self.random.randint(0, 3)))
        pieces = [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
        return [piece for piece in pieces if piece]

    def _pick(self, values: tuple[bytes, ...]) -> bytes:
        return self.random.choice(values)

    def _line(self, *words: bytes) -> bytes:
        """Words with a separator and a line end; now and then odd ones, and odd case."""
        r = self.random
        verb = words[0]
        if r.random() < 0.15:
            verb = r.choice((verb.lower(), verb.title(), verb[:-1], verb + b"X"))
        space = (
            b" " if r.random() < 0.85 else r.choice((b"  ", b"\t", b" \t ", b"\x0b", b"\xa0", b""))
        )
        end = b"\r\n" if r.random() < 0.85 else self._pick(LINES)
        return space.join([verb, *words[1:]]) + end

    def _number(self, right: int) -> bytes:
        return b"%d" % right if self.random.random() < 0.75 else self._pick(NUMBERS)

    def _connect(self) -> bytes:
        return self._line(b"CONNECT", self._pick(OPTIONS))

    def _frame(self) -> bytes:
        r = self.random
        makers = (self._pub, self._pub, self._hpub, self._hpub, self._sub, self._sub, self._unsub)
        which = r.randrange(len(makers) + 4)
        if which < len(makers):
            return makers[which]()
        if which == len(makers):
            return self._line(b"PING")
        if which == len(makers) + 1:
            return self._line(b"PONG")
        if which == len(makers) + 2:
            return self._connect()
        return self._pick(OTHERS) + b"\r\n"

    def _reply(self) -> list[bytes]:
        return [self._pick((b"a", b"_INBOX.x", b"a.b"))] if self.random.random() < 0.5 else []

    def _pub(self) -> bytes:
        body = self._pick(BODIES)
        line = self._line(
            b"PUB", self._pick(self.subjects), *self._reply(), self._number(len(body))
        )
        return line + body + (b"\r\n" if self.random.random() < 0.9 else self._pick(LINES))

    def _hpub(self) -> bytes:
        header, body = self._pick(HEADERS), self._pick(BODIES)
        line = self._line(
            b"HPUB",
            self._pick(self.subjects),
            *self._reply(),
            self._number(len(header)),
            self._number(len(header) + len(body)),
        )
        return line + header + body + (b"\r\n" if self.random.random() < 0.9 else self._pick(LINES))

    def _sid(self) -> bytes:
        return self._pick((b"1", b"1", b"2", b"3", b"abc", b"0", b"-1", b"99999999999999999999"))

    def _sub(self) -> bytes:
        queue = [b"q"] if self.random.random() < 0.15 else []
        return self._line(b"SUB", self._pick(self.subjects), *queue, self._sid())

    def _unsub(self) -> bytes:
        count = [self._number(1)] if self.random.random() < 0.5 else []
        return self._line(b"UNSUB", self._sid(), *count)

    def _mutate(self, data: bytes) -> bytes:
        r = self.random
        at = r.randint(0, len(data))
        to = min(len(data), at + r.randint(0, 12))
        match r.randrange(9):
            case 0 if data and at < len(data):
                return data[:at] + bytes([data[at] ^ (1 << r.randrange(8))]) + data[at + 1 :]
            case 1:
                return data[:at] + data[to:]
            case 2:
                return data[:to] + data[at:]
            case 3:
                return data[:at] + r.randbytes(r.randint(1, 8)) + data[at:]
            case 4:
                return data[:at]
            case 5:
                return data[:at] + self._pick(NUMBERS) + data[to:]
            case 6:
                return data.replace(b" ", self._pick((b"  ", b"\t", b"", b"\r")), r.randint(1, 3))
            case 7:
                return data.replace(
                    b"\r\n", self._pick((b"\n", b"\r", b"", b"\n\r")), r.randint(1, 2)
                )
            case _:
                return data[:at] + self._pick(self.subjects) * r.choice((1, 1, 1, 20)) + data[at:]
