"""One tree of errors, with words for programs, words for people, and an answer for the network."""

import inspect

import pytest

from slixmpp_e2e import errors
from slixmpp_e2e.certificates.names import CertificateNameError
from slixmpp_e2e.certificates.trust import ChangedCertificateError, UntrustedError
from slixmpp_e2e.errors import (
    BAD_TIMESTAMP,
    DECRYPTION_FAILED,
    NOT_ACCEPTABLE,
    UNVERIFIED_SIGNATURE,
    E2EError,
    LocalError,
    MalformedError,
    NoCertificateError,
    RefusedError,
    RemoteError,
    SignatureError,
    StanzaErrorAnswer,
    TimestampError,
    UndecryptableError,
)

ALL = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, E2EError)]


@pytest.mark.parametrize("error", ALL)
def test_every_error_is_ours_or_the_peers(error):
    if error is not E2EError:
        assert issubclass(error, LocalError) != issubclass(error, RemoteError)
    assert error.__doc__
    assert error.code == error.code.lower()


def test_every_error_of_ours_has_a_code_of_its_own():
    ours = [each for each in ALL if issubclass(each, LocalError)]
    ours += [CertificateNameError, UntrustedError, ChangedCertificateError]
    assert len({each.code for each in ours}) == len(ours)


@pytest.mark.parametrize(
    ("error", "reason", "answer"),
    [
        (RemoteError(), "refused", NOT_ACCEPTABLE),
        (MalformedError("x"), "malformed", DECRYPTION_FAILED),
        (UndecryptableError("x"), "decryption-failed", DECRYPTION_FAILED),
        (UndecryptableError("x", reason="not-for-us"), "not-for-us", DECRYPTION_FAILED),
        (SignatureError("x"), "unverified-signature", UNVERIFIED_SIGNATURE),
        (SignatureError("x", reason="weak"), "weak", UNVERIFIED_SIGNATURE),
        (TimestampError("x", reason="old", skew=-1.5), "old", BAD_TIMESTAMP),
        (RefusedError("x", reason="unsupported"), "unsupported", NOT_ACCEPTABLE),
    ],
)
def test_what_arrived_has_a_reason_and_an_answer(error, reason, answer):
    assert (error.reason, error.answer, error.concealed) == (reason, answer, False)


@pytest.mark.parametrize("make", [MalformedError, UndecryptableError, SignatureError, RefusedError])
def test_what_is_concealed_has_one_answer_and_keeps_its_reason(make):
    error = make("x", reason="exact")
    error.conceal()
    assert (error.answer, error.concealed) == (DECRYPTION_FAILED, True)
    assert (error.reason, str(error)) == ("exact", "x")
    assert make("x").answer == make.default_answer  # only this one


@pytest.mark.requirement("6120-8.3.3-1", "6120-8.3.3-2")
def test_the_answers_are_those_of_the_rfc():
    assert StanzaErrorAnswer("bad-request", "decryption-failed", "modify") == DECRYPTION_FAILED
    assert StanzaErrorAnswer("not-acceptable", "unverified-signature", "modify") == UNVERIFIED_SIGNATURE
    assert StanzaErrorAnswer("not-acceptable", "bad-timestamp", "modify") == BAD_TIMESTAMP


def test_a_timestamp_has_a_skew_and_perhaps_a_stale_stanza():
    error = TimestampError(reason="future", skew=301.0)
    assert (error.skew, error.stale, str(error)) == (301.0, None, "future")


def test_without_a_text_the_code_speaks():
    assert LocalError().diagnostics() == "local-error"
    assert str(RemoteError()) == "refused"
    assert str(SignatureError(reason="weak")) == "weak"


def test_people_are_told_what_happened_and_what_to_do():
    said = NoCertificateError("no usable certificate of juliet@example.com is known").diagnostics()
    assert "juliet@example.com" in said
    assert said.endswith(NoCertificateError.advice)
    assert NoCertificateError("x").reason == NoCertificateError.code


@pytest.mark.requirement("3923-6.3-11")
def test_a_name_mismatch_lists_the_names_that_there_are():
    error = CertificateNameError("juliet@example.com", frozenset({"romeo@example.net", "nurse@example.com"}))
    assert "nurse@example.com, romeo@example.net" in str(error)
    assert "no JID at all" in str(CertificateNameError("juliet@example.com", frozenset()))
