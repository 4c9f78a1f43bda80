"""Rules that look right, each wrong in one way."""


def votes_for_all(me, request):
    return (request.last_term, request.last_index) >= (me.last_term, me.last_index)


def votes_by_length(me, request):
    is_free = request.term > me.term or me.voted_for in {"", request.sender}
    return request.term >= me.term and is_free and request.last_index >= me.last_index


def commits_any_term(matches, log, term, commit):
    return max(commit, sorted(matches, reverse=True)[len(matches) // 2])


def commits_what_the_leader_has(matches, log, term, commit):
    return max(commit, *matches)


def commits_with_one_less_than_a_majority(matches, log, term, commit):
    found = sorted(matches, reverse=True)[len(matches) // 2 - 1]
    return found if found > commit and log.term(found) == term else commit


def cuts_at_each_message(log, previous_index, previous_term, entries):
    return previous_index if log.term(previous_index) == previous_term else None


def takes_without_looking_before(log, previous_index, previous_term, entries):
    return min(previous_index, log.last_index)
