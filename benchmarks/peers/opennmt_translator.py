"""OpenNMT-py's own training loop, timed for `benchmarks/translation.py`. Needs `OpenNMT-py` in its own environment.

    OMP_NUM_THREADS=1 python benchmarks/peers/opennmt_translator.py --data multi30k [--seconds 30]

Bidirectional GRU of 128 a side, a GRU decoder of 256 with additive attention and input feeding, words that occur twice
or more, batches of 64 sentences, Adam. Nothing is downloaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from clocked import BATCH, clocked
from onmt.bin import build_vocab, train
from onmt.trainer import Trainer


def configuration(folder: Path) -> dict[str, Any]:
    corpora = {
        name: {"path_src": str(folder / f"{split}.en"), "path_tgt": str(folder / f"{split}.de")}
        for name, split in (("corpus", "train"), ("valid", "val"))
    }
    return {
        "data": corpora, "src_vocab": str(folder / "vocab.en"), "tgt_vocab": str(folder / "vocab.de"),
        "src_words_min_frequency": 2, "tgt_words_min_frequency": 2, "save_data": str(folder / "saved"),
        "save_model": str(folder / "model"), "seed": 1,
    }  # fmt: skip


def training(folder: Path) -> dict[str, Any]:
    return {
        **configuration(folder), "model_type": "text", "encoder_type": "brnn", "decoder_type": "rnn", "rnn_type": "GRU",
        "word_vec_size": 256, "hidden_size": 256, "layers": 1, "global_attention": "mlp", "input_feed": 1,
        "dropout": [0.2], "batch_type": "sents", "batch_size": BATCH, "optim": "adam", "learning_rate": 0.001,
        "max_grad_norm": 1.0, "train_steps": 100000, "valid_steps": 100000, "save_checkpoint_steps": 100000,
        "report_every": 1000, "num_workers": 0, "bucket_size": 29000, "bridge": True,
    }  # fmt: skip


def parsed(parser: Any, options: dict[str, Any], path: Path) -> Any:
    path.write_text(yaml.safe_dump(options), "utf-8")
    return parser.parse_known_args(["-config", str(path)])[0]


def sentences(trainer: Trainer, batches: Any, *rest: Any) -> int:
    return sum(len(batch["srclen"]) for batch in batches)


def run(folder: Path) -> None:
    words = {**configuration(folder), "n_sample": -1, "num_threads": 1}
    build_vocab.build_vocab_main(parsed(build_vocab._get_parser(), words, folder / "words.yaml"))
    train.train(parsed(train._get_parser(), training(folder), folder / "training.yaml"))


if __name__ == "__main__":
    clocked(Trainer, "_gradient_accumulation", sentences, run, "OpenNMT-py")
