"""M2Crypto: OpenSSL's PKCS #7 functions with a Python interface."""

import importlib
from importlib.metadata import version
from typing import Any, Final

from tests.benchmarks.clock import Contestant
from tests.benchmarks.peers.peer import NotInstalledError, Peer
from tests.pki import PKI

_MODULES: Final = ("BIO", "EVP", "SMIME", "X509")


async def m2crypto(pki: PKI, text: bytes) -> Peer:
    """Return M2Crypto, or raise `NotInstalledError`."""
    try:
        bio, evp, smime, x509 = (importlib.import_module(f"M2Crypto.{name}") for name in _MODULES)
    except ImportError as error:
        raise NotInstalledError("M2Crypto: not installed") from error

    def load(name: str) -> tuple[Any, Any]:
        entity = pki[name]
        return evp.load_key_string(entity.key_pem), x509.load_cert_string(entity.pem)

    def party(name: str) -> Any:
        found = smime.SMIME()
        found.pkey, found.x509 = load(name)
        return found

    def stack(name: str) -> Any:
        found = x509.X509_Stack()
        found.push(load(name)[1])
        return found

    sender, receiver = party("juliet"), party("romeo")
    sender.set_x509_stack(stack("romeo"))
    sender.set_cipher(smime.Cipher("aes_128_cbc"))
    receiver.set_x509_stack(stack("juliet"))
    receiver.set_x509_store(x509.X509_Store())
    no_chain = smime.PKCS7_NOVERIFY

    def write(pkcs7: Any) -> bytes:
        output = bio.MemoryBuffer()
        pkcs7.write_der(output)
        found: bytes = output.read()
        return found

    def protect(_: object = None) -> bytes:
        signed = write(sender.sign(bio.MemoryBuffer(text), flags=smime.PKCS7_BINARY, algo="sha256"))
        return write(sender.encrypt(bio.MemoryBuffer(signed), flags=smime.PKCS7_BINARY))

    protected = protect()

    def unprotect(_: object = None) -> bytes:
        signed = receiver.decrypt(smime.load_pkcs7_bio_der(bio.MemoryBuffer(protected)))
        found: bytes = receiver.verify(smime.load_pkcs7_bio_der(bio.MemoryBuffer(signed)), flags=no_chain)
        return found

    assert unprotect() == text
    name = f"M2Crypto {version('M2Crypto')}, certificate embedded"
    return Peer((Contestant(name, protect),), (Contestant(name, unprotect),))
