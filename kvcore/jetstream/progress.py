"""How far a stream's consumers have come, as far as the stream's log knows.

A consumer whose clients acknowledge, one that clients pull from, and a durable one must
find their place again after a restart. And a stream that keeps messages only while somebody
needs them must know who is done with which. So these consumers have a ledger in the
stream's state, moved by `Acked` commands, of which a consumer proposes at most one a turn.

A push consumer without a durable name that asks for no acknowledgements is spared all this:
its client notices a gap and makes a new one. That is what watches are.

    A name         delivered, floor (each: consumer u64, stream u64), last sequence at creation
    A name . seq   first delivery u64, deliveries after the first u64, is it pending

Left out: replaying deliveries; the ledger has where they end.
"""

from kvcore.jetstream import ledger as ledgers
from kvcore.jetstream import starting
from kvcore.jetstream.config import StreamConfig
from kvcore.jetstream.consumer_config import ConsumerConfig
from kvcore.jetstream.ledger import Ledger
from kvcore.jetstream.state import StreamState
from kvcore.storage import keys
from kvcore.storage.overlay import Records


def is_tracked(config: ConsumerConfig, stream: StreamConfig) -> bool:
    """Whether the log keeps this consumer's progress."""
    is_watch = not config.durable_name and not config.acks and not config.is_pull
    return not is_watch or stream.retention != "limits"


def begun(stream: StreamState, config: ConsumerConfig) -> Ledger:
    """The ledger of a consumer that is created just now."""
    last_seq = stream.last_seq
    first = starting.first_seq(stream, config, last_seq)
    found = filter(None, starting.search(stream, config, first, last_seq))
    at = starting.position(stream, config, first, last_seq, next(found, ()))
    return Ledger(config.ack_policy, at + 1, last_seq)


def save(records: Records, gid: int, name: str, ledger: Ledger) -> None:
    """Write down what changed since the last time."""
    records.put(keys.position(gid, name), ledger.encode())
    for seq in ledger.touched:
        key = keys.unsettled(gid, name, seq)
        entry = ledger.encode_entry(seq)
        if entry is None:
            records.delete(key)
        else:
            records.put(key, entry)
    ledger.touched.clear()


def erase(records: Records, gid: int, name: str, ledger: Ledger) -> None:
    """The consumer is gone."""
    records.delete(keys.position(gid, name))
    for seq in {**ledger.pending, **ledger.again}:
        records.delete(keys.unsettled(gid, name, seq))


def restore(records: Records, gid: int, policies: dict[str, str]) -> dict[str, Ledger]:
    """The ledgers as they were written down; `policies` says how each consumer acks."""
    found: dict[str, Ledger] = {}
    for key, record in records.scan(*keys.positions(gid)):
        encoded, _, seq = keys.suffix(key).partition(b".")
        name = encoded.decode()
        if name not in policies:
            continue
        if seq:
            found[name].read_entry(int.from_bytes(seq, "big"), record)
        else:
            found[name] = ledgers.decode(policies[name], record)
    return found
