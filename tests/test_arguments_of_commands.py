"""Every argument of batches, corpora, trainings and evaluations: what is of a wrong kind or out of range is one typed
error, before any work, and the command line refuses the same values."""

import pytest
from wrong_values import CONVERT, NO_FLAG, NO_NUMBER, NO_PATH, NO_WHOLE, NO_WORD

from fastsvc import training
from fastsvc.convert import batch
from fastsvc.data import choir, prepare, pseudo
from fastsvc.engine.request import Request
from fastsvc.errors import ConfigError
from fastsvc.evaluation.run import evaluate, evaluate_config

REQUEST = {
    name: CONVERT[name]
    for name in (
        "steps",
        "transpose",
        "formant",
        "seed",
        "noise_scale",
        "f0_method",
        "f0_weights",
        "f0_range",
        "rate_out_hz",
        "normalise",
        "high_pass",
        "rms_mix_rate",
        "index_rate",
        "protect",
        "index_search",
        "unvoiced",
        "f0_fill",
        "resampler",
    )
}
SETTINGS = {
    "rate_hz": CONVERT["rate_out_hz"],
    "subtype": ["8", 16, True],
    "keep_channels": NO_FLAG,
    "overwrite": NO_FLAG,
    "batch": [*NO_WHOLE, 0, -1],
}
PREPARE = {
    "dataset": [*NO_PATH, None],
    "out": [*NO_PATH, None],
    "jobs": [*NO_WHOLE, 0, 1025],
    "seed": CONVERT["seed"],
    "valid": [*NO_NUMBER, -0.1, 1.0],
    "test": [*NO_NUMBER, -0.1, 1.0],
    "max_seconds": [*NO_NUMBER, 0.5, 1e9],
    "peak": [*NO_NUMBER, 0.0, 1.1],
    "f0_source": NO_WORD,
    "progress": NO_FLAG,
}
CHOIR = {"out": PREPARE["out"], "minutes": [*NO_NUMBER, 0, -1], "seed": CONVERT["seed"], "jobs": [0, "2", 1.0, True]}
EVALUATE = {
    "out": PREPARE["out"],
    **dict.fromkeys(("teacher", "recogniser", "verifier", "recordings"), NO_PATH),
    "clips": [*NO_WHOLE, -1],
    "seed": CONVERT["seed"],
    "progress": NO_FLAG,
}


def test_batches_corpora_trainings_and_evaluations(tmp_path):
    def refused(call, table, **good):
        for name, values in table.items():
            for value in values:
                with pytest.raises(ConfigError) as caught:
                    call(**{**good, name: value})
                assert "gone" not in str(caught.value), "it is refused for something else"

    refused(Request, REQUEST, speaker=0)
    refused(batch.ConversionSettings, SETTINGS, request=Request(0))
    refused(prepare.prepare, PREPARE, dataset="gone", out=tmp_path / "never")
    refused(choir.fill, CHOIR, out=tmp_path / "never", singers=choir.roster(1, 0, False), minutes=1.0, seed=0)
    refused(choir.roster, {"count": [*NO_WHOLE, -1], "seed": CONVERT["seed"], "voices": NO_FLAG}, count=1, seed=0)
    refused(
        pseudo.add_pseudo_labels, {"clusters": [*NO_WHOLE, 1], "seed": CONVERT["seed"]}, corpus_dir="gone", clusters=2
    )
    refused(prepare.add_units, {"corpus_dir": NO_PATH, "progress": NO_FLAG}, corpus_dir="gone", encoder=None)
    kinds = {"kind": NO_WORD, "config_path": [*NO_PATH, None], "resume": NO_FLAG, "out": NO_PATH}
    refused(training.run, kinds, kind="student", config_path="gone.yaml")
    refused(evaluate, EVALUATE, model="gone.fsvc", out=tmp_path / "never")
    refused(evaluate_config, {"config": [*NO_PATH, None]}, config="gone", out=tmp_path / "never")
    assert not list(tmp_path.iterdir())
