"""The lane of instruction sets: what is skipped and why, what runs, and that one failure is enough."""

import subprocess
import types

import isa
import pytest

OLD = {"sse4_2", "avx", "avx2", "fma"}


@pytest.fixture
def ran(monkeypatch):
    """(variables, arguments) of each run of pytest; those under AVX2 fail."""
    runs = []

    def run(command, env):
        runs.append(({name: env[name] for name in isa.CAPS["AVX2"][1] if name in env}, command))
        return types.SimpleNamespace(returncode=env.get("ONEDNN_MAX_CPU_ISA") == "AVX2")

    monkeypatch.setattr(isa.os, "environ", {"PATH": "/bin"})
    monkeypatch.setattr(subprocess, "run", run)
    return runs


def test_what_the_processor_lacks_is_skipped_by_name(ran, monkeypatch, capsys):
    monkeypatch.setattr(isa, "flags", lambda: OLD)
    assert isa.main(["-q"]) == 1
    assert [given for given, _ in ran] == [{}, isa.CAPS["AVX2"][1]]
    text = capsys.readouterr().out
    assert "AVX-512: skipped, this processor has no avx512f, avx512bw" in text and "AMX: skipped" in text
    assert text.endswith("== failed under AVX2\n")


def test_all_that_it_has_runs(ran, monkeypatch):
    monkeypatch.setattr(isa, "flags", lambda: OLD | {flag for needs, _ in isa.CAPS.values() for flag in needs})
    isa.main([])
    assert len(ran) == len(isa.CAPS) and all(command[3:] == isa.numeric() for _, command in ran)


def test_elsewhere_only_the_default_runs(ran, monkeypatch):
    monkeypatch.setattr(isa, "flags", set)
    assert isa.main([]) == 0 and len(ran) == 1


def test_files_that_compare_numbers_are_found():
    found = {file.rpartition("test_")[2].removesuffix(".py") for file in isa.numeric()}
    assert found >= {
        "engine",
        "engine_specification",
        "engine_blocks",
        "golden_build",
        "gpu_engine",
        "hubert",
        "teacher",
    }
    assert not found & {"seal", "copies", "buckets", "hostile"}
