"""Faults for our results, each as one that kvcore could have; the comparison must find them.

A fault is a function from the steps of a run on ours to what a server with that fault would
have given. Each shows only in some states, so that finding it needs a script that goes there.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tests.differential.pair import Steps
from tests.differential.session import Facts, Step

Fault = Callable[[Steps], Steps]
FAULTS: dict[str, Fault] = {}


def fault(maker: Callable[[Step, Steps], Mapping[str, Any] | None]) -> Fault:
    """A fault in the facts of single steps: they are replaced by what `maker` returns."""

    def altered(steps: Steps) -> Steps:
        def each() -> Iterator[Step]:
            for at, step in enumerate(steps):
                facts = maker(step, steps[:at])
                yield step if facts is None else replace(step, facts=dict(facts))

        return list(each())

    FAULTS[maker.__name__] = altered
    return altered


def _entries(facts: Facts) -> list[Facts]:
    """A list's items, as facts each."""
    count = facts.get("[]", 0)
    assert isinstance(count, int)
    heads = [f"[{at}]" for at in range(count)]
    return [
        {path[len(head) :]: leaf for path, leaf in facts.items() if path.startswith(head)}
        for head in heads
    ]


def _listed(entries: list[Facts]) -> Facts:
    out: Facts = {"[]": len(entries)}
    for at, entry in enumerate(entries):
        out |= {f"[{at}]{path}": leaf for path, leaf in entry.items()}
    return out


@fault
def a_revision_is_off_by_one_after_a_delete(step: Step, before: Steps) -> Facts | None:
    if step.op.kind == "put" and step.outcome == "ok" and before[-1].op.kind == "delete":
        return {"": step.facts[""] + 1}  # type: ignore[operator]
    return None


@fault
def a_stale_delete_has_another_number(step: Step, _: Steps) -> Facts | None:
    if step.op.kind == "delete" and step.facts.get("err_code") == 10071:
        return {**step.facts, "err_code": 10164}
    return None


@fault
def a_delete_marker_is_lost_from_the_history(step: Step, _: Steps) -> Facts | None:
    entries = _entries(step.facts) if step.op.kind == "history" else []
    kept = [entry for entry in entries if entry.get(".operation") != "DEL"]
    return _listed(kept) if len(kept) < len(entries) else None


@fault
def history_comes_in_the_wrong_order(step: Step, _: Steps) -> Facts | None:
    entries = _entries(step.facts) if step.op.kind == "history" else []
    return _listed(entries[::-1]) if len(entries) > 1 else None


@fault
def a_filter_of_keys_is_taken_for_a_prefix(step: Step, _: Steps) -> Facts | None:
    filters = step.args.get("filters")
    if step.op.kind != "keys" or not filters:
        return None
    entries = _entries(step.facts)
    kept = [each for each in entries if any(str(each[""]).startswith(f) for f in filters)]
    return _listed(kept) if len(kept) < len(entries) else None


@fault
def what_is_pending_is_off_by_one(step: Step, _: Steps) -> Facts | None:
    if step.op.kind not in {"stop", "watch", "listen"} or step.facts.get("[]", 0) < 3:  # type: ignore[operator]
        return None
    facts = dict(step.facts)
    if isinstance(facts.get("[0].delta"), int) and facts["[0].delta"]:
        facts["[0].delta"] += 1  # type: ignore[operator]
        return facts
    return None


@fault
def a_revision_of_another_key_is_found(step: Step, _: Steps) -> Facts | None:
    if step.op.kind == "get_revision" and "but got" in str(step.facts.get("text")):
        return {"bucket": "b", "key": step.args["key"], "revision": step.args["revision"]}
    return None


@fault
def a_time_to_live_is_lost(step: Step, _: Steps) -> Facts | None:
    if step.op.kind not in {"get_msg", "last_msg"} or "headers.Nats-TTL" not in step.facts:
        return None
    return {path: leaf for path, leaf in step.facts.items() if path != "headers.Nats-TTL"}


@fault
def a_value_as_long_as_allowed_is_refused(step: Step, before: Steps) -> Facts | None:
    size = before[0].args["config"].get("max_value_size") if before else None  # type: ignore[attr-defined]
    if step.op.kind == "put" and size and len(step.args["value"]) == size:  # type: ignore[arg-type]
        return {"raises": "nats.js.errors.BadRequestError", "err_code": 10054}
    return None


@fault
def ignored_deletes_are_heard(step: Step, before: Steps) -> Facts | None:
    opened = next((each for each in reversed(before) if each.op.kind in {"watch", "listen"}), None)
    if step.op.kind != "stop" or opened is None:
        return None
    options = opened.args.get("options", {})
    if not options.get("ignore_deletes") or before[-1].op.kind != "delete":  # type: ignore[attr-defined]
        return None
    return {**step.facts, "[]": step.facts["[]"] + 1}  # type: ignore[operator]


@fault
def a_purge_keeps_one_too_few(step: Step, before: Steps) -> Facts | None:
    if step.op.kind != "status" or not before or before[-1].op.kind != "purge_stream":
        return None
    count = step.facts.get("stream_info.state.messages", 0)
    if before[-1].args["keep"] is None or not count:
        return None
    return {**step.facts, "stream_info.state.messages": count - 1}  # type: ignore[operator]


@fault
def a_duplicate_is_stored_again(step: Step, _: Steps) -> Facts | None:
    if step.op.kind == "publish" and step.facts.get("duplicate"):
        return {**step.facts, "duplicate": None, "seq": step.facts["seq"] + 1}  # type: ignore[operator]
    return None


@fault
def a_marker_has_no_reason(step: Step, _: Steps) -> Facts | None:
    reason = "headers.Nats-Marker-Reason"
    if reason not in step.facts:
        return None
    return {path: leaf for path, leaf in step.facts.items() if path != reason}
