"""The recogniser networks by the names that experiment files give them."""

from __future__ import annotations

from training.networks.crnn import CRNN
from training.networks.seq2seq import Seq2Seq
from training.networks.sliding_cnn import SlidingCNN

RECOGNISERS: dict[str, type[CRNN]] = {"crnn": CRNN, "seq2seq": Seq2Seq, "sliding_cnn": SlidingCNN}
