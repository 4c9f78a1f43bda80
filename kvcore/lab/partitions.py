"""Who is with whom when a network is taken apart, whatever takes it apart.

    sides([["n1"], ["n2", "n3"]], servers n1 … n5)   →   n1 | n2 n3 | n4 n5

Servers that no group names are together in one more.

Left out: how it is done; each world has its own way.
"""

from collections.abc import Collection, Sequence


def sides(
    groups: Sequence[Sequence[str]], servers: Sequence[str], clients: Collection[str] = ()
) -> list[list[str]]:
    """The groups, and one more of the servers that none names.

    Raises ValueError when a name is nobody's, or stands twice.
    """
    said = [name for group in groups for name in group]
    for name in said:
        if name not in servers and name not in clients:
            raise ValueError(f"no server or client {name!r}; there are {', '.join(servers)}")
        if said.count(name) > 1:
            raise ValueError(f"{name} is in two groups")
    rest = [name for name in servers if name not in said]
    return [list(group) for group in groups] + ([rest] if rest else [])
