"""Exercises made up for the tests of the mechanism; no lesson has their numbers."""

from kvcore.lab import trial
from kvcore.lab.exercise import exercise
from kvcore.lab.feedback import not_yet, passed, shown, unknown
from kvcore.sim import drive
from kvcore.sim.loop import VirtualLoop

HINTS = ("Level one nudges.", "Level two names the idea.", "Level three is nearly code.")
WRONG = {"M1": "That is the square.", "none": "An answer is a number."}


def declare_double() -> None:
    """90a: a function that doubles."""

    @exercise("90a", names=("double",), hints=HINTS, wrong=WRONG, compare="One adds.")
    def check_90a(double, seeds):
        for seed in seeds:
            got = double(seed)
            if got != 2 * seed:
                key = "M1" if got == seed * seed else "none" if got is None else ""
                return not_yet(
                    f"double({seed}) gave {shown(got)}",
                    f"{2 * seed}",
                    seed=seed,
                    hint=key,
                    trace=["step 1", "step 2"],
                )
        return passed("doubles of 8 numbers")


def declare_pair() -> None:
    """90b: two functions, one answer."""

    @exercise("90b", names=("there", "back"), hints=HINTS, wrong={"M5": "Back is the way back."})
    def check_90b(learner, seeds):
        there, back = learner
        for seed in seeds:
            if back(there(seed)) != seed:
                return not_yet("there and back ends elsewhere", f"{seed}", seed=seed, hint="M5")
        return passed()


def declare_undecided() -> None:
    """90c: a check that can't decide."""

    @exercise("90c", names=("thing",), hints=HINTS)
    def check_90c(thing, seeds):
        return unknown("no server became ready")


def declare_broken() -> None:
    """90d: a check with a fault of its own."""

    @exercise("90d", names=("thing",), hints=HINTS)
    def check_90d(thing, seeds):
        return {}["missing"]


def declare_get_text() -> None:
    """90e: an async function that reads a bucket, in a world of the check's own."""

    async def judge(cluster, get_text, seed):
        client = await cluster.connect()
        kv = await client.jetstream().create_key_value(bucket="own")
        await kv.put("greeting", f"hello {seed}".encode())
        got = await trial.answer(get_text, kv, "greeting")
        if got != f"hello {seed}":
            return not_yet(shown(got), f"'hello {seed}'", seed=seed)
        return passed()

    @exercise("90e", names=("get_text",), hints=HINTS)
    def check_90e(get_text, seeds):
        for seed in seeds:
            verdict = trial.in_world(judge, get_text, seed=seed)
            if verdict != passed():
                return verdict
        return passed("8 worlds")


def in_virtual_time(function):
    """The learner's coroutine on a virtual loop of its own, as a check runs it."""
    loop = VirtualLoop(1)
    try:
        return drive.run(loop, trial.answer(function))
    finally:
        drive.drain(loop)
        loop.close()
