"""kvcore: a readable key-value cluster that speaks NATS.

The package is layered, and each layer imports only those before it:
`nats`, `raft` and `storage` know nothing of each other; `jetstream` builds streams on
them; `node` is one whole server as a function of (state, event, now); `server` drives it
with sockets and files, `sim` with a virtual clock; `lab` is what a notebook imports.

Left out here: everything. Importing the package loads nothing, so that a server stays small.
"""

__version__ = "0.1.0"
