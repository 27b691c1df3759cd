"""Work done in vain: what keeps an object that can't be read from being refused sooner than one that can.

Most of the time of a refusal goes into reading what was decrypted and verifying the signature in it. What fails
before that makes up for what it has left out, with an object of our own, so that the time of an answer says as good
as nothing about how far it could be read (ARCHITECTURE invariant 15).

**Not** levelled: a peer's key of another kind than ours, as the verification is one with our key; and what other
software writes in more than one part, which takes longer to read.
"""

from contextlib import suppress
from datetime import datetime
from typing import Final, Literal

from slixmpp_e2e.cms.certificates import CertificatePool, PreferringPool
from slixmpp_e2e.cms.signed_data import Signer, certificates_only, parse_signed_data, sign
from slixmpp_e2e.errors import SignatureError
from slixmpp_e2e.media import mime

#: What a refusal has left out: reading the MIME header and the SignedData behind it; the larger half of both; a line
#: of the header, and the SignedData; nothing but to hash the content and verify the signature, as those before; or
#: nothing but to verify it.
Missed = Literal["header", "half", "object", "digest", "signature"]

_LINE: Final = b"Content-Transfer-Encoding: binary\r\n\r\n"
#: Shorter than those that are written: who stumbles over a header has read a part of it.
_HEADER: Final = b"Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n" + _LINE


class Decoy:
    """Spends the time. `signer` is one of ours; nobody is looked up anywhere, as a peer who is known is not."""

    def __init__(self, signer: Signer, moment: datetime) -> None:
        # found as a signer is whose certificate was learned
        learned = CertificatePool(look_up=lambda _identifier: (signer.certificate.der,))
        self._pool = PreferringPool(learned, lambda: (signer.certificate,))
        self._key = signer.certificate.public_key
        good = sign(b"a sample", signer, signing_time=moment, detached=True, certificates=False)
        self._whole = good[:-1] + bytes((good[-1] ^ 1,))  # a bad signature, as finding that out takes longer
        self._half = certificates_only(())
        self._signed = parse_signed_data(self._whole)
        (self._good,) = parse_signed_data(good).signer_infos

    def __len__(self) -> int:
        return self._pool.pool.size()

    def __call__(self, data: bytes, missed: Missed) -> None:
        """Do what was `missed` when `data` was refused; never raises."""
        if missed in {"digest", "signature"}:
            if missed == "digest":
                self._good.scheme.digest.digest(data)
            # who comes here has failed with more ado already: as much more as it takes to learn of a bad signature
            self._good.scheme.verify(self._key, self._good.signature, self._good.signed_attributes)
            return
        mime.parse_entity(_LINE if missed == "object" else _HEADER)
        # with `_half` it takes as long as what is left of a SignedData
        parse_signed_data(self._half if missed == "half" else self._whole, secret=True)
        with suppress(SignatureError):
            self.verify(data)

    def verify(self, data: bytes) -> None:
        """Hash some data and verify a bad signature; raise `SignatureError` (`invalid`)."""
        self._signed.verify(self._pool, content=data)
