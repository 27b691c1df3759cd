"""Both formats in one table: the whole way out, the whole way in, and what is on the wire, of the same message.

As in `whole_way`: from the program's stanza to the outer one, and back to a stanza with a report.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.benchmarks.clock import Contestant, Effort, measure
from tests.benchmarks.parties import Parties, Party, make_parties
from tests.benchmarks.tables import Table

_WAYS: Final[Mapping[str, tuple[str, str]]] = {
    "RFC 3923, signed and encrypted": ("rfc3923", "required"),
    "RFC 3923, encrypted only": ("rfc3923", "encrypt-unsigned"),
    "draft-miller-3923bis-02": ("objenc", "encrypt-unsigned"),
    "draft-miller-3923bis-02, signed inside": ("objenc", "required"),
}


@dataclass(frozen=True, slots=True)
class _Pair:
    """Juliet, who writes in one way, and romeo."""

    juliet: Party
    romeo: Party
    is_signed: bool

    def messages(self, calls: int) -> Sequence[Any]:
        return [self.juliet.message() for _ in range(calls)]

    def sealed(self, calls: int) -> Sequence[Any]:
        """Return stanzas as romeo's stream builds them; the certificate went along before."""
        wires = (self.juliet.wire(self.juliet.seal(each)) for each in self.messages(calls))
        return [self.romeo.receive(each) for each in wires]

    def unseal(self, stanza: Any) -> Any:
        return self.romeo.unseal(stanza, authenticated=self.is_signed)

    def size(self) -> int:
        return len(self.juliet.wire(self.juliet.seal(self.juliet.message())).encode())


async def run(effort: Effort) -> Table:
    """Measure the ways against each other."""
    with make_parties() as parties:
        pairs = {name: _pair(parties, *way) for name, way in _WAYS.items()}
        for pair in pairs.values():
            for stanza in pair.sealed(effort.warm_up):
                pair.unseal(stanza)
        out = await _measure(
            effort, {name: (each.juliet.seal, each.messages) for name, each in pairs.items()}
        )
        into = await _measure(effort, {name: (each.unseal, each.sealed) for name, each in pairs.items()})
        rows = [(name, *out[name], *into[name], f"{pair.size():,}") for name, pair in pairs.items()]
        plain = next(iter(pairs.values())).juliet
        clear = f"{len(plain.wire(plain.message()).encode()):,}"
    return Table(
        "Formats side by side, the whole way (RSA-2048, AES-128-CBC, 200 octets of text, certificates left out)",
        ("", "out, µs", "±", "in, µs", "±", "octets on the wire"),
        (("in clear", "", "", "", "", clear), *rows),
        ("RFC 3923 transports the key with PKCS #1 v1.5, the draft with OAEP. Stores are in memory.",),
    )


def _pair(parties: Parties, written_as: str, level: str) -> _Pair:
    options: dict[str, Any] = {"format": written_as, "policy": {"*": level}}
    return _Pair(parties.juliet(**options), parties.romeo(**options), level == "required")


async def _measure(
    effort: Effort, ways: Mapping[str, tuple[Callable[[Any], Any], Callable[[int], Sequence[Any]]]]
) -> dict[str, tuple[str, str]]:
    contestants = [Contestant(name, call, prepare) for name, (call, prepare) in ways.items()]
    timings = await measure(contestants, effort)
    return {name: (f"{each.median:.1f}", f"{each.spread / 2:.1f}") for name, each in timings.items()}
