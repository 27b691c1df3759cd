"""What a message of 200 octets of text becomes on the stream, in octets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.benchmarks.clock import Effort
from tests.benchmarks.parties import Parties, Party, make_parties
from tests.benchmarks.tables import Table

_KILOBYTE: Final = 1000


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    size: int
    target: int | None = None


async def run(_effort: Effort) -> list[Table]:
    """Write each stanza as slixmpp does; the sizes of RSA objects never vary by more than a few octets."""
    with make_parties() as parties:
        cases = _cases(parties)
    rows = tuple(
        (
            case.name,
            f"{case.size:,}",
            "" if case.target is None else f"{case.target:,}",
            "" if case.target is None else _verdict(case.size, case.target),
        )
        for case in cases
    )
    note = "A target of 1 KB is 1,000 octets here. Outer stanza whole, with hints, as the sender's stream has it."
    return [
        Table("Size on the wire, 200 octets of text, RSA-2048", ("", "octets", "target", ""), rows, (note,))
    ]


def _verdict(size: int, target: int) -> str:
    return "met" if size <= target else f"missed by {size - target:,}"


def _cases(parties: Parties) -> list[_Case]:
    plain, signing = parties.juliet(), parties.juliet(policy={"*": "sign"})
    copying, gcm = parties.juliet(encrypt_to_self=True), parties.juliet(cipher="aes128-gcm")

    def size(party: Party, **options: str) -> Callable[[bool], int]:
        def measured(certificates: bool) -> int:
            if not certificates:
                party.seal(party.message())
            return len(party.wire(party.seal(party.message(**options), certificates=certificates)).encode())

        return measured

    without, copied = size(plain)(False), size(copying)(False)
    return [
        _Case("unprotected", len(plain.wire(plain.message()).encode())),
        _Case("signed and encrypted", without, int(2.6 * _KILOBYTE)),
        _Case("with certificate and intermediate", size(plain)(True), 5 * _KILOBYTE),
        _Case("with a copy to ourselves", copied),
        _Case("what the copy costs", copied - without, _KILOBYTE // 2),
        _Case("message with a thread (xmpp+xml)", size(plain, thread="4f1c")(False)),
        _Case("AES-128-GCM (AuthEnvelopedData)", size(gcm)(False)),
        _Case("signed only", size(signing)(False)),
        _Case("signed only, with certificate and intermediate", size(signing)(True)),
    ]
