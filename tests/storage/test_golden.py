"""A store directory of format version 1, kept: every later version opens it.

To make one for a new version: `python -m pytest tests/storage/test_golden.py` with
`make_store` called once on an empty directory `golden/v<N>`; then it is never changed.
"""

import shutil
from pathlib import Path
from random import Random

from kvcore.storage.appendfile import AppendFile
from kvcore.storage.base import Batch
from kvcore.storage.files import OsFileSystem
from kvcore.storage.records import encode_batch, encode_file_header, encode_record
from tests.support.stores import contents

GOLDEN = Path(__file__).parent / "golden"


def story():
    """Batches with everything that the format knows."""
    rng = Random(1)
    yield Batch([(b"F", b"identity"), (b"empty", b""), (b"gone", b"1"), (b"\x00\xff", b"\x00")])
    for number in range(60):
        yield Batch([(b"M%02d" % (number % 12), rng.randbytes(40))])
    yield Batch([(b"gone", None), (b"M05", b"kept")], [(b"M03", b"M07")])
    yield Batch([(b"after", "naïve ⇒ ünïcode".encode())])


def make_store(directory):
    """What `golden/v1` was made with: a base, a log, and a compaction that did not end."""
    store = AppendFile(OsFileSystem(directory), 1500)
    for batch in story():
        store.write(batch)
        store.sync()
    store.close()


def expected():
    rng = Random(1)
    model = {b"F": b"identity", b"empty": b"", b"\x00\xff": b"\x00"}
    for number in range(60):
        model[b"M%02d" % (number % 12)] = rng.randbytes(40)
    for number in (3, 4, 5, 6):
        del model[b"M%02d" % number]
    model[b"M05"] = b"kept"
    model[b"after"] = "naïve ⇒ ünïcode".encode()
    return model


def test_a_store_of_version_1_opens_with_its_exact_content(tmp_path):
    shutil.copytree(GOLDEN / "v1", tmp_path / "v1")
    store = AppendFile(OsFileSystem(tmp_path / "v1"))
    assert contents(store) == expected()
    assert store.dropped == ""
    store.write(Batch([(b"more", b"1")]))
    store.close()
    store = AppendFile(OsFileSystem(tmp_path / "v1"))
    assert contents(store) == expected() | {b"more": b"1"}
    store.close()


def test_todays_code_still_writes_the_very_bytes_of_version_1():
    """A change of format must not happen unnoticed: it needs a new version number."""
    body = encode_batch(Batch([(b"k", b"v"), (b"gone", None)], [(b"a", b"c")]))
    assert encode_file_header(3, 9).hex() == (
        "6b76636f7265000100000000000000030000000000000009d92734b4"
    )
    assert encode_record(body, 10, 28, 28).hex() == (
        "6b76520a00000028000000000000000a000000000000001c18c5ee2bbcd3448b"
        "00000001000000020000000100000001000000010000000400000001ffffffff61636b676f6e6576"
    )
