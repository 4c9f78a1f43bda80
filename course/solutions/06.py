"""Reference answers of lesson 06. `reveal` shows them after a pass, or after three tries."""

import json

from nats.errors import Error


def ex_06a__what_is_not_needed__tolerates(n):
    """Whatever a majority does not need may fail."""
    majority = n // 2 + 1
    return n - majority


ex_06a__what_is_not_needed__copies = {"cache": 1, "one of four": 3, "two of five": 5}


def ex_06a__one_by_one__tolerates(n):
    """Let one more fail for as long as the rest is more than half."""
    failed = 0
    while 2 * (n - (failed + 1)) > n:
        failed += 1
    return failed


ex_06a__one_by_one__copies = {
    name: next(n for n in range(1, 6) if 2 * (n - failures) > n)
    for name, failures in (("cache", 0), ("one of four", 1), ("two of five", 2))
}


def ex_06b__pairs__can_grant_vote(me, request):
    """One vote in a term; logs compare as pairs."""
    if request.term == me.term and me.voted_for not in ("", request.sender):
        return False
    return (request.last_term, request.last_index) >= (me.last_term, me.last_index)


def ex_06b__one_question_after_the_other__can_grant_vote(me, request):
    """Each way to lose the vote in turn."""
    if request.term < me.term:
        return False
    is_taken = request.term == me.term and me.voted_for != ""
    if is_taken and me.voted_for != request.sender:
        return False
    if request.last_term != me.last_term:
        return request.last_term > me.last_term
    return request.last_index >= me.last_index


ex_06c__six_heartbeats = (1200, 2400)

ex_06c__a_wider_one = (1000, 3000)


async def ex_06d__by_subject__leader_of(nc, bucket):
    """The API's own subject, and its JSON."""
    try:
        reply = await nc.request(f"$JS.API.STREAM.INFO.KV_{bucket}", b"", timeout=2)
    except Error:
        return None
    answer = json.loads(reply.data)
    return answer.get("cluster", {}).get("leader") or None


async def ex_06d__by_nats_py__leader_of(nc, bucket):
    """nats-py asks the same, and raises what it is refused with."""
    try:
        info = await nc.jetstream().stream_info(f"KV_{bucket}")
    except Error:
        return None
    return info.cluster.leader if info.cluster else None
