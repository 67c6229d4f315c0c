import subprocess

import pytest
from filled_folder import filled

from nmt.errors import ModelError
from nmt.storage.checksums import CHECKSUMS, verify_checksums, write_checksums
from nmt.storage.files import read_json, write_json, write_text

OUTSIDE = "points outside the folder; do not trust its sender."


def test_reading_without_permission_is_explained(no_rights):
    write_json(no_rights / "state.json", {})
    write_checksums(no_rights)
    (no_rights / "state.json").chmod(0)
    refused = r"/state\.json: cannot be read \(Permission denied\); fix its mode, or restore it"
    with pytest.raises(ModelError, match=refused):
        read_json(no_rights / "state.json")
    with pytest.raises(ModelError, match=refused):
        verify_checksums(no_rights)
    (no_rights / "SHA256SUMS").chmod(0)
    with pytest.raises(ModelError, match=r"/SHA256SUMS: cannot be read \(Permission denied\)"):
        verify_checksums(no_rights)


def test_the_manifest_can_be_verified_by_sha256sum(tmp_path):
    folder = filled(tmp_path / "model")
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "state.json: OK\nweights: OK\n"
    assert list(verify_checksums(folder)) == ["state.json", "weights"]


def test_every_flipped_bit_is_found(tmp_path):
    folder = filled(tmp_path / "model")
    good = (folder / "weights").read_bytes()
    for position in range(0, len(good), 4096):
        bad = bytearray(good)
        bad[position] ^= 1
        (folder / "weights").write_bytes(bad)
        with pytest.raises(ModelError) as caught:
            verify_checksums(folder)
        assert str(caught.value) == (
            f"{folder}/weights: is damaged or was changed, its SHA-256 is not the one in "
            "SHA256SUMS; restore the file from a copy."
        )


def test_an_empty_line_does_not_end_the_manifest(tmp_path):
    folder = filled(tmp_path / "model")
    first, rest = (folder / "SHA256SUMS").read_text().split("\n", maxsplit=1)
    (folder / "SHA256SUMS").write_text(f"{first}\n\n{rest}")
    assert list(verify_checksums(folder)) == ["state.json", "weights"]


def test_hidden_files_are_not_listed(tmp_path):
    folder = filled(tmp_path / "model")
    (folder / ".lock").touch()
    write_checksums(folder)
    assert list(verify_checksums(folder)) == ["state.json", "weights"]


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path):
    folder = filled(tmp_path / "model")
    write_text(folder / ("x" * 200), "")
    (folder / ("x" * 200)).rename(folder / ("x" * 255))
    write_checksums(folder)
    assert "x" * 255 in verify_checksums(folder)


def test_missing_files_and_manifests_are_named(tmp_path):
    folder = filled(tmp_path / "model")
    (folder / "weights").unlink()
    with pytest.raises(
        ModelError, match=r"weights: is missing, though SHA256SUMS lists it; restore it\."
    ):
        verify_checksums(folder)
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(ModelError) as caught:
        verify_checksums(folder)
    assert str(caught.value) == (
        f"{folder}: has no SHA256SUMS, so it is incomplete; restore it from a copy."
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "is damaged, not `sha256  name`; restore it."),
        ("0" * 64 + "  ../secret", f"`../secret` {OUTSIDE}"),
        ("0" * 64 + "  /etc/passwd", f"`/etc/passwd` {OUTSIDE}"),
    ],
)
def test_a_damaged_or_hostile_manifest_is_refused(tmp_path, line, message):
    folder = filled(tmp_path / "model")
    (folder / "SHA256SUMS").write_text(line + "\n")
    with pytest.raises(ModelError) as caught:
        verify_checksums(folder)
    assert str(caught.value) == f"{folder}/SHA256SUMS:1: {message}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (b"weights\0", "1: is damaged, not `sha256  name`; restore it."),
        (b"w\xff", " is damaged, not UTF-8; restore it."),
    ],
    ids=["nul", "not UTF-8"],
)
def test_a_manifest_of_impossible_names_is_refused(tmp_path, name, message):
    folder = filled(tmp_path / "model")
    (folder / "SHA256SUMS").write_bytes(b"0" * 64 + b"  " + name + b"\n")
    with pytest.raises(ModelError) as caught:
        verify_checksums(folder)
    assert str(caught.value) == f"{folder}/SHA256SUMS:{message}"


@pytest.mark.parametrize("name", ["weights", "SHA256SUMS"])
def test_a_link_out_of_the_folder_is_not_followed(tmp_path, name):
    folder = filled(tmp_path / "model")
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(
        ModelError,
        match=rf"/{name}: is a link that leads out of the folder; "
        r"put the file itself there\.$",
    ):
        verify_checksums(folder)


def test_a_link_to_itself_is_refused(tmp_path):
    folder = filled(tmp_path / "model")
    (folder / "SHA256SUMS").unlink()
    (folder / "SHA256SUMS").symlink_to("SHA256SUMS")
    with pytest.raises(ModelError, match=r"/SHA256SUMS: cannot be read \(Too many levels of symb"):
        verify_checksums(folder)


@pytest.mark.parametrize("name", ["/".join(["a" * 200] * 30), "a" * 300])
def test_checksums_of_an_impossible_name_are_refused(tmp_path, name):
    (tmp_path / CHECKSUMS).write_text(f"{'0' * 64}  {name}\n")
    with pytest.raises(ModelError, match=r"a: cannot be read \(File name too long\); fix its mode"):
        verify_checksums(tmp_path)


def test_a_circular_link_counts_as_missing(tmp_path):
    (tmp_path / "weights").symlink_to("weights")
    (tmp_path / CHECKSUMS).write_text(f"{'0' * 64}  weights\n")
    with pytest.raises(ModelError, match=r"weights: is missing, though SHA256SUMS lists it"):
        verify_checksums(tmp_path)


def test_a_truncated_manifest_is_refused(tmp_path):
    folder = filled(tmp_path / "model")
    assert verify_checksums(folder, needed=["weights"])
    (folder / CHECKSUMS).write_text("")
    verify_checksums(folder)
    refusal = r"model/weights: is missing from SHA256SUMS; restore that list from a copy\.$"
    with pytest.raises(ModelError, match=refusal):
        verify_checksums(folder, needed=["weights"])
