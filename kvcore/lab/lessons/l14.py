"""Checks of lesson 14: what a stream says of itself, what causes a difference, what a kill takes.

14a asks servers of the check's own worlds: a lone one, and a cluster with one server down. 14b
and 14c are forms; what is right in 14b stands in the table of expectations, which a test asks of
servers of both kinds.

Left out: nats-server. The answer has the same fields here, and a check must run without it.
"""

import asyncio
import json
from collections.abc import Iterable
from random import Random
from typing import Any

from kvcore.lab.cluster import Cluster
from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import Verdict, not_yet, passed, shown
from kvcore.lab.quiz import Question, questionnaire
from kvcore.lab.trial import answer, in_world

__all__ = ["CAUSES", "DAYS", "check_14a"]

_NOTICED_SECONDS = 2.0  # until a leader has given a silent follower up


@exercise(
    "14a",
    names=("stands",),
    seeds=2,
    hints=(
        "Print one answer and read it. Which part was asked for, and which part is so just now?",
        (
            "`config` has `num_replicas` and `discard`. `cluster` has `leader`, and `replicas`: a "
            "list of the others, each with `current`, and `offline` if it is down. A lone server "
            "has no `cluster`, and one copy."
        ),
        (
            "info = json.loads(reply); peers = info.get('cluster', {}).get('replicas', []); "
            "up = sum(p['current'] and not p.get('offline', False) for p in peers); then "
            "num_replicas and discard from info['config'], and 1 + up."
        ),
    ),
    wrong={
        "shape": "Three things in a tuple, in this order: a number, a word, a number.",
        "M2": "That is what a plain stream, or another bucket, would do. What does *this* one's "
        "`config` say?",
        "M17": "Nobody asked for as many. Where in the answer is what was asked for?",
        "list": "`replicas` under `cluster` lists the others. Who is missing there, and is it "
        "what was asked for?",
        "offline": "One of the copies you count is on a server that is down. What does its entry "
        "in the list say?",
        "leader": "The list names the others. Who else has a copy, and answered you?",
        "error": "Read the line above. A lone server's answer lacks a part that a cluster's has.",
    },
    compare="One walks through the JSON, the other lets nats-py read it. The fields are the same, "
    "and so are their traps: `replicas` lists the others, and an absent part is no error.",
)
def check_14a(stands: Any, seeds: Iterable[int]) -> Verdict:
    """A lone server and a cluster of each seed, with streams of several settings."""
    for seed in seeds:
        for servers in (1, 3):
            verdict = in_world(_asked, stands, seed=seed, servers=servers)
            if verdict is not None:
                return verdict
    return passed("a lone server and a cluster with one server down, both policies")


async def _asked(cluster: Cluster, stands: Any, seed: int) -> Verdict | None:
    rng = Random(f"{seed}/streams")
    alone = len(cluster.servers) == 1
    client = await cluster.connect()
    asked = []
    for number, copies in enumerate((1,) if alone else (1, 3, 3)):
        discard = ("new", "old")[number % 2] if number else rng.choice(("new", "old"))
        name = f"KV_{rng.choice(('desk', 'flags', 'routes'))}{number}"
        wish = {
            "name": name,
            "subjects": [f"$KV.{name[3:]}.>"],
            "max_msgs_per_subject": rng.randint(1, 5),
            "num_replicas": copies,
            "discard": discard,
        }
        await client.request(f"$JS.API.STREAM.CREATE.{name}", json.dumps(wish).encode(), timeout=5)
        asked.append((name, copies, discard))
    told = [f"{name}: {copies} asked for, {discard}" for name, copies, discard in asked]
    if not alone:
        await _lose_a_follower(cluster, [name for name, copies, _ in asked if copies > 1], told)
    for name, copies, discard in asked:
        reply = (await client.request(f"$JS.API.STREAM.INFO.{name}", timeout=5)).data
        part = json.loads(reply).get("cluster", {})
        if not part.get("leader") and not alone:
            continue  # its only copy is on the server that is down
        others = part.get("replicas", [])
        up = 1 + sum(each["current"] and not each.get("offline", False) for each in others)
        want = (copies, discard, up)
        got = await answer(stands, reply)
        told.append(f"{name}: stands says {shown(got)}")
        if got != want:
            return not_yet(
                f"for {name}, stands is {shown(got)}",
                "what its `config` asks for, and the copies that can be counted on now",
                seed=seed,
                hint=_why(got, want, 1 + len(others)),
                trace=[*told, f"{name} answered {reply.decode()[:600]}"],
            )
    return None


async def _lose_a_follower(cluster: Cluster, buckets: list[str], told: list[str]) -> None:
    """Crashes a server that leads none of the buckets, and waits until that is known."""
    leads = [await cluster.leader(name[3:]) for name in buckets]
    down = next(each.name for each in cluster.servers if each.name not in leads)
    await cluster.crash(down)
    told.append(f"{down} is down")
    await asyncio.sleep(_NOTICED_SECONDS)


def _why(got: object, want: tuple[int, str, int], listed: int) -> str:
    """The hint that fits a wrong answer."""
    if not isinstance(got, tuple) or len(got) != len(want):
        return "shape"
    copies, discard, up = got
    if discard != want[1]:
        return "M2"
    if copies != want[0]:
        return "list" if copies == listed - 1 else "M17"
    return "leader" if up == want[2] - 1 else "offline"


TIMERS, SYNC, READ, CHANCE, NONE = "timers", "sync", "read path", "chance", "no difference"
_CAUSES = (TIMERS, SYNC, READ, CHANCE, NONE)
CAUSES = {
    "a killed leader is replaced after seconds, not tenths": Question(
        TIMERS, {SYNC: "who_waits", CHANCE: "not_dice", NONE: "look"}, _CAUSES
    ),
    "a second after its death a server still counts as online": Question(
        TIMERS, {READ: "who_says", CHANCE: "not_dice", NONE: "look"}, _CAUSES
    ),
    "all go dark: puts of the last minute are gone": Question(
        SYNC, {TIMERS: "disk", NONE: "M16", CHANCE: "not_dice"}, _CAUSES
    ),
    "all are killed: no acked put is gone": Question(
        NONE, {SYNC: "M16_kill", CHANCE: "look"}, _CAUSES
    ),
    "a client that sees one of three servers reads a value": Question(
        READ, {NONE: "M14", TIMERS: "who_answers", CHANCE: "who_answers"}, _CAUSES
    ),
    "which of three servers leads": Question(
        CHANCE, {TIMERS: "drawn", NONE: "drawn"}, _CAUSES
    ),
    "nobody said how many copies: there is one": Question(
        NONE, {CHANCE: "look", SYNC: "look", READ: "look"}, _CAUSES
    ),
    "a full bucket refuses the newcomer": Question(
        NONE, {CHANCE: "look", TIMERS: "look"}, _CAUSES
    ),
}  # fmt: skip

questionnaire(
    "14b",
    kind="classification",
    names=("causes",),
    hints=(
        "For each line ask first: did both kinds of server do this, in your own experiments?",
        (
            "Three lines are the same on both. Of the others: who waits for what? A silence, a "
            "disk, nobody? And whose word does a reader get?"
        ),
        (
            "Both have one copy, refuse the newcomer, and lose nothing by a kill. Two lines are "
            "about how long silence lasts before it counts. The one about darkness is about the "
            "disk, the one about reading about who may answer."
        ),
    ),
    questions=CAUSES,
    wrong={
        "who_waits": "No disk is asked here. For what does a follower wait before it stands?",
        "not_dice": "It happens every time, not now and then. Which setting would change it?",
        "look": "Look at the lists above, of what differs and of what is the same: where is it?",
        "who_says": "The server isn't asked; it is dead. After how long a silence is it given up?",
        "disk": "A clock decides how much is gone. But what is it that has not been done by then?",
        "M16": "In Experiment 5 a kill took nothing, and darkness did. kvcore's default does what "
        "before it acks, and nats-server's?",
        "M16_kill": "The sync policy matters to what a power cut takes. What did the kill take?",
        "M14": "Try it in lesson 08: what did a read through the minority get from kvcore?",
        "who_answers": "The cut-off server does the same each time. Whom does kvcore's leader ask "
        "before it answers a get, and whom does a replica of nats-server?",
        "drawn": "Run it twice on nats-server, and twice in worlds of one seed. What differs?",
    },
    sure="A difference with a cause is a setting, or a promise; only chance has neither.",
    compare="Each line is a row of the table: its `why` column is the cause in one sentence.",
)  # fmt: skip

THERE, GONE = "there", "gone"
_FATES = (THERE, GONE)
DAYS = {
    "docker kill of all three": Question(THERE, {GONE: "M16"}, _FATES),
    "power cut of the one machine that all three run on": Question(GONE, {THERE: "shared"}, _FATES),
    "power cut of one of three machines, nothing else wrong": Question(
        THERE, {GONE: "others"}, _FATES
    ),
    "power cut of all three machines": Question(GONE, {THERE: "M15"}, _FATES),
    "the same, sync_interval: always": Question(THERE, {GONE: "always"}, _FATES),
    "docker rm -f of all three, data in volumes": Question(THERE, {GONE: "volume"}, _FATES),
    "docker rm -f of all three, data in the containers": Question(GONE, {THERE: "inside"}, _FATES),
    "a kernel panic of the one machine that all three run on": Question(
        GONE, {THERE: "kernel"}, _FATES
    ),
}

questionnaire(
    "14c",
    kind="prediction",
    names=("days",),
    hints=(
        "Ten seconds after the ack: which memories hold the put? Which of them does the day take?",
        (
            "Three page caches hold it, and no platter, unless the interval is `always`. A process "
            "that dies leaves its page cache; what takes the operating system takes that, too."
        ),
        (
            "Ask of each day whether an operating system dies, how many of the three do, and "
            "whether somebody removes the files. Four days leave the put where it is."
        ),
    ),
    questions=DAYS,
    wrong={
        "M16": "That is SIGKILL, as in Experiment 5. To whom does the page cache belong?",
        "shared": "Three copies, in how many page caches of how many operating systems?",
        "others": "Two page caches are left, and they are a majority. Who has the put?",
        "M15": "Three copies in three memories that all lose their power. Which platter has it?",
        "always": "What had happened on a majority's platters before the ack left?",
        "volume": "The containers go. Who owns the volume's files and the page cache for them?",
        "inside": "No power is lost here. But what is a container's own layer, once it is removed?",
        "kernel": "The power stays on. Whose memory is the page cache, and what has become of it?",
    },
    sure="A kill takes processes. What takes an operating system takes what it had not yet synced.",
    compare="Count platters, then page caches, then processes; the day takes some of each.",
)
