"""Slow keys: the loop goes on meanwhile, and what one object gives is not given for another."""

import asyncio
import os
import threading
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from slixmpp_e2e.cms.recipients import RSA_OAEP_SHA256, read_recipient_infos, recipient_for
from slixmpp_e2e.plugin.worker import _UNWRAPPED, Worker, WorkerKeys
from slixmpp_e2e.waiting import NotYet, patiently
from tests.patience import SlowKey
from tests.pki import Entity


@pytest.fixture
def worker():
    made = Worker()
    yield made
    made.close()


class TestWorker:
    async def test_the_loop_goes_on_while_a_key_works(self, worker, romeo: Entity):
        key = SlowKey(romeo.key, 0.2)
        longest, last, is_over = 0.0, time.monotonic(), False

        async def tick() -> int:
            nonlocal longest, last
            ticks = 0
            while not is_over:
                await asyncio.sleep(0.005)
                now = time.monotonic()
                longest, last, ticks = max(longest, now - last), now, ticks + 1
            return ticks

        ticking = asyncio.ensure_future(tick())
        await asyncio.sleep(0)
        began = time.monotonic()
        await worker.run(key._take_time)
        is_over = True
        assert time.monotonic() - began >= 0.2
        assert await ticking > 5
        assert longest < 0.15

    async def test_one_thing_at_a_time_in_order_on_a_thread_of_its_own(self, worker):
        running, done, threads = 0, [], set()

        def work(number: int) -> int:
            nonlocal running
            running += 1
            assert running == 1
            threads.add(threading.current_thread().name)
            time.sleep(0.002)
            running -= 1
            done.append(number)
            return number

        results = await asyncio.gather(*(worker.run(lambda each=each: work(each)) for each in range(10)))
        assert results == done == list(range(10))
        assert len(threads) == 1
        assert threading.current_thread().name not in threads

    async def test_what_the_key_raises_is_raised(self, worker):
        def fail() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await worker.run(fail)

    async def test_it_begins_again_after_it_was_closed(self, worker):
        assert await worker.run(lambda: 1) == 1
        worker.close()
        worker.close()
        assert await worker.run(lambda: 2) == 2


class Wrapped:
    """RecipientInfos for romeo, each with a key of its own."""

    def __init__(self, romeo: Entity, count: int) -> None:
        self.keys = [os.urandom(32) for _ in range(count)]
        recipient = recipient_for(romeo.parsed, transport=RSA_OAEP_SHA256)
        self.infos = [read_recipient_infos([recipient.recipient_info(key)])[0] for key in self.keys]


class TestWorkerKeys:
    def test_a_quick_key_is_used_at_once(self, worker, romeo: Entity):
        wrapped = Wrapped(romeo, 1)
        keys = WorkerKeys(worker)
        assert keys.unwrap(wrapped.infos[0], romeo.key, b"f" * 32) == wrapped.keys[0]

    async def test_a_slow_one_has_to_be_waited_for_and_nothing_is_mixed_up(self, worker, romeo: Entity):
        wrapped = Wrapped(romeo, 10)
        keys, key = WorkerKeys(worker), SlowKey(romeo.key, 0.001)
        with pytest.raises(NotYet):
            keys.unwrap(wrapped.infos[0], key, b"f" * 32)
        found = await asyncio.gather(
            *(patiently(lambda each=each: keys.unwrap(each, key, b"f" * 32)) for each in wrapped.infos)
        )
        assert found == wrapped.keys
        assert threading.current_thread().name not in key.threads

    async def test_what_another_key_would_make_of_it_is_another_thing(self, worker, romeo: Entity):
        wrapped = Wrapped(romeo, 1)
        keys = WorkerKeys(worker)
        other = SlowKey(rsa.generate_private_key(65537, 2048), 0)
        ask = [
            lambda key=key: keys.unwrap(wrapped.infos[0], key, b"f" * 32)
            for key in (SlowKey(romeo.key, 0), other)
        ]
        assert await patiently(ask[0]) == wrapped.keys[0]
        assert await patiently(ask[1]) == b"f" * 32

    async def test_for_another_cipher_it_is_unwrapped_again(self, worker, romeo: Entity):
        wrapped = Wrapped(romeo, 1)
        keys, key = WorkerKeys(worker), SlowKey(romeo.key, 0)
        assert await patiently(lambda: keys.unwrap(wrapped.infos[0], key, b"f" * 32)) == wrapped.keys[0]
        assert await patiently(lambda: keys.unwrap(wrapped.infos[0], key, b"f" * 16)) == b"f" * 16

    async def test_it_is_bounded(self, worker, romeo: Entity):
        wrapped = Wrapped(romeo, _UNWRAPPED + 5)
        keys, key = WorkerKeys(worker), SlowKey(romeo.key, 0)
        for each in wrapped.infos:
            await patiently(lambda each=each: keys.unwrap(each, key, b"f" * 32))
        assert len(keys._unwrapped) == _UNWRAPPED
