import numpy as np
import pytest

from lipop import models
from lipop.report.document import analyze
from tests.models.fixtures import MINILM, tiny_bert, tiny_llama


class Case:
    """A checkpoint and its report."""

    def __init__(self, folder, model, ids, **options):
        self.model, self.report = model, folder / "report.json"
        analyze(models.load(model), np.array(ids), report=self.report, **options)


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    """Three small random blocks of BERT."""
    folder = tmp_path_factory.mktemp("bert")
    model = tiny_bert(folder / "model", layers=3, hidden=8, intermediate=12)
    return Case(folder, model, [2, 7, 9, 3], radii=(1e-4, 1e-2))


@pytest.fixture(scope="session")
def llama(tmp_path_factory):
    """Two small random blocks of Llama with grouped keys, stored as bfloat16 in two files."""
    folder = tmp_path_factory.mktemp("llama")
    model = tiny_llama(folder / "model", dtype="bfloat16", shards=2)
    return Case(folder, model, [2, 7, 9, 3], radii=(1e-4, 1e-2))


@pytest.fixture(scope="session")
def minilm(tmp_path_factory):
    """The first block of MiniLM at four tokens."""
    return Case(tmp_path_factory.mktemp("minilm"), MINILM, [101, 5787, 4949, 102], radii=(1e-4,), blocks=(0, 1))
