"""What a program may rely on, as a type checker sees it; `mypy` reads this file, nobody runs it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, assert_type

import slixmpp
from cryptography import x509
from slixmpp.jid import JID

import slixmpp_e2e
from slixmpp_e2e import (
    CertificateResolver,
    E2EError,
    E2EPlugin,
    Evidence,
    Level,
    LocalError,
    NoCertificateError,
    OCSPResponse,
    ReceiveFailure,
    RemoteError,
    RevocationList,
    RevocationSource,
    SecurityReport,
    SendFailure,
    SignatureError,
    StoreError,
    TimestampError,
    Trust,
)
from slixmpp_e2e.certificates.shared_store import SharedStore
from slixmpp_e2e.stores.ldap import LDAPResolver
from slixmpp_e2e.stores.postgresql import PostgreSQLStore

Stanza = slixmpp.Message | slixmpp.Presence | slixmpp.Iq


async def what_a_bot_calls(plugin: E2EPlugin, message: slixmpp.Message) -> None:
    """The methods of the plugin."""
    assert_type(plugin.report(message), SecurityReport | None)
    assert_type(plugin.override(message, Level.SIGN), None)
    assert_type(plugin.override(message, "required"), None)
    assert_type(await plugin.protect(message), Stanza)
    assert_type(await plugin.protect(message, Level.SIGN), Stanza)
    assert_type(await plugin.protect(message, "sign"), Stanza)
    assert_type(await plugin.unprotect(message), Stanza)
    assert_type(await plugin.publish_certificates(), None)
    assert_type(plugin.stats(), Mapping[str, int])


def what_a_report_says(report: SecurityReport) -> None:
    """The fields of a report."""
    assert_type(report.authenticated, bool)
    assert_type(report.signed, bool)
    assert_type(report.encrypted, bool)
    assert_type(report.signer, JID | None)
    assert_type(report.certificate, x509.Certificate | None)
    assert_type(report.trust, Trust)
    assert_type(report.timestamp, datetime | None)
    assert_type(report.timestamp_state, Literal["ok", "decreasing", "old", "future", "seen"])
    assert_type(report.skew, float | None)
    assert_type(report.arrival, Literal["live", "delayed", "archived"])
    assert_type(report.format, str)
    assert_type(report.signature_algorithm, str | None)
    assert_type(report.encryption_algorithm, str | None)
    assert_type(report.key_management_algorithm, str | None)
    assert_type(report.decrypted_with, bytes | None)
    assert_type(report.legacy, bool)
    assert_type(report.checks, tuple[str, ...])
    assert_type(report.outer_id, str)
    assert_type(report.revocation, Literal["good", "unknown", "expired", "off"])


class KeyElsewhere:
    """A private key that is not in memory."""

    def public_key(self) -> Any:
        """Return nothing."""


def what_a_key_may_be(plugin: E2EPlugin) -> None:
    """A file, an object, or in a token; and who asks for its password."""
    assert_type(plugin.add_identity(certificate="a.crt", private_key="a.key"), None)
    assert_type(plugin.add_identity(certificate="a.crt", private_key=KeyElsewhere()), None)
    assert_type(plugin.add_identity(pkcs11="pkcs11:object=a?module-path=/p.so", password=lambda: "1"), None)


class Directory:
    """A place to find certificates in."""

    async def find(self, jid: JID) -> list[bytes]:
        """Find nothing."""
        return [jid.bare.encode()]


def what_finds_certificates() -> CertificateResolver:
    """What the option `resolvers` takes."""
    return Directory()


class Shelf:
    """A place for revocation lists, as a program writes one."""

    async def fetch(self, wanted: Sequence[tuple[x509.Certificate, ...]], *, at: datetime) -> Evidence:
        """Look there."""
        return Evidence(lists=(RevocationList.from_der(b""),), responses=(OCSPResponse.from_der(b""),))


def what_knows_of_revocation() -> RevocationSource:
    """What the option `revocation_sources` takes."""
    return Shelf()


def what_events_carry(lost: SendFailure, refused: ReceiveFailure) -> None:
    """The arguments of `e2e_send_failed` and `e2e_error`."""
    assert_type(lost.stanza, Stanza)
    assert_type(lost.error, E2EError)
    assert_type(refused.stanza, Stanza)
    assert_type(refused.error, E2EError)
    assert_type(refused.skew, float | None)


def what_looks_into_directories() -> CertificateResolver:
    """What stands in `resolvers` for a directory."""
    return LDAPResolver(
        "ldaps://ldap.example.com/???(mail={bare})", bind_dn="cn=me", password="x", ca_file="ca"
    )


def what_processes_share() -> SharedStore:
    """What the option `store` takes beside a `Store`."""
    return PostgreSQLStore("postgresql:///e2e", schema="e2e", connections=4, seconds=5.0, signers=10_000)


def what_errors_say(error: E2EError) -> str:
    """The tree of errors, and its words."""
    ours: tuple[type[LocalError], ...] = (NoCertificateError, StoreError)
    peers: tuple[type[RemoteError], ...] = (SignatureError, TimestampError)
    if isinstance(error, TimestampError):
        assert_type(error.skew, float | None)
    if isinstance(error, RemoteError):
        assert_type(error.concealed, bool)
        assert_type(error.answer.condition, str)
        assert_type(error.answer.application, str | None)
    assert_type(error.code, str)
    assert_type(error.reason, str)
    return f"{error.diagnostics()} {ours} {peers}"


def what_is_a_word(level: Level, trust: Trust) -> dict[str, str]:
    """Levels and kinds of trust are strings."""
    return {level: trust}


def what_registering_takes(client: slixmpp.ClientXMPP, options: dict[str, Any]) -> None:
    """The way in."""
    client.register_plugin(E2EPlugin.name, options, module=slixmpp_e2e)
