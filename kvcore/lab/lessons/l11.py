"""Checks of lesson 11: what a full stream does, and which of its levers move while it runs.

11a foretells ten writes, and 11c six changes of a live bucket. Both are forms: each tempting
wrong answer has a hint of its own. That the right answers are right is a test's matter
(tests/lessons/test_levers.py plays them on kvcore, and on nats-server where there is one).
The function that decides is exercise 11b, in `l11_admit`.

Left out: consumers, which only matter to streams that are no buckets.
"""

import re

from kvcore.lab.lessons.l11_admit import check_11b
from kvcore.lab.quiz import Question, questionnaire

__all__ = ["CHANGES", "WRITES", "check_11b"]

FULL, STALE = "refused: bytes", "refused: revision"


def _goes_4_5(given: object) -> bool:
    """In either order, and with a comma or without."""
    told = re.fullmatch(r"\s*goes:([\d\s,]+)", str(given), re.IGNORECASE)
    return told is not None and sorted(re.findall(r"\d+", told[1])) == ["4", "5"]


WRITES = {
    "1 put a, 10": Question("stored", {"goes: 1": "room"}),
    "2 put a, 30": Question("stored", {"goes: 1": "depth", "refused: history": "depth"}),
    "3 put b, 40": Question("stored", {FULL: "exactly", "goes: 1": "exactly"}),
    "4 put c, 0": Question(
        FULL, {"stored": "empty", "goes: 1": "M17", "goes: 2": "whose_room", "goes: 3": "M17"}
    ),
    "5 put a, 10": Question(
        "goes: 1",
        {FULL: "replaces", "stored": "trims", "refused: history": "cap", "goes: 3": "own"},
    ),
    "6 put a, 31": Question(
        FULL, {"goes: 2": "larger", "goes: 2 4": "one", "goes: 2 3": "M17", "stored": "trims"}
    ),
    "7 put a, 30, having read 1": Question(
        "goes: 2",
        {STALE: "M17_stale", "ignored": "M17_stale", FULL: "as_large", "stored": "trims"},
    ),
    "8 delete b": Question(
        FULL, {"goes: 3": "tombstone", "stored": "tombstone", "goes: 4": "M17"}
    ),
    "9 put c, 10": Question(
        "goes: 3",
        {FULL: "changed", "goes: 4": "front", "stored": "over", "goes: 5": "front"},
    ),
    "10 put a, 60": Question(
        "goes: 4 5",
        {"goes: 4": "again", "goes: 4 6": "front", FULL: "changed", "goes: 5": "front"},
        accept=_goes_4_5,
    ),
}  # fmt: skip

questionnaire(
    "11a",
    kind="prediction",
    names=("outcomes",),
    hints=(
        "Keep a list of what is in the bucket, with sizes, and cross out what goes.",
        (
            "For each write: does its key have two messages already? Then its oldest leaves, and "
            "the newcomer may be as large as that. Otherwise it needs room of its own. From write "
            "9 on nobody is refused for room."
        ),
        (
            "After 3: #1 50, #2 70, #3 80, exactly 200. A refused write gets no number, so 5 is "
            "stored as #4. After 7: #3 80, #4 50, #5 70. Then history first, then the front of "
            "the stream until the sum is at most 200."
        ),
    ),
    questions=WRITES,
    wrong={
        "room": "The bucket is empty. What would have to go, and for which limit?",
        "depth": "How many messages may key a have, and how many has it now?",
        "exactly": "Add up: 50, 70, 80. Is a bucket that is exactly full beyond its limit?",
        "empty": "An empty value is a message too. What else does it take room for?",
        "M17": "You let the bucket make room by dropping something. Which policy does that, and "
        "which one has this bucket?",
        "whose_room": "You let another key pay. With `new`, who pays when there is no room?",
        "replaces": "Key a has two messages, and may have two. What leaves when a third comes, "
        "and how large is it?",
        "trims": "How many messages would key a have then, and how many may it have?",
        "cap": "History never refuses, unless somebody asked for that. What does it do instead?",
        "own": "That is another key's message. Whose count is exceeded by a write to a?",
        "larger": "Compare the newcomer with the message that it would replace, to the byte.",
        "one": "History takes as many as are too many for it, and with `new` nothing else goes. "
        "How many are that?",
        "M17_stale": "The writer knows an old revision. Did it send it along? What is there in "
        "this write that a policy could compare with a newer version?",
        "as_large": "As large as the message that leaves: is that larger?",
        "tombstone": "A delete sends a message with a header. Does it replace one of its key, or "
        "does it need room of its own?",
        "changed": "The owner has changed the policy before this write. Who pays now?",
        "over": "Add up what would be there then. What does the limit say?",
        "front": "With `old` it is age that counts, whatever the key. Which number in the list "
        "is the lowest?",
        "again": "After history has taken its part, add up once more. Is it within 200?",
    },
    sure="`new` lets the newcomer pay, `old` whoever came first; neither looks at what a writer "
    "had read.",
    compare="On paper the list and its sum decide each write. `admit`, the next exercise, is the "
    "same list with the questions written down.",
)  # fmt: skip

NOTHING, OLD, ALL, REFUSED = "nothing goes", "old values go", "all goes", "refused"
ANSWERS = (NOTHING, OLD, ALL, REFUSED)
CHANGES = {
    "history from 5 to 2": Question(
        OLD, {NOTHING: "at_once", REFUSED: "moves", ALL: "get"}, ANSWERS
    ),
    "max_bytes from 4000 to 100": Question(
        NOTHING, {OLD: "evicts", REFUSED: "accepts", ALL: "evicts"}, ANSWERS
    ),
    "storage from file to memory": Question(
        REFUSED, {NOTHING: "copied", ALL: "copied"}, ANSWERS
    ),
    "deny_delete from on to off": Question(
        REFUSED, {NOTHING: "promise"}, ANSWERS
    ),
    "retention from limits to interest": Question(
        ALL, {OLD: "M18", NOTHING: "nobody", REFUSED: "open"}, ANSWERS
    ),
    "retention from limits to workqueue": Question(
        REFUSED, {NOTHING: "queue", ALL: "queue", OLD: "M18_queue"}, ANSWERS
    ),
}  # fmt: skip

questionnaire(
    "11c",
    kind="prediction",
    names=("changes",),
    hints=(
        "You have `change` and `bucket_log`. Which of the six would you rather try on a spare?",
        (
            "Two answers are the server's word: refused, and why. For the others look at the "
            "bucket before and after: is every number still there, and does get still find b?"
        ),
        (
            "What can't be undone or rebuilt is refused: three of the six. One lever trims at "
            "once. One only binds the writes that come. And one leaves nothing at all."
        ),
    ),
    questions=CHANGES,
    wrong={
        "at_once": "Lower it on a spare bucket and look at once: does it wait for the next put?",
        "moves": "Try it: does the server refuse? Then count what is left of key a.",
        "get": "Each key keeps its newest. Does `get` still find a and b?",
        "evicts": "This bucket's policy is `new`. Does a policy that never evicts begin to, when "
        "the limit sinks below what is there?",
        "accepts": "Is a limit below what is there an error, or a bucket that is too full? Try it.",
        "copied": "The messages lie in a file. What would have to be done to all of them while "
        "others read and write?",
        "promise": "Readers rely on it that no message vanishes without a tombstone. What is a "
        "promise worth that can be withdrawn?",
        "M18": "You let only values go that are not current. Try it on a spare bucket: what does "
        "get find for b, which has one value?",
        "nobody": "Who has an interest in these messages? Look for the consumers of the bucket.",
        "open": "Of the two changes of retention one is refused. Try both: is it this one?",
        "queue": "A bucket can become a stream of interest by mistake. And a work queue?",
        "M18_queue": "Retention does not ask whether a value is current. And before it could take "
        "anything: does the server take this change?",
    },
    sure="Nobody should set interest on a bucket: it has no consumers, so nothing is wanted, "
    "and the current values go with the old ones.",
    compare="Each change is tried on a spare bucket with the same settings: what is refused says "
    "so, and what goes is missing from the list right after.",
)  # fmt: skip
