"""Wheel and sdist, built without a network, hold all that is needed and nothing else, and work far from the sources."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import soundfile
from recordings import put, tone

from fastsvc.version import VERSION

pytest.importorskip("setuptools", minversion="77.0.3", reason="earlier ones need the package wheel")
if importlib.util.find_spec("pyproject_hooks") is None:  # PyPA's build has the name of our folder
    pytest.skip("PyPA's build is not installed: pip install build", allow_module_level=True)
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
MOST_BYTES = 17e6  # of the wheel, voices included
FILES = "setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "CHANGELOG.md", "LICENSE"
FOLDERS = "fastsvc", "kernels", "build"
LINKS = {"kernels": "../kernels", "build": "../build"}


def run(*arguments, cwd, path):
    """Python in another folder, with ``path`` before the installed packages."""
    environment = {**os.environ, "PYTHONPATH": str(path), "FASTSVC_CACHE": str(cwd / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def built(kind, source, out):
    """`python -m build` in the repository, without its downloads: the folder build/ hands over to PyPA's build."""
    command = [sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", str(out)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return result


def copied(target):
    """The files of a checkout, without what running and building leave there."""
    target.mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, target)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, target / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def without_links(source):
    """As Git leaves them where core.symlinks is false: files with the links' text."""
    for name, text in LINKS.items():
        link = source / "fastsvc" / name
        if link.is_symlink():
            link.unlink()
            link.write_text(text)
        assert link.read_text() == text
    return source


def files_of(source):
    """Names that a wheel must hold, besides its metadata."""
    names = {path.relative_to(source).as_posix() for path in (source / "fastsvc").rglob("*") if path.is_file()}
    names = {name for name in names if not name.startswith(("fastsvc/kernels", "fastsvc/build"))}
    top = [path for folder in LINKS for path in (source / folder).rglob("*.py")]
    return names | {f"fastsvc/{path.relative_to(source).as_posix()}" for path in top}


def contents(wheel):
    """Name → checksum, without the metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {entry.filename: entry.CRC for entry in archive.infolist() if ".dist-info/" not in entry.filename}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return copied(tmp_path_factory.mktemp("packaging") / "source")


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    return built("wheel", source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def unpacked(source, tmp_path_factory):
    """The sdist's own files."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(built("sdist", source, tmp_path_factory.mktemp("sdist"))) as archive:
        archive.extractall(folder, filter="data")
    return folder / f"fastsvc-{VERSION}"


def test_the_wheel_holds_every_file_and_no_other(source, wheel):
    held = contents(wheel).keys()
    assert held == files_of(source)
    names = "kernels/denoiser/network.py build/cubins/compiler.py demo/voices.fsvc/weights.safetensors py.typed"
    assert {f"fastsvc/{name}" for name in [*names.split(), "recipe/configs/teacher.yaml"]} <= held
    assert sorted(path.name for path in source.iterdir() if path.suffix != ".egg-info") == sorted(FILES + FOLDERS)
    assert not (source / "build" / "lib").exists()
    assert wheel.stat().st_size <= MOST_BYTES


def test_other_programs_of_the_folder_build_say_what_to_run(source):
    command = [sys.executable, "-m", "fastsvc.build"]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "run fastsvc build CHECKPOINT" in done.stderr
    command = [sys.executable, "-S", "-m", "build"]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "") and done.stderr.endswith("install it with pip install build\n")


def test_the_wheel_says_what_it_is(installed):
    folder = installed / f"fastsvc-{VERSION}.dist-info"
    about = Parser().parsestr((folder / "METADATA").read_text(encoding="utf-8"))
    assert (about["Name"], about["Version"], about["License-File"]) == ("fastsvc", VERSION, "LICENSE")
    assert about["Requires-Python"] == ">=3.10" and about["Description-Content-Type"] == "text/markdown"
    named = {line for line in about.get_all("Classifier") if "Python :: 3." in line}
    assert named == {f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 15)}
    assert about.get_payload().strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()
    assert (folder / "licenses" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_the_wheel_converts_far_from_the_sources(installed, tmp_path):
    assert run("-m", "fastsvc", "--version", cwd=tmp_path, path=installed) == f"fastsvc, version {VERSION}\n"
    program = "import fastsvc.build, fastsvc.kernels as k; print(fastsvc.__file__, fastsvc.build.__file__, k.__file__)"
    places = run("-c", program, cwd=tmp_path, path=installed).split()
    assert all(Path(place).is_relative_to(installed) for place in places)
    put(tmp_path / "in" / "a.wav", tone(0.5))
    said = run("-m", "fastsvc", "convert", "in", "-o", "out", "--spk", "0", cwd=tmp_path, path=installed)
    assert "voices.fsvc" in said
    recording, result = (soundfile.info(tmp_path / folder / "a.wav") for folder in ("in", "out"))
    assert abs(result.frames / result.samplerate - recording.frames / recording.samplerate) < 1e-4


def test_the_sdist_is_whole(wheel, unpacked, tmp_path):
    assert contents(built("wheel", unpacked, tmp_path)) == contents(wheel)
    assert not (unpacked / "tests").exists() and (unpacked / "CHANGELOG.md").is_file()


def imports(source, cwd):
    program = (
        "import importlib.util, fastsvc.build.cubins, fastsvc.kernels.denoiser as k\n"
        "odd = [n for n in ('fastsvc', 'tests', 'setup', 'bench') if importlib.util.find_spec(f'fastsvc.{n}')]\n"
        "print(fastsvc.build.__file__, k.__file__, odd)"
    )
    build, kernels, odd = run("-c", program, cwd=cwd, path=source).split()
    assert odd == "[]" and Path(build).is_relative_to(source) and Path(kernels).is_relative_to(source)


def test_the_sdist_works_where_it_lies(unpacked, tmp_path):
    imports(unpacked, tmp_path)


def test_a_checkout_without_links_works(wheel, tmp_path):
    source = without_links(copied(tmp_path / "source"))
    imports(source, tmp_path)
    assert contents(built("wheel", source, tmp_path)) == contents(wheel)


def test_a_checkout_has_these_links():
    for name, text in LINKS.items():
        link = ROOT / "fastsvc" / name
        assert (link.readlink().as_posix() if link.is_symlink() else link.read_text()) == text
