"""Wrong answers to lesson 00, each with the hint that it must meet."""

import asyncio
import json
from datetime import UTC, datetime

HINTS = {
    "ex_00a__typed_in": "00a.fixed",
    "ex_00a__name_typed_in": "00a.fixed",
    "ex_00a__kept_on_the_client": "00a.stale",
    "ex_00a__kept_for_good": "00a.stale",
    "ex_00a__time_of_the_answer": "00a.later",
    "ex_00a__own_connect_time": "00a.later",
    "ex_00a__id_for_name": "00a.id",
    "ex_00a__the_whole_answer": "00a.shape",
    "ex_00a__nowhere_to_answer": "00a.wait",
    "ex_00a__misspelt_subject": "00a.error",
    "ex_00b__my_clock": "00b.clock",
    "ex_00b__right_at_once": "00b.no_wrong",
    "ex_00b__two_right": "00b.no_wrong",
    "ex_00b__days_are_lost": "00b.days",
    "ex_00b__in_minutes": "00b.unit",
    "ex_00b__right_then_wrong": "00b.clock",
    "ex_00b__still_raises": "00b.error",
    "ex_00b__always_zero": "00b.1",
    "ex_00c__all_is_left": "00c.found",
    "ex_00c__all_is_lost": "00c.disk",
    "ex_00c__the_put_was_lost": "00c.arrived",
}
PING = "$SYS.REQ.SERVER.PING"
_kept = {}


async def _said(nc):
    return json.loads((await nc.request(PING, b"")).data)


async def ex_00a__typed_in(nc):
    return "n1", "2026-01-01T00:00:00Z"


async def ex_00a__name_typed_in(nc):
    return "n1", (await _said(nc))["statsz"]["start"]


async def ex_00a__kept_on_the_client(nc):
    if not hasattr(nc, "who"):
        said = await _said(nc)
        nc.who = said["server"]["name"], said["statsz"]["start"]
    return nc.who


async def ex_00a__kept_for_good(nc):
    if "who" not in _kept:
        said = await _said(nc)
        _kept["who"] = said["server"]["name"], said["statsz"]["start"]
    return _kept["who"]


async def ex_00a__time_of_the_answer(nc):
    said = await _said(nc)
    return said["server"]["name"], said["server"]["time"]


async def ex_00a__own_connect_time(nc):
    seconds = asyncio.get_running_loop().time()
    start = datetime.fromtimestamp(datetime(2026, 1, 1, tzinfo=UTC).timestamp() + seconds, UTC)
    return nc._server_info["server_name"], start.isoformat()


async def ex_00a__id_for_name(nc):
    said = await _said(nc)
    return said["server"]["id"], said["statsz"]["start"]


async def ex_00a__the_whole_answer(nc):
    return (await nc.request(PING, b"")).data


async def ex_00a__nowhere_to_answer(nc):
    subscription = await nc.subscribe(nc.new_inbox())
    await nc.publish(PING, b"")
    return (await subscription.next_msg(timeout=60)).data


async def ex_00a__misspelt_subject(nc):
    said = json.loads((await nc.request("$SYS.REQ.SERVER.PONG", b"")).data)
    return said["server"]["name"], said["statsz"]["start"]


def _start(answer):
    return datetime.fromisoformat(answer["statsz"]["start"])


def _my_clock(answer):
    return (datetime.now(UTC) - _start(answer)).total_seconds()


def _up(answer):
    return datetime.fromisoformat(answer["server"]["time"]) - _start(answer)


def _right(answer):
    return _up(answer).total_seconds()


def _also_right(answer):
    return int(_right(answer))


def _days_lost(answer):
    return _up(answer).seconds


def _minutes(answer):
    return _right(answer) / 60


def _raises(answer):
    return answer["time"] - answer["start"]


def _zero(answer):
    return 0


ex_00b__my_clock = [_my_clock]
ex_00b__right_at_once = [_right]
ex_00b__two_right = [_also_right, _right]
ex_00b__days_are_lost = [_my_clock, _days_lost]
ex_00b__in_minutes = [_my_clock, _minutes]
ex_00b__right_then_wrong = [_right, _my_clock]
ex_00b__still_raises = [_my_clock, _raises]
ex_00b__always_zero = [_zero]

_KEYS = (
    "hello, which was answered",
    "the put that met no server",
    "the client's connection",
    "what n1 had counted",
)
ex_00c__all_is_left = dict.fromkeys(_KEYS, "left")
ex_00c__all_is_lost = dict.fromkeys(_KEYS, "taken")
ex_00c__the_put_was_lost = dict(zip(_KEYS, ("left", "taken", "taken", "taken"), strict=True))
