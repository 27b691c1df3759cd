"""What can't be answered at once: who can't wait hears of it, who can waits and asks again.

The floors below the plugin are plain functions, because slixmpp's filters are. Where one of them comes to need what
a database or a slow key has to be asked for, it raises `NotYet`, having changed nothing that can't be changed twice.
Whoever may wait awaits it and begins again; what was waited for is there then.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from slixmpp_e2e.errors import StoreError

Result = TypeVar("Result")

#: How often something begins again, at the most: keys and signers of nested objects, and JIDs of our own.
ROUNDS: Final = 32


class NotYet(Exception):  # noqa: N818 it is no error: it is there in a moment
    """What is needed is not here; `wait()` brings it, or raises why it can't."""

    def __init__(self, wait: Callable[[], Awaitable[None]]) -> None:
        super().__init__("this has to be waited for")
        self.wait = wait


async def patiently(step: Callable[[], Result]) -> Result:
    """Return what a step returns, once all that it needs is there; raise what it raises."""
    for _ in range(ROUNDS):
        try:
            return step()
        except NotYet as needed:
            await needed.wait()
    raise StoreError("what is needed is forgotten as fast as it is fetched")


def at_once(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Return what a coroutine returns that has nothing to wait for; `RuntimeError` if it has."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: Result = end.value
        return result
    coroutine.close()
    raise RuntimeError("there was something to wait for")
