"""The disguises of a stanza that comes again: everything that no signature is over, and what servers can say.

A `Replay` starts as the stanza was. Each disguise changes one thing about it; any number of them may be put on, one
over the other, and `wire` writes what comes of it.
"""

import random
import re
from collections.abc import Callable, Mapping
from typing import Final

from slixmpp_e2e.cms.algorithms import SHA256
from slixmpp_e2e.cms.asn1 import CONSTRUCTED, SET, Reader, octet_string, oid, sequence, tlv
from slixmpp_e2e.freshness import to_datetime
from slixmpp_e2e.namespaces import E2E, OBJENC
from tests.cms.der_trees import ber, tree
from tests.security.replay.again import AS_IT_WAS, Replay
from tests.security.replay.loot import Loot, Signed
from tests.security.replay.wire import READER, carbon, delay, result
from tests.security.replay.world import OTHER, World

_SOMETHING: Final = oid("1.2.3.4")
Disguise = Callable[[Replay], None]


# --------------------------------------------------------------------------- of the signed object


def more_certificates(replay: Replay) -> None:
    """Add certificates of others; a signature is over none."""
    mine = [each.der for each in replay.world.people.values()]
    found = [*replay.signed.certificates, *replay.chance.sample(mine, replay.chance.randint(1, len(mine)))]
    replay.chance.shuffle(found)
    _change(replay, certificates=tuple(found))


def no_certificates(replay: Replay) -> None:
    """Take them out."""
    _change(replay, certificates=())


def unsigned_attributes(replay: Replay) -> None:
    """Add attributes behind the signature."""
    some = tlv(CONSTRUCTED + 1, sequence(_SOMETHING, tlv(SET, octet_string(replay.chance.randbytes(9)))))
    infos = [Reader(info).enter().elements(limit=9) for info in replay.signed.infos]
    _change(
        replay, infos=tuple(sequence(*(each for each in info if each[0] != some[0]), some) for info in infos)
    )


def signed_twice(replay: Replay) -> None:
    """Let the same signature stand there twice."""
    _change(replay, infos=(*replay.signed.infos, replay.signed.infos[0])[:4])


def signed_by_another(replay: Replay) -> None:
    """Add a signature of somebody else, before or behind."""
    thief = replay.world.writers[OTHER].signer
    info = thief.signer_info(replay.loot.content, to_datetime(replay.now))
    infos = [*replay.signed.infos, info]
    replay.chance.shuffle(infos)
    _change(
        replay,
        infos=tuple(infos[:4]),
        certificates=(*replay.signed.certificates, thief.certificate.der),
    )


def other_version(replay: Replay) -> None:
    """Write another version, and name digests that nobody uses."""
    digests = replay.chance.choice([b"", SHA256.algorithm_identifier * 2])
    _change(replay, version=bytes((2, 1, replay.chance.randint(0, 5))), digests=tlv(SET, digests))


def ber_encoding(replay: Replay) -> None:
    """Encode it as BER: lengths indefinite or too long, strings in pieces."""
    _reveal(replay)
    number = replay.chance.randrange(10**9)
    replay.encode = lambda der: ber(tree(der), random.Random(number))


# --------------------------------------------------------------------------- of what is around it


def enveloped_again(replay: Replay) -> None:
    """Encrypt it again: somebody who could read it, and now with a key that never came before."""
    forms = ["enveloped", "enveloped", "enveloped bare", "enveloped base64", "enveloped clear"]
    replay.around = replay.chance.choice(forms)


def enveloped_for_more(replay: Replay) -> None:
    """Encrypt it to others, too."""
    enveloped_again(replay)
    replay.to_others = True


def taken_out(replay: Replay) -> None:
    """Show it without encryption, in one part or in two."""
    replay.around = replay.chance.choice(["clear", "opaque"])


def in_the_draft(replay: Replay) -> None:
    """Encrypt it as the other format has it."""
    replay.around = "draft"


def other_lines(replay: Replay) -> None:
    """Break base64 into other lines."""
    _reveal(replay)
    replay.width = replay.chance.choice([3, 12, 48, 54, 300, 0])
    replay.separator = replay.chance.choice(["\n", "\n", " \n", "\n\t", "\n\n"])


def other_header(replay: Replay) -> None:
    """Write the MIME header in another way, or leave it out."""
    _reveal(replay)
    replay.header = replay.chance.choice(
        [
            str.lower,
            str.upper,
            lambda _fields: "",
            lambda fields: "X-Again: yes\n" + fields,
            lambda fields: fields.replace("application/pkcs7-mime", "application/x-pkcs7-mime"),
            lambda fields: re.sub("; name=.*", "", fields),
        ]
    )


# --------------------------------------------------------------------------- of the stanza


def other_resource(replay: Replay) -> None:
    """Come from another resource, or from none."""
    jid = replay.sender.partition("/")[0]
    replay.sender = replay.chance.choice(
        [jid, f"{jid}/tomb", f"{jid}/Balcony", f"{jid}/{replay.chance.random()}"]
    )


def other_case(replay: Replay) -> None:
    """Write addresses in another way that means the same."""
    change = replay.chance.choice([str.upper, str.title, lambda jid: jid.translate(_WIDE)])
    jid, slash, resource = replay.sender.partition("/")
    replay.sender = change(jid) + slash + resource
    if replay.chance.random() < 0.5:
        replay.to = change(READER) + "/orchard"


def other_id(replay: Replay) -> None:
    """Bear another id, or none."""
    ids = ["x", f"{replay.chance.random()}", *([""] if replay.loot.kind != "iq" else [])]
    replay.id_ = replay.chance.choice(ids)


def other_type(replay: Replay) -> None:
    """Be of another type."""
    types = {"message": ["normal", "chat", "headline"], "presence": ["", "unavailable"], "iq": ["get", "set"]}
    replay.type_ = replay.chance.choice(types[replay.loot.kind])


def to_the_account(replay: Replay) -> None:
    """Be addressed to the account, or to another client of it."""
    if replay.loot.kind != "iq":
        replay.to = replay.chance.choice([READER, f"{READER}/elsewhere"])


def other_xml(replay: Replay) -> None:
    """Be written in another way that is the same XML."""
    replay.spell = replay.chance.choice(
        [
            _prefixed,
            lambda text: text if "'" in text else text.replace('"', "'"),
            lambda text: text.replace("M", "&#77;"),
            lambda text: text.replace("\n", "\n<!-- again -->", 1),
            lambda text: text if "&" in text else re.sub(r">([^<]+)<", r"><![CDATA[\1]]><", text),
            lambda text: " \n" + text + "\n ",
        ]
    )


def _prefixed(text: str) -> str:
    if OBJENC in text:  # its children are in the namespace, too
        return text
    return text.replace("<e2e xmlns=", "<z:e2e xmlns:z=", 1).replace("</e2e>", "</z:e2e>", 1)


def things_beside(replay: Replay) -> None:
    """Have hints and other elements beside it."""
    if replay.loot.kind != "iq":
        replay.beside += replay.chance.choice(
            [
                "<store xmlns='urn:xmpp:hints'/>",
                "<body>Good night</body>",
                f"<encryption xmlns='urn:xmpp:eme:0' namespace='{E2E}'/>",
                "<stanza-id xmlns='urn:xmpp:sid:0' id='again' by='romeo@example.net'/>",
                "<origin-id xmlns='urn:xmpp:sid:0' id='again'/>",
            ]
        )


def delayed(replay: Replay) -> None:
    """Bear what servers say of when they got it: ours, those of others, several, true or not."""
    chance = replay.chance
    if replay.loot.kind == "iq":
        return
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        sender = chance.choice(
            ["example.net", READER, f"{READER}/orchard", "example.com", replay.loot.sender, "x.example"]
        )
        stamp = chance.choice(
            [replay.loot.moment, replay.loot.moment, replay.now, replay.now - 86_400 * 10**9]
        )
        replay.beside += delay(stamp, sender)


def copied(replay: Replay) -> None:
    """Come as a copy of what another client of ours got (XEP-0280)."""
    if replay.loot.kind == "message":
        inside = delay(replay.loot.moment, "example.net") if replay.chance.random() < 0.5 else ""
        replay.wrap = lambda text: carbon(text, inside=inside)


def archived(replay: Replay) -> None:
    """Come from our archive (XEP-0313)."""
    if replay.loot.kind == "message":
        stamp = replay.chance.choice([replay.loot.moment, replay.now])
        replay.wrap = lambda text: result(text, inside=delay(stamp, "example.net"))


def just_again(_replay: Replay) -> None:
    """Come as it was, octet for octet."""


DISGUISES: Final[Mapping[str, Disguise]] = {
    function.__name__.replace("_", " "): function
    for function in (
        just_again, enveloped_again, enveloped_for_more, taken_out, in_the_draft, more_certificates,
        no_certificates, unsigned_attributes, signed_twice, signed_by_another, other_version, ber_encoding,
        other_lines, other_header, other_resource, other_case, other_id, other_type, to_the_account, other_xml,
        things_beside, delayed, copied, archived,
    )
}  # fmt: skip
_WIDE: Final = {code: code + 0xFEE0 for code in range(ord("a"), ord("z") + 1)}


def disguise(loot: Loot, world: World, chance: random.Random, now: int) -> Replay:
    """Return a stanza that comes again in one to five disguises."""
    replay = Replay(loot, world, chance, now)
    for name in chance.sample(sorted(DISGUISES), chance.choice([1, 1, 2, 3, 4, 5])):
        DISGUISES[name](replay)
        replay.worn.append(name)
    return replay


def _reveal(replay: Replay) -> None:
    """Let what is changed be seen: the envelope that it came in holds it as it was."""
    if replay.around == AS_IT_WAS:
        enveloped_again(replay) if replay.chance.random() < 0.5 else taken_out(replay)


def _change(replay: Replay, **parts: object) -> None:
    _reveal(replay)
    signed = replay.signed
    old = {name: getattr(signed, name) for name in ("version", "digests", "certificates", "lists", "infos")}
    replay.signed = Signed(**{**old, **parts})
