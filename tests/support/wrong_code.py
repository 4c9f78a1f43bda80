"""What learners write on a bad day: code that never ends, or ends badly."""

import asyncio
import time


def endless(number=0):
    while True:
        number += 1


def stubborn():
    number = 0
    while True:
        try:
            number += 1
        except:  # noqa: E722
            number -= 1


def sleeper():
    time.sleep(3600)


def exits():
    raise SystemExit(3)


def interrupted():
    raise KeyboardInterrupt


async def spins():
    while True:
        await asyncio.sleep(0)


async def sleeps_for_ever():
    while True:
        await asyncio.sleep(1)


async def waits_for_nobody():
    await asyncio.get_running_loop().create_future()


async def stubborn_coroutine():
    while True:
        try:  # noqa: SIM105
            await asyncio.sleep(0)
        except:  # noqa: E722
            pass


async def fails():
    await asyncio.sleep(1)
    return {}["missing"]
