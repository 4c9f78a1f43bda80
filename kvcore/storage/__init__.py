"""One ordered byte-to-byte store with atomic batches, behind one contract.

`base` is the contract, `memory` the store that forgets, `appendfile` the one that doesn't.
"""
