"""Republish: the stored message again, under another subject, with what the stream knows."""

import pytest

from kvcore.jetstream.republish import transform


@pytest.mark.parametrize(
    ("source", "target", "subject", "made"),
    [
        ("$KV.b.>", "out.>", "$KV.b.a.x", "out.a.x"),
        (">", "copy.>", "a.b", "copy.a.b"),
        ("a.*.*", "b.$2.{{wildcard(1)}}", "a.1.2", "b.2.1"),
        ("a.*.*", "b.*.*", "a.1.2", "b.1.2"),
        ("a.*.>", "b.{{ Wildcard(1) }}.>", "a.1.x.y", "b.1.x.y"),
        ("a", "b", "a", "b"),
    ],
)
def test_a_subject_is_made_from_what_the_wildcards_stood_for(source, target, subject, made):
    assert transform(source, target, subject) == made
