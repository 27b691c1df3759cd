"""The whole way of a stanza: out through `Outbound.seal`, in through `Inbound.unseal`, in unconnected clients.

**Not** in it: slixmpp's queue, its XML writer and parser, the socket, and the program's handlers.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from slixmpp_e2e.cms.enveloped_data import parse_enveloped_data
from slixmpp_e2e.cms.recipients import DecryptionKeys
from slixmpp_e2e.cms.signed_data import parse_signed_data
from slixmpp_e2e.media import mime
from slixmpp_e2e.outer import E2E_TAG
from tests.benchmarks.clock import Contestant, Effort, measure
from tests.benchmarks.floor import Floor
from tests.benchmarks.parties import Parties, Party, make_parties
from tests.benchmarks.tables import Table, timing_table

_FLOOR: Final = "floor: the primitives"
_SIGNING: Final = "floor: digest and signature"
_TARGET: Final = 1.5


async def run(effort: Effort) -> list[Table]:
    """Measure both ways."""
    with make_parties() as parties:
        return [await _out(parties, effort), await _in(parties, effort)]


def _floor(parties: Parties, sender: Party) -> Floor:
    """Return the floor for what a message becomes."""
    sender.seal(sender.message())
    payload = sender.seal(sender.message()).xml.findtext(E2E_TAG)
    juliet, romeo = parties.pki["juliet"], parties.pki["romeo"]
    envelope = parse_enveloped_data(mime.parse_entity(payload.encode()).decoded_body())
    decrypted = envelope.decrypt(DecryptionKeys([(romeo.key, romeo.parsed)]))
    signed = parse_signed_data(mime.parse_entity(decrypted.plaintext).body)
    assert signed.content is not None
    return Floor(juliet.key, romeo.key, len(signed.content), len(decrypted.plaintext))


async def _out(parties: Parties, effort: Effort) -> Table:
    juliet, signing = parties.juliet(), parties.juliet(policy={"*": "sign"})
    copying = parties.juliet(encrypt_to_self=True)
    for party in (juliet, signing, copying):
        for _ in range(effort.warm_up):
            party.seal(party.message())
    floor = _floor(parties, juliet)

    def messages(party: Party, **options: Any) -> Callable[[int], Sequence[Any]]:
        return lambda calls: [party.message(**options) for _ in range(calls)]

    contestants = (
        Contestant(_FLOOR, floor.outward()),
        Contestant("text", juliet.seal, messages(juliet), _FLOOR, _TARGET),
        Contestant(
            "text, with certificate and intermediate",
            lambda message: juliet.seal(message, certificates=True),
            messages(juliet),
            _FLOOR,
        ),
        Contestant("message with a thread (xmpp+xml)", juliet.seal, messages(juliet, thread="t1"), _FLOOR),
        Contestant("text, with a copy to ourselves", copying.seal, messages(copying), _FLOOR),
        Contestant(_SIGNING, floor.signing()),
        Contestant("text, signed only", signing.seal, messages(signing), _SIGNING),
    )
    title = "The whole way out: stanza in, outer stanza out (RSA-2048, 200 octets of text)"
    return timing_table(title, contestants, await measure(contestants, effort))


async def _in(parties: Parties, effort: Effort) -> Table:
    juliet = parties.juliet()
    memory = parties.romeo()
    sqlite = parties.romeo(store=parties.sqlite("romeo"))
    floor = _floor(parties, juliet)

    def outer_stanzas(receiver: Party, *, certificates: bool = False) -> Callable[[int], Sequence[Any]]:
        def fresh(calls: int) -> list[Any]:
            sealed = (juliet.seal(juliet.message(), certificates=certificates) for _ in range(calls))
            return [receiver.receive(juliet.wire(each)) for each in sealed]

        return fresh

    for party in (memory, sqlite):  # the replay records of the signer are full then
        for stanza in outer_stanzas(party)(effort.warm_up):
            party.unseal(stanza)
    contestants = (
        Contestant(_FLOOR, floor.inward()),
        Contestant("store in memory", memory.unseal, outer_stanzas(memory), _FLOOR),
        Contestant("store in SQLite", sqlite.unseal, outer_stanzas(sqlite), _FLOOR),
        Contestant(
            "store in memory, with certificate and intermediate",
            memory.unseal,
            outer_stanzas(memory, certificates=True),
            _FLOOR,
        ),
    )
    title = "The whole way in: outer stanza in, stanza with report out (RSA-2048, 200 octets of text)"
    table = timing_table(title, contestants, await measure(contestants, effort))
    sqlite.plugin.protection.store.close()
    return table
