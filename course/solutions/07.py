"""Reference answers of lesson 07. `reveal` shows them after a pass, or after three tries."""


def ex_07a__a_place_in_the_sorted__advance_commit(matches, log, term, commit):
    """More than half are at least as large as the number in the middle."""
    found = sorted(matches, reverse=True)[len(matches) // 2]
    if found > commit and log.term(found) == term:
        return found
    return commit


def ex_07a__count_from_the_end__advance_commit(matches, log, term, commit):
    """Ask of each entry, the last first, how many have it."""
    for index in range(log.last_index, commit, -1):
        have = sum(match >= index for match in matches)
        if 2 * have > len(matches):
            return index if log.term(index) == term else commit
    return commit


def ex_07b__the_first_contradiction__append_entries(log, previous_index, previous_term, entries):
    """Only an entry that contradicts mine, or is new, ends what stays."""
    if log.term(previous_index) != previous_term:
        return None
    for entry in entries:
        if log.term(entry.index) != entry.term:
            return entry.index - 1
    return log.last_index


def ex_07b__how_long_we_agree__append_entries(log, previous_index, previous_term, entries):
    """Measure how many of the entries are mine already."""
    if (log.term(previous_index), True) != (previous_term, previous_index <= log.last_index):
        return None
    same = [log.term(entry.index) == entry.term for entry in entries]
    if all(same):
        return log.last_index
    return previous_index + same.index(False)


ex_07c__what_the_crashes_show__after_the_crash = {
    "1 on its way": "no ack, gone",
    "2 leader alone": "no ack, gone",
    "3 one follower": "no ack, kept",
    "4 ack lost": "no ack, kept",
    "5 ack heard": "ack, kept",
}
