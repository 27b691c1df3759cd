"""Which format somebody is written to in, by what is known of him; and never whether it is signed."""

import itertools
import os
from xml.etree.ElementTree import Element

import pytest
from slixmpp import JID

from slixmpp_e2e.cms.algorithms import AES256_CBC, AES256_GCM
from slixmpp_e2e.errors import NOT_UNDERSTOOD, RefusedError
from slixmpp_e2e.formats import objenc, objenc_signed
from slixmpp_e2e.plugin.format_choice import FormatChoice, read_choices
from slixmpp_e2e.plugin.opening import Opening
from slixmpp_e2e.policy import Level
from slixmpp_e2e.waiting import NotYet
from tests.accounts import Clock, account
from tests.elements import stanza
from tests.formats.objects import JULIET, ROMEO
from tests.protection.ways import TEXT_MESSAGE, outer_of

PHONE, DESK, ACCOUNT = (JID(f"romeo@example.net{each}") for each in ("/phone", "/desk", ""))
BOTH = frozenset({"rfc3923", "objenc"})
ONLY_OBJENC, ONLY_RFC3923, NOTHING = frozenset({"objenc"}), frozenset({"rfc3923"}), frozenset()


def choice(announced=NOTHING, *, option="auto", used=(), can_write_objenc=True) -> FormatChoice:
    """A choice about somebody who announces something, and used something; the last one last."""
    found = FormatChoice(read_choices(option), lambda _: announced, lambda _: can_write_objenc)
    for jid, written_as in used:
        found.heard(jid, written_as)
    return found


@pytest.mark.parametrize(
    ("announced", "used", "expected"),
    [
        (NOTHING, [], "rfc3923"),
        (BOTH, [], "rfc3923"),
        (ONLY_RFC3923, [], "rfc3923"),
        (ONLY_OBJENC, [], "objenc"),
        # what he did counts for more than what somebody says that he can
        (BOTH, [(PHONE, "objenc")], "objenc"),
        (ONLY_OBJENC, [(PHONE, "rfc3923")], "rfc3923"),
        (NOTHING, [(PHONE, "objenc"), (PHONE, "rfc3923")], "rfc3923"),
        # that it was the draft only if he announces it: a server may have made the envelope
        (ONLY_RFC3923, [(PHONE, "objenc")], "rfc3923"),
        (NOTHING, [(PHONE, "objenc")], "rfc3923"),
        (NOTHING, [(DESK, "objenc")], "rfc3923"),
        (BOTH, [(DESK, "objenc")], "rfc3923"),
        (ONLY_OBJENC, [(DESK, "rfc3923")], "objenc"),
        (NOTHING, [(PHONE, "rfc3923"), (DESK, "objenc")], "rfc3923"),
    ],
)
def test_what_a_client_did_counts_most_then_what_it_announces_then_what_another_one_did(
    announced, used, expected
):
    assert choice(announced, used=used).of(PHONE) == expected


def test_what_any_client_did_last_counts_for_the_account():
    assert choice(BOTH, used=[(DESK, "objenc"), (PHONE, "rfc3923")]).of(ACCOUNT) == "rfc3923"
    assert choice(BOTH, used=[(PHONE, "rfc3923"), (DESK, "objenc")]).of(ACCOUNT) == "objenc"


def test_what_another_client_did_counts_where_this_one_says_nothing():
    def announced(jid):
        return BOTH if jid == DESK else NOTHING

    found = FormatChoice(read_choices("auto"), announced)
    found.heard(DESK, "objenc")
    assert found.of(PHONE) == found.of(ACCOUNT) == "objenc"
    found.heard(DESK, "rfc3923")
    assert found.of(PHONE) == found.of(ACCOUNT) == "rfc3923"


def test_who_does_not_announce_the_draft_is_asked_once_about_one_envelope():
    asked = []

    def announced(jid):
        asked.append(jid)
        return NOTHING

    found = FormatChoice(read_choices("auto"), announced)
    found.heard(DESK, "objenc")
    assert [found.of(ACCOUNT), found.of(ACCOUNT)] == ["rfc3923", "rfc3923"]
    assert asked.count(DESK) == 1


def test_what_was_used_counts_for_a_day_and_is_pushed_out_by_nobody_else():
    now = 0.0
    found = FormatChoice(read_choices("auto"), lambda _: ONLY_OBJENC, now=lambda: now)
    found.heard(PHONE, "rfc3923")
    for number in range(5000):
        found.heard(JID(f"mallory@evil.example/{number}"), "objenc")
    assert len(found) == 4096
    assert found.of(PHONE) == "rfc3923"
    now = 86_400.0
    assert found.of(PHONE) == "objenc"


@pytest.mark.parametrize(
    "option", ["rfc3923", "objenc", {"example.net": "objenc"}, {"romeo@example.net": "objenc"}]
)
def test_nobody_is_asked_where_the_option_says_it(option):
    def ask(_):
        raise AssertionError

    expected = "rfc3923" if option == "rfc3923" else "objenc"
    assert FormatChoice(read_choices(option), ask, ask).of(PHONE) == expected


def test_nobody_is_asked_who_wrote_rfc_3923_before():
    def ask(_):
        raise NotYet(None)

    found = FormatChoice(read_choices("auto"), ask)
    with pytest.raises(NotYet):
        found.of(PHONE)
    found.heard(PHONE, "rfc3923")
    assert found.of(PHONE) == found.of(ACCOUNT) == "rfc3923"
    with pytest.raises(NotYet):
        found.of(DESK)
    found.heard(PHONE, "objenc")  # a server may have put it into that envelope
    with pytest.raises(NotYet):
        found.of(PHONE)


@pytest.mark.parametrize(("announced", "expected"), [(ONLY_RFC3923, "rfc3923"), (ONLY_OBJENC, "objenc")])
def test_what_was_signed_only_and_put_into_an_envelope_by_somebody_else_changes_no_format(
    pki, announced, expected
):
    """Whoever has our certificate can do that; the report says how it came, and not who encrypted it."""
    clock = Clock()
    by = account(pki, pki["juliet"], clock, peers=[pki["romeo"]])
    to = account(pki, pki["romeo"], clock)
    element = stanza(TEXT_MESSAGE)
    signed = by.protect(element, sender=JULIET, recipient=ROMEO, level=Level.SIGN)
    carrier = objenc_signed.wrap_signed(Element(element.tag, element.attrib), signed.text)
    sealing = objenc.Sealing(to.identity.certificate)
    envelope = objenc.protect(
        carrier, sealing, sender=JULIET, recipient=ROMEO, moment=clock(), random=os.urandom
    )
    report = to.unprotect(envelope, outer_of(element)).report
    assert (report.authenticated, report.encrypted, report.format) == (True, True, "objenc")
    found = choice(announced, used=[(JULIET, report.format)])
    assert found.of(JULIET) == expected


def test_where_the_draft_can_t_be_written_it_is_rfc_3923_unless_the_option_says_otherwise():
    assert choice(ONLY_OBJENC, used=[(PHONE, "objenc")], can_write_objenc=False).of(PHONE) == "rfc3923"
    assert choice(option="objenc", can_write_objenc=False).of(PHONE) == "objenc"  # and fails there, loudly


@pytest.mark.parametrize(
    ("peer", "cipher", "possible"),
    [
        ("romeo", None, True),
        ("romeo", AES256_CBC, True),
        ("romeo", AES256_GCM, False),
        ("p-256", None, False),
    ],
)
def test_the_draft_can_be_written_to_rsa_keys_with_the_ciphers_that_it_names(pki, peer, cipher, possible):
    by = account(pki, pki["juliet"], Clock(), peers=[pki[peer]], cipher=cipher)
    (name,) = by.peers._configured
    assert by.can_write_objenc(JID(name)) is possible
    assert not by.can_write_objenc(JID("nobody@example.net"))


@pytest.mark.parametrize("written_as", ["rfc3923", "objenc"])
async def test_what_is_not_read_is_not_opened_however_it_comes(pki, written_as):
    """Carbons and archives are opened by the same one."""
    by, to = account(pki, pki["juliet"], Clock(), peers=[pki["romeo"]]), account(pki, pki["romeo"], Clock())
    element = stanza(TEXT_MESSAGE)
    found = by.protect(element, sender=JULIET, recipient=ROMEO, level=Level.REQUIRED, written_as=written_as)
    payload, where = found if len(found) else found.text, outer_of(element)
    with pytest.raises(RefusedError) as refused:
        await Opening(to, formats=BOTH - {written_as}).unprotect(payload, where, archived=True)
    assert (refused.value.reason, refused.value.answer) == ("unsupported", NOT_UNDERSTOOD)
    opened = await Opening(to, formats=frozenset({written_as})).unprotect(payload, where)
    assert opened.report.authenticated


@pytest.mark.parametrize("level", [Level.SIGN, Level.REQUIRED, Level.OPPORTUNISTIC, Level.ENCRYPT_UNSIGNED])
def test_no_announcement_and_no_habit_makes_unsigned_what_has_to_be_signed(pki, level):
    """Whatever servers say, and whatever was used before: what is proven in the end is what the policy asks for."""
    clock = Clock()
    by = account(pki, pki["juliet"], clock, peers=[pki["romeo"]])
    to = account(pki, pki["romeo"], clock)
    element = stanza(TEXT_MESSAGE)
    written = set()
    for announced, used in itertools.product((NOTHING, BOTH, ONLY_OBJENC, ONLY_RFC3923), (None, *BOTH)):
        chosen = choice(announced, used=[] if used is None else [(ROMEO, used)]).of(ROMEO)
        payload = by.protect(element, sender=JULIET, recipient=ROMEO, level=level, written_as=chosen)
        found = to.unprotect(
            payload.text if len(payload) == 0 else payload, outer_of(element), allow_unsigned=True
        )
        assert found.report.signed is found.report.authenticated is (level is not Level.ENCRYPT_UNSIGNED)
        assert found.report.encrypted is (level is not Level.SIGN)
        written.add(found.report.format)
    assert written == ({"rfc3923"} if level is Level.SIGN else BOTH)
