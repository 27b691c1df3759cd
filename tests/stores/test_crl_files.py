"""Revocation lists from files, read again when they change."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from slixmpp_e2e.errors import ConfigurationError
from slixmpp_e2e.stores.crl_files import CRLFiles
from tests.certificates.building import authority, revocation_list
from tests.pki import MOMENT, Entity


@pytest.fixture(scope="module")
def root() -> Entity:
    return authority("Root")


def pem(der: bytes) -> bytes:
    return x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)


def replace(path: Path, data: bytes) -> None:
    """Write a file as those do who fetch lists: whole, under another name first."""
    beside = path.with_suffix(".new")
    beside.write_bytes(data)
    beside.replace(path)


def numbers(files: CRLFiles) -> list[int]:
    found = files.read()
    assert found.problems == ()
    return [each.number for each in found.lists]


class TestReading:
    def test_der_and_pem_are_read_and_several_in_one_file(self, root, tmp_path):
        lists = [revocation_list(root, number=number) for number in range(4)]
        (tmp_path / "a").write_bytes(lists[0])
        (tmp_path / "b").write_bytes(pem(lists[1]))
        (tmp_path / "c").write_bytes(b"About these:\n" + pem(lists[2]) + root.pem + pem(lists[3]))
        assert numbers(CRLFiles([tmp_path / "a", tmp_path / "b", tmp_path / "c"])) == [0, 1, 2, 3]

    def test_of_a_directory_what_is_called_so_is_read(self, root, tmp_path):
        (tmp_path / "a.crl").write_bytes(revocation_list(root, number=1))
        (tmp_path / "b.CRL").write_bytes(pem(revocation_list(root, number=2)))
        (tmp_path / "c.pem").write_bytes(root.pem)
        (tmp_path / "d.crl.new").write_bytes(b"half of i")
        assert numbers(CRLFiles([tmp_path])) == [1, 2]

    @pytest.mark.parametrize("data", [b"", b"\x30\x00", b"-----BEGIN X509 CRL-----\nx", b"\xff" * 100])
    def test_what_is_no_list_is_a_problem_that_names_the_file(self, tmp_path, data):
        (tmp_path / "a.crl").write_bytes(data)
        (problem,) = CRLFiles([tmp_path]).read().problems
        assert isinstance(problem, ConfigurationError)
        assert "crls" in str(problem)
        assert str(tmp_path / "a.crl") in str(problem)

    def test_a_certificate_is_no_list(self, root, tmp_path):
        (tmp_path / "a.crl").write_bytes(root.pem)
        assert "no X509 CRL" in str(CRLFiles([tmp_path]).read().problems[0])

    def test_a_file_that_is_too_large_is_not_read_to_its_end(self, tmp_path, monkeypatch):
        monkeypatch.setattr("slixmpp_e2e.stores.crl_files.MAX_OCTETS", 10)
        (tmp_path / "a.crl").write_bytes(b"\x30" * 21)
        assert "larger" in str(CRLFiles([tmp_path]).read().problems[0])


class TestAgain:
    def test_only_what_has_changed_is_read_again(self, root, tmp_path):
        for name, number in (("a", 1), ("b", 2)):
            (tmp_path / f"{name}.crl").write_bytes(revocation_list(root, number=number))
        files = CRLFiles([tmp_path])
        assert numbers(files) == [1, 2]
        assert numbers(files) == []
        replace(tmp_path / "b.crl", revocation_list(root, number=3))
        assert numbers(files) == [3]
        (tmp_path / "c.crl").write_bytes(revocation_list(root, number=4))
        assert numbers(files) == [4]

    async def test_a_source_does_so_in_another_thread(self, root, tmp_path):
        (tmp_path / "a.crl").write_bytes(revocation_list(root, number=1))
        files = CRLFiles([tmp_path])
        assert [each.number for each in (await files.fetch((), at=MOMENT)).lists] == [1]
        assert (await files.fetch((), at=MOMENT)).lists == ()

    def test_a_file_that_is_damaged_or_gone_is_reported_once_for_each_of_its_states(self, root, tmp_path):
        path = tmp_path / "a.crl"
        path.write_bytes(revocation_list(root, number=1))
        files = CRLFiles([path])
        files.read()
        replace(path, b"damaged")
        assert [len(files.read().problems) for _ in range(3)] == [1, 0, 0]
        path.unlink()
        assert [len(files.read().problems) for _ in range(3)] == [1, 0, 0]
        path.write_bytes(revocation_list(root, number=2))
        assert numbers(files) == [2]

    def test_a_directory_that_may_not_be_looked_into_is_reported(self, root, tmp_path, monkeypatch):
        def refuse(_path: Path) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "iterdir", refuse)  # whoever runs the tests may be allowed everything
        (problem,) = CRLFiles([tmp_path]).read().problems
        assert str(tmp_path) in str(problem)

    def test_a_directory_that_is_gone_is_reported(self, root, tmp_path):
        inside = tmp_path / "crls"
        inside.mkdir()
        files = CRLFiles([inside])
        assert numbers(files) == []
        inside.rmdir()
        assert "No such file" in str(files.read().problems[0])
