"""What an operator has to know stands in the log, traces or not; nothing else of a run does."""

from kvcore.server.log import Log
from kvcore.trace import NEWS, Terse, Trace, ignore, is_quiet


def test_news_is_logged_as_a_warning_and_all_else_is_passed_over(capsys):
    sink = Terse(Log(times=False).news)
    sink(Trace(1, "n1", "commit", {"index": 7}))
    sink(Trace(2, "n1", NEWS[0], {"stream": "KV_m", "why": "it is empty now"}))
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].endswith("[WRN] stream-begun-anew: stream KV_m, why it is empty now")


def test_who_wants_news_alone_is_spared_the_work_of_telling_the_rest():
    assert is_quiet(ignore)
    assert is_quiet(Terse(ignore))
    assert not is_quiet([].append)
