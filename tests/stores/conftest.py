"""Stores in files and in a database, closed when the test is over."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.stores.postgresql import PostgreSQLStore
from slixmpp_e2e.stores.sqlite import SQLiteStore
from tests.stores.postgresql import Server, Waiting

_NUMBERS = itertools.count()


@pytest.fixture
def opened() -> Iterator[Callable[..., SQLiteStore]]:
    """Open a store as `SQLiteStore` does."""
    stores: list[SQLiteStore] = []

    def open_store(*arguments: Any, **options: Any) -> SQLiteStore:
        stores.append(SQLiteStore(*arguments, **options))
        return stores[-1]

    yield open_store
    for store in stores:
        try:
            store.close()
        except StoreError:  # one of another thread
            continue


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server for all tests, each of which has a schema of its own."""
    running = Server()
    yield running
    running.close()


@pytest.fixture
def schema() -> str:
    """The name of a schema that is not there yet."""
    return f"e2e_{next(_NUMBERS)}"


@pytest.fixture
def connected(server: Server, schema: str) -> Iterator[Callable[..., Waiting]]:
    """Open a store as `PostgreSQLStore` does, in the schema of the test, and wait for what it is asked."""
    stores: list[Waiting] = []

    def open_store(**options: Any) -> Waiting:
        stores.append(Waiting(PostgreSQLStore(server.url(), **{"schema": schema, **options})))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()
