"""The command line: kvcore serve, kvcore kv, kvcore doctor."""
