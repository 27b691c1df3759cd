"""Stores in files, closed when the test is over."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.stores.sqlite import SQLiteStore


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
