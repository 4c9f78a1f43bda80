"""Every refusal that the JetStream side of the server can give, with its numbers.

A client decides what to do from two numbers: `code`, in HTTP's manner, picks the exception
class in nats-py, and `err_code` says exactly what was wrong. The description is for people,
yet some clients compare it too (nats.js looks for "stream not found"). So the three travel
together as one value, and each is written down once, here, named after what it means.

A refusal is a value, not an exception: `apply` returns it in its outcome on every replica.
`ConfigError` carries one out of the nested checks of a configuration.

Left out: errors of what kvcore doesn't do, such as templates, counters and atomic batches.
"""

from dataclasses import dataclass

from kvcore.jetstream.gojson import quoted


@dataclass(frozen=True, slots=True)
class ApiError:
    """A refusal as JetStream's clients know it."""

    code: int
    err_code: int
    description: str

    def to_json(self) -> dict[str, object]:
        """The `error` object of an API response."""
        return {
            "code": self.code,
            "err_code": self.err_code,
            "description": self.description,
        }

    def pub_ack(self, stream: str) -> bytes:
        """The answer to a publish that was refused, byte for byte as nats-server writes it."""
        return (
            f'{{"error":{{"code":{self.code},"err_code":{self.err_code},'
            f'"description":{quoted(self.description)}}},"stream":{quoted(stream)},"seq":0}}'
        ).encode("utf-8", "replace")


class ConfigError(Exception):
    """A configuration that is refused; `error` is what the client is told."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.description)
        self.error = error


# The system.
SYSTEM_UNAVAILABLE = ApiError(503, 10008, "JetStream system temporarily unavailable")
NOT_ENABLED = ApiError(503, 10076, "JetStream not enabled")
NOT_ENABLED_FOR_ACCOUNT = ApiError(503, 10039, "JetStream not enabled for account")
INSUFFICIENT_RESOURCES = ApiError(503, 10023, "insufficient resources")
ACCOUNT_RESOURCES_EXCEEDED = ApiError(400, 10002, "resource limits exceeded for account")
STORAGE_EXCEEDED = ApiError(500, 10047, "insufficient storage resources available")
MEMORY_EXCEEDED = ApiError(500, 10028, "insufficient memory resources available")
BAD_REQUEST = ApiError(400, 10003, "bad request")
CLUSTER_REQUIRED = ApiError(503, 10010, "JetStream clustering support required")
PEER_REMAP_FAILED = ApiError(503, 10075, "peer remap failed")
PEER_NOT_MEMBER = ApiError(400, 10040, "peer not a member")
SERVER_NOT_MEMBER = ApiError(400, 10044, "server is not a member of the cluster")

# Streams.
STREAM_NOT_FOUND = ApiError(404, 10059, "stream not found")
STREAM_NAME_IN_USE = ApiError(
    400, 10058, "stream name already in use with a different configuration"
)
STREAM_EXISTS = ApiError(400, 10130, "stream name already in use, cannot restore")
STREAM_MISMATCH = ApiError(400, 10056, "stream name in subject does not match request")
STREAM_NAME_SEPARATORS = ApiError(400, 10128, "Stream name can not contain path separators")
SUBJECTS_OVERLAP = ApiError(400, 10065, "subjects overlap with an existing stream")
STREAM_SEALED = ApiError(400, 10109, "invalid operation on sealed stream")
REPLICAS_NEGATIVE = ApiError(400, 10133, "replicas count cannot be negative")
REPLICAS_UNSUPPORTED = ApiError(500, 10074, "replicas > 1 not supported in non-clustered mode")
MIRROR_WITH_SUBJECTS = ApiError(400, 10034, "stream mirrors can not contain subjects")
MIRROR_WITH_SOURCES = ApiError(400, 10031, "stream mirrors can not also contain other sources")
MIRROR_WITH_FIRST_SEQ = ApiError(
    400, 10143, "stream mirrors can not have first sequence configured"
)
MIRROR_NAME_INVALID = ApiError(400, 10142, "mirrored stream name is invalid")
MIRROR_NOT_UPDATABLE = ApiError(400, 10055, "stream mirror configuration can not be updated")
SOURCE_NAME_INVALID = ApiError(400, 10141, "sourced stream name is invalid")
SNAPSHOT_SUBJECT_INVALID = ApiError(400, 10015, "deliver subject not valid")
PURGE_DENIED = ApiError(500, 10110, "stream purge not permitted")
DELETE_OUTSIDE = ApiError(500, 10057, "no message found")
DELETE_DENIED = ApiError(500, 10057, "message delete not permitted")

# Messages.
NO_MESSAGE_FOUND = ApiError(404, 10037, "no message found")
STREAM_DOES_NOT_MATCH = ApiError(400, 10060, "expected stream does not match")
SUBJECT_SEQUENCE_MISSING = ApiError(
    400, 10193, "missing sequence for expected last sequence per subject"
)
MESSAGE_TOO_LARGE = ApiError(400, 10054, "message size exceeds maximum allowed")
HEADER_TOO_LARGE = ApiError(400, 10097, "header size exceeds maximum allowed of 64k")
TTL_DISABLED = ApiError(400, 10166, "per-message TTL is disabled")
TTL_INVALID = ApiError(400, 10165, "invalid per-message TTL")
ROLLUP_DENIED = ApiError(500, 10111, "rollup not permitted")
MAX_MESSAGES = ApiError(503, 10077, "maximum messages exceeded")
MAX_BYTES = ApiError(503, 10077, "maximum bytes exceeded")
MAX_PER_SUBJECT = ApiError(503, 10077, "maximum messages per subject exceeded")
SOURCE_HEADER_DENIED = ApiError(400, 10227, "message stream source header is not allowed")
COUNTERS_DISABLED = ApiError(400, 10168, "message counters is disabled")
COUNTER_INVALID = ApiError(400, 10171, "message counter increment is invalid")
SCHEDULES_DISABLED = ApiError(400, 10188, "message schedules is disabled")
BATCHES_DISABLED = ApiError(400, 10174, "atomic publish is disabled")
# kvcore's own: nats-server stores such a message under its literal subject.
WILDCARD_SUBJECT = ApiError(400, 10003, "publish subject can not contain wildcards")

# Consumers.
CONSUMER_NOT_FOUND = ApiError(404, 10014, "consumer not found")
CONSUMER_BOUND = ApiError(400, 10013, "consumer name already in use")
CONSUMER_EXISTS = ApiError(400, 10148, "consumer already exists")
CONSUMER_MISSING = ApiError(400, 10149, "consumer does not exist")
CONSUMERS_FULL = ApiError(400, 10026, "maximum consumers limit reached")


def unplaced(text: str) -> ApiError:
    """No servers for a stream, or none that could lead it; the text says why."""
    return ApiError(400, 10005, text)


def invalid_config(text: str) -> ApiError:
    """A stream configuration that breaks a rule; the text says which."""
    return ApiError(500, 10052, text)


def invalid_json(text: str) -> ApiError:
    """A request that isn't the JSON it should be."""
    return ApiError(400, 10025, f"invalid JSON: {text}")


def restore_failed(text: str) -> ApiError:
    """A backup that can't be restored; the text says why."""
    return ApiError(500, 10062, f"restore failed: {text}")


def snapshot_failed(text: str) -> ApiError:
    """A backup that can't be made; the text says why."""
    return ApiError(500, 10064, f"snapshot failed: {text}")


def wrong_last_sequence(sequence: int) -> ApiError:
    """A compare-and-set that lost: `sequence` is the true last one, 0 if there is none."""
    return ApiError(400, 10071, f"wrong last sequence: {sequence}")


def wrong_last_msg_id(msg_id: str) -> ApiError:
    """The stream's last message had another id."""
    return ApiError(400, 10070, f"wrong last msg ID: {msg_id}")


def rollup_invalid(value: str) -> ApiError:
    """A `Nats-Rollup` that is neither `sub` nor `all`."""
    return ApiError(500, 10111, f"rollup value invalid: {quoted(value, html=False)}")


def sequence_not_found(sequence: int) -> ApiError:
    """A message delete that named a sequence whose message is gone."""
    return ApiError(400, 10043, f"sequence {sequence} not found")
