"""The options `crls` and `revocation`, and what becomes of files that change while the plugin runs."""

import asyncio
import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from slixmpp import JID

from slixmpp_e2e import ConfigurationError
from slixmpp_e2e.plugin.configuration import DEFAULTS, build_protection
from tests.server.clients import new_client
from tests.server.protected import PKI, make_pki, protect

JULIET = JID("juliet@localhost")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


def listed(pki: PKI, *names: str, number: int = 1) -> bytes:
    """Return a list of the issuing CA with the certificates of the named ones."""
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(pki.authority.certificate.subject)
        .last_update(now - dt.timedelta(minutes=1))
        .next_update(now + dt.timedelta(days=1))
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for name in names:
        certificate = x509.load_pem_x509_certificate((pki.directory / f"{name}.crt").read_bytes())
        entry = x509.RevokedCertificateBuilder(certificate.serial_number, now)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(pki.authority.private_key, hashes.SHA256()).public_bytes(Encoding.DER)


def options(pki: PKI, **more: Any) -> dict[str, Any]:
    return {**DEFAULTS, **pki.options("romeo", **more)}


class TestOptions:
    def test_lists_are_read_at_the_start(self, pki, tmp_path):
        (tmp_path / "ca.crl").write_bytes(listed(pki, "juliet"))
        protection = build_protection(options(pki, crls=tmp_path))
        assert len(protection.authority.revocation.lists) == 1
        assert protection.authority.revocation.policy == "soft"

    def test_nobody_asks_where_it_is_off(self, pki):
        assert build_protection(options(pki, revocation="off")).authority.revocation is None

    @pytest.mark.parametrize("value", ["Hard", "", "none", True, None])
    def test_another_policy_is_an_error(self, pki, value):
        with pytest.raises(ConfigurationError, match="revocation"):
            build_protection(options(pki, revocation=value))

    def test_hard_without_lists_is_an_error(self, pki, tmp_path):
        for crls in (None, [], tmp_path):
            with pytest.raises(ConfigurationError, match="crls"):
                build_protection(options(pki, revocation="hard", crls=crls))
        (tmp_path / "ca.crl").write_bytes(listed(pki))
        protection = build_protection(options(pki, revocation="hard", crls=tmp_path))
        assert protection.authority.revocation.policy == "hard"

    def test_a_file_that_is_missing_or_damaged_is_an_error(self, pki, tmp_path):
        with pytest.raises(ConfigurationError, match=r"crls: there is no .*missing\.crl"):
            build_protection(options(pki, crls=tmp_path / "missing.crl"))
        (tmp_path / "ca.crl").write_bytes(b"damaged")
        with pytest.raises(ConfigurationError, match=r"crls: .*ca\.crl"):
            build_protection(options(pki, crls=tmp_path))


class TestChanges:
    @pytest.fixture
    async def romeo(self, pki: PKI, tmp_path: Path):
        (tmp_path / "ca.crl").write_bytes(listed(pki))
        xmpp = new_client("romeo@localhost/romeo")
        known = pki.directory / "juliet.crt"
        protect(xmpp, pki.options("romeo", crls=tmp_path, peer_certificates=known))
        yield xmpp
        xmpp.plugin.disable("e2e")

    async def test_a_new_list_counts_at_once(self, pki, romeo, tmp_path):
        plugin = romeo.plugin["e2e"]
        assert plugin.protection.can_encrypt_to(JULIET)
        (tmp_path / "ca.crl").write_bytes(listed(pki, "juliet", number=2))
        await plugin._revocation.refresh()
        assert not plugin.protection.can_encrypt_to(JULIET)

    async def test_neither_a_damaged_file_nor_an_older_one_replaces_a_good_one(self, pki, romeo, tmp_path):
        plugin, problems = romeo.plugin["e2e"], []
        romeo.add_event_handler("e2e_revocation_failed", problems.append)
        (tmp_path / "ca.crl").write_bytes(listed(pki, "juliet", number=2))
        await plugin._revocation.refresh()
        for data, count in ((b"damaged", 1), (listed(pki, number=1), 1), (b"", 2)):
            (tmp_path / "ca.crl").write_bytes(data)
            await plugin._revocation.refresh()
            assert not plugin.protection.can_encrypt_to(JULIET)
            assert len(problems) == count
        assert isinstance(problems[0], ConfigurationError)
        assert plugin.stats()["revocation_failed"] == 2

    async def test_it_begins_with_the_stream_and_ends_with_the_plugin(self, romeo):
        plugin = romeo.plugin["e2e"]
        assert "e2e_revocation" not in romeo.scheduled_events
        for _ in range(2):
            plugin.session_bind(romeo.boundjid)
            assert "e2e_revocation" in romeo.scheduled_events
        plugin._revocation._begin()
        first = plugin._revocation._running
        plugin._revocation._begin()
        assert plugin._revocation._running is first
        await first
        plugin._revocation._begin()
        romeo.plugin.disable("e2e")
        await asyncio.wait([plugin._revocation._running])
        assert plugin._revocation._running.cancelled()
        assert "e2e_revocation" not in romeo.scheduled_events

    async def test_without_files_nobody_is_asked_again(self, pki):
        for policy in ("soft", "off"):
            xmpp = new_client("romeo@localhost/romeo")
            protect(xmpp, pki.options("romeo", revocation=policy))
            plugin = xmpp.plugin["e2e"]
            plugin.session_bind(xmpp.boundjid)
            assert "e2e_revocation" not in xmpp.scheduled_events
            await plugin._revocation.refresh()
            assert not plugin.stats().get("revocation_failed")

    async def test_a_source_that_fails_ends_nothing(self, romeo):
        class Broken:
            async def fetch(self, wanted, *, at):
                raise ZeroDivisionError

        plugin = romeo.plugin["e2e"]
        plugin.protection.authority.revocation.sources = (Broken(),)
        await plugin._revocation.refresh()
        assert plugin.stats()["internal_errors"] == 1
