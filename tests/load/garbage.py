"""How long Python's full garbage collections keep a process: they go through everything that it holds."""

import gc
import time
from typing import Any, Final, Self

_FULL: Final = 2


class FullCollections:
    """Takes note of those that Python makes by itself, within `with`."""

    def __init__(self) -> None:
        self.count = 0
        #: Seconds of work: of the longest, and of all.
        self.longest = 0.0
        self.total = 0.0
        self._since = 0.0

    def __enter__(self) -> Self:
        gc.callbacks.append(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        gc.callbacks.remove(self._note)

    def collect(self) -> None:
        """Collect everything now, without taking note of it."""
        gc.callbacks.remove(self._note)
        gc.collect()
        gc.callbacks.append(self._note)

    def _note(self, phase: str, info: dict[str, Any]) -> None:
        if info["generation"] != _FULL:
            return
        if phase == "start":
            self._since = time.thread_time()
            return
        took = time.thread_time() - self._since
        self.count += 1
        self.longest = max(self.longest, took)
        self.total += took
