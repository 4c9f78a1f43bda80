"""`pytest tests/scenarios --rewrite` writes the transcripts anew: read the diff."""


def pytest_addoption(parser):
    parser.addoption("--rewrite", action="store_true", help="write golden transcripts anew")
