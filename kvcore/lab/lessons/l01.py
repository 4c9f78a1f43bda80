"""Checks of lesson 01: how many bytes a put stores, and what a reader may make of them.

01a and 01c are filled in like a form; each tempting answer has a hint of its own. 01b puts
values into a bucket of its own world and compares what the learner's function says with what
was put: text, text with its line end, an empty value, a key that is missing, deleted or purged,
bytes that are no text, and at last a server that does not answer. The order is fixed, so the
first failure names the first idea that is missing.

Left out: history and revisions (lessons 02 to 04).
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeAlias

import nats.errors
from nats.js.kv import KeyValue

from kvcore.lab.cluster import Cluster
from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import Verdict, not_yet, passed, shown
from kvcore.lab.places import files_of, learners_line
from kvcore.lab.quiz import Question, questionnaire, same
from kvcore.lab.trial import answer, in_world
from kvcore.sim.errors import SimulationStalled

__all__ = ["check_01b"]

GetText: TypeAlias = Callable[..., object]
WORDS = ("on", "eu-west", "hello world", "0", "Grüße", "canary 5 %")
KEYS = ("greeting", "db.host", "limits/upload", "flag_7")
PATIENCE_SECONDS = 60.0


# -- 01a: the length of a value --------------------------------------------------------

questionnaire(
    "01a",
    kind="prediction",
    names=("lengths",),
    hints=(
        (
            "For each line ask first: does the command have a value of its own, and who wrote "
            "the bytes that are stored? In the frame, count bytes, not letters."
        ),
        (
            "A value on the command line wins, if there is anything in it. Otherwise every byte of "
            "standard input is stored. So what exactly did the program before the pipe write?"
        ),
        (
            "Leave the put out and count: real.shell('echo \"hello world\" | wc -c'), then the "
            "same with printf. For the frame: len('café'.encode())."
        ),
    ),
    questions={
        "argument": Question(11, wrong={12: "argument"}),
        "both": Question(11, wrong={12: "M3", 22: "joined", 23: "joined", 24: "joined"}),
        "pipe": Question(12, wrong={11: "newline", 13: "newline"}),
        "printf": Question(11, wrong={12: "printf"}),
        "empty argument": Question(12, wrong={0: "empty", 11: "newline"}),
        "frame": Question(5, wrong={4: "letters", 6: "line", 7: "line"}),
        "added by": Question(
            "echo",
            wrong={"the pipe": "same pipe", "nats kv put": "same pipe", "wc": "counter"},
            choices=("echo", "the pipe", "nats kv put", "wc"),
        ),
    },
    wrong={
        "M3": "You let the piped text win. In the lesson one put had two different texts: which "
        "of them came back?",
        "argument": "The shell hands over the words between the quotes. Where would one more "
        "byte come from?",
        "joined": "Only one of the two texts is stored. Which one came back when they differed?",
        "newline": "Type the command before the pipe alone. Where does the cursor stand after it?",
        "printf": "printf and echo differ in one habit. Pipe each of them into `wc -c`.",
        "empty": 'To the put an empty argument is no value at all ("when empty reads STDIN", '
        "says its help). Where does it look then?",
        "letters": "Send it with speak, your number in its first line. What does the server "
        "answer, and how many bytes has an é in UTF-8?",
        "line": "With that number the server waits for more than you sent. Is the line end of the "
        "frame part of the value? In experiment 4 the number was 11.",
        "same pipe": "The pipe and the put were the same for printf. What was not?",
        "counter": "wc counts what it is given. The bytes picture, drawn without wc, had twelve "
        "cells too.",
    },
    sure="A put stores bytes, and echo ends its text with one more than you typed.",
    compare="Whoever writes the bytes decides: the argument, echo, printf, or your own frame.",
)


# -- 01b: a reader for text ----------------------------------------------------------------


@dataclass(slots=True)
class Bench:
    """The learner's function on one bucket, and what was done to it and to each key so far."""

    kv: KeyValue
    get_text: GetText
    seed: int
    steps: list[str] = field(default_factory=list)
    fate: dict[str, str] = field(default_factory=dict)

    async def put(self, key: str, value: bytes) -> None:
        """A put that the trace shows."""
        self.note(key, f"kv.put({key!r}, {value!r})")
        await self.kv.put(key, value)

    def note(self, key: str, call: str) -> None:
        """Remembers a change."""
        self.fate[key] = call
        self.steps.append(f"await {call}")

    async def ask(self, key: str, wanted: str | None, hint: str) -> Verdict | None:
        """A verdict if the function gives something else than `wanted`."""
        return await self.judge(key, lambda got: got == wanted, repr(wanted), hint)

    async def judge(
        self, key: str, accept: Callable[[object], bool], wanted: str, hint: str
    ) -> Verdict | None:
        """A verdict if the function's value is not accepted, or there is none."""
        self.steps.append(f"await get_text(kv, {key!r})")
        try:
            got: Any = await answer(self.get_text, self.kv, key)
        except (nats.errors.Error, UnicodeError, AttributeError, TypeError) as error:
            line = learners_line(error, files_of(self.get_text))
            slip = isinstance(error, AttributeError | TypeError) and "NoneType" not in str(error)
            if slip or not line:
                raise
            what = f"{type(error).__name__}: {error}"
            return self.reject(key, f"raised {what} at {line}", wanted, hint)
        return None if accept(got) else self.reject(key, f"gave {shown(got)}", wanted, hint)

    def reject(self, key: str, observed: str, wanted: str, hint: str) -> Verdict:
        """A rejection with the steps so far as its trace."""
        before = f"after {self.fate[key]}" if key in self.fate else f"{key!r} was never put:"
        text = f"{before} it {observed}"
        return not_yet(text, wanted, seed=self.seed, hint=hint, trace=self.steps)


@exercise(
    "01b",
    names=("get_text",),
    hints=(
        (
            "List what a key can be: never put, put, put with nothing in it, deleted, put with "
            "bytes that no one can read. Call kv.get on each and look before you write."
        ),
        (
            "Only one error means that there is no value. Catch that one, by its name, and let "
            "every other go on. And look at what entry.value is when the value is empty."
        ),
        (
            "try: entry = await kv.get(key); except KeyNotFoundError: no value. Otherwise decode "
            '(entry.value or b"") as UTF-8, and say with errors= what becomes of other bytes.'
        ),
    ),
    wrong={
        "text": "A value is bytes, and this must be the text in them: str, not bytes, and not "
        "Python's way of writing bytes down.",
        "newline": "The line end is one of the stored bytes. Who told you that it does not count?",
        "missing": "What does kv.get do for a key that was never put: return, or raise? And "
        "what must your function say, so that it can't be taken for an empty value?",
        "empty": 'print(repr((await kv.get(key)).value)) after putting b"". That key exists, and '
        "its text has no letters. Can your code tell it from a key that isn't there?",
        "deleted": "The key was deleted after its put. What does kv.get say about it now, and "
        "does your function ask kv.get?",
        "bytes": "Not every value is UTF-8. The reader should still see the part that is text, "
        "and see that there was more: look up errors= of bytes.decode.",
        "swallowed": "The server does not answer, so nobody knows whether the key has a value. "
        "Which errors does your except take in besides the one that means no value?",
    },
    compare="One asks and takes the one error that means no value; one watches the key and reads "
    "the operation of the last entry. The second costs a consumer on the server.",
)
def check_01b(get_text: GetText, seeds: Iterable[int]) -> Verdict:
    """One world per seed."""
    count = 0
    for seed in seeds:
        verdict = in_world(_judge_text, get_text, seed=seed)
        if verdict is not None:
            return verdict
        count += 1
    return passed(f"{count} buckets: text, line ends, empty, missing, deleted, purged, bytes")


async def _judge_text(cluster: Cluster, get_text: GetText, seed: int) -> Verdict | None:
    rng = Random(seed)
    client = await cluster.connect()
    js = client.jetstream()
    direct, history = rng.random() < 0.5, rng.choice((1, 3))
    kv = await js.create_key_value(bucket="config", direct=direct, history=history)
    bench = Bench(kv, get_text, seed)
    for part in (_judge_values, _judge_absence, _judge_bytes):
        verdict = await part(bench, rng)
        if verdict is not None:
            return verdict
    return await _judge_silence(cluster, bench, rng)


async def _judge_values(bench: Bench, rng: Random) -> Verdict | None:
    key, word = rng.choice(KEYS), rng.choice(WORDS)
    await bench.put(key, word.encode())
    if verdict := await bench.ask(key, word, "text"):
        return verdict
    for text in (f"{word}\n", f"  {word}"):
        await bench.put(key, text.encode())
        if verdict := await bench.ask(key, text, "newline"):
            return verdict
    await bench.put(key, b"")
    return await bench.ask(key, "", "empty")


async def _judge_absence(bench: Bench, rng: Random) -> Verdict | None:
    key, word = f"{rng.choice(KEYS)}.other", rng.choice(WORDS)
    if verdict := await bench.ask(key, None, "missing"):
        return verdict
    remove: Callable[[str], Awaitable[bool]]
    for name, remove in (("delete", bench.kv.delete), ("purge", bench.kv.purge)):
        await bench.put(key, word.encode())
        if verdict := await bench.ask(key, word, "text"):
            return verdict
        bench.note(key, f"kv.{name}({key!r})")
        await remove(key)
        if verdict := await bench.ask(key, None, "deleted"):
            return verdict
    await bench.put(key, word.encode())
    return await bench.ask(key, word, "deleted")


async def _judge_bytes(bench: Bench, rng: Random) -> Verdict | None:
    key, at = rng.choice(KEYS), rng.randrange(128, 192)  # no UTF-8 begins with such a byte
    value = b"caf" + bytes([at])

    def readable(got: object) -> bool:
        return isinstance(got, str) and "caf" in got and got != "caf"

    await bench.put(key, value)
    wanted = "text that shows 'caf', and that there is more"
    return await bench.judge(key, readable, wanted, "bytes")


async def _judge_silence(cluster: Cluster, bench: Bench, rng: Random) -> Verdict | None:
    key = rng.choice(KEYS)
    await bench.put(key, b"on")
    await cluster.pause("n1")
    bench.note(key, 'cluster.pause("n1")')
    bench.steps.append(f"await get_text(kv, {key!r})")
    try:
        got = await answer(bench.get_text, bench.kv, key, seconds=PATIENCE_SECONDS)
    except SimulationStalled:
        raise
    except Exception:  # noqa: BLE001 - whichever error the learner chose to raise is right
        return None
    wanted = "an error: without an answer nobody knows"
    return bench.reject(key, f"gave {shown(got)}", wanted, "swallowed")


# -- 01c: the article's claims -------------------------------------------------------------

_VERDICTS = ("true", "true-if", "false")
_COMMANDS = tuple("ABCDEF")
_COUNT_COPIES = ("A", "C")  # with more copies an add lists each further server
_SHOW_VALUE = ("D", "E", "F")  # the pipe's text has a line end, so any of them would differ


def _any_of(commands: tuple[str, ...]) -> Callable[[object], bool]:
    return lambda given: any(same(given, each) for each in commands)


questionnaire(
    "01c",
    kind="classification",
    names=("verdicts",),
    hints=(
        (
            "Read each claim as it stands, word by word, and run its command once more. What would "
            "have come out if the claim were wrong?"
        ),
        (
            "For each claim that fails as it stands: is there a flag that would save it? And "
            "evidence is a command that would have printed something else, had the claim held."
        ),
        (
            "One claim simply holds. Two hold once a flag is added, one of them only with more "
            "servers too. One fails, whatever is added."
        ),
    ),
    questions={
        "creates": Question(
            "true", wrong={"true-if": "exists", "false": "exists"}, choices=_VERDICTS
        ),
        "replicated": Question("true-if", wrong={"true": "M2", "false": "flag"}, choices=_VERDICTS),
        "replicated by": Question(
            "C",
            wrong={"B": "silent", "D": "silent"},
            choices=_COMMANDS,
            hint="silent",
            accept=_any_of(_COUNT_COPIES),
        ),
        "pipe": Question("false", wrong={"true": "M3", "true-if": "argument"}, choices=_VERDICTS),
        "pipe by": Question(
            "F",
            wrong={"B": "echoed", "A": "elsewhere", "C": "elsewhere"},
            choices=_COMMANDS,
            accept=_any_of(_SHOW_VALUE),
        ),
        "prints": Question("true-if", wrong={"true": "header", "false": "raw"}, choices=_VERDICTS),
        "prints by": Question(
            "D", wrong={"E": "agrees", "B": "put"}, choices=_COMMANDS, hint="agrees"
        ),
    },
    wrong={
        "exists": "After the command, is there a bucket? What more does this claim say?",
        "M2": "How many copies does the server itself say that it keeps of this bucket? You "
        "printed the number.",
        "flag": "An add with one more flag was refused here, and the server said why. Where "
        "would it not be refused?",
        "silent": "Would that command have printed anything else, had there been three copies?",
        "M3": "How many bytes did the article's command store, and how many does its pipe bring?",
        "argument": "You may add, not take away. Is there anything to add that makes this put read "
        "its pipe, with its argument in place?",
        "echoed": "A put prints its argument. What did it print for `piped`, and what did it store "
        "there?",
        "elsewhere": "Does that command show the value, or anything that depends on it?",
        "header": "Look at all that the command printed, not only at its last line.",
        "put": "That is what the put printed. The claim is about a get.",
        "raw": "There was a flag with which nothing but hello world came out.",
        "agrees": "Under a plain true that command would have printed the same. Which one shows "
        "that the claim needs a condition?",
    },
    sure="Each verdict rests on a command that could have come out otherwise.",
    compare="More than one command is evidence: for the copies A and C, for the pipe D, E and F. "
    "The best is the one whose two outcomes nobody can confuse.",
)
