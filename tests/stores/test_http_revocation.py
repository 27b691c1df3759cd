"""OCSP responders and distribution points, asked over real HTTP."""

import asyncio
from datetime import timedelta

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from slixmpp_e2e.certificates.revocation import SOON, RevocationChecker, RevocationSource
from slixmpp_e2e.certificates.revocation_status import RevocationState
from slixmpp_e2e.errors import ConfigurationError, RevocationError
from slixmpp_e2e.stores import http_revocation
from slixmpp_e2e.stores.http_revocation import MAX_LIST, PAUSE, HTTPRevocation
from tests.certificates import responses as answers
from tests.certificates.building import LISTED, authority, end_entity, new_key, revocation_list
from tests.certificates.responses import responder, response
from tests.pki import MOMENT, VALID_UNTIL, Entity
from tests.stores.web import served

GOOD, REVOKED, UNKNOWN, EXPIRED = RevocationState
DAY = timedelta(days=1)
LOOPBACK = ("127.0.0.0/8",)


def access(*urls: str) -> x509.AuthorityInformationAccess:
    """Return what says where responders are."""
    return x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url))
            for url in urls
        ]
    )


def points(*lists: tuple[str, ...]) -> x509.CRLDistributionPoints:
    """Return what says where lists are: for each list, where any will do."""
    return x509.CRLDistributionPoints(
        [
            x509.DistributionPoint([x509.UniformResourceIdentifier(url) for url in urls], None, None, None)
            for urls in lists
        ]
    )


@pytest.fixture(scope="module")
def root() -> Entity:
    return authority("Root")


@pytest.fixture
async def server():
    async with served() as found:
        yield found


@pytest.fixture
def leaf(root, server) -> Entity:
    """Somebody with a responder."""
    return end_entity(access(server.url("/ocsp")), issuer=root)


@pytest.fixture
def listed(root, server) -> Entity:
    """Somebody whose CA publishes a list."""
    return end_entity(points((server.url("/ca.crl"),)), issuer=root)


def path_of(leaf: Entity, *above: Entity):
    return tuple(each.certificate for each in (leaf, *above))


async def problems_of(path, source=None, at=MOMENT) -> list[str]:
    """Ask; return what went wrong. Nothing may have been found."""
    found = await (source or HTTPRevocation(LOOPBACK)).fetch([path], at=at)
    assert not found.fetched
    assert not found.responses
    assert all(isinstance(each, RevocationError) for each in found.problems)
    assert all(str(each).startswith(("http://", "https://", "asking ")) for each in found.problems)
    return [str(each) for each in found.problems]


class TestAsking:
    def test_it_is_a_source(self):
        assert isinstance(HTTPRevocation(), RevocationSource)

    @pytest.mark.parametrize(("state", "known"), [(answers.GOOD, GOOD), (answers.REVOKED, REVOKED)])
    async def test_the_responder_of_a_certificate_is_asked_about_it(self, root, leaf, server, state, known):
        server.content["/ocsp"] = response(root, leaf, state)
        checker = RevocationChecker(sources=[HTTPRevocation(LOOPBACK)])
        path = path_of(leaf, root)
        assert checker.check(path, at=MOMENT).state is UNKNOWN
        assert await checker.refresh(at=MOMENT) == ()
        assert checker.check(path, at=MOMENT).state is known
        request = ocsp.load_der_ocsp_request(server.bodies[0])
        assert request.serial_number == leaf.certificate.serial_number
        assert server.headers[0]["Content-Type"] == "application/ocsp-request"

    async def test_lists_are_fetched_where_the_certificate_says(self, root, listed, server):
        server.content["/ca.crl"] = revocation_list(root, listed)
        checker = RevocationChecker(sources=[HTTPRevocation(LOOPBACK)])
        path = path_of(listed, root)
        checker.check(path, at=MOMENT)
        assert await checker.refresh(at=MOMENT) == ()
        assert checker.check(path, at=MOMENT).state is REVOKED

    async def test_every_certificate_but_the_anchor_is_asked_about(self, server):
        root = authority("Root", points((server.url("/anchor.crl"),)))
        middle = authority("Middle", points((server.url("/root.crl"),)), issuer=root)
        leaf = end_entity(access(server.url("/ocsp")), points((server.url("/middle.crl"),)), issuer=middle)
        server.content |= {
            "/ocsp": response(middle, leaf, signer=responder(middle)),
            "/middle.crl": revocation_list(middle),
            "/root.crl": revocation_list(root),
        }
        checker = RevocationChecker(sources=[HTTPRevocation(LOOPBACK)])
        path = path_of(leaf, middle, root)
        checker.check(path, at=MOMENT)
        assert await checker.refresh(at=MOMENT) == ()
        assert checker.check(path, at=MOMENT).state is GOOD
        assert server.asked == {"/ocsp": 1, "/middle.crl": 1, "/root.crl": 1}

    async def test_nobody_is_told_who_asks(self, root, leaf, server):
        server.content["/ocsp"] = response(root, leaf)
        await HTTPRevocation(LOOPBACK).fetch([path_of(leaf, root)], at=MOMENT)
        assert server.headers[0].keys() <= {
            "Host", "Accept", "Accept-Encoding", "Content-Type", "Content-Length", "Connection",
        }  # fmt: skip
        assert server.headers[0]["Accept-Encoding"] == "identity"

    async def test_one_address_after_the_other_is_tried(self, root, server):
        leaf = end_entity(access(server.url("/gone"), server.url("/ocsp")), issuer=root)
        server.content["/ocsp"] = response(root, leaf)
        found = await HTTPRevocation(LOOPBACK).fetch([path_of(leaf, root)], at=MOMENT)
        assert len(found.responses) == 1
        assert "answers 404" in str(found.problems[0])

    async def test_without_addresses_nobody_is_asked(self, root):
        assert await problems_of(path_of(end_entity(issuer=root), root)) == []
        assert await problems_of((root.certificate,)) == []


class TestWhatIsRefused:
    async def test_what_is_not_signed_by_who_may(self, root, leaf, listed, server):
        server.content["/ocsp"] = response(root, leaf, key=new_key())
        assert "nobody may believe" in (await problems_of(path_of(leaf, root)))[0]
        server.content["/ca.crl"] = revocation_list(root, key=new_key())
        assert "not signed by the issuer" in (await problems_of(path_of(listed, root)))[0]
        server.content["/ca.crl"] = revocation_list(authority("Other"))
        assert "not signed by the issuer" in (await problems_of(path_of(listed, root)))[0]

    async def test_an_answer_about_another_certificate(self, root, leaf, server):
        server.content["/ocsp"] = response(root, end_entity(issuer=root))
        assert "another certificate" in (await problems_of(path_of(leaf, root)))[0]
        server.content["/ocsp"] = response(authority("Root"), leaf)
        assert "another certificate" in (await problems_of(path_of(leaf, root)))[0]

    async def test_a_list_that_can_t_be_used(self, root, listed, server):
        delta = (x509.DeltaCRLIndicator(1), True)
        server.content["/ca.crl"] = revocation_list(root, extensions=[delta])
        assert "it is a delta" in (await problems_of(path_of(listed, root)))[0]

    @pytest.mark.parametrize("octets", [b"", b"<html>", b"\x30\x80", b"\x30\x03\x0a\x01\x00"])
    async def test_what_is_neither(self, root, leaf, listed, server, octets):
        server.content |= {"/ocsp": octets, "/ca.crl": octets}
        for each in (leaf, listed):
            found = await HTTPRevocation(LOOPBACK).fetch([path_of(each, root)], at=MOMENT)
            assert (found.fetched, found.responses, len(found.problems)) == ((), (), 1)

    async def test_a_responder_that_wants_to_be_asked_later(self, root, leaf, server):
        later = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
        server.content["/ocsp"] = later.public_bytes(Encoding.DER)
        assert "try_later" in (await problems_of(path_of(leaf, root)))[0]

    async def test_what_is_old_is_reported_and_only_counts_against_somebody(self, root, leaf, server):
        for state, known in ((answers.GOOD, EXPIRED), (answers.REVOKED, REVOKED)):
            server.content["/ocsp"] = response(root, leaf, state, until=LISTED + DAY)
            checker = RevocationChecker(sources=[HTTPRevocation(LOOPBACK)])
            checker.check(path_of(leaf, root), at=MOMENT)
            (problem,) = await checker.refresh(at=MOMENT)
            assert "should have been replaced" in str(problem)
            assert checker.check(path_of(leaf, root), at=MOMENT).state is known

    async def test_a_responder_that_does_not_know(self, root, leaf, server):
        server.content["/ocsp"] = response(root, leaf, answers.UNKNOWN)
        found = await HTTPRevocation(LOOPBACK).fetch([path_of(leaf, root)], at=MOMENT)
        assert "does not know" in str(found.problems[0])

    async def test_what_nobody_expected_is_a_problem_like_others(
        self, root, leaf, listed, server, monkeypatch
    ):
        def fail(_: bytes) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(http_revocation.RevocationList, "from_der", fail)
        server.content |= {"/ca.crl": b"", "/ocsp": response(root, leaf)}
        paths = [path_of(listed, root), path_of(leaf, root)]
        found = await HTTPRevocation(LOOPBACK).fetch(paths, at=MOMENT)
        assert len(found.responses) == 1
        assert "ZeroDivisionError" in str(found.problems[0])

    @pytest.mark.parametrize(
        "octets",
        [
            b"",
            b"\x16\x03\x01" * 50,
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nless",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08",
            b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * 100_000,
            b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
        ],
    )
    async def test_a_server_that_speaks_no_http(self, root, octets):
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(octets)
            await writer.drain()
            writer.close()

        found = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with found:
            url = f"http://127.0.0.1:{found.sockets[0].getsockname()[1]}/"
            somebody = end_entity(points((url,)), issuer=root)
            (problem,) = await problems_of(path_of(somebody, root))
            assert len(problem) < 400
            assert problem.isprintable()

    async def test_tls_with_a_server_that_has_none(self, root, server):
        somebody = end_entity(points((server.url("/").replace("http:", "https:"),)), issuer=root)
        assert len(await problems_of(path_of(somebody, root))) == 1


class TestBounds:
    async def test_what_is_too_large_is_not_read_to_its_end(self, root, leaf, listed, server):
        written = 0

        async def endless(request: web.Request) -> web.StreamResponse:
            nonlocal written
            answer = web.StreamResponse()
            await answer.prepare(request)
            while written < 4 * MAX_LIST:
                written += 1 << 16
                await answer.write(bytes(1 << 16))
            return answer

        server.content |= {"/ocsp": endless, "/ca.crl": endless}
        assert "more than 65536 octets" in (await problems_of(path_of(leaf, root)))[0]
        assert written < MAX_LIST
        assert f"more than {MAX_LIST} octets" in (await problems_of(path_of(listed, root)))[0]
        assert written < 4 * MAX_LIST

    async def test_a_slow_server_is_not_waited_for(self, root, leaf, server, monkeypatch):
        async def slow(request: web.Request) -> web.StreamResponse:
            answer = web.StreamResponse()
            await answer.prepare(request)
            while True:
                await answer.write(b"\x30")
                await asyncio.sleep(0.05)

        server.content["/ocsp"] = slow
        monkeypatch.setattr(http_revocation, "SECONDS", 0.3)
        assert "took too long" in (await problems_of(path_of(leaf, root)))[0]
        monkeypatch.setattr(http_revocation, "SECONDS", 30)
        monkeypatch.setattr(http_revocation, "ROUND_SECONDS", 0.3)
        assert "took too long" in (await problems_of(path_of(leaf, root)))[0]

    async def test_what_came_before_the_time_was_up_counts(self, root, leaf, server, monkeypatch):
        async def slow(_: web.Request) -> web.StreamResponse:
            await asyncio.sleep(60)
            raise AssertionError

        server.content |= {"/ocsp": response(root, leaf), "/slow": slow}
        monkeypatch.setattr(http_revocation, "ROUND_SECONDS", 1.5)
        other = end_entity(access(server.url("/slow")), issuer=root)
        paths = [path_of(leaf, root), path_of(other, root)]
        found = await HTTPRevocation(LOOPBACK).fetch(paths, at=MOMENT)
        assert (len(found.responses), len(found.problems)) == (1, 1)

    async def test_one_host_is_asked_only_so_often_in_a_round(self, root, server):
        paths = [
            path_of(end_entity(points((server.url(f"/{number}.crl"),)), issuer=root), root)
            for number in range(20)
        ]
        source = HTTPRevocation(LOOPBACK)
        await source.fetch(paths, at=MOMENT)
        assert server.asked.total() == 16
        await source.fetch(paths, at=MOMENT)  # the others have their turn
        assert server.asked.total() == 20

    async def test_only_so_many_are_asked_in_a_round(self, root, server):
        paths = [
            path_of(
                end_entity(points((server.url(f"/{number}.crl", f"127.0.0.{number % 8 + 1}"),)), issuer=root),
                root,
            )
            for number in range(80)
        ]
        found = await HTTPRevocation(LOOPBACK).fetch(paths, at=MOMENT)
        assert len(found.problems) == 64

    async def test_at_once_only_some_are_asked(self, root, server):
        now = most = 0

        async def count(_: web.Request) -> web.StreamResponse:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.05)
            now -= 1
            return web.Response(body=b"")

        paths = []
        for number in range(16):
            server.content[f"/{number}.crl"] = count
            somebody = end_entity(points((server.url(f"/{number}.crl"),)), issuer=root)
            paths.append(path_of(somebody, root))
        await HTTPRevocation(LOOPBACK).fetch(paths, at=MOMENT)
        assert 1 < most <= 8

    async def test_of_many_addresses_in_a_certificate_the_first_are_asked(self, root, server):
        leaf = end_entity(
            access(*(server.url(f"/ocsp/{number}") for number in range(5))),
            points(
                *(
                    (server.url(f"/{each}.crl"), server.url(f"/{each}/2"), server.url(f"/{each}/3"))
                    for each in range(6)
                )
            ),
            issuer=root,
        )
        await HTTPRevocation(LOOPBACK).fetch([path_of(leaf, root)], at=MOMENT)
        assert server.asked.total() == 2 + 4 * 2


class TestNotTooOften:
    async def test_who_failed_is_left_alone_for_a_while(self, root, leaf, server):
        source, path = HTTPRevocation(LOOPBACK), path_of(leaf, root)
        assert len(await problems_of(path, source)) == 1
        assert await problems_of(path, source, MOMENT + PAUSE / 2) == []
        assert len(await problems_of(path, source, MOMENT + PAUSE)) == 1
        assert server.asked["/ocsp"] == 2

    async def test_what_is_current_is_not_asked_for_again_until_its_end_is_near(self, root, listed, server):
        source, path = HTTPRevocation(LOOPBACK), path_of(listed, root)
        server.content["/ca.crl"] = revocation_list(root, until=MOMENT + DAY)
        for at, count in ((MOMENT, 1), (MOMENT + DAY / 2, 1), (MOMENT + DAY - SOON, 2)):
            await source.fetch([path], at=at)
            assert server.asked["/ca.crl"] == count

    async def test_what_ends_soon_is_not_asked_for_all_the_time(self, root, leaf, server):
        source, path = HTTPRevocation(LOOPBACK), path_of(leaf, root)
        server.content["/ocsp"] = response(root, leaf, until=MOMENT + PAUSE)
        for at, count in ((MOMENT, 1), (MOMENT + PAUSE / 2, 1), (MOMENT + PAUSE, 2)):
            await source.fetch([path], at=at)
            assert server.asked["/ocsp"] == count

    async def test_another_address_is_not_tried_while_one_holds(self, root, server):
        leaf = end_entity(access(server.url("/ocsp"), server.url("/other")), issuer=root)
        server.content["/ocsp"] = response(root, leaf)
        source = HTTPRevocation(LOOPBACK)
        for _ in range(2):
            await source.fetch([path_of(leaf, root)], at=MOMENT)
        assert server.asked == {"/ocsp": 1}

    async def test_a_list_is_fetched_once_for_all_whom_it_is_about(self, root, server):
        server.content["/ca.crl"] = revocation_list(root)
        paths = [path_of(end_entity(points((server.url("/ca.crl"),)), issuer=root), root) for _ in range(3)]
        found = await HTTPRevocation(LOOPBACK).fetch(paths, at=MOMENT)
        assert len(found.fetched) == 1
        assert server.asked["/ca.crl"] == 1

    async def test_a_clock_that_is_set_back_does_not_silence_it(self, root, leaf, server):
        source, path = HTTPRevocation(LOOPBACK), path_of(leaf, root)
        await source.fetch([path], at=VALID_UNTIL)
        await source.fetch([path], at=MOMENT)
        assert server.asked["/ocsp"] == 2


class TestWhereTo:
    async def test_not_into_our_own_network(self, root, leaf, server):
        (problem,) = await problems_of(path_of(leaf, root), HTTPRevocation())
        assert "no address of the public Internet" in problem
        assert not server.asked

    async def test_not_by_a_name_for_it(self, root, server):
        leaf = end_entity(access(server.url("/ocsp", "localhost")), issuer=root)
        assert len(await problems_of(path_of(leaf, root), HTTPRevocation())) == 1
        assert not server.asked
        await problems_of(path_of(leaf, root), HTTPRevocation([*LOOPBACK, "::1/128"]))
        assert server.asked == {"/ocsp": 1}

    async def test_nobody_sends_us_elsewhere(self, root, leaf, server):
        async def elsewhere(_: web.Request) -> web.StreamResponse:
            raise web.HTTPFound(server.url("/secret", "127.0.0.2"))

        server.content |= {"/ocsp": elsewhere, "/secret": response(root, leaf)}
        assert "answers 302" in (await problems_of(path_of(leaf, root)))[0]
        assert not server.asked["/secret"]

    @pytest.mark.parametrize(
        "url",
        [
            "ldap://127.0.0.1/cn=ca",
            "file:///etc/passwd",
            "ftp://127.0.0.1/ca.crl",
            "http://user@127.0.0.1/",
            "http://a:b@127.0.0.1/",
            "http://127.0.0.1\\@example.com/",
            "http://127.0.0.1/a b",
            "http://127.0.0.1/#fragment",
            "http://127.0.0.1:port/",
            "http:///ca.crl",
            "http://",
            "//127.0.0.1/",
            "",
            "http://127.0.0.1/" + "x" * 1024,
        ],
    )
    async def test_an_address_of_another_kind_is_none(self, root, url):
        leaf = end_entity(access(url), points((url,)), issuer=root)
        assert await problems_of(path_of(leaf, root)) == []

    @pytest.mark.parametrize(
        "url", ["http://[::1/", "http://2130706433/", "http://127.1/", "http://a..b/", "http://x:99999/"]
    )
    async def test_an_address_that_can_t_be_asked_is_a_problem_and_no_more(self, root, url):
        leaf = end_entity(access(url), issuer=root)
        assert len(await problems_of(path_of(leaf, root), HTTPRevocation())) <= 1

    def test_what_is_no_network_is_an_error(self):
        with pytest.raises(ConfigurationError, match="networks"):
            HTTPRevocation(["10.0.0.1/8"])
