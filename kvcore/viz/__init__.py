"""Pictures of a cluster, each with its text twin."""
