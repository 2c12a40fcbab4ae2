"""Base64, nested lists and binary tensors: right ones are read exactly, wrong ones refused before anything is allocated."""

import base64
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from eyebright.serving.answers import About, RefusalError
from eyebright.serving.tensors import (
    byte_strings,
    check_nchw,
    flat,
    from_base64,
    from_buffer,
    from_lists,
    join_strings,
    picture_of,
    pixels_nhwc,
    read_shape,
)

ABOUT = About("toy", "0" * 64, ("a", "b"), 4, 5, "onnx", "", "")


def words(function, *arguments):
    with pytest.raises(RefusalError) as caught:
        function(*arguments)
    assert caught.value.status in (400, 413)
    return caught.value.detail


@given(st.binary(max_size=200))
def test_base64_is_read_in_one_line_or_in_many(content):
    assert from_base64(base64.b64encode(content).decode(), "it") == content
    assert from_base64(base64.encodebytes(content).decode(), "it") == content


@pytest.mark.parametrize("text", ["a", "ab=c", "data:image/png;base64,AAAA", "é", "AA-_", "\x00"])
def test_what_is_no_base64_is_refused_and_never_half_read(text):
    assert "it is not base64" in words(from_base64, text, "it")


@pytest.mark.parametrize(
    ("value", "kind"), [(None, "null"), (3, "number"), ([], "list"), ({}, "object"), (True, "truth value")]
)
def test_a_value_of_another_kind_is_named(value, kind):
    assert f"it is a JSON {kind}" in words(from_base64, value, "it")


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_byte_strings_are_read_as_tritonclient_writes_them(contents):
    packed = serialize_byte_tensor(np.array(contents, dtype=np.object_))
    packed = packed.item() if packed.size else b""
    assert byte_strings(memoryview(packed), "it") == contents


def test_labels_are_written_as_tritonclient_reads_them():
    assert deserialize_bytes_tensor(join_strings(["cat", "猫"])).tolist() == [b"cat", "猫".encode()]


@pytest.mark.parametrize("packed", [b"\x01", b"\x02\x00\x00\x00a", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00\x05"])
def test_a_length_beyond_the_bytes_is_refused(packed):
    assert "left" in words(byte_strings, memoryview(packed), "it")


def test_more_byte_strings_than_a_request_may_hold_are_refused():
    assert "at most 32" in words(byte_strings, memoryview(struct.pack("<I", 0) * 1000), "it")


def test_nested_lists_become_float32_in_their_shape():
    found = from_lists([[[0, 0.5], [1, 0.25]]], "it")
    assert (found.dtype, found.tolist()) == (np.float32, [[[0, 0.5], [1, 0.25]]])


@pytest.mark.parametrize(
    "numbers", [[[1], [1, 2]], [{}], [["a"]], [10**400], [[]] * 2 + [1], [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]], "x"]]
)
def test_lists_that_are_no_tensor_are_refused(numbers):
    assert "numbers in lists of equal lengths" in words(from_lists, numbers, "it")


def test_a_text_among_numbers_allocates_nothing():
    # An array of texts has the longest one's room for each element: here 4 MB times 10,000.
    assert "numbers in lists" in words(from_lists, ["x" * 1_000_000] + [0] * 10_000, "it")


def test_a_number_beyond_float32_is_infinite_and_a_missing_one_not_a_number():
    assert np.isposinf(from_lists([1e300], "it"))
    assert np.isnan(from_lists([None], "it"))


def test_columns_of_one_are_rows():
    assert flat([["a"], ["b"]], "it") == flat(["a", "b"], "it") == ["a", "b"]
    assert "a JSON object" in words(flat, {}, "it")


def test_a_buffer_is_not_copied_where_it_is_aligned():
    content = memoryview(np.arange(6, dtype="<f4").tobytes())
    found = from_buffer(content, [2, 3], "it")
    assert found.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert np.shares_memory(found, np.frombuffer(content, np.uint8))
    unaligned = from_buffer(memoryview(b"x" + bytes(content))[1:], [2, 3], "it")
    assert (unaligned == found).all()
    assert unaligned.flags.aligned


def test_a_shape_that_claims_more_than_there_is_allocates_nothing():
    assert "has 4 bytes" in words(from_buffer, memoryview(b"abcd"), [2**31 - 1] * 8, "it")


@pytest.mark.parametrize("shape", [None, [], "4", [1.5], [True], [-1], [2**40], [1] * 9, {}])
def test_a_shape_is_a_short_list_of_whole_numbers(shape):
    assert "The shape of it" in words(read_shape, shape, "it")


def test_pixels_are_of_the_models_size_in_either_order():
    pixels = np.random.default_rng(0).random((2, 3, 4, 5), dtype=np.float32)
    check_nchw(pixels.shape, ABOUT, "it")
    turned = pixels_nhwc(pixels.transpose(0, 2, 3, 1), ABOUT, "it")
    np.testing.assert_array_equal(turned, pixels)
    assert turned.flags.c_contiguous
    assert "takes [n, 3, 4, 5]" in words(check_nchw, [2, 3, 3, 5], ABOUT, "it")
    assert "takes [n, 4, 5, 3]" in words(pixels_nhwc, pixels, ABOUT, "it")
    assert "takes [n, 3, 4, 5]" in words(check_nchw, [0, 3, 4, 5], ABOUT, "it")
    assert "at most 32" in words(check_nchw, [33, 3, 4, 5], ABOUT, "it")


@pytest.mark.parametrize(
    "instance", [{"b64": "AQI="}, {"image_bytes": {"b64": "AQI="}}, {"content": "AQI=", "mimeType": "image/png"}]
)
def test_an_instance_has_its_picture_under_the_names_that_clients_use(instance):
    assert picture_of(instance, "it") == b"\x01\x02"


@pytest.mark.parametrize(
    "instance", [{}, {"url": "http://example.org/cat.jpg"}, "AQI=", None, 1, [], {"image_bytes": {}}, {"b64": None}]
)
def test_an_instance_without_a_picture_is_refused(instance):
    assert "with the picture's file was expected" in words(picture_of, instance, "it")
