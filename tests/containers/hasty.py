"""A server that acks what its leader alone has: the planted bug of `test_partitions.py`.

It is the entry point of an image, and takes the words that follow `kvcore serve`.
"""

import sys
from dataclasses import replace

from kvcore.cli.main import main
from kvcore.node import groups
from kvcore.raft.rules import PAPER


def commits_what_the_leader_has(matches, log, term, commit):
    return max(commit, *matches)


groups.PAPER = replace(PAPER, advance_commit=commits_what_the_leader_has)
main(["kvcore", "serve", *sys.argv[1:]])
