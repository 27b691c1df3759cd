"""Objects with several signatures over the same content: one stanza, whoever turns them round or takes one away."""

from datetime import timedelta
from itertools import permutations

import pytest

from slixmpp_e2e.certificates.store import MemoryStore
from slixmpp_e2e.cms.signed_data import parse_signed_data
from slixmpp_e2e.errors import RemoteError
from slixmpp_e2e.freshness import from_datetime
from slixmpp_e2e.media import mime
from tests.accounts import account
from tests.certificates.building import end_entity
from tests.cms.forge import signed_data
from tests.formats.objects import JULIET, enveloped, message_cpim, outer, signed_der, signer, xmpp_entity
from tests.pki import MOMENT
from tests.protection.ways import outcome, unprotect

#: Dated by what it says, and by its signatures alone.
CPIM = message_cpim()
BARE = xmpp_entity("<message to='romeo@example.net' type='chat'><body>pay 100</body></message>").encode()


@pytest.fixture
def second(pki):
    """Another device of juliet's, with a key and a certificate of its own."""
    return end_entity(jid=JULIET.bare, issuer=pki.intermediate)


@pytest.fixture
def written(juliet, second, pki):
    """Return a function that writes an object with some of four signatures of juliet's."""
    others = [signer(juliet, scheme=name) for name in ("rsa-sha512", "rsa-pss-sha256")]
    signers = [signer(juliet), *others, signer(second)]
    along = [each.der for each in (juliet, second, pki.intermediate)]

    def write(content, which, moment=MOMENT):
        infos = [signers[each].signer_info(content, moment) for each in which]
        return signed_data(content, infos, along)

    return write


def arrives(by, der) -> str:
    found = outcome(by, mime.pkcs7_text(der, "signed-data"), outer())
    return found.reason if isinstance(found, RemoteError) else found.report.timestamp_state


@pytest.mark.parametrize("content", [CPIM, BARE], ids=["dated by its content", "dated by its signatures"])
@pytest.mark.parametrize(
    "first", [(0, 1, 2, 3), (3, 0), (1,)], ids=["as it was made", "changed before", "one alone"]
)
def test_whatever_is_left_of_them_in_whatever_order_it_comes_once(receiver, written, romeo, content, first):
    assert arrives(receiver, written(content, first)) == "ok"
    for number in (1, 2, 4):
        for which in permutations(range(4), number):
            assert arrives(receiver, written(content, which)) == "seen"
    in_envelope = outcome(receiver, enveloped(written(content, (2,)), romeo))
    assert in_envelope.reason == "seen"


def test_what_says_itself_when_it_was_sent_comes_once_whatever_the_signatures_say(receiver, written):
    for number in range(2):
        der = written(CPIM, (number,), MOMENT + timedelta(seconds=number))
        assert arrives(receiver, der) == ("seen" if number else "ok")


def test_who_signs_the_same_words_in_another_second_has_said_them_again(receiver, written):
    assert arrives(receiver, written(BARE, (0,))) == "ok"
    assert arrives(receiver, written(BARE, (0,), MOMENT + timedelta(seconds=1))) == "ok"


def test_the_same_words_at_another_time_are_something_else(receiver, written):
    later = CPIM.replace(b"15.000000Z", b"15.000001Z")
    assert later != CPIM
    assert [arrives(receiver, written(each, (0, 1))) for each in (CPIM, later)] == ["ok", "ok"]


def test_what_an_earlier_version_recorded_is_seen(pki, juliet, romeo, clock):
    """It knew a stanza by the digest of the signed attributes."""
    store = MemoryStore(started=0)
    der = signed_der(CPIM, signer(juliet, pki.intermediate))
    _, first = parse_signed_data(der).verify(account(pki, romeo, clock).peers.pool)
    moment = from_datetime(MOMENT)
    assert not store.admit(JULIET.bare, first.attributes_digest, moment, moment).seen
    receiver = account(pki, romeo, clock, store=store)
    assert arrives(receiver, der) == "seen"
    other = message_cpim(content="Content-type: text/plain\r\n\r\nAdieu")
    text = mime.pkcs7_text(signed_der(other, signer(juliet, pki.intermediate)), "signed-data")
    assert unprotect(receiver, text).report.authenticated
