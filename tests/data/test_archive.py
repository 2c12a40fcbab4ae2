"""A zip is read in place and without trust."""

import io
import stat
import struct
import tempfile
import unicodedata
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import class_folders, noise, png, real_data_home, zip_of

from eyebright.core.errors import DataError, ImageError
from eyebright.data import archive
from eyebright.data.archive import zip_source
from eyebright.data.folder import folder_source
from eyebright.images.decode import decode

PETS = {"cat/1.png": png(noise(seed=1)), "dog/1.png": png(noise(seed=2)), "dog/2.png": png(noise(seed=3))}


def keys(source):
    return [sample.key for sample in source.samples]


def zip_with(path, **entry):
    """PETS and one more entry with these attributes."""
    zip_of(path, PETS)
    info = zipfile.ZipInfo("cat/extra.png")
    for name, value in entry.items():
        setattr(info, name, value)
    with zipfile.ZipFile(path, "a") as opened:
        opened.writestr(info, png())
    return path


def test_a_zip_is_read_like_the_folder_it_was_made_from(tmp_path):
    root = class_folders(tmp_path / "pets", {"train/cat": 2, "train/dog": 1, "test/cat": 1, "test/dog": 1})
    files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.png")}
    packed, unpacked = zip_source(zip_of(tmp_path / "pets.zip", files)), folder_source(root)
    assert (packed.name, packed.classes, packed.samples) == (unpacked.name, unpacked.classes, unpacked.samples)
    assert all(packed.read(key) == unpacked.read(key) for key in keys(packed))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pets", "pets.zip"]


def test_one_folder_around_everything_is_left_out_of_the_keys(tmp_path):
    files = {f"pets-main/{name}": content for name, content in PETS.items()}
    source = zip_source(zip_of(tmp_path / "a.zip", {**files, "README.txt": b"words", "__MACOSX/pets-main/._1.png": b"x"}))
    assert keys(source) == ["cat/1.png", "dog/1.png", "dog/2.png"]
    assert source.stray == ("README.txt", "__MACOSX/pets-main/._1.png")
    assert decode(source.read("dog/2.png")).image.shape == (12, 16, 3)


def test_a_lone_train_folder_is_no_wrapping(tmp_path):
    source = zip_source(zip_of(tmp_path / "a.zip", {f"train/{name}": content for name, content in PETS.items()}))
    assert keys(source)[0] == "train/cat/1.png"
    assert "Only train was given" in source.notes[0]


def test_a_table_in_the_zip_leads_to_its_pictures(tmp_path):
    files = {
        "set/labels.csv": b"path,label\npics/1.png,a\npics/2.png,b\n",
        "set/pics/1.png": png(),
        "set/pics/2.png": PETS["cat/1.png"],
        "set/pics/3.png": png(),
    }
    source = zip_source(zip_of(tmp_path / "a.zip", files))
    assert keys(source) == ["pics/1.png", "pics/2.png"]
    assert source.read("pics/2.png") == PETS["cat/1.png"]
    assert source.stray == ("set/pics/3.png",)


def test_a_table_about_something_else_is_stray(tmp_path):
    source = zip_source(zip_of(tmp_path / "a.zip", {**PETS, "camera.csv": b"name,lens\nx,y\n"}))
    assert len(source.samples) == 3
    assert source.stray == ("camera.csv",)


@pytest.mark.parametrize("path", ["../x.png", "/etc/passwd", "a/../../x.png", "C:\\x.png"])
def test_a_table_cannot_lead_out_of_the_zip(tmp_path, path):
    files = {"labels.csv": f"path,label\n1.png,a\n{path},b\n".encode(), "1.png": png()}
    with pytest.raises(DataError, match=r"in row 3, which leads out"):
        zip_source(zip_of(tmp_path / "a.zip", files))


def test_a_listed_file_that_the_zip_lacks_is_noted(tmp_path):
    files = {"labels.csv": b"path,label\n1.png,a\n2.png,b\n", "1.png": png()}
    source = zip_source(zip_of(tmp_path / "a.zip", files))
    assert "1 of 2 listed files are missing (row 3)" in source.notes[0]
    with pytest.raises(ImageError, match="does not hold it"):
        source.read("2.png")


@pytest.mark.parametrize(
    "name", ["../evil.png", "cat/../../evil.png", "/evil.png", "C:/evil.png", "..\\evil.png", "\\evil.png"]
)
def test_names_that_lead_out_are_refused(tmp_path, name):
    with pytest.raises(DataError, match="leads out of the archive"):
        zip_source(zip_of(tmp_path / "a.zip", {**PETS, name: png()}))


def test_links_are_refused(tmp_path):
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
    with zipfile.ZipFile(path, "a") as opened, pytest.warns(UserWarning, match="Duplicate name"):
        opened.writestr("cat/1.png", png())
    with pytest.raises(DataError, match=r"two entries named cat/1\.png"):
        zip_source(path)


def test_an_archive_that_claims_too_much_is_refused(tmp_path):
    path = zip_of(tmp_path / "a.zip", PETS)
    with pytest.raises(DataError, match="unpacked; at most"):
        zip_source(path, max_total_bytes=100)


def test_an_entry_that_claims_more_than_deflate_can_give_is_refused(tmp_path):
    path = zip_of(tmp_path / "a.zip", PETS)
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, 2**31)  # the uncompressed size of the first entry
    path.write_bytes(content)
    with pytest.raises(DataError, match="zip bomb"):
        zip_source(path)


def test_overlapping_entries_are_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as opened:
        opened.writestr("cat/1.png", png(noise(60, 60)))
        first = opened.filelist[0]
        for number in range(2, 9):
            twin = zipfile.ZipInfo(f"dog/{number}.png")
            twin.CRC, twin.compress_size, twin.file_size = first.CRC, first.compress_size, first.file_size
            twin.header_offset = 0
            opened.filelist.append(twin)
            opened.NameToInfo[twin.filename] = twin
    with pytest.raises(DataError, match="overlap"):
        zip_source(path)


def test_too_many_entries_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_ENTRIES", 2)
    with pytest.raises(DataError, match="3 entries"):
        zip_source(zip_of(tmp_path / "a.zip", PETS))


def test_an_entry_too_large_for_a_picture_is_an_image_error(tmp_path, monkeypatch):
    source = zip_source(zip_of(tmp_path / "a.zip", PETS))
    monkeypatch.setattr(archive, "MAX_BYTES", 10)
    with pytest.raises(ImageError, match="at most"):
        source.read("cat/1.png")


def test_a_damaged_entry_is_an_image_error_and_the_others_are_read(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as opened:
        for name, content in PETS.items():
            opened.writestr(name, content)
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


def test_an_empty_class_in_a_zip_is_named(tmp_path):
    with pytest.raises(DataError, match="without a picture: bird"):
        zip_source(zip_of(tmp_path / "a.zip", {**PETS, "bird/": b""}))


def test_names_with_accents_are_composed_and_still_read(tmp_path):
    decomposed = unicodedata.normalize("NFD", "chât")
    source = zip_source(zip_of(tmp_path / "a.zip", {f"{decomposed}/1.png": png(), "dog/1.png": png()}))
    assert source.classes == ("chât", "dog")
    assert source.read("chât/1.png") == png()


def test_many_threads_read_the_right_bytes(tmp_path):
    files = {f"{'ab'[n % 2]}/{n}.png": png(noise(seed=n)) for n in range(100)}
    source = zip_source(zip_of(tmp_path / "a.zip", files))
    wanted = keys(source) * 5
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(source.read, wanted)) == [files[key] for key in wanted]


def _pets_zip():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in {**PETS, "labels.csv": b"path,label\ncat/1.png,a\ndog/1.png,b\n"}.items():
            opened.writestr(name, content)
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
