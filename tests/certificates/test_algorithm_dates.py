"""Until when keys of a kind count, in the certificates of peers and of their CAs."""

from datetime import UTC, date, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

from slixmpp_e2e import ConfigurationError
from slixmpp_e2e.certificates.algorithm_dates import AlgorithmDates
from slixmpp_e2e.certificates.path import PathValidator
from slixmpp_e2e.certificates.store import MemoryStore
from slixmpp_e2e.certificates.trust import Authority, UntrustedError
from slixmpp_e2e.errors import CertificateError
from slixmpp_e2e.plugin.configuration import DEFAULTS, build_protection
from slixmpp_e2e.report import Trust
from tests.certificates.building import JULIET, authority, certificate, names
from tests.pki import Entity
from tests.server.protected import make_pki

LAST = date(2030, 12, 31)
BEFORE, AFTER = datetime(2030, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
KEYS = {
    "rsa-2048": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "p-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "x25519": x25519.X25519PrivateKey.generate,
}


@pytest.fixture(scope="module")
def keys():
    return {kind: make().public_key() for kind, make in KEYS.items()}


def counts(dates: AlgorithmDates, key: object, at: datetime) -> bool:
    try:
        dates.check([key], at)
    except CertificateError:
        return False
    return True


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("last", [LAST, LAST.isoformat()], ids=["date", "text"])
def test_a_kind_counts_through_its_last_day_and_the_others_after_it(keys, kind, last):
    dates = AlgorithmDates({kind: last})
    assert counts(dates, keys[kind], BEFORE)
    assert [each for each, key in keys.items() if not counts(dates, key, AFTER)] == [kind]


def test_without_dates_all_of_them_count(keys):
    assert all(counts(AlgorithmDates(), key, AFTER) for key in keys.values())


def test_an_rsa_key_counts_until_the_first_date_of_its_size_or_a_larger_one(keys):
    year = timedelta(days=365)
    dates = AlgorithmDates({"rsa-2047": LAST - year, "rsa-3072": LAST, "rsa-4096": LAST + year})
    assert counts(dates, keys["rsa-2048"], BEFORE)
    assert not counts(dates, keys["rsa-2048"], AFTER)
    larger = rsa.generate_private_key(public_exponent=65537, key_size=4096).public_key()
    assert counts(dates, larger, AFTER)
    assert not counts(dates, larger, AFTER + year)


@pytest.mark.parametrize(
    "option", [{"rsa": LAST}, {"RSA-2048": LAST}, {"rsa-02048": LAST}, {5: LAST}, {"p-521": LAST}]
)
def test_a_kind_that_is_not_known_is_refused(option):
    with pytest.raises(
        ConfigurationError, match=r"algorithm_dates: .* is not known; there are rsa-N, ed25519, p-256"
    ):
        AlgorithmDates(option)


@pytest.mark.parametrize("day", ["2030", "31.12.2030", "", None, 2030, date.max], ids=repr)
def test_what_is_no_date_is_refused(day):
    with pytest.raises(ConfigurationError, match="algorithm_dates: 'p-256' has no date, but "):
        AlgorithmDates({"p-256": day})


@pytest.fixture(scope="module")
def root() -> Entity:
    return authority("Root")  # its key is on P-256


@pytest.fixture(scope="module")
def leaf(root: Entity) -> Entity:
    key = KEYS["p-384"]()
    return Entity("juliet", key, certificate(key, [names(JULIET)], issuer=root))


class TestTrust:
    def judging(self, root, **options) -> Authority:
        dates = AlgorithmDates(options.pop("dates"))
        return Authority(
            MemoryStore(started=0), paths=PathValidator([root.certificate]), dates=dates, **options
        )

    @pytest.mark.parametrize("purpose", ["sign", "encrypt"])
    @pytest.mark.parametrize("pinned", [False, True])
    def test_whose_key_counts_no_more_is_not_believed_whatever_speaks_for_it(
        self, root, leaf, purpose, pinned
    ):
        pins = {JULIET: frozenset({leaf.parsed.fingerprint})} if pinned else {}
        judging = self.judging(root, dates={"p-384": LAST}, pins=pins)
        assert judging.judge(JULIET, leaf.parsed, at=BEFORE, purpose=purpose).trust is (
            Trust.PINNED if pinned else Trust.PKIX
        )
        with pytest.raises(UntrustedError, match=r"until 2030-12-31 \(p-384\)") as caught:
            judging.judge(JULIET, leaf.parsed, at=AFTER, purpose=purpose)
        assert caught.value.why == "weak"

    def test_there_is_no_path_through_a_ca_whose_key_counts_no_more(self, root, leaf):
        judging = self.judging(root, dates={"p-256": LAST})
        assert judging.judge(JULIET, leaf.parsed, at=BEFORE, purpose="sign").trust is Trust.PKIX
        with pytest.raises(UntrustedError, match=r"until 2030-12-31 \(p-256\)") as caught:
            judging.judge(JULIET, leaf.parsed, at=AFTER, purpose="sign")
        assert caught.value.why == "untrusted"

    def test_a_pin_does_not_need_the_ca(self, root, leaf):
        pins = {JULIET: frozenset({leaf.parsed.fingerprint})}
        judging = self.judging(root, dates={"p-256": LAST}, pins=pins)
        assert judging.judge(JULIET, leaf.parsed, at=AFTER, purpose="sign").trust is Trust.PINNED

    def test_nor_is_it_a_first_use(self, root, leaf):
        judging = self.judging(root, dates={"p-384": LAST}, first_use=True)
        with pytest.raises(UntrustedError, match="p-384"):
            judging.judge(JULIET, leaf.parsed, at=AFTER, purpose="sign")


@pytest.mark.parametrize(("last", "why"), [("2020-12-31", "weak"), ("2099-12-31", None)])
def test_the_option_reaches_who_decides(tmp_path, last, why):
    options = make_pki(tmp_path).options("romeo", algorithm_dates={"rsa-8192": last})
    protection = build_protection({**DEFAULTS, **options})
    own = protection.identity.certificate
    try:
        protection.authority.judge("romeo@localhost", own, at=own.valid_from, purpose="sign", was_ours=True)
        found = None
    except UntrustedError as error:
        found = error.why
    finally:
        protection.store.close()
    assert found == why
