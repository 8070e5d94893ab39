"""The one search of folders: each folder and file once, links last, loops nowhere."""

import os

import pytest

from fastsvc.files.tree import files_below

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need a permission there")


def test_each_file_is_met_once_under_a_name_of_its_own(tmp_path):
    top, far = tmp_path / "top", tmp_path / "far"
    for path in (top / "b" / "1.wav", top / "c" / "d" / "2.wav", far / "3.wav", top / ".hidden" / "4.wav"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (top / "._1.wav").touch()
    (top / "a").symlink_to("b")  # comes before b by name, but is a link
    (top / "far").symlink_to(far)
    (far / "back").symlink_to(top)  # a circle of two links
    (top / "c" / "up").symlink_to("../..")
    (top / "c" / "1.wav").symlink_to("../b/1.wav")
    (top / "loop").symlink_to("loop")
    (top / "dead.wav").symlink_to("nowhere.wav")
    found = [path.relative_to(top).as_posix() for path in files_below(top)]
    assert found == ["b/1.wav", "c/d/2.wav", "dead.wav", "far/3.wav", "loop"]
