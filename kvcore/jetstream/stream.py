"""A stream: the replicated state machine behind a bucket.

Everything that a bucket promises is decided here, by `apply`, from the log alone: which
publish is stored and under which revision, which is refused, what a limit drops, when a
message has outlived its time. A server proposes commands and carries out outcomes; it never
changes a stream. So every replica that applies the same log is the same stream, and a
restart that re-applies the log's tail ends where it would have been.

Time comes with the command. A leader's clock may be behind its predecessor's, so the time
at apply is the larger of the command's and the last one's: it never goes back.

The parts: `state.py` has what a stream is and how it is read, `publish.py` judges a publish,
`retention.py` decides what has to go, `dedup.py` and `expiry.py` remember ids and due times,
`progress.py` how far consumers have come, `copying.py` takes over what others have.

Left out: counters, batches and schedules.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from kvcore import limits
from kvcore.jetstream import conditions, consumer_config, errors, progress, publish, retention
from kvcore.jetstream.commands import (
    Acked,
    Copy,
    CreateConsumer,
    DeleteConsumer,
    DeleteMessage,
    Expire,
    PauseConsumer,
    Publish,
    Purge,
    StreamCommand,
    UpdateConfig,
)
from kvcore.jetstream.config import StreamConfig, decode_config
from kvcore.jetstream.copying import Copying
from kvcore.jetstream.errors import ApiError
from kvcore.jetstream.filters import matcher
from kvcore.jetstream.gojson import is_unicode, quoted
from kvcore.jetstream.outcome import (
    Acknowledged,
    ConsumerCreated,
    ConsumerDeleted,
    ConsumerPaused,
    Deleted,
    Outcome,
    Purged,
    Refused,
    StreamResult,
    Updated,
)
from kvcore.jetstream.records import StoredMessage, StreamRecord, encode_stamped
from kvcore.jetstream.state import Budget, ConsumerRecord
from kvcore.limits import Nanos
from kvcore.storage import keys
from kvcore.storage.overlay import Records

__all__ = ["Budget", "ConsumerRecord", "Stream"]


class Stream(Copying):
    """The machine of one stream's group; see the module's text."""

    def __init__(
        self,
        gid: int,
        config: StreamConfig,
        created: Nanos,
        records: Records,
        budget: Budget | None = None,
        *,
        at_once: bool = True,
    ) -> None:
        super().__init__(gid, config, created, records, budget, at_once=at_once)
        self._ack_prefix = f'{{"stream":{quoted(self.config.name)},"seq":'.encode()

    def _restore(self, state: StreamRecord) -> None:
        super()._restore(state)
        policies = {name: each.config.ack_policy for name, each in self.consumers.items()}
        self.ledgers = progress.restore(self._records, self.gid, policies)

    # -- applying --------------------------------------------------------------------------

    def apply(self, command: StreamCommand, index: int) -> Outcome:
        """Carry out one command of the log; `index` is its place there."""
        self._time = max(self._time, command.time)
        self._recent.forget_before(self._time - self.config.duplicate_window)
        before = self._messages.bytes
        match command:
            case Publish():
                outcome = self._publish(command)
            case Expire():
                outcome = self._expire()
            case Purge():
                outcome = self._purge(command)
            case DeleteMessage():
                outcome = self._delete_message(command)
            case UpdateConfig():
                outcome = self._update(command)
            case CreateConsumer():
                outcome = self._create_consumer(command)
            case DeleteConsumer():
                outcome = self._delete_consumer(command)
            case Copy():
                outcome = self._copy(command)
            case PauseConsumer():
                outcome = self._pause_consumer(command)
            case Acked():
                outcome = self._follow_acks(command)
            case _:
                assert_never(command)
        if self.ledgers and outcome.removed:
            self._settle(outcome.removed)
        self._budget.used += self._messages.bytes - before
        self._save(index)
        return outcome

    def _publish(self, command: Publish) -> Outcome:
        if self._transform is not None:
            command = replace(command, subject=self._named(command.subject))
        block = command.header
        headers = conditions.NO_HEADERS
        if block is not None and b"\r\nNats-" in block:
            headers = conditions.read_headers(block)
        refusal = publish.before_duplicate(self, command, headers)
        if refusal is not None:
            return self._refused_publish(command, refusal)
        msg_id = ""
        if headers:
            msg_id = conditions.text(headers.get(conditions.MSG_ID, b""))
            if msg_id and (known := self._recent.find(msg_id)):
                ack = b'%b%d,"duplicate": true}' % (self._ack_prefix, known)
                return self._acked(command, ack)
        refusal = publish.after_duplicate(self, command, headers)
        if refusal is not None:
            return self._refused_publish(command, refusal)
        if self.config.retention == "interest" and not self._is_wanted(command.subject):
            return self._skip(command, headers, msg_id)
        ttl = 0
        if conditions.TTL in headers:
            found = conditions.read_ttl(headers[conditions.TTL])
            if found is None:
                return self._refused_publish(command, errors.TTL_INVALID)
            ttl, block = self._raised(found, block)
        refusal = retention.refusal(
            self.config, self._messages, command.subject, block, command.payload,
            is_rollup=bool(headers.get(conditions.ROLLUP)),
        )  # fmt: skip
        if refusal is not None:
            return self._refused_publish(command, refusal)
        previous = self._messages.last_for(command.subject) if self.config.republish else 0
        seq, removed = self._store(command.subject, block, command.payload, ttl)
        self._note_id(msg_id, seq)
        if headers and conditions.ROLLUP in headers:
            removed += self._roll_up(headers[conditions.ROLLUP], command.subject, seq)
        outcome = self._acked(command, b"%b%d}" % (self._ack_prefix, seq))
        outcome.stored = seq
        outcome.subject = command.subject
        outcome.removed = removed
        outcome.previous = previous
        if self.config.republish:
            outcome.message = StoredMessage(
                seq, command.subject, block, command.payload, self._time
            )
        return outcome

    def _skip(self, command: Publish, headers: conditions.Headers, msg_id: str) -> Outcome:
        """Acknowledge a message that no consumer wants: it takes a sequence, and is gone."""
        seq = self._messages.last_seq + 1
        self._messages.skip_to(seq + 1)
        self._messages.last_time = self._time
        self._note_id(msg_id, seq)
        outcome = self._acked(command, b"%b%d}" % (self._ack_prefix, seq))
        outcome.removed = self._roll_up(headers.get(conditions.ROLLUP, b""), command.subject, seq)
        return outcome

    def _acked(self, command: Publish, payload: bytes) -> Outcome:
        if self.config.no_ack:
            return Outcome(kind="Publish")
        return Outcome(command.reply, payload, kind="Publish")

    def _refused_publish(self, command: Publish, error: ApiError) -> Outcome:
        outcome = self._acked(command, error.pub_ack(self.config.name))
        outcome.result = Refused(error)
        return outcome

    def _expire(self) -> Outcome:
        markers: list[tuple[int, str]] = []
        removed: list[int] = []
        marks = retention.marker_seconds(self.config) > 0
        for seq in self._due():
            if seq not in self._messages:
                continue  # an earlier marker of this command replaced it
            message = self._messages.get(seq) if marks else None
            if message and retention.leaves_marker(self.config, self._messages, message):
                block = retention.marker(self.config)
                ttl = retention.marker_seconds(self.config)
                new, gone = self._store(message.subject, block, b"", ttl)
                self.last_msg_id = ""
                markers.append((new, message.subject))
                removed += gone + self._roll_up(b"sub", message.subject, new)
            else:
                self._messages.remove(seq)
                removed += self._forget([seq])
        return Outcome(removed=removed, markers=tuple(markers), kind="Expire")

    def _due(self) -> list[int]:
        """What is past its age or its time to live, ascending; a part of it if it is much."""
        most = limits.EXPIRED_PER_COMMAND_COUNT
        found = dict.fromkeys(self._expiry.due(self._time, most))
        if self.config.max_age:
            oldest = self._time - self.config.max_age
            seq = self._first_ageing()
            while seq and len(found) < most and self._messages.time_of(seq) <= oldest:
                if not self._expiry.is_never(seq):
                    found[seq] = None
                seq = self._messages.next_seq((), seq + 1)
        return sorted(found)

    def _purge(self, command: Purge) -> Outcome:
        if self.config.sealed:
            return self._result(command, Refused(errors.STREAM_SEALED))
        if self.config.deny_purge:
            return self._result(command, Refused(errors.PURGE_DENIED))
        removed = retention.purge(self._messages, command.filter, command.keep, command.seq)
        outcome = self._result(command, Purged(len(removed)))
        outcome.removed = self._forget(removed)
        return outcome

    def _delete_message(self, command: DeleteMessage) -> Outcome:
        if self.config.sealed:
            return self._result(command, Refused(errors.STREAM_SEALED))
        if self.config.deny_delete:
            return self._result(command, Refused(errors.DELETE_DENIED))
        if command.seq not in self._messages:
            inside = 0 < self.first_seq <= command.seq <= self.last_seq
            if self.config.storage == "file" and not inside:
                return self._result(command, Refused(errors.DELETE_OUTSIDE))
            return self._result(command, Refused(errors.sequence_not_found(command.seq)))
        self._messages.remove(command.seq)
        outcome = self._result(command, Deleted(command.seq))
        outcome.removed = self._forget([command.seq])
        return outcome

    def _update(self, command: UpdateConfig) -> Outcome:
        before, knew_ttl = self.config.retention, self.config.allow_msg_ttl
        self._adopt(decode_config(command.config_json))
        self._save_config()
        if self.config.allow_msg_ttl and not knew_ttl:  # copies may have been waiting for it
            for seq in self._messages.sequences():
                message = self._messages.get(seq)
                assert message is not None
                self._await_expiry(message)
        removed = self._forget(retention.enforce_all(self.config, self._messages))
        if self.config.retention == "interest" != before:
            removed += self._drop_unwanted()
        outcome = self._result(command, Updated())
        outcome.removed = removed
        return outcome

    def _create_consumer(self, command: CreateConsumer) -> Outcome:
        if not is_unicode(command.name):
            return self._result(command, Refused(errors.BAD_REQUEST))
        existing = self.consumers.get(command.name)
        admitted = consumer_config.admit(
            command.config_json, command.action, self.config,
            existing.config if existing else None,
            [each.config for name, each in self.consumers.items() if name != command.name],
        )  # fmt: skip
        if isinstance(admitted, ApiError):
            return self._result(command, Refused(admitted))
        created = existing.created if existing else self._time
        if existing is None and progress.is_tracked(admitted, self.config):
            ledger = self.ledgers[command.name] = progress.begun(self, admitted)
            progress.save(self._records, self.gid, command.name, ledger)
        self._keep_consumer(command.name, ConsumerRecord(admitted, created))
        created_now = ConsumerCreated(command.name, existing is not None, self.last_seq)
        outcome = self._result(command, created_now)
        if existing and self.config.retention == "interest":
            outcome.removed = self._drop_unwanted()
        return outcome

    def _keep_consumer(self, name: str, record: ConsumerRecord) -> None:
        self.consumers[name] = record
        encoded = encode_stamped(record.created, record.config.encode())
        self._records.put(keys.consumer(self.gid, name), encoded)

    def _pause_consumer(self, command: PauseConsumer) -> Outcome:
        record = self.consumers.get(command.name)
        if record is None:
            return self._result(command, Refused(errors.CONSUMER_NOT_FOUND))
        config = replace(record.config, pause_until=command.until or None)
        self._keep_consumer(command.name, record._replace(config=config))
        is_changed = config != record.config
        return self._result(command, ConsumerPaused(command.name, command.until, is_changed))

    def _delete_consumer(self, command: DeleteConsumer) -> Outcome:
        if self.consumers.pop(command.name, None) is None:
            return self._result(command, Refused(errors.CONSUMER_NOT_FOUND))
        ledger = self.ledgers.pop(command.name, None)
        if ledger is not None:
            progress.erase(self._records, self.gid, command.name, ledger)
        self._records.delete(keys.consumer(self.gid, command.name))
        outcome = self._result(command, ConsumerDeleted(command.name))
        if self.config.retention == "interest":
            outcome.removed = self._drop_unwanted()
        return outcome

    def _follow_acks(self, command: Acked) -> Outcome:
        """A consumer has come further; drop what nobody needs any more."""
        outcome = Outcome(
            result=Acknowledged(tuple(filter(None, command.replies.split(" ")))), kind="Acked"
        )
        ledger = self.ledgers.get(command.name)
        if ledger is None:  # deleted meanwhile
            return outcome
        settled = ledger.replay(command.moves, self._messages.__contains__)
        if self.config.retention != "limits":
            outcome.removed = self._drop_unneeded(settled)
        progress.save(self._records, self.gid, command.name, ledger)
        return outcome

    def _settle(self, removed: Sequence[int]) -> None:
        """Messages are gone, so nobody has to acknowledge them."""
        for name, ledger in self.ledgers.items():
            if not (ledger.pending or ledger.again):
                continue
            for seq in removed:
                ledger.settle(seq)
            if ledger.touched:
                progress.save(self._records, self.gid, name, ledger)

    def _drop_unwanted(self) -> list[int]:
        """After a change of who is interested."""
        return self._drop_unneeded(self._messages.sequences())

    def _drop_unneeded(self, seqs: Sequence[int]) -> list[int]:
        removed = [seq for seq in seqs if seq in self._messages and not self._is_needed(seq)]
        for seq in removed:
            self._messages.remove(seq)
        return self._forget(removed)

    def _is_needed(self, seq: int) -> bool:
        """Whether a consumer has yet to be done with a message."""
        subject = self._messages.subject_of(seq)
        for name, consumer in self.consumers.items():
            ledger = self.ledgers.get(name)
            is_done = ledger is not None and not ledger.needs(seq)
            if not is_done and matcher(consumer.config.filters)(subject):
                return True
        return False

    def _result(
        self,
        command: Purge
        | DeleteMessage
        | UpdateConfig
        | CreateConsumer
        | DeleteConsumer
        | PauseConsumer,
        result: StreamResult,
    ) -> Outcome:
        return Outcome(command.reply, result=result, kind=type(command).__name__)
