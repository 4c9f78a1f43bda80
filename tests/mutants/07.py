"""Wrong answers to lesson 07, each with the hint that it must get."""

HINTS = {
    "ex_07a__all_of_them": "07a.M8",
    "ex_07a__one_more_than_a_majority": "07a.M8",
    "ex_07a__never": "07a.M8",
    "ex_07a__the_leader_has_it": "07a.alone",
    "ex_07a__what_the_leader_wrote": "07a.alone",
    "ex_07a__one_less_than_a_majority": "07a.few",
    "ex_07a__half_of_them": "07a.even",
    "ex_07a__whatever_its_term": "07a.M9",
    "ex_07a__the_log_ends_in_my_term": "07a.M9",
    "ex_07a__counts_whatever_its_term": "07a.M9",
    "ex_07a__the_next_is_of_my_term": "07a.first",
    "ex_07a__or_nothing": "07a.back",
    "ex_07a__or_none": "07a.shape",
    "ex_07a__yes_or_no": "07a.shape",
    "ex_07b__takes_all": "07b.hole",
    "ex_07b__looks_before_for_a_hole_alone": "07b.previous",
    "ex_07b__keeps_all": "07b.conflict",
    "ex_07b__keeps_one_too_many": "07b.conflict",
    "ex_07b__by_index_alone": "07b.conflict",
    "ex_07b__refuses_a_conflict": "07b.refuses",
    "ex_07b__at_the_end_alone": "07b.refuses",
    "ex_07b__overwrites": "07b.prefix",
    "ex_07b__overwrites_with_entries": "07b.prefix",
    "ex_07b__ends_with_the_message": "07b.stale",
    "ex_07b__an_empty_one_ends_the_log": "07b.stale",
    "ex_07b__says_yes": "07b.shape",
    "ex_07b__the_new_log": "07b.shape",
}


def _at(found, log, term, commit):
    return found if found > commit and log.term(found) == term else commit


def ex_07a__all_of_them__advance_commit(matches, log, term, commit):
    return _at(min(matches), log, term, commit)


def ex_07a__one_more_than_a_majority__advance_commit(matches, log, term, commit):
    place = min(len(matches) - 1, len(matches) // 2 + 1)
    return _at(sorted(matches, reverse=True)[place], log, term, commit)


def ex_07a__never__advance_commit(matches, log, term, commit):
    return max(commit, 0)


def ex_07a__the_leader_has_it__advance_commit(matches, log, term, commit):
    return _at(max(matches), log, term, commit)


def ex_07a__what_the_leader_wrote__advance_commit(matches, log, term, commit):
    return log.last_index


def ex_07a__one_less_than_a_majority__advance_commit(matches, log, term, commit):
    place = max(0, len(matches) // 2 - 1)
    return _at(sorted(matches, reverse=True)[place], log, term, commit)


def ex_07a__half_of_them__advance_commit(matches, log, term, commit):
    return _at(sorted(matches)[len(matches) // 2], log, term, commit)


def ex_07a__whatever_its_term__advance_commit(matches, log, term, commit):
    return max(commit, sorted(matches, reverse=True)[len(matches) // 2])


def ex_07a__the_log_ends_in_my_term__advance_commit(matches, log, term, commit):
    found = sorted(matches, reverse=True)[len(matches) // 2]
    return found if found > commit and log.last_term == term else commit


def ex_07a__counts_whatever_its_term__advance_commit(matches, log, term, commit):
    index = commit
    while 2 * sum(match > index for match in matches) > len(matches):
        index += 1
    return index


def ex_07a__the_next_is_of_my_term__advance_commit(matches, log, term, commit):
    found = sorted(matches, reverse=True)[len(matches) // 2]
    return found if found > commit and log.term(commit + 1) == term else commit


def ex_07a__or_nothing__advance_commit(matches, log, term, commit):
    found = sorted(matches, reverse=True)[len(matches) // 2]
    return found if log.term(found) == term else 0


def ex_07a__or_none__advance_commit(matches, log, term, commit):
    found = sorted(matches, reverse=True)[len(matches) // 2]
    if found > commit and log.term(found) == term:
        return found
    return None


def ex_07a__yes_or_no__advance_commit(matches, log, term, commit):
    return sum(match > commit for match in matches) > len(matches) // 2


def _agreed(log, entries):
    for entry in entries:
        if log.term(entry.index) != entry.term:
            return entry.index - 1
    return log.last_index


def ex_07b__takes_all__append_entries(log, previous_index, previous_term, entries):
    return _agreed(log, entries)


def ex_07b__looks_before_for_a_hole_alone__append_entries(
    log, previous_index, previous_term, entries
):
    return None if previous_index > log.last_index else _agreed(log, entries)


def ex_07b__keeps_all__append_entries(log, previous_index, previous_term, entries):
    return log.last_index if log.term(previous_index) == previous_term else None


def ex_07b__keeps_one_too_many__append_entries(log, previous_index, previous_term, entries):
    if log.term(previous_index) != previous_term:
        return None
    return min(_agreed(log, entries) + 1, log.last_index)


def ex_07b__by_index_alone__append_entries(log, previous_index, previous_term, entries):
    if log.term(previous_index) != previous_term:
        return None
    new = [entry.index for entry in entries if entry.index > log.last_index]
    return new[0] - 1 if new else log.last_index


def ex_07b__refuses_a_conflict__append_entries(log, previous_index, previous_term, entries):
    if log.term(previous_index) != previous_term:
        return None
    kept = _agreed(log, entries)
    return kept if kept == log.last_index else None


def ex_07b__at_the_end_alone__append_entries(log, previous_index, previous_term, entries):
    is_end = (log.last_index, log.last_term) == (previous_index, previous_term)
    return previous_index if is_end else None


def ex_07b__overwrites__append_entries(log, previous_index, previous_term, entries):
    return previous_index if log.term(previous_index) == previous_term else None


def ex_07b__overwrites_with_entries__append_entries(log, previous_index, previous_term, entries):
    if log.term(previous_index) != previous_term:
        return None
    return previous_index if entries else log.last_index


def ex_07b__ends_with_the_message__append_entries(log, previous_index, previous_term, entries):
    if log.term(previous_index) != previous_term:
        return None
    return min(_agreed(log, entries), previous_index + len(entries))


def ex_07b__an_empty_one_ends_the_log__append_entries(log, previous_index, previous_term, entries):
    if log.term(previous_index) != previous_term:
        return None
    return _agreed(log, entries) if entries else previous_index


def ex_07b__says_yes__append_entries(log, previous_index, previous_term, entries):
    return log.term(previous_index) == previous_term


def ex_07b__the_new_log__append_entries(log, previous_index, previous_term, entries):
    kept = [each for each in log.entries if each.index <= previous_index]
    return (*kept, *entries)
