"""Streams, consumers and the JetStream API as replicated state machines, pure."""
