"""Make untrusted text, such as file names, safe to print on a terminal."""


def printable(text: str) -> str:
    r"""Escape characters that move the cursor, change colours, or reorder or hide text: ``\x1b``, ``\u202e``, ``\n``.

    These are the characters for which ``str.isprintable`` is false: control, format, surrogate, private and unassigned
    characters, and all separators except the space.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
