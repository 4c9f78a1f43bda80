"""Times and JSON as the API writes and reads them."""

import pytest

from kvcore.jetstream import documents
from kvcore.jetstream.consumer_config import ConsumerConfig, decode
from kvcore.jetstream.errors import ConfigError
from kvcore.jetstream.times import NEVER, parse_rfc3339, rfc3339
from kvcore.limits import JSON_DEPTH_COUNT, SECOND_NS
from tests.support.desk import START


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (0, NEVER),
        (START, "2026-01-01T00:00:00Z"),
        (START + 250_000_000, "2026-01-01T00:00:00.25Z"),
        (START + 1, "2026-01-01T00:00:00.000000001Z"),
        (START + 123_456_789, "2026-01-01T00:00:00.123456789Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
    ],
)
def test_time_is_rfc3339_with_trailing_zeros_cut(time, text):
    assert rfc3339(time) == text
    if time:
        assert parse_rfc3339(text) == time


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-01T02:00:00+02:00", START),
        ("2025-12-31T19:00:00.5-05:00", START + SECOND_NS // 2),
        ("2026-01-01T00:00:00.1234567891Z", START + 123_456_789),
        ("1960-01-01T00:00:00Z", -315_619_200 * SECOND_NS),
        ("2026-01-01", None),
        ("2026-13-01T00:00:00Z", None),
        ("2026-01-01T00:00:00", None),
        ("٢٠٢٦-01-01T00:00:00Z", None),
        ("", None),
    ],
)
def test_time_is_read_in_any_zone(text, time):
    assert parse_rfc3339(text) == time


def test_nesting_is_bounded():
    deep = JSON_DEPTH_COUNT
    assert documents.read(b"[" * deep + b"]" * deep) is not None
    with pytest.raises(ConfigError):
        documents.read(b"[" * (deep + 1) + b"]" * (deep + 1))


def test_write_replaces_what_json_cannot_carry():
    assert documents.write({"a": "\udcff>"}) == '{"a":"\ufffd>"}'.encode()


def test_consumer_configuration_survives_its_stored_form():
    config = ConsumerConfig(
        name="c",
        deliver_policy="by_start_time",
        opt_start_time=START + 5,
        filter_subjects=("a", "b"),
        deliver_subject="x",
        headers_only=True,
        idle_heartbeat=SECOND_NS,
        metadata={"k": "v"},
    )
    assert decode(config.encode()) == config
    assert decode(ConsumerConfig().encode()) == ConsumerConfig()
