"""Where the time goes, function by function."""

import cProfile
import io
import pstats
from collections.abc import Callable, Sequence
from typing import Any

from tests.benchmarks.clock import Effort
from tests.benchmarks.parties import make_parties

_LINES = 30


async def run(effort: Effort) -> str:
    """Profile sending and receiving; every figure is inflated by the profiler, that of cheap functions most."""
    with make_parties() as parties:
        juliet, memory = parties.juliet(), parties.romeo()
        sqlite = parties.romeo(store=parties.sqlite("romeo"))
        count = effort.rounds * effort.calls
        for _ in range(effort.warm_up):
            wire = juliet.wire(juliet.seal(juliet.message()))
            memory.unseal(memory.receive(wire))
            sqlite.unseal(sqlite.receive(wire))
        texts = [_profile("Sending", juliet.seal, [juliet.message() for _ in range(count)])]
        for name, party in (("memory", memory), ("SQLite", sqlite)):
            wires = [juliet.wire(juliet.seal(juliet.message())) for _ in range(count)]
            stanzas = [party.receive(wire) for wire in wires]
            texts.append(_profile(f"Receiving, store in {name}", party.unseal, stanzas))
        sqlite.plugin.protection.store.close()
    return "\n".join(texts)


def _profile(title: str, call: Callable[[Any], Any], arguments: Sequence[Any]) -> str:
    profile = cProfile.Profile()
    profile.enable()
    for argument in arguments:
        call(argument)
    profile.disable()
    output = io.StringIO()
    statistics = pstats.Stats(profile, stream=output).strip_dirs()
    output.write(f"{title}: {len(arguments)} stanzas, by own time\n")
    statistics.sort_stats("tottime").print_stats(_LINES)
    output.write(f"{title}: by time with what is called\n")
    statistics.sort_stats("cumulative").print_stats(_LINES)
    return output.getvalue()
