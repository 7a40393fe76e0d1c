"""CRNN: convolutions over a strip, a bidirectional LSTM along it, and CTC scores of the charset every four columns."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.layers import Residual, convolution, ctc_loss, divergence, greedy_decode

MAX_MASK = 8


def mask_columns(columns: Tensor, share: float) -> Tensor:
    """Set spans of columns to zero.

    Parameters
    ----------
    columns : float (N, features, T)
    share : float
        Approximate share of the columns that are masked.

    Returns
    -------
    float (N, features, T)
        Spans are two to eight columns long, of one length throughout a batch.
    """
    length = int(torch.randint(2, MAX_MASK + 1, ()))
    starts = torch.rand(columns.shape[0], 1, columns.shape[2] + length - 1, device=columns.device) < share / length
    spans = functional.max_pool1d(starts.to(columns.dtype), length, 1)
    return columns * (1.0 - spans)


class CRNN(nn.Module):
    """Convolutional recurrent network for CTC (Shi et al. 2015), with a CTC shortcut (Retsinas et al. 2022).

    The LSTM has a step every eight pixels, each of which gives the output of two frames of four pixels. This halves its
    cost and leaves enough frames for dense lines. In training, a second head takes the output of the convolutions.

    Parameters
    ----------
    classes : int
        Characters and the blank.
    height : int
        Rows of a strip, a multiple of 16.
    channels : tuple of four int
        Width of the four convolutional stages.
    hidden : int
        Units of the LSTM in each direction.
    dropout : float
        Dropout of the outputs of the LSTM's layers.
    masked : float
        Share of the columns that are masked for the LSTM in training, in spans of about a letter, so that it learns
        to use the context (as Li et al. 2025 do for a transformer, HTR-VT).
    residuals : tuple of four int
        Number of residual blocks at the end of each stage.
    """

    stride = 4
    output_layers: tuple[str, ...] = ("shortcut",)

    def __init__(
        self,
        classes: int,
        height: int = 48,
        channels: tuple[int, ...] = (24, 48, 96, 128),
        hidden: int = 192,
        dropout: float = 0.2,
        masked: float = 0.0,
        residuals: tuple[int, ...] = (0, 1, 1, 0),
    ) -> None:
        super().__init__()
        a, b, c, d = channels
        first, second, third, fourth = residuals
        self.convolutions = nn.Sequential(
            convolution(1, a, 2, kernel=5),
            *(Residual(a) for _ in range(first)),
            convolution(a, b, 2),
            *(Residual(b) for _ in range(second)),
            convolution(b, c, (2, 1)),
            *(Residual(c) for _ in range(third)),
            convolution(c, d, (2, 1)),
            *(Residual(d) for _ in range(fourth)),
            nn.Conv2d(d, 2 * d, (height // 16, 1), bias=False),
            nn.BatchNorm2d(2 * d),
            nn.ReLU(inplace=True),
        )
        self.shortcut = nn.Conv1d(2 * d, classes, 5, padding=2)
        self.pairs = nn.Conv1d(2 * d, 2 * d, 4, stride=2, padding=1)
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(2 * d, hidden, num_layers=2, bidirectional=True, dropout=dropout, batch_first=True)
        self.head = nn.Linear(2 * hidden, 2 * classes)
        self.classes = classes
        self.masked = masked

    def columns(self, strips: Tensor) -> Tensor:
        """Features of strips (N, 1, H, W) before the LSTM, float32 (N, features, W / 4)."""
        return self.convolutions(strips).squeeze(2)  # type: ignore[no-any-return]

    def steps(self, columns: Tensor) -> Tensor:
        """States of the LSTM over columns (N, features, W / 4), float32 (N, W / 8, 2 hidden)."""
        hidden, _ = self.lstm(torch.relu(self.pairs(columns)).transpose(1, 2))
        return hidden  # type: ignore[no-any-return]

    def forward(self, strips: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Log probabilities of strips.

        Parameters
        ----------
        strips : float32 (N, 1, H, W), W a multiple of 8
            Ink as `paragraph_ocr.pipeline.rectification.to_ink` gives it, 0 right of the line.

        Returns
        -------
        float32 (N, W / 4, C); in training a pair of these, the shortcut's second
        """
        columns = self.columns(strips)
        visible = mask_columns(columns, self.masked) if self.training and self.masked else columns
        scores = self.head(self.dropout(self.steps(visible)))
        log_probabilities: Tensor = scores.reshape(scores.shape[0], -1, self.classes).log_softmax(2)
        if not self.training:
            return log_probabilities
        return log_probabilities, self.shortcut(columns).transpose(1, 2).log_softmax(2)

    def loss(self, strips: Tensor, classes: Tensor, lengths: Tensor, consistency: float = 0.0) -> Tensor:
        """Return the loss per character: CTC's, a tenth of the shortcut's, and the divergence of two views.

        Parameters
        ----------
        strips : float32 (N, 1, H, W)
        classes : int64 (sum of lengths)
        lengths : int64 (N)
        consistency : float
            Weight of the divergence of the outputs of the first half of the strips from those of the second, which are
            the same strips in another degradation (CR-CTC, Yao et al. 2024).
        """
        outputs, shortcut = self(strips)
        loss = ctc_loss(outputs, classes, lengths) + 0.1 * ctc_loss(shortcut, classes, lengths)
        return loss + consistency * divergence(outputs, lengths) if consistency else loss

    def read(self, strips: Tensor) -> list[list[int]]:
        """Return the classes of the characters in each strip by greedy decoding."""
        return greedy_decode(self(strips))
