"""Tars are read as the standard library reads them, and refused where it would be trusting."""

import bz2
import gzip
import io
import lzma
import tarfile
import tempfile
import unicodedata
from pathlib import Path

import pytest
from archives import MODES, member, tar_of
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import noise, png, real_data_home

from eyebright.core.errors import DataError, ImageError
from eyebright.data import unpack
from eyebright.data.archive import MAX_RATIO
from eyebright.data.tar import is_tar, open_tar, tar_source
from eyebright.data.unpack import packing_of
from eyebright.data.zip_ import zip_source

PETS = {"cat/1.png": png(noise(seed=1)), "dog/1.png": png(noise(seed=2)), "dog/2.png": png(noise(seed=3))}
FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
PACK = {"tar.gz": gzip.compress, "tar.bz2": bz2.compress, "tar.xz": lzma.compress}


def tar_with(path, *members, mode="w"):
    """PETS and some more members."""
    tar_of(path, PETS, mode=mode)
    with tarfile.open(path, "a") as archive:
        for one in members:
            archive.addfile(*one)
    return path


def whole(path):
    archive = open_tar(path)
    return {name: archive.fetch(name, size) for name, size in archive.sizes.items()}


names = st.lists(
    st.text("aé字 .-_", min_size=1, max_size=60).filter(lambda part: part not in (".", "..")), min_size=1, max_size=6
)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(names.map("/".join), st.binary(max_size=1500), max_size=5),
    st.sampled_from(FORMATS),
    st.sampled_from(list(MODES)),
)
def test_names_and_bytes_are_those_that_tarfile_reads(files, form, kind):
    folders = {"/".join(parts[:n]) for parts in (name.split("/") for name in files) for n in range(1, len(parts))}
    files = {name: content for name, content in files.items() if name not in folders}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{kind}"
        try:
            tar_of(path, files, mode=MODES[kind], format=form)
        except ValueError:  # a name that this format cannot hold
            return
        with tarfile.open(path) as archive:
            expected = {entry.name: archive.extractfile(entry).read() for entry in archive if entry.isreg()}
        assert whole(path) == expected


def test_a_file_larger_than_octal_digits_can_say_is_refused_for_its_size_not_its_form(tmp_path):
    info, _ = member("dog/3.png", b"")
    info.size = 2**40  # GNU writes it in binary, pax as a record
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        header = info.tobuf(form, "utf-8", "surrogateescape")
        (tmp_path / "a.tar").write_bytes(header)
        with pytest.raises(DataError, match=r"claims 1024\.0 GiB"):
            open_tar(tmp_path / "a.tar")


def test_a_tar_of_the_first_unix_kind_is_read(tmp_path):
    info, _ = member("cat/1.png", b"abc")
    header = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    header[156] = 0
    header[257:] = bytes(512 - 257)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "a.tar").write_bytes(bytes(header) + b"abc".ljust(512, b"\0") + bytes(1024))
    assert is_tar(bytes(header))
    assert whole(tmp_path / "a.tar") == {"cat/1.png": b"abc"}


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
        (tarfile.FIFOTYPE, "device"),
        (tarfile.GNUTYPE_SPARSE, "sparse file"),
        (b"V", "unknown kind"),
        (b"M", "unknown kind"),
    ],
)
def test_what_is_no_file_and_no_folder_is_refused(tmp_path, kind, word):
    path = tar_with(tmp_path / "a.tar", member("cat/extra.png", b"", type=kind, linkname="/etc/passwd"))
    with pytest.raises(DataError, match=rf"{word}: 'cat/extra\.png'; plain files were expected"):
        open_tar(path)


def test_a_sparse_file_of_the_newer_form_is_refused(tmp_path):
    records = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "cat/huge.png"}
    path = tar_with(tmp_path / "a.tar", member("GNUSparseFile.0/huge.png", b"", pax_headers=records))
    with pytest.raises(DataError, match="sparse file"):
        open_tar(path)


def test_doubled_names_are_refused_though_tar_would_take_the_last(tmp_path):
    with pytest.raises(DataError, match=r"two entries named cat/1\.png"):
        open_tar(tar_with(tmp_path / "a.tar", member("cat/1.png", b"other")))


@pytest.mark.parametrize("key", ["path", "size"])
def test_a_header_for_all_entries_may_not_say_where_their_bytes_are(tmp_path, key):
    with tarfile.open(tmp_path / "a.tar", "w", pax_headers={key: "12"}) as archive:
        archive.addfile(*member("cat/1.png", b"abc"))
    with pytest.raises(DataError, match=f"every entry the same {key}"):
        open_tar(tmp_path / "a.tar")


def test_the_comment_that_git_puts_in_front_is_no_entry(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w", pax_headers={"comment": "4a37781"}) as archive:
        for name, content in PETS.items():
            archive.addfile(*member(name, content))
    assert whole(tmp_path / "a.tar") == PETS


@pytest.mark.parametrize("record", [b"9 size=-1\n", b"99 path=a\n", b"path=a\n", b"12 size=1e9\n\0", b"8 path=a", b"0 a=b\n"])
def test_malformed_extended_headers_are_refused(tmp_path, record):
    header, _ = member("x", record, type=tarfile.XHDTYPE)
    after, _ = member("cat/1.png", b"")
    content = b"".join((header.tobuf(tarfile.USTAR_FORMAT), record.ljust(512, b"\0"), after.tobuf(tarfile.USTAR_FORMAT)))
    (tmp_path / "a.tar").write_bytes(content + bytes(1024))
    with pytest.raises(DataError, match="not a tar that can be read"):
        open_tar(tmp_path / "a.tar")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_claims_more_than_a_name_needs_is_refused_unread(tmp_path, kind):
    header, _ = member("x", b"", type=kind)
    header.size = 2**32
    (tmp_path / "a.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(DataError, match="claims 4,294,967,296 bytes, at most"):
        open_tar(tmp_path / "a.tar")


@pytest.mark.parametrize("kind", MODES)
def test_a_truncated_tar_is_refused_wherever_it_was_cut(tmp_path, kind):
    path = tar_of(tmp_path / f"a.{kind}", PETS, mode=MODES[kind])
    content = path.read_bytes()
    # A plain tar that lacks some of its closing zeros is whole; one that lacks all of them may lack more.
    last = -(-len(content.rstrip(b"\0")) // 512) * 512 if kind == "tar" else len(content) - 1
    for cut in {cut for cut in (1, 10, 300, 512, 700, 1500, last // 2, last - 600, last) if 0 < cut <= last}:
        path.write_bytes(content[:cut])
        with pytest.raises(DataError):
            open_tar(path)


def test_a_tar_cut_between_two_entries_is_known_by_its_missing_end(tmp_path):
    content = tar_of(tmp_path / "a.tar", PETS).read_bytes()
    second = content.index(b"dog/1.png") // 512 * 512
    (tmp_path / "a.tar").write_bytes(content[:second])
    with pytest.raises(DataError, match="ends before the empty blocks"):
        open_tar(tmp_path / "a.tar")


@pytest.mark.parametrize("kind", MODES)
def test_a_second_archive_behind_the_end_is_not_overlooked(tmp_path, kind):
    path = tar_of(tmp_path / f"a.{kind}", PETS, mode=MODES[kind])
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(DataError, match="more behind its end"):
        open_tar(path)


@pytest.mark.parametrize("kind", PACK)
def test_streams_packed_one_after_the_other_are_one_tar(tmp_path, kind):
    content = tar_of(tmp_path / "a.tar", PETS).read_bytes()
    packed = PACK[kind](content[:700]) + PACK[kind](content[700:])
    (tmp_path / "b").write_bytes(packed)
    assert whole(tmp_path / "b") == PETS


@pytest.mark.parametrize("kind", ["tar.bz2", "tar.xz"])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, kind):
    header, _ = member("cat/1.png", b"")
    header.size = 20 * 2**20
    path = tmp_path / f"a.{kind}"
    path.write_bytes(PACK[kind](header.tobuf(tarfile.GNU_FORMAT) + bytes(header.size + 1024)))
    assert path.stat().st_size * MAX_RATIO < header.size  # bzip2 and xz reach more than deflate's 1,032 : 1
    with pytest.raises(DataError, match="That is a bomb"):
        open_tar(path)


def test_endless_zeros_behind_the_end_are_refused(tmp_path):
    path = tar_of(tmp_path / "a.tar", PETS)
    with path.open("ab") as file:
        file.truncate(path.stat().st_size + 17 * 2**20)
    with pytest.raises(DataError, match="more behind its end"):
        open_tar(path)


def test_xz_that_asks_for_too_much_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "XZ_MEMORY", 2**20)
    with pytest.raises(DataError, match=r"[Mm]emory"):
        open_tar(tar_of(tmp_path / "a.tar.xz", PETS, mode="w:xz"))


def test_what_is_packed_but_no_tar_is_named(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"path,label\n" * 100))
    with pytest.raises(DataError, match=r"There is no tar in .*Unpack the file"):
        open_tar(tmp_path / "a.csv.gz")


def test_a_packed_tar_beyond_the_memory_is_unpacked_onto_the_disk_once(tmp_path, monkeypatch):
    monkeypatch.setenv("EYEBRIGHT_CACHE", str(tmp_path / "cache"))
    path = tar_of(tmp_path / "a.tar.gz", PETS, mode="w:gz")
    archive = open_tar(path, memory=1000)
    path.unlink()  # no read goes back to it
    assert {name: b"".join(archive.pieces(name)) for name in archive.sizes} == PETS
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_tar_that_shrinks_while_it_is_open_is_an_image_error(tmp_path):
    path = tar_of(tmp_path / "a.tar", PETS)
    source = tar_source(path)
    with path.open("r+b") as file:
        file.truncate(600)
    with pytest.raises(ImageError, match="became shorter"):
        source.read("dog/2.png")


def test_the_content_tells_a_tar_and_its_packing(tmp_path):
    heads = {kind: tar_of(tmp_path / kind, PETS, mode=mode).read_bytes()[:512] for kind, mode in MODES.items()}
    assert [packing_of(head) for head in heads.values()] == [None, "gzip", "bzip2", "xz"]
    assert all(map(is_tar, heads.values()))
    assert not any(map(is_tar, (b"", bytes(512), png()[:512], b"path,label\n".ljust(512, b"x"))))


def test_names_that_are_no_text_become_keys_of_text(tmp_path):
    info, content = member("x", PETS["cat/1.png"])
    header = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    name = unicodedata.normalize("NFC", "gr\xfcn/1.png").encode("latin-1")
    header[: len(name)] = name
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    rest = content.read().ljust(-(-info.size // 512) * 512, b"\0")
    (tmp_path / "a.tar").write_bytes(bytes(header) + rest + tar_of(tmp_path / "b.tar", PETS).read_bytes())
    source = tar_source(tmp_path / "a.tar")
    assert source.classes == ("cat", "dog", "gr\\udcfcn")
    assert source.read("gr\\udcfcn/1.png") == PETS["cat/1.png"]


def _packed_pets(mode):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in {**PETS, "labels.csv": b"path,label\ncat/1.png,a\ndog/1.png,b\n"}.items():
            archive.addfile(*member(name, content))
    return buffer.getvalue()


@pytest.mark.parametrize("mode", MODES.values())
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_tar_gives_a_source_or_a_data_error(mode, data):
    content = bytearray(_packed_pets(mode))
    place = st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255))
    for index, value in data.draw(st.lists(place, min_size=1, max_size=6)):
        content[index] = value
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        try:
            source = tar_source(Path(file.name))
            for sample in source.samples:
                source.read(sample.key)
        except DataError:
            return


def test_trashnet_as_a_tar_is_the_same_set(tmp_path):
    original = zip_source(real_data_home() / "trashnet.zip")
    files = {f"trashnet/{sample.key}": original.read(sample.key) for sample in original.samples}
    source = tar_source(tar_of(tmp_path / "trashnet.tar.gz", files, mode="w:gz"))
    assert (source.name, source.classes, source.samples) == ("trashnet", original.classes, original.samples)
    assert all(source.read(sample.key) == original.read(sample.key) for sample in source.samples)
