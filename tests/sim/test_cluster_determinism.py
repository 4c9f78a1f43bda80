"""Three servers in a storm: the same seed gives the same trace, byte for byte, in any process."""

import hashlib
import os
import subprocess
import sys

SCRIPT = """
import sys
from kvcore.check.storm import Weather, storm

outcome = storm(int(sys.argv[1]), Weather())
assert not outcome.violations, outcome
for record in outcome.records:
    print(record.line())
for operation in outcome.history.operations:
    print(operation.line())
"""


def run(seed: int, hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(seed)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_storm_is_the_same_under_any_hash_seed():
    texts = [run(5, hash_seed) for hash_seed in ("0", "1", "4711")]
    assert len(texts[0].splitlines()) > 5000
    assert "AppendEntries" in texts[0]
    assert len({hashlib.sha256(text.encode()).hexdigest() for text in texts}) == 1


def test_another_seed_is_another_storm():
    assert run(5, "0") != run(6, "0")
