"""An archive is read in place and without trust: what holds for every kind, then what is a zip's own."""

import io
import stat
import struct
import tempfile
import unicodedata
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from archives import KINDS, archive_of
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import class_folders, noise, png, real_data_home, zip_of

from eyebright.core.errors import DataError, ImageError
from eyebright.data import archive
from eyebright.data.archive import source_of
from eyebright.data.folder import folder_source
from eyebright.data.tar import open_tar
from eyebright.data.zip_ import open_zip, zip_source
from eyebright.images.decode import decode

PETS = {"cat/1.png": png(noise(seed=1)), "dog/1.png": png(noise(seed=2)), "dog/2.png": png(noise(seed=3))}


def keys(source):
    return [sample.key for sample in source.samples]


def opened(path, **limits):
    return (open_zip if path.suffix == ".zip" else open_tar)(path, **limits)


@pytest.fixture(params=KINDS)
def source_from(request, tmp_path):
    """A function: files -> the source of an archive of them, for each kind of archive."""
    return lambda files, **limits: source_of(opened(archive_of(tmp_path, request.param, files), **limits))


def zip_with(path, **entry):
    """PETS and one more entry with these attributes."""
    zip_of(path, PETS)
    info = zipfile.ZipInfo("cat/extra.png")
    for name, value in entry.items():
        setattr(info, name, value)
    with zipfile.ZipFile(path, "a") as packed:
        packed.writestr(info, png())
    return path


def test_an_archive_is_read_like_the_folder_it_was_made_from(source_from, tmp_path):
    root = class_folders(tmp_path / "folder" / "pets", {"train/cat": 2, "train/dog": 1, "test/cat": 1, "test/dog": 1})
    files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.png")}
    packed, unpacked = source_from(files), folder_source(root)
    assert (packed.name, packed.classes, packed.samples) == (unpacked.name, unpacked.classes, unpacked.samples)
    assert all(packed.read(key) == unpacked.read(key) for key in keys(packed))
    assert len(list(tmp_path.iterdir())) == 2  # the folder and the archive: nothing was unpacked beside them


def test_one_folder_around_everything_is_left_out_of_the_keys(source_from):
    files = {f"pets-main/{name}": content for name, content in PETS.items()}
    source = source_from({**files, "README.txt": b"words", "__MACOSX/pets-main/._1.png": b"x"})
    assert keys(source) == ["cat/1.png", "dog/1.png", "dog/2.png"]
    assert source.stray == ("README.txt", "__MACOSX/pets-main/._1.png")
    assert decode(source.read("dog/2.png")).image.shape == (12, 16, 3)


def test_a_lone_train_folder_is_no_wrapping(source_from):
    source = source_from({f"train/{name}": content for name, content in PETS.items()})
    assert keys(source)[0] == "train/cat/1.png"
    assert "Only train was given" in source.notes[0]


def test_the_current_folder_in_names_is_left_out(source_from):
    assert keys(source_from({f"./{name}": content for name, content in PETS.items()})) == sorted(PETS)


def test_a_table_in_the_archive_leads_to_its_pictures(source_from):
    files = {
        "set/labels.csv": b"path,label\npics/1.png,a\npics/2.png,b\n",
        "set/pics/1.png": png(),
        "set/pics/2.png": PETS["cat/1.png"],
        "set/pics/3.png": png(),
    }
    source = source_from(files)
    assert keys(source) == ["pics/1.png", "pics/2.png"]
    assert source.read("pics/2.png") == PETS["cat/1.png"]
    assert source.stray == ("set/pics/3.png",)


def test_a_table_about_something_else_is_stray(source_from):
    source = source_from({**PETS, "camera.csv": b"name,lens\nx,y\n"})
    assert len(source.samples) == 3
    assert source.stray == ("camera.csv",)


@pytest.mark.parametrize("path", ["../x.png", "/etc/passwd", "a/../../x.png", "C:\\x.png"])
def test_a_table_cannot_lead_out_of_the_archive(source_from, path):
    with pytest.raises(DataError, match=r"in row 3, which leads out"):
        source_from({"labels.csv": f"path,label\n1.png,a\n{path},b\n".encode(), "1.png": png()})


def test_a_listed_file_that_the_archive_lacks_is_noted(source_from):
    source = source_from({"labels.csv": b"path,label\n1.png,a\n2.png,b\n", "1.png": png()})
    assert "1 of 2 listed files are missing (row 3)" in source.notes[0]
    with pytest.raises(ImageError, match="does not hold it"):
        source.read("2.png")


@pytest.mark.parametrize(
    "name", ["../evil.png", "cat/../../evil.png", "/evil.png", "C:/evil.png", "..\\evil.png", "\\evil.png", "cat/.."]
)
def test_names_that_lead_out_are_refused(source_from, name):
    with pytest.raises(DataError, match="leads out of the archive"):
        source_from({**PETS, name: png()})


def test_names_that_are_the_same_once_they_are_plain_are_doubled(source_from):
    with pytest.raises(DataError, match=r"two entries named cat/1\.png"):
        source_from({**PETS, "./cat//1.png": png()})


def test_an_archive_that_claims_too_much_is_refused(source_from):
    with pytest.raises(DataError, match="unpacked; at most"):
        source_from(PETS, max_total_bytes=100)


def test_too_many_entries_are_refused(source_from, monkeypatch):
    monkeypatch.setattr(archive, "MAX_ENTRIES", 2)
    with pytest.raises(DataError, match="more than 2 entries"):
        source_from(PETS)


def test_an_entry_too_large_for_a_picture_is_an_image_error(source_from, monkeypatch):
    source = source_from(PETS)
    monkeypatch.setattr(archive, "MAX_BYTES", 10)
    with pytest.raises(ImageError, match="at most"):
        source.read("cat/1.png")


def test_an_empty_class_in_an_archive_is_named(source_from):
    with pytest.raises(DataError, match="without a picture: bird"):
        source_from({**PETS, "bird/": b""})


def test_names_with_accents_are_composed_and_still_read(source_from):
    decomposed = unicodedata.normalize("NFD", "chât")
    source = source_from({f"{decomposed}/1.png": png(), "dog/1.png": png()})
    assert source.classes == ("chât", "dog")
    assert source.read("chât/1.png") == png()


def test_many_threads_read_the_right_bytes(source_from):
    files = {f"{'ab'[n % 2]}/{n}.png": png(noise(seed=n)) for n in range(100)}
    source = source_from(files)
    wanted = keys(source) * 5
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(source.read, wanted)) == [files[key] for key in wanted]


def test_links_in_a_zip_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"a link or a device: 'cat/extra\.png'"):
        zip_source(zip_with(tmp_path / "a.zip", external_attr=(stat.S_IFLNK | 0o777) << 16, create_system=3))


def test_encrypted_entries_are_refused(tmp_path):
    path = zip_of(tmp_path / "a.zip", PETS)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # general purpose flag, bit 0
    path.write_bytes(content)
    with pytest.raises(DataError, match="encrypted"):
        zip_source(path)


def test_doubled_names_are_refused(tmp_path):
    path = zip_of(tmp_path / "a.zip", PETS)
    with zipfile.ZipFile(path, "a") as packed, pytest.warns(UserWarning, match="Duplicate name"):
        packed.writestr("cat/1.png", png())
    with pytest.raises(DataError, match=r"two entries named cat/1\.png"):
        zip_source(path)


def test_an_entry_that_claims_more_than_deflate_can_give_is_refused(tmp_path):
    path = zip_of(tmp_path / "a.zip", PETS)
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, 2**31)  # the uncompressed size of the first entry
    path.write_bytes(content)
    with pytest.raises(DataError, match="zip bomb"):
        zip_source(path)


def test_overlapping_entries_are_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as packed:
        packed.writestr("cat/1.png", png(noise(60, 60)))
        first = packed.filelist[0]
        for number in range(2, 9):
            twin = zipfile.ZipInfo(f"dog/{number}.png")
            twin.CRC, twin.compress_size, twin.file_size = first.CRC, first.compress_size, first.file_size
            twin.header_offset = 0
            packed.filelist.append(twin)
            packed.NameToInfo[twin.filename] = twin
    with pytest.raises(DataError, match="overlap"):
        zip_source(path)


def test_a_damaged_entry_is_an_image_error_and_the_others_are_read(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as packed:
        for name, content in PETS.items():
            packed.writestr(name, content)
    content = bytearray(path.read_bytes())
    content[100] ^= 0xFF
    path.write_bytes(content)
    source = zip_source(path)
    with pytest.raises(ImageError, match="CRC"):
        source.read("cat/1.png")
    assert source.read("dog/1.png") == PETS["dog/1.png"]


@pytest.mark.parametrize("cut", [0, 10, 200, -30])
def test_half_an_archive_is_a_data_error(tmp_path, cut):
    path = zip_of(tmp_path / "a.zip", PETS)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match="not a zip that can be read"):
        zip_source(path)


def _pets_zip():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in {**PETS, "labels.csv": b"path,label\ncat/1.png,a\ndog/1.png,b\n"}.items():
            packed.writestr(name, content)
    return buffer.getvalue()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(_pets_zip()) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_archive_gives_a_source_or_a_data_error(changes):
    content = bytearray(_pets_zip())
    for place, value in changes:
        content[place] = value
    with tempfile.NamedTemporaryFile(suffix=".zip") as file:
        file.write(content)
        file.flush()
        try:
            source = zip_source(Path(file.name))
            for key in keys(source):
                source.read(key)
        except DataError:
            return


def test_trashnet_is_read_from_its_zip():
    source = zip_source(real_data_home() / "trashnet.zip")
    assert len(source.samples) == 1011
    assert source.classes == ("cardboard", "glass", "metal", "paper", "plastic", "trash")
    assert decode(source.read(source.samples[0].key)).format == "JPEG"


@pytest.mark.parametrize(("stored", "name"), [("häst".encode(), "häst"), ("häst".encode("cp437") + b"a", "hästa")])
def test_a_name_in_utf_8_is_read_as_such_where_the_zip_does_not_say_so(tmp_path, stored, name):
    path = zip_of(tmp_path / "pets.zip", {"h____/1.png": png(), "dog/1.png": png()})
    path.write_bytes(path.read_bytes().replace(b"h____", stored))
    source = zip_source(path)
    assert source.classes == ("dog", name)
    assert keys(source) == ["dog/1.png", f"{name}/1.png"]
    assert source.read(f"{name}/1.png") == png()
