"""OpenSSL's own CMS functions, called in this process through ctypes: the system's library.

`cryptography` brings another build of OpenSSL, whose RSA may be faster or slower than the system's.
"""

import ctypes
from ctypes import c_char_p, c_int, c_long, c_uint, c_void_p
from ctypes.util import find_library
from typing import Any, Final

from tests.benchmarks.clock import Contestant
from tests.benchmarks.peers.peer import NotInstalledError, Peer
from tests.pki import PKI, Entity

# openssl/cms.h
_BINARY: Final = 0x80
_NO_SIGNER_CERT_VERIFY: Final = 0x20
_NO_SMIME_CAPABILITIES: Final = 0x200
_BIO_CTRL_INFO: Final = 3  # openssl/bio.h

_SIGNATURES: Final[dict[str, tuple[Any, ...]]] = {
    "OpenSSL_version": (c_char_p, c_int),
    "BIO_new_mem_buf": (c_void_p, c_char_p, c_int),
    "BIO_new": (c_void_p, c_void_p),
    "BIO_s_mem": (c_void_p,),
    "BIO_ctrl": (c_long, c_void_p, c_int, c_long, c_void_p),
    "BIO_free": (c_int, c_void_p),
    "d2i_X509_bio": (c_void_p, c_void_p, c_void_p),
    "d2i_PrivateKey_bio": (c_void_p, c_void_p, c_void_p),
    "d2i_CMS_bio": (c_void_p, c_void_p, c_void_p),
    "i2d_CMS_bio": (c_int, c_void_p, c_void_p),
    "CMS_ContentInfo_free": (None, c_void_p),
    "CMS_sign": (c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_uint),
    "CMS_encrypt": (c_void_p, c_void_p, c_void_p, c_void_p, c_uint),
    "CMS_decrypt": (c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_uint),
    "CMS_verify": (c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_uint),
    "OPENSSL_sk_new_null": (c_void_p,),
    "OPENSSL_sk_push": (c_int, c_void_p, c_void_p),
    "EVP_aes_128_cbc": (c_void_p,),
    "EVP_aes_128_gcm": (c_void_p,),
}


class LibCrypto:
    """The functions that we need; a failure raises `RuntimeError`."""

    def __init__(self) -> None:
        name = find_library("crypto")
        if name is None:
            raise NotInstalledError("OpenSSL's libcrypto: not installed")
        library = ctypes.CDLL(name)
        for function, (result, *arguments) in _SIGNATURES.items():
            found = getattr(library, function)
            found.restype, found.argtypes = result, arguments
        self.call: Any = library
        self.version: str = library.OpenSSL_version(0).decode()

    def _input(self, data: bytes) -> Any:
        return self.call.BIO_new_mem_buf(data, len(data))

    def _take(self, output: Any) -> bytes:
        """Return what was written to a memory BIO, and free it."""
        start = c_void_p()
        size = self.call.BIO_ctrl(output, _BIO_CTRL_INFO, 0, ctypes.addressof(start))
        data = ctypes.string_at(start, size) if size else b""
        self.call.BIO_free(output)
        return data

    def certificate(self, entity: Entity) -> Any:
        """Return an X509."""
        return self._read("d2i_X509_bio", entity.der)

    def key(self, entity: Entity) -> Any:
        """Return an EVP_PKEY."""
        return self._read("d2i_PrivateKey_bio", entity.key_der)

    def stack(self, *certificates: Any) -> Any:
        """Return a STACK_OF(X509)."""
        stack = self.call.OPENSSL_sk_new_null()
        for each in certificates:
            self.call.OPENSSL_sk_push(stack, each)
        return stack

    def _read(self, function: str, data: bytes) -> Any:
        source = self._input(data)
        found = getattr(self.call, function)(source, None)
        self.call.BIO_free(source)
        if not found:
            raise RuntimeError(f"{function} failed")
        return found

    def _write(self, cms: Any, source: Any) -> bytes:
        self.call.BIO_free(source)
        if not cms:
            raise RuntimeError("the object was not made")
        output = self.call.BIO_new(self.call.BIO_s_mem())
        self.call.i2d_CMS_bio(output, cms)
        self.call.CMS_ContentInfo_free(cms)
        return self._take(output)

    def sign(self, data: bytes, certificate: Any, key: Any) -> bytes:
        """Return an opaque SignedData with the certificate."""
        source = self._input(data)
        cms = self.call.CMS_sign(certificate, key, None, source, _BINARY | _NO_SMIME_CAPABILITIES)
        return self._write(cms, source)

    def encrypt(self, data: bytes, recipients: Any, *, gcm: bool = False) -> bytes:
        """Return an EnvelopedData with AES-128-CBC, or an AuthEnvelopedData with AES-128-GCM."""
        source = self._input(data)
        cipher = self.call.EVP_aes_128_gcm() if gcm else self.call.EVP_aes_128_cbc()
        return self._write(self.call.CMS_encrypt(recipients, source, cipher, _BINARY), source)

    def decrypt(self, data: bytes, certificate: Any, key: Any) -> bytes:
        """Return what an EnvelopedData holds."""
        cms = self._read("d2i_CMS_bio", data)
        output = self.call.BIO_new(self.call.BIO_s_mem())
        done = self.call.CMS_decrypt(cms, key, certificate, None, output, _BINARY)
        return self._finish(cms, output, done)

    def verify(self, data: bytes) -> bytes:
        """Return what was signed; nothing is asked about the certificate."""
        cms = self._read("d2i_CMS_bio", data)
        output = self.call.BIO_new(self.call.BIO_s_mem())
        done = self.call.CMS_verify(cms, None, None, None, output, _BINARY | _NO_SIGNER_CERT_VERIFY)
        return self._finish(cms, output, done)

    def _finish(self, cms: Any, output: Any, done: int) -> bytes:
        self.call.CMS_ContentInfo_free(cms)
        content = self._take(output)
        if done != 1:
            raise RuntimeError("decryption or verification failed")
        return content


async def openssl(pki: PKI, text: bytes, *, gcm: bool = False) -> Peer:
    """Return OpenSSL, or raise `NotInstalledError`."""
    library = LibCrypto()
    signer, signing_key = library.certificate(pki["juliet"]), library.key(pki["juliet"])
    recipient, recipient_key = library.certificate(pki["romeo"]), library.key(pki["romeo"])
    recipients = library.stack(recipient)

    def protect(_: object = None) -> bytes:
        return library.encrypt(library.sign(text, signer, signing_key), recipients, gcm=gcm)

    protected = protect()

    def unprotect(_: object = None) -> bytes:
        return library.verify(library.decrypt(protected, recipient, recipient_key))

    assert unprotect() == text
    name = " ".join(library.version.split()[:2])
    return Peer(
        (Contestant(f"{name}, in process, certificate embedded", protect),),
        (Contestant(f"{name}, in process, certificate embedded", unprotect),),
    )
