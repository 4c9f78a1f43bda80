"""Prints a run that differs: a program to run, both results, and how to get it again."""

from tests.differential.pair import Ran

HEAD = """\
import asyncio
import sys

from tests.differential.session import opened, say


async def main(url):
    async with opened(url, "d000001") as s:
        js, stream, prefix, bucket = s.js, s.stream, s.prefix, s.bucket
"""
TAIL = "\n\nasyncio.run(main(sys.argv[1]))"


def program(ran: Ran) -> str:
    """The script as a program for one server: `python it.py nats://127.0.0.1:4222`."""
    lines = []
    for at, step in enumerate(ran.theirs):
        lines.append(f"        await say({step.call})  # {step.outcome}")
        if step.op.kind in {"make", "bind"} and (at == 0 or step.outcome == "ok"):
            lines.append("        kv = s.kv")
    bucket = f"d{'0' * 6}"
    text = HEAD + "\n".join(lines) + TAIL
    return text.replace(ran.theirs[0].args.get("bucket", bucket), bucket)  # type: ignore[arg-type]


def report(ran: Ran) -> str:
    """What a reader needs to see, and to see again."""
    parts = [f"seed {ran.script.seed}: {len(ran.script.ops)} operations are left", program(ran)]
    parts += [f"  step {each.at}, {each.kind}, {each}" for each in ran.differences[:12]]
    parts.append(f"again: python -m tests.differential --seed {ran.script.seed}")
    return "\n".join(parts)
