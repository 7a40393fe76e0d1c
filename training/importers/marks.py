"""Remove crossed-out passages from a transcription, and tell whether a passage of it could not be read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

# Marks of a crossed-out passage that has text: double square brackets of Leiden, tags of TEI and HTML, Markdown, and
# the combining stroke that some programs put over each letter.
STRUCK = re.compile(
    r"⟦[^⟦⟧]*\w[^⟦⟧]*⟧|<(del|s|strike)\b[^<>]*>.*?</\1\s*>|~~[^~\s](?:[^~]*[^~\s])?~~|(?:[^\u0336]\u0336)+",
    re.IGNORECASE | re.DOTALL,
)
# Marks of a passage that could not be read, or not for certain.
UNCLEAR = re.compile(
    r"\[[.…?\s-]*\]|\[[^\[\]]*\?\s*\]|\?{3,}|⟦[\s.…?]*⟧|\ufffd|</?unclear\b|<gap\b"
    r"|\[[^\[\]]*\b(?:illegible|unclear|unreadable|undeciphered|indecipherable|unleserlich|unlesbar|illisible|"
    r"ilegible|ilegível|illeggibile|onleesbaar|gap)\b[^\[\]]*\]",
    re.IGNORECASE,
)
# Hyphens at the end of a line that are not seen in its text otherwise: the not sign of Transkribus, which is a hyphen
# within a line, too, and the soft hyphen.
HYPHENS = re.compile(r"[¬\u00ad\u2010\u2011](?=\s*$)|(?<=\w)¬")
NO_HYPHENS = re.compile("\u00ad")
# Characters of a line of text, which has a hundred; searching longer ones for marks takes the square of their length.
LONGEST = 2000


@dataclass(frozen=True)
class Marked:
    """A text without its crossed-out passages, whether there were any, and whether a passage could not be read."""

    text: str
    struck: bool
    unclear: bool

    @property
    def doubt(self) -> str:
        """Why a line with this text is to be ignored; empty where it is not."""
        if len(self.text) > LONGEST:
            return f"it has more than {LONGEST:,} characters"
        return "a passage could not be read" if self.unclear else ""


def resolve(
    text: str,
    struck: Iterable[tuple[int, int]] = (),
    unclear: Iterable[tuple[int, int]] = (),
    struck_mark: re.Pattern[str] | None = None,
    unclear_mark: re.Pattern[str] | None = None,
) -> Marked:
    """Resolve the marks of a transcribed line.

    Parameters
    ----------
    text : str
    struck, unclear : iterables of (int, int)
        Start and end of passages of the text that its source marks outside the text.
    struck_mark, unclear_mark : pattern, optional
        Further marks in the text, beside those of `STRUCK` and `UNCLEAR`.
    """
    gone = [False] * len(text)
    for start, end in struck:
        for index in range(max(start, 0), min(end, len(text))):
            gone[index] = True
    hidden = any(gone)
    # Where a gap has no length, nothing of the text is lost if the gap was crossed out.
    doubtful = any(
        not all(gone[max(start, 0) : max(end, 0)]) or (start >= end and not hidden) for start, end in unclear
    )
    kept = "".join(each for each, without in zip(text, gone, strict=True) if not without)
    if len(" ".join(kept.split())) > LONGEST:
        return Marked(" ".join(kept.split()), hidden, True)
    kept = re.sub(r"\s+", " ", kept)
    for pattern in filter(None, (STRUCK, struck_mark)):
        without = pattern.sub(" ", kept)
        hidden = hidden or without != kept
        kept = without
    doubtful = doubtful or any(pattern.search(kept) for pattern in filter(None, (UNCLEAR, unclear_mark)))
    kept = NO_HYPHENS.sub("", HYPHENS.sub("-", kept))
    return Marked(" ".join(kept.split()), hidden, doubtful)
