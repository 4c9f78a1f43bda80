"""Mirrors, sources and transforms that can't work are refused in nats-server's words."""

import json

import pytest

from kvcore.jetstream.checks import normalised
from kvcore.jetstream.errors import ConfigError
from kvcore.jetstream.shapes import from_json

TARGET = "stream transform: invalid mapping destination"
GARBAGE = (
    'invalid JSON: parsing time "garbage" as "2006-01-02T15:04:05Z07:00": '
    'cannot parse "garbage" as "2006"'
)
PAIR = {"src": "o.a", "dest": "z.a"}
CASES = [
    ({"mirror": {"name": "bad.name"}}, 10142, "mirrored stream name is invalid"),
    (
        {"mirror": {"name": "O"}, "subjects": ["a"]},
        10034,
        "stream mirrors can not contain subjects",
    ),
    (
        {"mirror": {"name": "O"}, "first_seq": 4},
        10143,
        "stream mirrors can not have first sequence configured",
    ),
    (
        {"mirror": {"name": "O", "filter_subject": "o.a", "subject_transforms": [PAIR]}},
        10150,
        "mirror with multiple subject transforms cannot also have a single subject filter",
    ),
    (
        {"mirror": {"name": "O", "filter_subject": "bad..x"}},
        10049,
        "subject filter 'bad..x' for the mirror invalid subject",
    ),
    (
        {"mirror": {"name": "O", "subject_transforms": [{"src": "o.>", "dest": "z.>"}, PAIR]}},
        10152,
        "mirror subject filters can not overlap",
    ),
    (
        {"mirror": {"name": "O", "opt_start_time": "garbage"}},
        10025,
        GARBAGE,
    ),
    ({"sources": [{"name": "bad.n"}]}, 10141, "sourced stream name is invalid"),
    (
        {"sources": [{"name": "O"}, {"name": "O", "opt_start_seq": 4}]},
        10140,
        "duplicate source configuration detected",
    ),
    (
        {"sources": [{"name": "O", "filter_subject": "o.a", "subject_transforms": [PAIR]}]},
        10144,
        "source with multiple subject transforms cannot also have a single subject filter",
    ),
    (
        {"sources": [{"name": "O", "subject_transforms": [{"src": "o..a", "dest": "z.a"}]}]},
        10145,
        "source transform source: invalid subject o..a",
    ),
    (
        {"sources": [{"name": "O", "subject_transforms": [{"src": "o.a", "dest": "z..a"}]}]},
        10146,
        "source transform: invalid mapping destination: invalid transform",
    ),
    (
        {"subject_transform": {"src": "bd", "dest": "b..b"}},
        10156,
        "stream transform: invalid mapping destination: invalid transform",
    ),
    (
        {"subject_transform": {"src": "o..", "dest": "x"}},
        10155,
        "stream transform source: invalid subject o..",
    ),
    (
        {"subject_transform": {"src": "b.*", "dest": "u.{{partition(3,1)}}"}},
        10156,
        f"{TARGET}: this function is not supported by this server yet",
    ),
]


@pytest.mark.parametrize(("fields", "number", "text"), CASES)
def test_an_origin_that_can_not_work_is_refused(fields, number, text):
    with pytest.raises(ConfigError) as refused:
        normalised(from_json(json.dumps({"name": "B", **fields}).encode()))
    assert (refused.value.error.err_code, refused.value.error.description) == (number, text)


def test_a_stream_with_sources_and_no_subjects_listens_to_none():
    config = normalised(from_json(b'{"name":"B","sources":[{"name":"O"}]}'))
    assert config.subjects == ()
    assert config.duplicate_window == 0
