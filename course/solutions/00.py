"""Reference solutions of lesson 00."""

import calendar
import json
import time
from datetime import UTC, datetime


async def ex_00a__request(nc):
    """One request, and two fields of its answer."""
    reply = await nc.request("$SYS.REQ.SERVER.PING", b"")
    said = json.loads(reply.data)
    return said["server"]["name"], said["statsz"]["start"]


async def ex_00a__own_inbox(nc):
    """What a request is made of: an inbox, a subscription, a publish, one message."""
    inbox = nc.new_inbox()
    subscription = await nc.subscribe(inbox, max_msgs=1)
    await nc.publish("$SYS.REQ.SERVER.PING", b"", reply=inbox)
    match json.loads((await subscription.next_msg(timeout=2)).data):
        case {"server": {"name": name}, "statsz": {"start": start}}:
            return name, start


def _by_my_clock(answer):
    start = datetime.fromisoformat(answer["statsz"]["start"])
    return (datetime.now(UTC) - start).total_seconds()


def _by_the_servers_clock(answer):
    start = datetime.fromisoformat(answer["statsz"]["start"])
    then = datetime.fromisoformat(answer["server"]["time"])
    return (then - start).total_seconds()


def _seconds_without_days(answer):
    start = datetime.fromisoformat(answer["statsz"]["start"])
    return (datetime.fromisoformat(answer["server"]["time"]) - start).seconds


def _whole_seconds(answer):
    def seconds(text):
        return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))

    return seconds(answer["server"]["time"]) - seconds(answer["statsz"]["start"])


ex_00b__two_clocks_then_one = [_by_my_clock, _by_the_servers_clock]
ex_00b__lost_days_then_calendar = [_seconds_without_days, _whole_seconds]

ex_00c__by_place = {
    "hello, which was answered": "left",
    "the put that met no server": "never there",
    "the client's connection": "taken",
    "what n1 had counted": "taken",
}
