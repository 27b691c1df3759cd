"""Whether content makes anybody open a file or a connection: `python -m tests.fuzz.sealed_off`.

In a process of its own, because what listens to that can't be taken away again. Every kind of honest stanza comes in
first, so that whatever is imported late is there; then the worst cases, what names files and addresses, and changed
stanzas. From then on nothing may be opened, and nothing be imported.
"""

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from tests.benchmarks.parties import Parties, make_parties
from tests.certificates.building import end_entity, key_usage
from tests.fuzz.costs import MAKERS
from tests.fuzz.receiving import Forger, Recipient
from tests.fuzz.worst import TEXT, Maker, e2e, stanza, worst_cases

_CHANGED = 200
#: Octets of the largest worst case that comes in: the others are more of the same.
_LARGEST = 700_000
_FORBIDDEN = (
    "open",
    "socket.",
    "subprocess.",
    "os.",
    "shutil.",
    "sqlite3.",
    "urllib.",
    "http.",
    "ssl.",
    "import",
)
_HARMLESS = frozenset({"os.putenv"})
_URL = "http://127.0.0.1:9/crl"


def lures(parties: Parties) -> list[bytes]:
    """Return stanzas that name files and addresses wherever they can."""
    maker = Maker(parties.pki)
    ocsp = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(_URL))
    issuers = x509.AccessDescription(
        AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(_URL)
    )
    named = (
        key_usage("digital_signature"),
        x509.AuthorityInformationAccess([ocsp, issuers]),
        x509.CRLDistributionPoints(
            [x509.DistributionPoint([x509.UniformResourceIdentifier(_URL)], None, None, None)]
        ),
    )
    external = (
        "<!DOCTYPE xmpp SYSTEM '{0}' [<!ENTITY a SYSTEM '{0}'><!ENTITY % b SYSTEM '{0}'>%b;]><xmpp>&a;</xmpp>"
    )
    head = b"Content-Type: application/xmpp+xml; charset={}\r\n\r\n"
    documents = [
        head.replace(b"{}", charset) + f"<?xml version='1.0' encoding='{encoding}'?>{text}".encode()
        for charset, encoding in ((b"utf-8", "utf-8"), (b"shift_jis", "shift_jis"), (b"hz", "big5"))
        for text in (external.format("file:///etc/passwd"), external.format(_URL))
    ]
    texts = [
        TEXT.replace(b"utf-8", charset) + b"x"
        for charset in (b"cp1252", b"rot13", b"../../etc/passwd", b"mbcs")
    ]
    bodies = ('message/external-body; access-type=local-file; name="/etc/passwd"', "message/external-body")
    return [
        maker.by_stranger(end_entity(*named, issuer=parties.pki.intermediate)),
        *(maker.by_juliet(each) for each in documents),
        *(maker.by_juliet(maker.cpim(each)) for each in texts),
        *(stanza(e2e(f"Content-Type: {each}\nContent-ID: <a>\n\nx")) for each in bodies),
        stanza("<x xmlns='jabber:x:oob'><url>file:///etc/passwd</url></x>" + e2e("file:///etc/passwd")),
    ]


def _open_something() -> None:
    Path(os.devnull).read_bytes()


async def main() -> int:
    """Return 0 if nothing was opened."""
    logging.disable(logging.CRITICAL)
    opened: list[str] = []
    assert MAKERS
    with make_parties() as parties:
        recipient = Recipient(parties, revocation="soft")
        forger = Forger(recipient, 5)
        worst = (wire for _, wire in worst_cases(parties.pki) if len(wire) < _LARGEST)
        inputs = [*lures(parties), *worst]
        inputs += [forger.draw()[0] for _ in range(_CHANGED)]
        for captured in recipient.captured:
            recipient.try_changed(captured.wire)
        recipient.try_changed(stanza(e2e("x"), **{"from": "j\u00fcliet@m\u00fcnchen.example"}))
        is_listening = True

        def listen(event: str, arguments: tuple[Any, ...]) -> None:
            if is_listening and event.startswith(_FORBIDDEN) and event not in _HARMLESS:
                opened.append(f"{event} {arguments!r:.200}")

        sys.addaudithook(listen)
        for wire in inputs:
            recipient.receive(wire)
        found = len(opened)
        _open_something()  # of the harness: it listens
        is_listening = False
    assert opened.pop().startswith("open ")
    assert len(opened) == found
    print(f"{len(inputs)} stanzas, {len(opened)} files or connections", *opened[:20], sep="\n")
    return bool(opened)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
