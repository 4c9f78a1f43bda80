"""Every bound and default of kvcore, with its unit, in one place.

A server that accepts bytes from anyone needs a limit on everything that can grow, and a
reader who wants to know "how big may it get" should have one file to open. Names end in
their unit: `_bytes`, `_ns` (nanoseconds), `_count`. Times are integer nanoseconds since
the Unix epoch (`Nanos`), because that is what JetStream puts on the wire and because
integers add up the same on every machine.

Left out: limits that a stream's configuration sets; those are in `jetstream/config.py`.
"""

from typing import TypeAlias

Nanos: TypeAlias = int

MICROSECOND_NS: Nanos = 1_000
MILLISECOND_NS: Nanos = 1_000_000
SECOND_NS: Nanos = 1_000_000_000
MINUTE_NS: Nanos = 60 * SECOND_NS
HOUR_NS: Nanos = 60 * MINUTE_NS

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

# The client protocol (nats-server's defaults).
CONTROL_LINE_BYTES = 4096
PAYLOAD_BYTES = 1 * MIB
PENDING_OUTPUT_BYTES = 64 * MIB  # unread output of one client before it is a slow consumer
CONNECTIONS_COUNT = 64 * 1024
CLOSE_GRACE_NS: Nanos = 10 * SECOND_NS  # what a closed client may take to read the rest
SHUTDOWN_WAIT_NS: Nanos = SECOND_NS  # what the last answers may take to leave an ending server
PING_INTERVAL_NS: Nanos = 2 * MINUTE_NS
PINGS_OUT_COUNT = 2
AUTH_TIMEOUT_NS: Nanos = 2 * SECOND_NS
TLS_TIMEOUT_NS: Nanos = 2 * SECOND_NS  # what a TLS handshake may take
NONCE_BYTES = 11  # of chance in what a client with an nkey signs
INTEREST_CACHE_COUNT = 8192  # publish subjects whose match is remembered
PERMISSION_CACHE_COUNT = 128  # judged subjects that one connection's permissions remember
RESPONSES_COUNT = 4096  # reply subjects that one connection may answer at a time
RESPONSE_TIME_NS: Nanos = 2 * MINUTE_NS  # how long it may

# JSON that strangers send.
JSON_DEPTH_COUNT = 32

# JetStream.
HEADER_BYTES = 64 * KIB
DUPLICATE_WINDOW_NS: Nanos = 2 * MINUTE_NS
DUPLICATE_WINDOW_MIN_NS: Nanos = 100 * MILLISECOND_NS
MAX_AGE_MIN_NS: Nanos = 100 * MILLISECOND_NS
MARKER_TTL_MIN_NS: Nanos = SECOND_NS
REPLICAS_COUNT = 5
SEQUENCE_MAX = (1 << 63) - 1  # where a request may move a stream; 2^64 would not fit its records
STREAM_NAME_BYTES = 255
PATTERNS_COUNT = 256  # a stream's subjects, a consumer's filters: compared each with each
NAMES_PAGE_COUNT = 1024
LIST_PAGE_COUNT = 256
SUBJECTS_PAGE_COUNT = 100_000
DELETED_DETAILS_COUNT = 100_000  # sequences that STREAM.INFO lists as deleted
AUDIT_TEXT_BYTES = 64 * KIB  # of a request, and of its answer, in the API's audit
AUDITS_WAITING_COUNT = 1024  # requests that the audit remembers until they are answered
BATCH_GET_COUNT = 1024
CONSUMER_INACTIVE_NS: Nanos = 5 * SECOND_NS
ACK_WAIT_NS: Nanos = 30 * SECOND_NS
ACK_PENDING_COUNT = 1000  # deliveries without an acknowledgement, unless a consumer says other
PULLS_WAITING_COUNT = 512  # pull requests that wait at one consumer, unless it says other
FLOW_WINDOW_FIRST_BYTES = 2 * MIB
FLOW_WINDOW_MAX_BYTES = 32 * MIB
DELIVERIES_PER_TURN_COUNT = 500  # a long snapshot is sent in slices of about 5 ms
DELIVERIES_PER_TURN_BYTES = 4 * MIB  # and far below what makes a client a slow consumer
SEARCH_SLICE_COUNT = 4096  # subjects or messages that a long search looks at, about 2 ms
SEARCHED_PER_TURN_COUNT = 4096  # by all of a stream's searches together
COPIES_PER_TURN_COUNT = 250  # a mirror catches up in slices of about 5 ms
COPIES_PER_TURN_BYTES = 1 * MIB
COPIES_PER_TURN_SEEN = 10_000  # sequences looked at, wanted or not
COPY_RETRY_NS: Nanos = SECOND_NS  # a mirror on a full server looks for room again
SNAPSHOT_CHUNK_BYTES = 128 * KIB  # of a backup's messages, unless its client says other
SNAPSHOT_CHUNK_MIN_BYTES = 1 * KIB
SNAPSHOT_CHUNK_MAX_BYTES = 1 * MIB
SNAPSHOT_WINDOW_BYTES = 8 * MIB  # of a backup on their way, unless its client says other
SNAPSHOT_WINDOW_MIN_BYTES = 1 * KIB
SNAPSHOT_WINDOW_MAX_BYTES = 32 * MIB
SNAPSHOT_ACK_NS: Nanos = 5 * SECOND_NS  # how long a backup waits for its client
SNAPSHOT_INTEREST_NS: Nanos = 2 * SECOND_NS  # how long for its client to appear
RESTORE_STALL_NS: Nanos = 5 * SECOND_NS  # how long a restore waits for its next chunk
RESTORE_PENDING_BYTES = 8 * MIB  # of chunks that a client sends without waiting for answers
RESTORE_PENDING_COUNT = 8192  # of these chunks, which may be tiny
BACKUPS_COUNT = 16  # backups, and restores, at a time
BACKUP_FRAME_COUNT = 256  # records in one frame of an archive: about 1 ms of work
BACKUP_FRAME_BYTES = 64 * KIB  # when a frame is full, whatever it counts
BACKUP_FRAME_MAX_BYTES = 4 * MIB  # no frame is larger: a record that is comes in parts
BACKUP_RECORD_MAX_BYTES = PENDING_OUTPUT_BYTES + MIB  # the largest payload, and room
BACKUP_FRAMES_PER_TURN = 4
RESTORE_SLICE_COUNT = 1024  # messages whose index is rebuilt at a time

EXPIRED_PER_COMMAND_COUNT = 1000  # part of what a log means: a new number is a new command

# Storage.
COMPACT_FLOOR_BYTES = 4 * MIB  # smaller files are not worth compacting
ROCKS_FLUSH_BYTES = 4 * MIB  # so much goes to a sorted file at a time
ROCKS_CACHE_BYTES = 32 * MIB  # of what RocksDB has read from them
UNSYNCED_INPUT_BYTES = 64 * MIB  # what may wait for one sync before clients are no longer read
SYNC_INTERVAL_NS: Nanos = 2 * MINUTE_NS  # of `--sync interval`: nats-server's default

# Consensus, and the links between servers. About 20 times faster than NATS's timers.
HEARTBEAT_NS: Nanos = 50 * MILLISECOND_NS
ELECTION_MIN_NS: Nanos = 300 * MILLISECOND_NS  # a time-out is drawn between the two
ELECTION_MAX_NS: Nanos = 600 * MILLISECOND_NS
NATS_HEARTBEAT_NS: Nanos = SECOND_NS  # `--timers nats`
NATS_ELECTION_MIN_NS: Nanos = 4 * SECOND_NS
NATS_ELECTION_MAX_NS: Nanos = 9 * SECOND_NS
PEER_FRAME_BYTES = 8 * MIB  # the largest frame that a peer may send
CLUSTER_PAYLOAD_BYTES = PEER_FRAME_BYTES - MIB  # the largest payload: a frame has more in it
PEER_INTEREST_COUNT = 1_000_000  # subjects that one peer may want at a time
INTEREST_PER_TURN_COUNT = 2048  # subjects that a new peer is told in one turn, about 5 ms
APPEND_BYTES = 1 * MIB  # entries in one AppendEntries, a single larger one aside
APPENDS_IN_FLIGHT_COUNT = 64  # AppendEntries to one follower that wait for their answer
BEATS_PER_FRAME_COUNT = 4096  # heartbeats of idle groups that share a frame
INSTALL_CHUNK_BYTES = 256 * KIB  # of a snapshot on its way to a follower
LOG_KEPT_COUNT = 4096  # applied entries that a leader keeps for followers who lag
LOG_KEPT_BYTES = 64 * MIB  # of their commands
INSTALL_STALL_NS: Nanos = 10 * SECOND_NS  # how long a snapshot waits for its follower
CLUSTER_PORT = 6222  # nats-server's default too
PEER_AUTH_TIMEOUT_NS: Nanos = 2 * SECOND_NS  # from a link's first byte to its last proof
PEER_LINE_BYTES = 1 * KIB  # of one line that is said before the proofs
PEER_STRANGERS_COUNT = 64  # links whose other end has proved nothing yet
PEER_PENDING_BYTES = 64 * MIB  # unread by a peer, or for it in one turn: its link is dropped
PEER_ADDRESSES_BYTES = 16 * KIB  # of one list of addresses
PEER_ADDRESSES_COUNT = 64  # that peers may name, over and above our own routes
PEER_GOSSIP_TRIES_COUNT = 30  # to reach an address that nobody configured
PEER_REDIAL_MIN_NS: Nanos = 25 * MILLISECOND_NS  # doubled from try to try
PEER_REDIAL_MAX_NS: Nanos = SECOND_NS
ADMIN_LINE_BYTES = 64 * KIB
ADMIN_TIMEOUT_NS: Nanos = 2 * SECOND_NS
CLUSTER_SECRET_MIN_BYTES = 16
CLUSTER_SECRET_MAX_BYTES = 4 * KIB

# The API of a cluster.
LEADERLESS_WAIT_NS: Nanos = 500 * MILLISECOND_NS  # for a leader, by who asks how a stream is
LEADERLESS_COUNT = 1024  # how many may wait so at one server
GATHER_WAIT_NS: Nanos = 2 * SECOND_NS  # for what other servers know of their streams
GATHERS_COUNT = 256  # of such questions at a time
LEAVING_ASK_NS: Nanos = SECOND_NS  # how often a replica asks whether it may go
FORGOTTEN_ASK_NS: Nanos = SECOND_NS  # how often who has no leader tells whether it forgot
UNSERVED_WAIT_NS: Nanos = 4 * SECOND_NS  # for the leader of a stream that was just assigned

# Lame duck mode.
LAME_DUCK_GRACE_NS: Nanos = 10 * SECOND_NS
LAME_DUCK_DURATION_NS: Nanos = 2 * MINUTE_NS

# Monitoring. One page is made within a turn, so it must not take more than some milliseconds.
MONITOR_CONNECTIONS_COUNT = 1024
MONITOR_SUBSCRIPTIONS_COUNT = 1024
MONITOR_STREAMS_WEIGHT = 256  # streams; a configuration or a consumer weighs as much as one
MEASURE_INTERVAL_NS: Nanos = SECOND_NS  # figures of the process are at most this old
HTTP_HEAD_BYTES = 8 * KIB  # of one request: its line and its headers
HTTP_CONNECTIONS_COUNT = 64
HTTP_TIMEOUT_NS: Nanos = 5 * SECOND_NS  # from connecting to the last byte of the answer

# The simulator.
SIMULATION_START_NS: Nanos = 1_767_225_600 * SECOND_NS  # 2026-01-01T00:00:00Z
LINK_MIN_NS: Nanos = 100 * MICROSECOND_NS  # one way, client to server
LINK_MAX_NS: Nanos = 400 * MICROSECOND_NS
PEER_REDIAL_NS: Nanos = 100 * MILLISECOND_NS  # before a link that a server closed is made again
LINK_WINDOW_BYTES = 64 * KIB  # bytes on their way before a writer is asked to wait
DISK_SYNC_MIN_NS: Nanos = 500 * MICROSECOND_NS
DISK_SYNC_MAX_NS: Nanos = 2 * MILLISECOND_NS
STALL_WALL_NS: Nanos = 10 * SECOND_NS  # real time that one statement may take
STALL_VIRTUAL_NS: Nanos = HOUR_NS  # virtual time in which nothing but keep-alives happened
TRACE_RECORDS_COUNT = 200_000  # a world keeps the newest
JOURNAL_COUNT = 1_000_000  # what clients and verbs tell a world, for rewinding it
