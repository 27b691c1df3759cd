"""One corpus for all."""

import pytest

from tests.fuzz.corpora import Corpus
from tests.pki import PKI


@pytest.fixture(scope="session")
def corpus(pki: PKI) -> Corpus:
    """What fuzzing starts from."""
    return Corpus(pki)
