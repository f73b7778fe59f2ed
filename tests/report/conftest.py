import shutil

import pytest

from tests.report import toy


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    """The toy model's report, written once."""
    return toy.write_report(tmp_path_factory.mktemp("original"))


@pytest.fixture
def report(original, tmp_path):
    """A copy of it that a test may change."""
    for f in original.parent.iterdir():
        shutil.copy(f, tmp_path / f.name)
    return tmp_path / original.name


@pytest.fixture
def forgery(report):
    return toy.Forgery(report)
