"""Flair's BiLSTM-CRF, timed as `benchmarks/tagger.py` times ours. Needs `pip install flair` in its own environment.

    python benchmarks/peers/flair_tagger.py --train FILE.conllu [--batches 40] [--threads 1]

Trainable word vectors (100) and character features (BiLSTM of 25 a side over vectors of 25), one BiLSTM layer of 256 a
side, a CRF over UPOS; batches of 32 sentences in the file's order sorted by length, as ours. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import gzip
import lzma
import random
import tempfile
import time
from pathlib import Path

import flair
import numpy as np
import torch
from flair.data import Corpus, Dictionary, Sentence
from flair.datasets import FlairDatapointDataset
from flair.embeddings import CharacterEmbeddings, OneHotEmbeddings, StackedEmbeddings
from flair.models import SequenceTagger


def read(path: Path) -> list[tuple[list[str], list[str]]]:
    opener = {".xz": lzma.open, ".gz": gzip.open}.get(path.suffix, open)
    sentences, words, tags = [], [], []
    with opener(path, "rt", encoding="utf-8") as file:
        for line in file:
            columns = line.rstrip("\n").split("\t")
            if len(columns) == 10 and columns[0].isdigit():
                words.append(columns[1])
                tags.append(columns[3])
            elif not line.strip() and words:
                sentences.append((words, tags))
                words, tags = [], []
    return sentences


def sentence(words: list[str], tags: list[str]) -> Sentence:
    made = Sentence(words)
    for token, tag in zip(made, tags, strict=True):
        token.add_label("upos", tag)
    return made


def build(data: list[tuple[list[str], list[str]]], sentences: list[Sentence]) -> SequenceTagger:
    corpus = Corpus(train=FlairDatapointDataset(sentences), sample_missing_splits=False)
    letters = Dictionary(add_unk=True)
    for letter in sorted({letter for words, _ in data for word in words for letter in word}):
        letters.add_item(letter)
    with tempfile.TemporaryDirectory() as folder:
        letters.save(f"{folder}/letters")
        stack = StackedEmbeddings(
            [
                OneHotEmbeddings.from_corpus(corpus, embedding_length=100, min_freq=1),
                CharacterEmbeddings(f"{folder}/letters", char_embedding_dim=25, hidden_size_char=25),
            ]
        )
    return SequenceTagger(
        embeddings=stack,
        tag_dictionary=corpus.make_label_dictionary("upos", add_unk=False),
        tag_type="upos",
        hidden_size=256,
        rnn_layers=1,
        use_crf=True,
        reproject_embeddings=False,
    )


def report_training(tagger: SequenceTagger, batches: list[list[Sentence]]) -> None:
    engine = torch.optim.AdamW(tagger.parameters(), lr=2e-3)

    def step(batch: list[Sentence]) -> None:
        tagger.train()
        loss, count = tagger.forward_loss(batch)
        engine.zero_grad()
        (loss / count).backward()
        torch.nn.utils.clip_grad_norm_(tagger.parameters(), 5.0)
        engine.step()

    for batch in batches[:8]:
        step(batch)
    start = time.perf_counter()
    for batch in batches[8:]:
        step(batch)
    seconds = time.perf_counter() - start
    print(f"| training, sentences a second | {sum(map(len, batches[8:])) / seconds:,.0f} |")
    print(f"| training, words a second | {sum(len(s) for b in batches[8:] for s in b) / seconds:,.0f} |")


def report_tagging(tagger: SequenceTagger, data: list[tuple[list[str], list[str]]]) -> None:
    words = [words for words, _ in data[::7][:2000]]
    tagger.predict([Sentence(w) for w in words[:320]], mini_batch_size=32)
    some = [Sentence(w) for w in words]
    start = time.perf_counter()
    tagger.predict(some, mini_batch_size=32)
    seconds = time.perf_counter() - start
    print(f"| tagging in batches of 32, words a second | {sum(map(len, words)) / seconds:,.0f} |")
    took = []
    for one in [Sentence(w) for w in words if 5 <= len(w) <= 40][:300]:
        start = time.perf_counter()
        tagger.predict([one])
        took.append(time.perf_counter() - start)
    print(f"| one sentence, median milliseconds | {1e3 * np.median(took):.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True, type=Path)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    flair.device = torch.device("cpu")
    data = read(given.train)
    sentences = [sentence(words, tags) for words, tags in data]
    tagger = build(data, sentences)
    ordered = sorted(sentences, key=len)
    batches = [ordered[start : start + 32] for start in range(0, len(ordered) - 31, 32)]
    random.Random(1).shuffle(batches)
    print(f"flair {flair.__version__}, torch {torch.__version__}, {given.threads} thread(s)\n")
    print("| what | figure |\n|---|---|")
    report_training(tagger, batches[: given.batches + 8])
    report_tagging(tagger, data)


if __name__ == "__main__":
    main()
