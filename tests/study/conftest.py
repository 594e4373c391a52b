"""A private PostgreSQL for the tests of studies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.study.postgres import INSTALLED, Server, server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A private PostgreSQL; a test that stops it starts it again."""
    if not INSTALLED:
        pytest.skip("no PostgreSQL is installed: apt-get install postgresql")
    with server() as running:
        yield running
