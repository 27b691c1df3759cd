"""Keys that take their time, on a thread of their own: tokens, people who are asked for a PIN, RSA beyond 3072 bits.

A hop to the thread costs fifty microseconds, so what is faster than that stays where it is. There is one thread: a
token does one thing at a time, and what waits for it waits in order.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from slixmpp_e2e.certificates.keys import is_slow
from slixmpp_e2e.cms.recipients import DecryptionKeys, RecipientInfo
from slixmpp_e2e.waiting import NotYet

Result = TypeVar("Result")

#: How many unwrapped keys are kept for who is about to use them.
_UNWRAPPED: Final = 64


class Worker:
    """One thread, which starts when there is something to do."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None

    async def run(self, function: Callable[[], Result]) -> Result:
        """Return what a function returns that takes long, or raise what it raises."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="e2e-key")
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)

    def close(self) -> None:
        """Let the thread end after what it is doing."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None


class WorkerKeys(DecryptionKeys):
    """Our decryption keys; the slow ones are used by a worker, and whoever needs them has to wait."""

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self._worker = worker
        #: What was unwrapped last by which key; found by being equal, as not all RecipientInfos can be hashed.
        self._unwrapped: deque[tuple[RecipientInfo, Any, bytes]] = deque(maxlen=_UNWRAPPED)

    def unwrap(self, info: RecipientInfo, key: Any, fallback: bytes) -> bytes:
        """See `DecryptionKeys`; raises `NotYet` for a slow key."""
        if not is_slow(key):
            return info.unwrap(key, fallback)
        for other, its_key, unwrapped in self._unwrapped:
            if its_key is key and other == info and len(unwrapped) == len(fallback):
                return unwrapped
        raise NotYet(partial(self._work, info, key, fallback))

    async def _work(self, info: RecipientInfo, key: Any, fallback: bytes) -> None:
        unwrapped = await self._worker.run(lambda: info.unwrap(key, fallback))
        self._unwrapped.append((info, key, unwrapped))
