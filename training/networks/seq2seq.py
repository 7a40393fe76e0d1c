"""Sequence-to-sequence recogniser: the CRNN's convolutions and LSTM as encoder, a transformer as decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.crnn import CRNN

# Class 0, which no character has, marks the beginning and the end of a line.
END = 0


class DecoderLayer(nn.Module):
    """A layer of a transformer's decoder (Vaswani et al. 2017), normalised before each part (Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.own = nn.Linear(width, 3 * width)
        self.question = nn.Linear(width, width)
        self.memory = nn.Linear(width, 2 * width)
        self.mix = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.forwards = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def attend(self, question: Tensor, memory: Tensor, causal: bool) -> Tensor:
        """Attention of queries (N, L, D) over keys and values (N, T, 2 D)."""
        query, key, value = (
            torch.unflatten(part, 2, (self.heads, -1)).transpose(1, 2) for part in (question, *memory.chunk(2, dim=2))
        )
        attention = functional.scaled_dot_product_attention(query, key, value, is_causal=causal)
        return attention.transpose(1, 2).flatten(2)

    def forward(self, x: Tensor, remembered: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states of L new characters (N, L, D), and the keys and values of all characters so far.

        `remembered` are the keys and values of the encoder (N, T, 2 D), and `past` those of earlier characters
        (N, P, 2 D). If there are several new characters, there are no earlier ones.
        """
        question, keys, values = self.own(self.norms[0](x)).chunk(3, dim=2)
        past = torch.cat([past, torch.cat([keys, values], dim=2)], dim=1)
        x = x + self.dropout(self.mix[0](self.attend(question, past, bool(x.shape[1] > 1))))
        x = x + self.dropout(self.mix[1](self.attend(self.question(self.norms[1](x)), remembered, False)))
        return x + self.dropout(self.forwards(self.norms[2](x))), past


class Seq2Seq(CRNN):
    """Attention over the CRNN's steps (Michael et al. 2019), the decoder a transformer (Kang et al. 2022).

    The encoder keeps the weights of a CRNN; only the decoder is trained.

    Parameters
    ----------
    classes, height, channels, hidden
        As the CRNN takes them.
    width, heads, layers : int
        Of the decoder.
    longest : int
        Steps of the longest strip and characters of the longest line.
    """

    output_layers = ()

    def __init__(
        self,
        classes: int,
        height: int = 48,
        channels: tuple[int, ...] = (24, 48, 96, 128),
        hidden: int = 192,
        width: int = 256,
        heads: int = 4,
        layers: int = 2,
        longest: int = 256,
    ) -> None:
        super().__init__(classes, height, channels, hidden)
        del self.head, self.shortcut, self.dropout
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        self.bridge = nn.Linear(2 * hidden, width)
        self.places = nn.Embedding(longest, width)
        self.characters = nn.Embedding(classes, width)
        self.positions = nn.Embedding(longest, width)
        self.layers = nn.ModuleList(DecoderLayer(width, heads, 0.1) for _ in range(layers))
        self.last = nn.LayerNorm(width)
        self.choice = nn.Linear(width, classes)
        self.width, self.longest = width, longest

    def train(self, mode: bool = True) -> Seq2Seq:
        """Set the training mode of the decoder; the encoder stays in evaluation mode."""
        super().train(mode)
        for part in (self.convolutions, self.pairs, self.lstm):
            part.eval()
        return self

    def encode(self, strips: Tensor) -> Tensor:
        """Keys and values of strips for each layer of the decoder, float32 (layers, N, W / 8, 2 D)."""
        with torch.set_grad_enabled(False):
            steps = self.steps(self.columns(strips))
        places = self.places(torch.arange(steps.shape[1], device=steps.device))
        memory = self.bridge(steps) + places
        return torch.stack([layer.get_submodule("memory")(memory) for layer in self.layers])

    def decode(self, characters: Tensor, positions: Tensor, memory: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Log probabilities of the characters that follow.

        Parameters
        ----------
        characters : int64 (N, L)
            Classes; L is 1 if there are earlier characters.
        positions : int64 (L,)
            Their positions in the line.
        memory : float32 (layers, N, T, 2 D)
            As `encode` returns it.
        past : float32 (layers, N, P, 2 D)
            As this method returned it for the earlier characters.

        Returns
        -------
        float32 (N, L, C), and `past` with these characters
        """
        x = self.characters(characters) + self.positions(positions)
        kept = []
        for layer, remembered, before in zip(self.layers, memory, past, strict=True):
            x, after = layer(x, remembered, before)
            kept.append(after)
        return self.choice(self.last(x)).log_softmax(2), torch.stack(kept)

    def empty_past(self, memory: Tensor) -> Tensor:
        """Return the `past` of the first character of a line."""
        return memory.new_zeros((len(self.layers), memory.shape[1], 0, 2 * self.width))

    def loss(self, strips: Tensor, classes: Tensor, lengths: Tensor, consistency: float = 0.0) -> Tensor:
        """Return the cross entropy of each character and of the end, given the characters before.

        Raises
        ------
        SystemExit
            `consistency` is not 0: it is of the outputs of frames.
        """
        if consistency:
            raise SystemExit("a sequence-to-sequence network has no frames to compare; leave out [data] consistency")
        ends = [torch.cat([text, text.new_full((1,), END)]) for text in torch.split(classes, lengths.tolist())]
        wanted = nn.utils.rnn.pad_sequence(ends, batch_first=True, padding_value=-100).to(strips.device)
        given = functional.pad(wanted[:, :-1].clamp(min=END), (1, 0), value=END)
        memory = self.encode(strips)
        positions = torch.arange(given.shape[1], device=given.device)
        scores, _ = self.decode(given, positions, memory, self.empty_past(memory))
        return functional.cross_entropy(scores.float().flatten(0, 1), wanted.flatten(), label_smoothing=0.05)

    def read(self, strips: Tensor) -> list[list[int]]:
        """Return the classes of the characters in each strip by greedy decoding."""
        memory = self.encode(strips)
        past, character = self.empty_past(memory), torch.full((len(strips), 1), END, device=strips.device)
        read = []
        for place in range(self.longest):
            position = torch.tensor([place], device=strips.device)
            scores, past = self.decode(character, position, memory, past)
            character = scores.argmax(2)
            read.append(character[:, 0])
            if bool((torch.stack(read) == END).any(dim=0).all()):
                break
        rows = torch.stack(read, dim=1).tolist()
        return [row[: row.index(END)] if END in row else row for row in rows]
