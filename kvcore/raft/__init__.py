"""Consensus, pure. Today a group of one server; the stored form is already Raft's."""
