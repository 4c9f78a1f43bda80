"""The wire: NATS's client protocol as values, without a socket.

Bytes go in, operations come out (`parser`); operations move a session (`session`);
subjects find their subscribers (`interest`). Nothing here waits, and nothing here knows
of streams, disks or Raft.
"""
