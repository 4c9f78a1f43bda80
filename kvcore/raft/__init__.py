"""Consensus, pure: Raft as in the paper and the thesis. `core` is the way in.

`entry` is what is stored, `messages` what is said, `rules` what is decided.
"""
