import pytest

from kernelfit.cpu import kernel_files


@pytest.mark.parametrize("length", [0, 1, 4_096, 4_097, 20_000])
def test_the_whole_file_is_read(tmp_path, length):
    path = tmp_path / "stat"
    path.write_bytes(b"x" * length)
    assert kernel_files.read(str(path)) == b"x" * length


def test_what_is_no_file_is_none(tmp_path):
    assert kernel_files.read(str(tmp_path / "none")) is None
    assert kernel_files.read(str(tmp_path)) is None
