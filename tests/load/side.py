"""One end of every line, in this process or in one of its own.

That is `python -m tests.load.side PORT DIRECTORY WHO RESOURCE LINE…`. It reads a line of JSON for each
thing to do, and writes one for each result, in the order in which they end.
"""

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from tests.load.people import JULIET, ROMEO, address, log_in
from tests.load.talker import Talker, Times
from tests.load.ticker import Lateness, Ticker

_REPOSITORY: Final = Path(__file__).parents[2]
_LONGEST: Final = 1 << 24


class Side(Protocol):
    """One end of every line."""

    async def send(self, line: str, count: int, octets: int, every: float | None = None) -> None:
        """See `Talker.send`."""

    async def collect(self, line: str, count: int) -> list[Times]:
        """See `Talker.collect`."""

    async def ask(self, line: str, count: int, octets: int, every: float | None = None) -> list[Times]:
        """See `Talker.ask`."""

    async def lateness(self) -> Lateness:
        """Return how late the event loop was, at the worst since this was called last."""


@dataclass
class LocalSide:
    """One end of every line, in this process."""

    talkers: dict[str, Talker]
    ticker: Ticker

    @classmethod
    async def start(
        cls, stack: AsyncExitStack, port: int, directory: Path, who: str, resource: str, lines: list[str]
    ) -> "LocalSide":
        """Log in."""
        other = JULIET if who == ROMEO else ROMEO
        talkers = {}
        for line in lines:
            xmpp = await log_in(stack, port, directory, who, line, resource)
            talkers[line] = Talker(xmpp, address(other, line, resource))
        return cls(talkers, await stack.enter_async_context(Ticker()))

    async def send(self, line: str, count: int, octets: int, every: float | None = None) -> None:
        """See `Side`."""
        await self.talkers[line].send(count, octets, every)

    async def collect(self, line: str, count: int) -> list[Times]:
        """See `Side`."""
        return await self.talkers[line].collect(count)

    async def ask(self, line: str, count: int, octets: int, every: float | None = None) -> list[Times]:
        """See `Side`."""
        return await self.talkers[line].ask(count, octets, every)

    async def lateness(self) -> Lateness:
        """See `Side`."""
        return await self.ticker.take()


@dataclass
class RemoteSide:
    """One end of every line, in a process of its own."""

    process: asyncio.subprocess.Process
    _pending: dict[int, asyncio.Future[Any]] = field(default_factory=dict)
    _number: int = 0

    @classmethod
    async def start(
        cls, stack: AsyncExitStack, port: int, directory: Path, who: str, resource: str, lines: list[str]
    ) -> "RemoteSide":
        """Start the process and log in there."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.load.side", str(port), str(directory), who, resource, *lines),
            cwd=_REPOSITORY,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST,
        )
        side = cls(process)
        stack.push_async_callback(side._stop)
        reading = asyncio.create_task(side._read())
        stack.callback(reading.cancel)
        await side._do("ready")
        return side

    async def _stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        await self.process.wait()

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for said in self.process.stdout:
            number, result, error = json.loads(said)
            future = self._pending.pop(number)
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(AssertionError(error))
        for future in self._pending.values():
            future.set_exception(AssertionError("the process of the other side has ended"))

    async def _do(self, verb: str, *arguments: Any) -> Any:
        self._number += 1
        future = self._pending[self._number] = asyncio.get_running_loop().create_future()
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([self._number, verb, arguments]).encode() + b"\n")
        return await future

    async def send(self, line: str, count: int, octets: int, every: float | None = None) -> None:
        """See `Side`."""
        await self._do("send", line, count, octets, every)

    async def collect(self, line: str, count: int) -> list[Times]:
        """See `Side`."""
        return [(sent, arrived) for sent, arrived in await self._do("collect", line, count)]

    async def ask(self, line: str, count: int, octets: int, every: float | None = None) -> list[Times]:
        """See `Side`."""
        return [(sent, arrived) for sent, arrived in await self._do("ask", line, count, octets, every)]

    async def lateness(self) -> Lateness:
        """See `Side`."""
        return Lateness(*await self._do("lateness"))


async def _serve(port: int, directory: Path, who: str, resource: str, lines: list[str]) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    async with AsyncExitStack() as stack:
        side = await LocalSide.start(stack, port, directory, who, resource, lines)
        async with asyncio.TaskGroup() as doing:
            async for asked in reader:
                doing.create_task(_do(side, *json.loads(asked)))


async def _do(side: LocalSide, number: int, verb: str, arguments: list[Any]) -> None:
    result: Any = None
    error = None
    try:
        if verb == "lateness":
            late = await side.lateness()
            result = (late.wall, late.own)
        elif verb != "ready":
            result = await getattr(side, verb)(*arguments)
    except Exception as failure:
        error = repr(failure)
    print(json.dumps([number, result, error]), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:]))
