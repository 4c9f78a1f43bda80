"""Wrong answers to lesson 06, each with the hint that it must get."""

import contextlib
import json

from nats.errors import Error

from kvcore.lab import Cluster

HINTS = {
    "ex_06a__half_of_them": "06a.M7",
    "ex_06a__one_is_enough": "06a.spare",
    "ex_06a__those_that_must_live": "06a.quorum",
    "ex_06a__half_rounded_up": "06a.half",
    "ex_06a__default_will_do": "06a.M2",
    "ex_06a__one_to_spare": "06a.two",
    "ex_06a__one_on_each": "06a.four",
    "ex_06a__three_for_two": "06a.any two",
    "ex_06a__three_of_everything": "06a.fewest",
    "ex_06b__yes": "06b.double",
    "ex_06b__newest_log_wins": "06b.double",
    "ex_06b__own_notes": "06b.memory",
    "ex_06b__notes_in_a_default": "06b.memory",
    "ex_06b__longest_log": "06b.M10",
    "ex_06b__first_come": "06b.log",
    "ex_06b__term_only": "06b.short",
    "ex_06b__never": "06b.stuck",
    "ex_06b__newer_only": "06b.stuck",
    "ex_06b__longer_and_later": "06b.stuck",
    "ex_06b__once_and_never_again": "06b.again",
    "ex_06b__loyal_for_ever": "06b.old vote",
    "ex_06b__async_yes": "06b.promise",
    "ex_06c__no_jitter": "06c.none",
    "ex_06c__hardly_any": "06c.narrow",
    "ex_06c__quick": "06c.heartbeat",
    "ex_06c__seconds": "06c.heartbeat",
    "ex_06c__one_heartbeat": "06c.one lost",
    "ex_06c__careful": "06c.slow",
    "ex_06c__backwards": "06c.order",
    "ex_06d__n1": "06d.hard",
    "ex_06d__where_i_am": "06d.mine",
    "ex_06d__first_replica": "06d.replica",
    "ex_06d__remembered": "06d.cached",
    "ex_06d__raises": "06d.nobody",
    "ex_06d__empty_name": "06d.nobody",
    "ex_06d__another_cluster": "06d.somebody",
    "ex_06d__always_none": "06d.somebody",
    "ex_06d__last_known": "06d.dead",
}


def ex_06a__half_of_them__tolerates(n):
    return n // 2


def ex_06a__one_is_enough__tolerates(n):
    return n - 1


def ex_06a__those_that_must_live__tolerates(n):
    return n // 2 + 1


def ex_06a__half_rounded_up__tolerates(n):
    return -(-n // 2)


ex_06a__default_will_do__copies = {"cache": 1, "one of four": 1, "two of five": 5}
ex_06a__one_to_spare__copies = {"cache": 1, "one of four": 2, "two of five": 5}
ex_06a__one_on_each__copies = {"cache": 1, "one of four": 4, "two of five": 5}
ex_06a__three_for_two__copies = {"cache": 1, "one of four": 3, "two of five": 3}
ex_06a__three_of_everything__copies = {"cache": 3, "one of four": 3, "two of five": 5}


def _is_newer(me, request):
    return (request.last_term, request.last_index) >= (me.last_term, me.last_index)


def _is_taken(me, request):
    return request.term == me.term and me.voted_for not in ("", request.sender)


def ex_06b__yes__can_grant_vote(me, request):
    return True


def ex_06b__newest_log_wins__can_grant_vote(me, request):
    return _is_newer(me, request)


_NOTES: dict[int, str] = {}


def ex_06b__own_notes__can_grant_vote(me, request):
    if not _is_newer(me, request):
        return False
    return _NOTES.setdefault(request.term, request.sender) == request.sender


def ex_06b__notes_in_a_default__can_grant_vote(me, request, notes={}):  # noqa: B006
    if notes.get(request.term, request.sender) != request.sender:
        return False
    notes[request.term] = request.sender
    return _is_newer(me, request)


def ex_06b__longest_log__can_grant_vote(me, request):
    return not _is_taken(me, request) and request.last_index >= me.last_index


def ex_06b__first_come__can_grant_vote(me, request):
    return not _is_taken(me, request)


def ex_06b__term_only__can_grant_vote(me, request):
    return not _is_taken(me, request) and request.last_term >= me.last_term


def ex_06b__never__can_grant_vote(me, request):
    return False


def ex_06b__newer_only__can_grant_vote(me, request):
    mine = (me.last_term, me.last_index)
    return not _is_taken(me, request) and (request.last_term, request.last_index) > mine


def ex_06b__longer_and_later__can_grant_vote(me, request):
    if _is_taken(me, request):
        return False
    return request.last_term >= me.last_term and request.last_index >= me.last_index


def ex_06b__once_and_never_again__can_grant_vote(me, request):
    if request.term == me.term and me.voted_for:
        return False
    return _is_newer(me, request)


def ex_06b__loyal_for_ever__can_grant_vote(me, request):
    return me.voted_for in ("", request.sender) and _is_newer(me, request)


async def ex_06b__async_yes__can_grant_vote(me, request):
    return not _is_taken(me, request) and _is_newer(me, request)


ex_06c__no_jitter = (1200, 1200)
ex_06c__hardly_any = (1200, 1230)
ex_06c__quick = (60, 150)
ex_06c__seconds = (1.2, 2.4)
ex_06c__one_heartbeat = (300, 600)
ex_06c__careful = (5000, 10000)
ex_06c__backwards = (2400, 1200)


async def _info(nc, bucket):
    reply = await nc.request(f"$JS.API.STREAM.INFO.KV_{bucket}", b"", timeout=2)
    return json.loads(reply.data)


async def ex_06d__n1__leader_of(nc, bucket):
    return "n1"


async def ex_06d__where_i_am__leader_of(nc, bucket):
    return nc.connected_url.hostname


async def ex_06d__first_replica__leader_of(nc, bucket):
    return (await _info(nc, bucket))["cluster"]["replicas"][0]["name"]


_KNOWN: dict[int, str] = {}


async def ex_06d__remembered__leader_of(nc, bucket):
    if id(nc) not in _KNOWN:
        _KNOWN.clear()
        _KNOWN[id(nc)] = (await _info(nc, bucket))["cluster"]["leader"]
    return _KNOWN[id(nc)]


async def ex_06d__raises__leader_of(nc, bucket):
    return (await _info(nc, bucket))["cluster"]["leader"]


async def ex_06d__empty_name__leader_of(nc, bucket):
    try:
        return (await _info(nc, bucket))["cluster"]["leader"]
    except (Error, KeyError):
        return ""


async def ex_06d__another_cluster__leader_of(nc, bucket):
    return await Cluster.sim(servers=3, seed=1).leader(bucket)


async def ex_06d__always_none__leader_of(nc, bucket):
    return None


async def ex_06d__last_known__leader_of(nc, bucket):
    with contextlib.suppress(Error, KeyError):
        _KNOWN[0] = (await _info(nc, bucket))["cluster"]["leader"]
    return _KNOWN[0]
