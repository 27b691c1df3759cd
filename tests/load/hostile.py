"""What somebody sends who wants a client to be busy with him: stanzas of every kind, as text."""

import datetime as dt
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from slixmpp_e2e.cms.signed_data import Signer, sign
from slixmpp_e2e.media import mime
from slixmpp_e2e.namespaces import CERTIFICATES, CLIENT
from tests.formats.objects import changed, enveloped, flipped, message_cpim, xmpp_entity
from tests.pki import Entity, make_certificate
from tests.security.hostile import e2e, stanza

#: Octets in what is huge: with its base64 just below what Prosody takes.
_HUGE: Final = 180_000


class Arsenal:
    """What one attacker has; `stanza()` returns the next one, each kind in turn.

    One who is an insider has a certificate of the same authority as the victim (`NAME.crt` in the directory). What
    he signs is true then, and so is what is delivered of it; it is still a flood.
    """

    def __init__(self, directory: Path, name: str, victim: str, captured: deque[str]) -> None:
        self._jid, self._to, self._captured = f"{name}@localhost", victim, captured
        victim_name = victim.partition("@")[0]
        self._victim = Entity(victim_name, None, _certificates(directory, victim_name)[0])
        self._signer = _signer(directory, name) if (directory / f"{name}.crt").exists() else None
        self._number = 0
        self.kinds: Final[Mapping[str, Callable[[], str]]] = {
            "garbage objects": self._garbage,
            "envelopes with a bad signature": self._badly_signed,
            "unknown signers, new certificates": self._newly_signed,
            "replays": self._replay,
            "replays, changed": self._changed_replay,
            "huge: garbage, envelopes, clear": self._next_huge,
            "requests in clear": self._request,
            "requests with garbage": self._garbage_request,
            "certificate requests": self._certificate_request,
            "presence": self._presence,
        }
        self._turn = cycle(self.kinds)
        self._huge = cycle((self._huge_garbage, self._huge_envelope, self._huge_clear))

    def stanza(self) -> tuple[str, str]:
        """Return a kind, and a stanza of it."""
        kind = next(self._turn)
        return kind, self.kinds[kind]()

    # ------------------------------------------------------------------ objects

    def _garbage(self) -> str:
        return self._message(mime.pkcs7_text(os.urandom(1500), "enveloped-data"))

    def _badly_signed(self) -> str:
        signed = flipped(self._signed("Wherefore?", self._signer or _stranger(self._jid)), -1)
        return self._message(self._envelope(signed))

    def _newly_signed(self) -> str:
        return self._message(self._envelope(self._signed("Wherefore?", _stranger(self._jid))))

    def _replay(self) -> str:
        return self._message(self._captured[0]) if self._captured else self._garbage()

    def _changed_replay(self) -> str:
        if not self._captured:
            return self._garbage()
        return self._message(changed(self._captured[0], lambda der: flipped(der, -20)))

    def _next_huge(self) -> str:
        return next(self._huge)()

    def _huge_garbage(self) -> str:
        return self._message(mime.pkcs7_text(os.urandom(_HUGE), "enveloped-data"))

    def _huge_envelope(self) -> str:
        signed = self._signed("x" * (_HUGE - 10_000), self._signer or _stranger(self._jid))
        return self._message(self._envelope(flipped(signed, -1)))

    def _certificate_request(self) -> str:
        inside = f"<body>?</body><request xmlns='{CERTIFICATES}'/>"
        text = f"<message to='{self._to}' from='{self._jid}'>{inside}</message>"
        signed = self._signed(text, self._signer or _stranger(self._jid), is_stanza=True)
        return self._message(self._envelope(signed))

    # ------------------------------------------------------------------ stanzas

    def _huge_clear(self) -> str:
        return self._stanza("message", "<x xmlns='urn:x'><y/></x>" * (_HUGE // 25), "chat")

    def _request(self) -> str:
        return self._stanza("iq", "<query xmlns='http://jabber.org/protocol/disco#info'/>", "get")

    def _garbage_request(self) -> str:
        return self._stanza("iq", e2e(mime.pkcs7_text(os.urandom(1500), "enveloped-data")), "get")

    def _presence(self) -> str:
        self._number += 1
        if self._number % 3 == 0:
            return self._stanza("presence", "", "subscribe")
        return self._stanza("presence", e2e(mime.pkcs7_text(os.urandom(1500), "enveloped-data")), "")

    # ------------------------------------------------------------------ parts

    def _message(self, payload: str) -> str:
        return self._stanza("message", e2e(payload), "chat")

    def _stanza(self, kind: str, inside: str, type_: str) -> str:
        text = stanza(kind, inside, to=self._to, sender="", type_=type_, id_=os.urandom(8).hex())
        return text.replace(f" xmlns='{CLIENT}'", "", 1)

    def _signed(self, text: str, signer: Signer, *, is_stanza: bool = False) -> bytes:
        moment = dt.datetime.fromtimestamp(time.time_ns() // 1000 / 1e6, dt.UTC)
        headers = (
            f"From: <im:{self._jid}>",
            f"To: <im:{self._to.partition('/')[0]}>",
            f"DateTime: {moment.strftime('%Y-%m-%dT%H:%M:%S.%fZ')}",
        )
        content = xmpp_entity(text) if is_stanza else f"Content-type: text/plain; charset=utf-8\r\n\r\n{text}"
        return sign(message_cpim(*headers, content=content), signer, signing_time=moment)

    def _envelope(self, signed: bytes) -> str:
        return enveloped(mime.pkcs7_mime(signed, "signed-data", binary=True), self._victim)


def _stranger(jid: str) -> Signer:
    """Return somebody who has just made himself a certificate, and an authority that says he is who he says."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = f"Authority {os.urandom(8).hex()}"
    authority = Entity("authority", authority_key, make_certificate(authority_key, name))
    leaf = Entity("leaf", key, make_certificate(key, jid, issuer=authority, jid=jid))
    return Signer(key, leaf.parsed, [authority.parsed])


def _signer(directory: Path, name: str) -> Signer:
    leaf, *above = (Entity(name, None, each).parsed for each in _certificates(directory, name))
    key: Any = load_pem_private_key((directory / f"{name}.key").read_bytes(), None)
    return Signer(key, leaf, above)


def _certificates(directory: Path, name: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((directory / f"{name}.crt").read_bytes())
