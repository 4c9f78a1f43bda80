"""Cuts a failing script down to what is needed for its difference.

First the operations: halves, quarters, … down to single ones are left out, for as long as
the same kind of difference stays (delta debugging). Then what is left is made plainer:
arguments, entries of dictionaries, the bucket's configuration. Each candidate runs on both
servers; only what still differs, in the same operation and field, is kept.
"""

import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace

from tests.differential.pair import Alter, Pair, Ran, as_is
from tests.differential.script import Latest, Op, Script, Seq

Fails = Callable[[Script], Awaitable[bool]]

PLAINER: tuple[object, ...] = (None, 0, 1, b"", b"x", "a", ">", False)
OPTIONAL = {"last", "ttl", "filters", "subject", "keep", "seq", "headers"}
MOST_RUNS = 400
MOST_S = 60.0  # a script that waits in vain takes long, each time


async def shrunk(script: Script, fails: Fails) -> Script:
    """The smallest script found from this one for which `fails` holds; it holds for this one."""
    runs, end = 0, time.monotonic() + MOST_S

    async def still(candidate: Script) -> bool:
        nonlocal runs
        runs += 1
        return runs <= MOST_RUNS and time.monotonic() < end and await fails(candidate)

    before = None
    while before != script:
        before = script
        script = await _fewer(script, still)
        script = await _plainer(script, still)
    return script


async def _fewer(script: Script, fails: Fails) -> Script:
    size = len(script.ops)
    while size:
        at = len(script.ops)
        while at > 0:  # from the end: later operations seldom matter to earlier ones
            at -= size
            start = max(at, 0)
            shorter = replace(script, ops=script.ops[:start] + script.ops[at + size :])
            if len(shorter.ops) < len(script.ops) and await fails(shorter):
                script = shorter
        size //= 2
    return script


async def _plainer(script: Script, fails: Fails) -> Script:
    for config in _smaller(script.config):
        candidate = replace(script, config=config)
        if await fails(candidate):
            return candidate
    for at, op in enumerate(script.ops):
        for args in _simpler(op.args):
            ops = (*script.ops[:at], Op(op.kind, args), *script.ops[at + 1 :])
            candidate = replace(script, ops=ops)
            if await fails(candidate):
                return candidate
    return script


def _smaller(given: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """The mapping without each of its entries."""
    for name in given:
        yield {other: value for other, value in given.items() if other != name}


def _simpler(args: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """The arguments with one of them plainer; each is plainer by one order, so this ends."""
    for name, value in args.items():
        match value:
            case Mapping():
                for smaller in _smaller(value):
                    yield {**args, name: smaller}
            case Latest(key, back) if back:
                yield {**args, name: Latest(key, back - 1)}
            case Seq(offset) if offset not in (0, 1):
                yield {**args, name: Seq(offset // 2 if offset > 0 else offset + 1)}
            case list() if len(value) > 1:
                yield {**args, name: value[:1]}
                yield {**args, name: value[1:]}
            case Latest() | Seq():
                pass
            case _:
                rank = PLAINER.index(value) if value in PLAINER else len(PLAINER)
                for plain in PLAINER[:rank]:
                    may = name in OPTIONAL if plain is None else type(plain) is type(value)
                    if may:
                        yield {**args, name: plain}


async def shrink(pair: Pair, ran: Ran, alter: Alter = as_is) -> Ran:
    """A run of the smallest script that differs as this one does."""
    wanted = _sign(ran)
    best = ran

    async def fails(script: Script) -> bool:
        nonlocal best
        tried = await pair.once(script, alter)
        if not tried.differences or not _sign(tried) <= wanted:
            return False
        best = tried
        return True

    await shrunk(ran.script, fails)
    return best


def _sign(ran: Ran) -> set[tuple[str, str]]:
    """Which fields of which kind of call differ; the places in lists don't count."""
    return {(each.kind, re.sub(r"\d+", "", each.path)) for each in ran.differences}
