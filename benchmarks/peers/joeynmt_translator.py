"""JoeyNMT's own training loop, timed for `benchmarks/translation.py`. Needs `joeynmt` in its own environment.

    OMP_NUM_THREADS=1 python benchmarks/peers/joeynmt_translator.py --data multi30k [--seconds 30]

Bidirectional GRU of 256 a side, a GRU decoder of 256 with additive attention and input feeding, words that occur twice
or more, batches of 64 sentences, Adam. Nothing is downloaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clocked import BATCH, clocked
from joeynmt.training import TrainManager, train


def language(name: str) -> dict[str, Any]:
    return {"lang": name, "level": "word", "lowercase": True, "voc_min_freq": 2, "max_length": 100}


def layers(**more: Any) -> dict[str, Any]:
    return {
        "type": "recurrent", "rnn_type": "gru", "embeddings": {"embedding_dim": 256, "dropout": 0.2},
        "hidden_size": 256, "num_layers": 1, "dropout": 0.2, **more,
    }  # fmt: skip


def configuration(folder: Path) -> dict[str, Any]:
    return {
        "name": "timed",
        "model_dir": str(folder / "model"),
        "use_cuda": False,
        "random_seed": 1,
        "data": {
            "train": str(folder / "train"), "dev": str(folder / "val"), "dataset_type": "plain",
            "src": language("en"), "trg": language("de"),
        },
        "testing": {"beam_size": 1, "eval_metrics": []},
        "training": {
            "optimizer": "adam", "learning_rate": 0.001, "batch_size": BATCH, "batch_type": "sentence", "epochs": 50,
            "clip_grad_norm": 1.0, "normalization": "tokens", "scheduling": "exponential",
            "logging_freq": 1000, "validation_freq": 100000,
        },
        "model": {
            "encoder": layers(bidirectional=True),
            "decoder": layers(hidden_dropout=0.2, attention="bahdanau", input_feeding=True, init_hidden="bridge"),
        },
    }  # fmt: skip


def run(folder: Path) -> None:
    (folder / "model").mkdir()
    train(rank=0, world_size=None, cfg=configuration(folder), skip_test=True)


if __name__ == "__main__":
    clocked(TrainManager, "_train_step", lambda trainer, batch: batch.nseqs, run, "JoeyNMT")
