"""The waist: one whole server as a function of (state, event, now).

A driver holds a `Node` and three verbs: `handle`, `effects`, `deadline`.
"""
