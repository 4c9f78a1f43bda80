"""Consensus, pure. Today a group of one server; the stored form is already Raft's.

`entry` is what is stored, `core` the rules.
"""
