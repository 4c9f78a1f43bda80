"""What a listener on `$JS.EVENT.>` hears of each action, in cases with streams of their own."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from nats.aio.msg import Msg

from tests.interop.consumer_cases import MS, Talk
from tests.interop.records import Case, Recorder

ADVISORY_CASES: dict[str, Case] = {}
LATE_S = 4.0
FAR = "2126-01-01T00:00:00Z"


def case(function: Case) -> Case:
    ADVISORY_CASES[function.__name__] = function
    return function


@dataclass
class Ear:
    """Hears the events of one stream; `heard` notes those that came since the last time."""

    talk: Talk
    events: list[Msg] = field(default_factory=list)

    async def listen(self) -> None:
        async def take(message: Msg) -> None:
            if self._is_ours(message):
                self.events.append(message)

        await self.talk.r.nc.subscribe("$JS.EVENT.>", cb=take)
        await self.talk.r.nc.flush()

    def _is_ours(self, message: Msg) -> bool:
        asked = json.loads(message.data).get("subject", message.subject)
        return self.talk.stream in asked.split(".")

    async def heard(self, call: str, count: int) -> None:
        async def enough() -> bool:
            return len(self.events) >= count

        try:
            await asyncio.wait_for(self.talk.r.until(enough), LATE_S)
        except TimeoutError:
            self.talk.r.note(f"{call}: late", [message.subject for message in self.events])
        await self.talk.quiet()
        told = sorted((_told(message) for message in self.events), key=lambda one: one["on"])
        self.events.clear()
        self.talk.r.note(f"{call} is told", told)


def _told(message: Msg) -> dict:
    """An event with what differs from run to run checked and taken out."""
    event = json.loads(message.data)
    assert len(event.pop("id")) == 22
    for name in ("request", "response"):
        if event.get(name, "").startswith("{"):
            event[name] = json.loads(event[name])
    if client := event.get("client"):
        client.pop("rtt", None)
        assert client.pop("id") > 0
        assert client["server"] == event["server"]
    return {"on": message.subject, "headers": message.headers, **event}


async def listening(r: Recorder, stream: str) -> tuple[Talk, Ear]:
    talk = Talk(r, stream)
    ear = Ear(talk)
    await ear.listen()
    return talk, ear


@case
async def stream_actions(r: Recorder) -> None:
    t, ear = await listening(r, "AS")
    await t.make()
    await ear.heard("a new stream", 2)
    await t.make()
    await ear.heard("the same again", 1)
    await t.make(max_msgs=3)
    await ear.heard("another one of that name", 1)
    given = {"name": "AS", "subjects": ["AS.>"], "description": "d"}
    await t.ask("update", "STREAM.UPDATE.AS", given)
    await ear.heard("a change", 2)
    await t.ask("update again", "STREAM.UPDATE.AS", given)
    await ear.heard("no change", 2)
    await t.ask("update badly", "STREAM.UPDATE.AS", {**given, "storage": "memory"})
    await ear.heard("a refused change", 1)
    await t.put("a", "b")
    await ear.heard("two messages", 0)
    for verb, body in (
        ("STREAM.MSG.GET", {"seq": 1}),
        ("STREAM.MSG.DELETE", {"seq": 1}),
        ("STREAM.PURGE", None),
        ("STREAM.INFO", None),
    ):
        await t.ask(verb, f"{verb}.AS", body)
        await ear.heard(verb, verb != "STREAM.MSG.GET")
    await t.durable("c")
    await ear.heard("a consumer", 2)
    await t.ask("delete", "STREAM.DELETE.AS")
    await ear.heard("the end", 3)
    await t.ask("delete again", "STREAM.DELETE.AS")
    await ear.heard("nothing to delete", 1)


@case
async def consumer_actions(r: Recorder) -> None:
    t, ear = await listening(r, "AC")
    await t.make()
    await ear.heard("a stream", 2)
    await t.durable("c")
    await ear.heard("a consumer", 2)
    await t.durable("c")
    await ear.heard("the same again", 1)
    await t.durable("c", description="d")
    await ear.heard("a changed consumer", 1)
    await t.info("info", "c")
    await ear.heard("a question", 1)
    for call, body in (
        ("a pause", {"pause_until": FAR}),
        ("the same pause", {"pause_until": FAR}),
        ("the end of it", {}),
        ("the end again", {}),
    ):
        await t.ask(call, "CONSUMER.PAUSE.AC.c", body)
        await ear.heard(call, 1 + (call in ("a pause", "the end of it")))
    await t.durable("p", pause_until=FAR)
    await ear.heard("a consumer that begins paused", 3)
    await t.ask("delete", "CONSUMER.DELETE.AC.c")
    await ear.heard("the end of a consumer", 2)
    await t.ask("delete again", "CONSUMER.DELETE.AC.c")
    await ear.heard("nothing to delete", 1)
    await t.listen("AC_d")
    await t.create("an ephemeral", "e", name="e", deliver_subject="AC_d", inactive_threshold=9 * MS)
    await ear.heard("an ephemeral", 2)
    (sub,) = [one for one in r.nc._subs.values() if one.subject == "AC_d"]
    await sub.unsubscribe()
    await ear.heard("an abandoned consumer", 1)


@case
async def a_pause_that_ends_by_itself(r: Recorder) -> None:
    t, ear = await listening(r, "AP")
    await t.make()
    await t.durable("c")
    await ear.heard("the beginning", 4)
    body = {"pause_until": "2020-01-01T00:00:00Z"}
    await t.ask("a pause that was over before", "CONSUMER.PAUSE.AP.c", body)
    await ear.heard("a pause that was over before", 2)
    now = await t.ask("info", "CONSUMER.INFO.AP.c")
    until = datetime.fromisoformat(now["ts"][:19] + "+00:00") + timedelta(seconds=2)
    body = {"pause_until": until.strftime("%Y-%m-%dT%H:%M:%SZ")}
    await t.ask("a short pause", "CONSUMER.PAUSE.AP.c", body)
    await ear.heard("a short pause and its end", 4)


@case
async def what_becomes_of_messages(r: Recorder) -> None:
    t, ear = await listening(r, "AM")
    await t.make()
    await t.durable("c", ack_wait=300 * MS, max_deliver=2, sample_freq="100%")
    await t.put(*"abcdef")
    await t.listen("AM_in")
    await ear.heard("the beginning", 4)

    async def pulled() -> Msg:
        await t.pull("c", "AM_in", {"batch": 1, "expires": 5_000 * MS})
        (message,) = await t.got("a message", "AM_in", 1)
        return message

    for said, count in (
        (b"-NAK", 1),
        (b"+ACK", 1),
        (b"+TERM", 1),
        (b"+TERM because of this", 1),
        (b"+WPI", 0),
        (b"what", 0),
    ):
        message = await pulled()
        await t.say(message, said)
        await ear.heard(said.decode(), count)
        await t.say(message, b"+ACK")
        await ear.heard(
            f"{said.decode()}, then +ACK", said not in (b"+ACK", b"+TERM", b"+TERM because of this")
        )


@case
async def given_up(r: Recorder) -> None:
    t, ear = await listening(r, "AG")
    await t.make()
    await t.put("a", "b")
    await t.listen("AG_d")
    await t.durable(
        "once", deliver_subject="AG_d", ack_wait=120 * MS, max_deliver=1, filter_subject="AG.a"
    )
    await t.got("the only delivery", "AG_d", 1)
    await ear.heard("silence after one delivery", 5)
    await t.listen("AG_e")
    await t.durable(
        "thrice", deliver_subject="AG_e", ack_wait=120 * MS, max_deliver=3, filter_subject="AG.b"
    )
    await t.got("three deliveries", "AG_e", 3)
    await ear.heard("silence after three deliveries", 3)


@case
async def refused_sampling(r: Recorder) -> None:
    t = Talk(r, "AF")
    await t.make()
    for at, text in enumerate(
        ("x", "-1", "1.5%", "101", "%", "9" * 20, "+5", "5%%", "0", " 5", "é")
    ):
        await t.durable(f"c{at}", sample_freq=text)
    await t.create("none", "n", durable_name="n", ack_policy="none", sample_freq="100")


@case
async def a_stream_that_keeps_advisories(r: Recorder) -> None:
    t = Talk(r, "AK")
    await t.ask(
        "make", "STREAM.CREATE.AK", {"name": "AK", "subjects": ["$JS.EVENT.ADVISORY.STREAM.*.AKX"]}
    )
    other = Talk(r, "AKX")
    await other.make()
    await other.ask("delete", "STREAM.DELETE.AKX")

    async def kept() -> bool:
        answer = await r.nc.request("$JS.API.STREAM.INFO.AK", b"")
        return json.loads(answer.data)["state"]["messages"] == 2

    await asyncio.wait_for(r.until(kept), 10)
    for seq in (1, 2):
        answer = await r.nc.request("$JS.API.STREAM.MSG.GET.AK", json.dumps({"seq": seq}).encode())
        r.note(f"message {seq}", json.loads(answer.data)["message"]["subject"])
