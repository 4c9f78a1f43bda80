"""The simulator: the same Node on a virtual clock, a simulated network and a simulated disk."""
