"""Subject transforms: one subject made of another, by the places of wildcards.

    source "$KV.b.>"   target "out.>"                  $KV.b.a.x  →  out.a.x
    source "a.*.*"     target "b.$2.{{wildcard(1)}}"   a.1.2      →  b.2.1

A target's token is a reference only as a whole: `x$1` and `$x` are plain words. `$0` means
the subject's first token, as in nats-server. A transform that can't work is refused when
it is made (`Transform.of` gives None), so that none fails later, on a client's message.

Left out: the mapping functions beyond `wildcard` (partition, split, slice and so on).
"""

import re
from dataclasses import dataclass

from kvcore.nats import subject as subjects

_REFERENCE = re.compile(r"\$(\d{1,9})|\{\{\s*[wW]ildcard\s*\(\s*(\d{1,9})\s*\)\s*\}\}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Transform:
    """`parts` are the target's tokens. A number n is a reference: to what the source's n-th
    `*` stood for, or, if it is 0, to the subject's first token."""

    source: str
    parts: tuple[str | int, ...]

    @classmethod
    def of(cls, source: str, target: str) -> "Transform | None":
        """The transform, or None if these two don't make one."""
        wanted, tokens = source.split("."), target.split(".")
        valid = subjects.is_valid_subject(source) and subjects.is_well_formed(target)
        if not valid or "*" in tokens or (wanted[-1] == ">") != (tokens[-1] == ">"):
            return None
        wildcards = wanted.count("*")
        has_any = bool(wildcards) or wanted[-1] == ">"
        parts: list[str | int] = []
        for token in tokens:
            found = _REFERENCE.fullmatch(token)
            if found is not None:
                number = int(found.group(1) or found.group(2))
                if number > wildcards or not has_any:
                    return None
                parts.append(number)
            elif (token[:2], token[-2:]) == ("{{", "}}") or not subjects.is_valid_subject(token):
                return None
            else:
                parts.append(token)
        return cls(source, tuple(parts))

    def apply(self, subject: str) -> str:
        """The subject made of one that matches the source."""
        tokens = subject.split(".")
        wanted = self.source.split(".")
        taken = [tokens[0]]
        taken += [token for token, want in zip(tokens, wanted, strict=False) if want == "*"]
        rest = ".".join(tokens[len(wanted) - 1 :])
        return ".".join(
            taken[part] if isinstance(part, int) else rest if part == ">" else part
            for part in self.parts
        )
