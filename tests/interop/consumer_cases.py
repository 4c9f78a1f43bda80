"""What consumers are asked to do, in cases; each has streams of its own.

These speak to the API directly, so that every field and header that a server sends is
compared: the answers, the deliveries with their reply subjects' numbers, the statuses.
"""

import asyncio
import json
from dataclasses import dataclass, field

from nats.aio.msg import Msg

from tests.interop.records import CALL_S, Case, Recorder

CONSUMER_CASES: dict[str, Case] = {}
RESTART_CASES: dict[str, Case] = {}  # in order, with a restart of the server between them
QUIET_S = 0.25  # nothing more comes after this
MS = 1_000_000


def case(function: Case) -> Case:
    CONSUMER_CASES[function.__name__] = function
    return function


def restart_case(function: Case) -> Case:
    RESTART_CASES[function.__name__] = function
    return function


@dataclass
class Talk:
    """One client that makes streams and consumers, and hears what they send."""

    r: Recorder
    stream: str
    heard: dict[str, list[Msg]] = field(default_factory=dict)
    asked: int = 0

    async def ask(self, call: str, verb: str, body: object = None) -> dict:
        payload = b"" if body is None else json.dumps(body).encode()
        message = await self.r.nc.request(f"$JS.API.{verb}", payload, timeout=CALL_S)
        answer = json.loads(message.data)
        self.asked += 1
        self.r.note(f"{self.asked} {call}", answer)
        return answer

    async def make(self, **config: object) -> None:
        given = {"name": self.stream, "subjects": [f"{self.stream}.>"], **config}
        await self.ask("make the stream", f"STREAM.CREATE.{self.stream}", given)

    async def put(self, *subjects: str) -> None:
        for subject in subjects:
            await self.r.js.publish(f"{self.stream}.{subject}", subject.encode())

    async def create(self, call: str, name: str, action: str = "", **config: object) -> dict:
        body = {"stream_name": self.stream, "config": config, "action": action}
        verb = "DURABLE.CREATE" if config.get("durable_name") else "CREATE"
        return await self.ask(call, f"CONSUMER.{verb}.{self.stream}.{name}", body)

    async def durable(self, name: str, **config: object) -> dict:
        given = {"durable_name": name, "ack_policy": "explicit", **config}
        return await self.create(f"create {name}", name, **given)

    async def info(self, call: str, name: str) -> dict:
        return await self.ask(call, f"CONSUMER.INFO.{self.stream}.{name}")

    async def state(self, call: str) -> None:
        message = await self.r.nc.request(f"$JS.API.STREAM.INFO.{self.stream}", b"")
        state = json.loads(message.data)["state"]
        names = ("messages", "first_seq", "last_seq", "num_deleted", "consumer_count")
        self.r.note(call, {name: state.get(name) for name in names})

    async def listen(self, subject: str, queue: str = "") -> None:
        messages = self.heard.setdefault(subject, [])

        async def take(message: Msg) -> None:
            messages.append(message)

        await self.r.nc.subscribe(subject, queue=queue, cb=take)
        await self.r.nc.flush()

    async def pull(self, name: str, to: str, body: object = None) -> None:
        payload = b"" if body is None else json.dumps(body).encode()
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self.stream}.{name}"
        await self.r.nc.publish(subject, payload, reply=to)
        await self.r.nc.flush()

    async def got(self, call: str, subject: str, count: int) -> list[Msg]:
        """Write down the messages that came here since the last time: `count`, no more."""
        messages = self.heard[subject]

        async def enough() -> bool:
            return len(messages) >= count

        await self.r.until(enough)
        await self.quiet()
        taken = messages[:]
        messages.clear()
        self.r.note(call, [_told(message) for message in taken])
        return taken

    async def quiet(self, seconds: float = QUIET_S) -> None:
        try:
            await asyncio.wait_for(asyncio.Event().wait(), seconds)
        except TimeoutError:
            return

    async def say(self, message: Msg, what: bytes = b"+ACK") -> None:
        await self.r.nc.publish(message.reply, what)
        await self.r.nc.flush()

    async def ask_safe(self, call: str, message: Msg, what: bytes = b"+ACK") -> None:
        answer = await self.r.nc.request(message.reply, what, timeout=CALL_S)
        self.r.note(call, answer.data)


def _told(message: Msg) -> dict[str, object]:
    tokens = message.reply.split(".")
    counts = tokens[:7] + tokens[8:] if message.reply.startswith("$JS.ACK") else tokens[:2]
    return {
        "subject": message.subject,
        "data": message.data,
        "headers": dict(message.headers or {}),
        "counts": counts,
    }


@case
async def explicit_push(r: Recorder) -> None:
    t = Talk(r, "EP")
    await t.make()
    await t.put("a", "b", "c", "d")
    await t.durable("c", deliver_subject="EP_d")
    await t.info("unbound", "c")
    await t.listen("EP_d")
    a, b, c, d = await t.got("all four", "EP_d", 4)
    await t.info("nothing acked", "c")
    await t.ask_safe("ack second", b)
    await t.info("second acked", "c")
    await t.ask_safe("ack second again", b)
    await t.ask_safe("ack first", a)
    await t.info("two acked", "c")
    await t.ask_safe("term fourth", d, b"+TERM because")
    await t.info("fourth terminated", "c")
    await t.ask_safe("working on third", c, b"+WPI")
    await t.ask_safe("something else", c, b"hello")
    await t.ask_safe("nak third", c, b"-NAK")
    (again,) = await t.got("third again", "EP_d", 1)
    await t.info("third again", "c")
    await t.ask_safe("ack third", again, b"")
    await t.info("all acked", "c")
    await t.put("e")
    await t.got("a fifth", "EP_d", 1)
    await t.info("a fifth", "c")


@case
async def silence_and_backoff(r: Recorder) -> None:
    t = Talk(r, "SB")
    await t.make()
    await t.put("a", "b")
    await t.listen("SB_w")
    await t.durable("wait", deliver_subject="SB_w", ack_wait=400 * MS, max_deliver=3)
    await t.got("each three times", "SB_w", 6)
    await t.quiet(0.6)
    await t.info("given up", "wait")
    await t.listen("SB_b")
    backoff = [100 * MS, 200 * MS]
    await t.durable("back", deliver_subject="SB_b", backoff=backoff, max_deliver=3)
    await t.got("with backoff", "SB_b", 6)
    await t.listen("SB_n")
    await t.durable("nak", deliver_subject="SB_n", max_deliver=2)
    first, second = await t.got("before naks", "SB_n", 2)
    await t.say(first, b'-NAK {"delay": 300000000}')
    await t.say(second, b"-NAK 100ms")
    await t.got("after naks", "SB_n", 2)
    await t.info("after naks", "nak")
    await t.listen("SB_1")
    await t.durable("once", deliver_subject="SB_1", max_deliver=1, ack_wait=200 * MS)
    await t.got("once", "SB_1", 2)
    await t.quiet(0.4)
    await t.info("once", "once")


@case
async def ack_all_and_none(r: Recorder) -> None:
    t = Talk(r, "AN")
    await t.make()
    await t.put("a", "b", "c", "d", "e")
    await t.listen("AN_a")
    await t.durable("all", deliver_subject="AN_a", ack_policy="all")
    messages = await t.got("all", "AN_a", 5)
    await t.ask_safe("third", messages[2])
    await t.info("up to three", "all")
    await t.ask_safe("first, too late", messages[0])
    await t.info("still three", "all")
    await t.ask_safe("last", messages[4])
    await t.info("up to five", "all")
    await t.listen("AN_n")
    await t.durable("none", deliver_subject="AN_n", ack_policy="none")
    await t.got("none", "AN_n", 5)
    await t.info("none", "none")


@case
async def max_ack_pending(r: Recorder) -> None:
    t = Talk(r, "MP")
    await t.make()
    await t.put("a", "b", "c", "d", "e")
    await t.listen("MP_d")
    await t.durable("c", deliver_subject="MP_d", max_ack_pending=2)
    first, second = await t.got("two", "MP_d", 2)
    await t.info("two are out", "c")
    await t.say(first)
    await t.got("a third", "MP_d", 1)
    await t.say(second, b"-NAK")
    await t.got("second again", "MP_d", 1)
    await t.durable("c", deliver_subject="MP_d", max_ack_pending=3)
    await t.got("room for one", "MP_d", 1)
    await t.info("three are out", "c")


@case
async def pulling(r: Recorder) -> None:
    t = Talk(r, "PU")
    await t.make()
    await t.durable("c")
    await t.listen("PU_i")
    await t.pull("c", "PU_i", {"batch": 2, "no_wait": True})
    await t.got("nothing, no wait", "PU_i", 1)
    await t.pull("c", "PU_i", {"batch": 3, "expires": 500 * MS})
    await t.info("one waits", "c")
    await t.put("a")
    await t.got("one, then time out", "PU_i", 2)
    await t.info("none waits", "c")
    await t.put("b", "c")
    await t.pull("c", "PU_i", {"batch": 5, "no_wait": True})
    await t.got("two, then none", "PU_i", 3)
    await t.put("d", "e", "f")
    await t.pull("c", "PU_i", {"batch": 5, "no_wait": True, "expires": 2000 * MS})
    await t.got("three, then none", "PU_i", 4)
    await t.put("g", "h")
    await t.pull("c", "PU_i")
    await t.got("one without a body", "PU_i", 1)
    await t.pull("c", "PU_i", 1)
    await t.got("one by number", "PU_i", 1)
    beats = {"batch": 1, "expires": 1000 * MS, "idle_heartbeat": 400 * MS}
    await t.pull("c", "PU_i", beats)
    await t.got("beats, then time out", "PU_i", 3)
    await t.pull("c", "PU_i", {**beats, "idle_heartbeat": 600 * MS})
    await t.got("beats too seldom", "PU_i", 1)
    await t.info("at the end", "c")


@case
async def pulling_bytes(r: Recorder) -> None:
    t = Talk(r, "PB")
    await t.make()
    await t.put("a", "b", "c", "d")
    await t.durable("c", max_waiting=2, max_batch=5, max_expires=1000 * MS, max_bytes=4096)
    await t.listen("PB_i")
    await t.pull("c", "PB_i", {"batch": 4, "max_bytes": 10, "expires": 500 * MS})
    await t.got("too large", "PB_i", 1)
    await t.pull("c", "PB_i", {"batch": 1, "max_bytes": 4000, "expires": 500 * MS})
    await t.got("bytes left", "PB_i", 2)
    await t.pull("c", "PB_i", {"batch": 4, "max_bytes": 130, "expires": 500 * MS})
    await t.got("two fit", "PB_i", 3)
    for call, body in {
        "batch": {"batch": 6},
        "expires": {"batch": 1, "expires": 1500 * MS},
        "bytes": {"batch": 1, "max_bytes": 5000},
    }.items():
        await t.pull("c", "PB_i", body)
        await t.got(f"more than the consumer allows: {call}", "PB_i", 1)
    await t.durable("empty", filter_subject="PB.none", max_waiting=2)
    for _ in range(3):
        await t.pull("empty", "PB_i", {"batch": 1, "expires": 600 * MS})
    await t.info("two wait", "empty")
    await t.got("a third is too many", "PB_i", 3)


@case
async def pulls_take_turns(r: Recorder) -> None:
    t = Talk(r, "TT")
    await t.make()
    await t.durable("c")
    await t.listen("TT_i")
    await t.listen("TT_j")
    await t.pull("c", "TT_i", {"batch": 3, "expires": 5000 * MS})
    await t.pull("c", "TT_j", {"batch": 2, "expires": 5000 * MS})
    await t.put("a", "b", "c", "d", "e")
    messages = await t.got("first", "TT_i", 3)
    await t.got("second", "TT_j", 2)
    await t.put("f")
    await r.nc.publish(messages[0].reply, b'+NXT {"batch": 1}', reply="TT_i")
    await t.got("acked and next", "TT_i", 1)
    await t.info("after next", "c")
    await t.pull("c", "TT_i", {"batch": 3, "expires": 5000 * MS})
    await t.pull("c", "TT_gone", {"batch": 3, "expires": 5000 * MS})
    await t.info("one listens", "c")
    await t.ask("delete", "CONSUMER.DELETE.TT.c")
    await t.got("deleted", "TT_i", 1)


@case
async def updates(r: Recorder) -> None:
    t = Talk(r, "UP")
    await t.make()
    await t.put("a", "b", "a")
    await t.durable("c", deliver_subject="UP_d", description="one")
    await t.durable("c", deliver_subject="UP_d", description="two", ack_wait=60_000 * MS)
    await t.durable("c", deliver_subject="UP_e", filter_subject="UP.a", max_deliver=4)
    for name, value in {
        "deliver_policy": "new",
        "ack_policy": "all",
        "idle_heartbeat": 5000 * MS,
        "deliver_subject": "",
        "mem_storage": True,
    }.items():
        given = {"durable_name": "c", "ack_policy": "explicit", "deliver_subject": "UP_e"}
        await t.create(f"change {name}", "c", **{**given, name: value})
    await t.create("create another", "c", "create", durable_name="c", ack_policy="explicit")
    await t.create("update what isn't", "d", "update", durable_name="d", ack_policy="explicit")
    await t.listen("UP_e")
    await t.got("filtered", "UP_e", 2)
    await t.durable("c", deliver_subject="UP_f", filter_subject="UP.a")
    await t.durable("p")
    await t.durable("p", deliver_subject="UP_p")
    await t.durable("p", max_waiting=9)
    await t.info("at the end", "p")


@case
async def refusals(r: Recorder) -> None:
    t = Talk(r, "RF")
    await t.make(consumer_limits={"max_ack_pending": 50})
    for call, config in {
        "backoff longer than max_deliver": {"backoff": [1, 2, 3], "max_deliver": 2},
        "negative backoff": {"backoff": [-1]},
        "negative ack wait": {"ack_wait": -1},
        "heartbeat of a pull consumer": {"idle_heartbeat": 5000 * MS},
        "flow control of a pull consumer": {"flow_control": True},
        "rate limit of a pull consumer": {"rate_limit_bps": 1000},
        "tiny max_expires": {"max_expires": 10},
        "more pending than the stream allows": {"max_ack_pending": 60},
        "max_waiting of a push consumer": {"deliver_subject": "x", "max_waiting": 4},
        "pending without acks": {
            "deliver_subject": "x", "ack_policy": "none", "max_ack_pending": 5,
        },
        "another name": {"name": "z"},
        "defaults": {},
        "all negative": {"max_waiting": -5, "max_batch": -5, "max_ack_pending": -1},
    }.items():  # fmt: skip
        given = {"durable_name": call[:3], "ack_policy": "explicit", **config}
        await t.create(call, call[:3], **given)
    await t.create("ephemeral pull", "eph", ack_policy="explicit")
    await t.create("ephemeral push", "epx", deliver_subject="y", ack_policy="all")


@case
async def work_queue(r: Recorder) -> None:
    t = Talk(r, "WQ")
    await t.make(retention="workqueue")
    await t.put("a", "b", "c")
    for call, config in {
        "no acks": {"ack_policy": "none"},
        "no acks, push": {"ack_policy": "none", "deliver_subject": "x"},
        "ack all": {"ack_policy": "all"},
        "only new": {"deliver_policy": "new"},
    }.items():
        await t.create(call, "bad", **{"durable_name": "bad", "ack_policy": "explicit", **config})
    await t.durable("a", filter_subject="WQ.a")
    await t.durable("a2", filter_subject="WQ.*")
    await t.durable("a3")
    await t.durable("b", filter_subject="WQ.b")
    await t.listen("WQ_i")
    await t.pull("a", "WQ_i", {"batch": 1})
    (first,) = await t.got("first", "WQ_i", 1)
    await t.state("nothing acked")
    await t.ask_safe("ack first", first)
    await t.state("one acked")
    await t.pull("b", "WQ_i", {"batch": 1})
    (second,) = await t.got("second", "WQ_i", 1)
    await t.ask_safe("term second", second, b"+TERM")
    await t.state("two are gone")
    await t.ask("delete", "CONSUMER.DELETE.WQ.a")
    await t.state("a consumer is gone")


@case
async def interest(r: Recorder) -> None:
    t = Talk(r, "IN")
    await t.make(retention="interest")
    await t.put("a")
    await t.state("nobody wants it")
    await t.durable("one")
    await t.durable("two", filter_subject="IN.b")
    await t.put("a", "b", "c", "b")
    await t.state("all are wanted")
    await t.listen("IN_i")
    await t.pull("one", "IN_i", {"batch": 4})
    messages = await t.got("four", "IN_i", 4)
    for message in messages[:3]:
        await t.ask_safe("ack", message)
    await t.state("one has acked three")
    await t.pull("two", "IN_i", {"batch": 1})
    (shared,) = await t.got("one of two", "IN_i", 1)
    await t.ask_safe("ack shared", shared)
    await t.state("two has acked one")
    await t.info("two", "two")
    await t.ask("delete two", "CONSUMER.DELETE.IN.two")
    await t.state("two is gone")
    await t.ask("delete one", "CONSUMER.DELETE.IN.one")
    await t.state("all are gone")


@case
async def removed_while_pending(r: Recorder) -> None:
    t = Talk(r, "RM")
    await t.make()
    await t.put("a", "b", "c", "d")
    await t.durable("c", ack_wait=400 * MS)
    await t.listen("RM_i")
    await t.pull("c", "RM_i", {"batch": 3})
    await t.got("three", "RM_i", 3)
    await t.ask("delete second", "STREAM.MSG.DELETE.RM", {"seq": 2})
    await t.quiet()
    await t.info("second is gone", "c")
    await t.quiet(0.4)
    await t.pull("c", "RM_i", {"batch": 9, "no_wait": True})
    await t.got("again, and the fourth", "RM_i", 4)
    await t.info("again", "c")


@case
async def queue_group(r: Recorder) -> None:
    t = Talk(r, "QG")
    await t.make()
    await t.durable("c", deliver_subject="QG_d", deliver_group="g")
    await t.listen("QG_d", "g")
    await t.put("a", "b", "c")
    await t.got("three", "QG_d", 3)
    await t.info("bound", "c")


@case
async def starting_points(r: Recorder) -> None:
    t = Talk(r, "SP")
    await t.make()
    await t.put("a", "b", "a", "c", "b")
    await t.listen("SP_i")
    for name, config in {
        "all": {},
        "last": {"deliver_policy": "last"},
        "each": {"deliver_policy": "last_per_subject", "filter_subject": "SP.>"},
        "new": {"deliver_policy": "new"},
        "four": {"deliver_policy": "by_start_sequence", "opt_start_seq": 4},
        "filtered": {"filter_subjects": ["SP.a", "SP.c"]},
        "heads": {"headers_only": True, "filter_subject": "SP.c"},
    }.items():
        await t.durable(name, **config)
        await t.pull(name, "SP_i", {"batch": 2, "no_wait": True})
        messages = await t.got(f"from {name}", "SP_i", 1 if name == "new" else 2)
        for message in messages:
            if message.reply:
                await t.ask_safe(f"ack {message.reply.split('.')[5]} of {name}", message)
        await t.info(f"after {name}", name)
    await t.ask("names", "CONSUMER.NAMES.SP")
    await t.ask("list", "CONSUMER.LIST.SP")


@case
async def ephemerals_go(r: Recorder) -> None:
    t = Talk(r, "EG")
    await t.make()
    await t.put("a")
    await t.create("pull", "p", ack_policy="explicit", inactive_threshold=600 * MS)
    await t.create("push", "q", deliver_subject="EG_d", inactive_threshold=600 * MS)
    await t.durable("d", inactive_threshold=600 * MS)
    await t.durable("stays")
    await t.ask("names", "CONSUMER.NAMES.EG")
    await t.quiet(3)
    await t.ask("names of what is left", "CONSUMER.NAMES.EG")


@case
async def flow_and_heartbeats(r: Recorder) -> None:
    t = Talk(r, "FH")
    await t.make()
    await t.put("a")
    await t.listen("FH_d")
    await t.durable("c", deliver_subject="FH_d", flow_control=True, idle_heartbeat=400 * MS)
    (message, _) = await t.got("one and a beat", "FH_d", 2)
    await t.ask_safe("ack", message)
    await t.info("acked", "c")


@case
async def pauses(r: Recorder) -> None:
    t = Talk(r, "PS")
    await t.make()
    await t.put("a")
    never, then = "0001-01-01T00:00:00Z", "2100-01-01T00:00:00Z"
    await t.durable("c", pause_until=never)
    await t.ask("pause", "CONSUMER.PAUSE.PS.c", {"pause_until": then})
    await t.info("paused", "c")
    await t.listen("PS_i")
    await t.pull("c", "PS_i", {"batch": 1, "expires": 300 * MS})
    await t.got("nothing", "PS_i", 1)
    await t.durable("c", description="keeps its pause")
    await t.ask("resume", "CONSUMER.PAUSE.PS.c", {"pause_until": never})
    await t.pull("c", "PS_i", {"batch": 1, "expires": 300 * MS})
    await t.got("one", "PS_i", 1)
    await t.ask("pause in vain", "CONSUMER.PAUSE.PS.c")
    await t.info("resumed", "c")
    await t.durable("born", pause_until=then, deliver_subject="PS_d")


@case
async def nats_pys_own_calls(r: Recorder) -> None:
    t = Talk(r, "PY")
    await t.make()
    await t.put("a", "b", "c", "d")
    js = r.js
    sub = await js.pull_subscribe("PY.>", durable="pull", stream="PY")
    messages = await sub.fetch(2, timeout=CALL_S)
    r.note("fetched", [_told(message) for message in messages])
    r.note("ack sync", (await messages[0].ack_sync(timeout=CALL_S)).data)
    await r("nak", messages[1].nak())
    await t.quiet()
    (again,) = await sub.fetch(1, timeout=CALL_S)
    r.note("again", _told(again))
    await r("term", again.term())
    last = await sub.fetch(5, timeout=0.5)
    r.note("fewer than asked", [_told(message) for message in last])
    await r("in progress", last[0].in_progress())
    await r("fetch in vain", sub.fetch(1, timeout=0.3))
    await t.quiet()
    await t.info("pulled", "pull")
    await r("unsubscribe", sub.unsubscribe())
    push = await js.subscribe("PY.>", durable="push", stream="PY")
    for _ in range(4):
        message = await push.next_msg(timeout=CALL_S)
        r.note(f"pushed {message.metadata.sequence.stream}", _told(message))
        await message.ack_sync(timeout=CALL_S)
    await r("bound already", js.subscribe("PY.>", durable="push", stream="PY"))
    info = await push.consumer_info()
    r.note("push info", [info.ack_floor.consumer_seq, info.num_ack_pending, info.push_bound])
    group = await js.subscribe("PY.>", "workers", stream="PY")
    other = await js.subscribe("PY.>", "workers", stream="PY")
    got = 0
    for sub_of_group in (group, other):
        while True:
            try:
                message = await sub_of_group.next_msg(timeout=0.4)
            except TimeoutError:
                break
            await message.ack()
            got += 1
    r.note("the queue got", got)
    await t.ask("delete", "CONSUMER.DELETE.PY.pull")


@restart_case
async def before_the_restart(r: Recorder) -> None:
    t = Talk(r, "RS")
    await t.make()
    await t.put("a", "b", "c", "d", "e")
    await t.listen("RS_i")
    await t.durable("pull", ack_wait=1500 * MS)
    await t.pull("pull", "RS_i", {"batch": 3})
    one, _, three = await t.got("three", "RS_i", 3)
    await t.ask_safe("ack first", one)
    await t.ask_safe("ack third", three)
    await t.info("pull", "pull")
    await t.durable("push", deliver_subject="RS_p", ack_policy="none")
    await t.listen("RS_p")
    await t.got("five", "RS_p", 5)
    await t.info("push", "push")
    await t.create("ephemeral", "eph", ack_policy="all", inactive_threshold=60_000 * MS)
    await t.pull("eph", "RS_i", {"batch": 2})
    _, two = await t.got("two", "RS_i", 2)
    await t.ask_safe("ack both", two)


@restart_case
async def after_the_restart(r: Recorder) -> None:
    t = Talk(r, "RS")
    for name in ("pull", "push", "eph"):
        await t.info(name, name)
    await t.listen("RS_i")
    await t.quiet(1.6)
    await t.pull("pull", "RS_i", {"batch": 9, "no_wait": True})
    await t.got("second again, and the rest", "RS_i", 4)
    await t.info("pull", "pull")
    await t.put("f")
    await t.listen("RS_p")
    await t.got("the sixth alone", "RS_p", 1)
    await t.pull("eph", "RS_i", {"batch": 1})
    await t.got("the third", "RS_i", 1)
    await t.ask("names", "CONSUMER.NAMES.RS")
