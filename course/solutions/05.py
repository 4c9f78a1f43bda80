"""Reference answers of lesson 05. `reveal` shows them after a pass, or after three tries."""


class ex_05a__newest_of_each__LocalCache:
    """Keep the newest entry of each key, tombstones too."""

    def __init__(self):
        self.ready = False
        self.newest = {}

    def apply(self, entry):
        if entry is None:
            self.ready = True
            return
        known = self.newest.get(entry.key)
        if known is None or known.revision < entry.revision:
            self.newest[entry.key] = entry

    def get(self, key):
        entry = self.newest.get(key)
        return entry.value if entry and not entry.operation else None


class ex_05a__think_when_asked__LocalCache:
    """Keep all that was heard, in whatever order, and look for the newest when asked."""

    def __init__(self):
        self.heard = []

    @property
    def ready(self):
        return None in self.heard

    def apply(self, entry):
        self.heard.append(entry)

    def get(self, key):
        value = (0, None)
        for entry in filter(None, self.heard):
            if entry.key == key and entry.revision > value[0]:
                value = (entry.revision, None if entry.operation else entry.value)
        return value[1]


def ex_05b__who_could_it_be__skipped(key, before, after, left):
    """Ask of each revision that is gone who may have overwritten it."""
    verdict = "no"
    for gone in range(before + 1, after):
        if gone in left:
            continue
        owners = {left[later] for later in left if later > gone}
        if owners == {key}:
            return "yes"
        verdict = "can't know"
    return verdict


ex_05b__who_could_it_be__why = "newest"


def ex_05b__after_the_others__skipped(key, before, after, left):
    """After the last write of any other key, whatever is gone was this key's."""
    gone = set(range(before + 1, after)) - left.keys()
    if not gone:
        return "no"
    others = max((revision for revision, owner in left.items() if owner != key), default=0)
    return "yes" if max(gone) > others else "can't know"


ex_05b__after_the_others__why = "newest"
