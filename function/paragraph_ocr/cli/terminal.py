"""Show text that others wrote, such as file names, on a terminal."""


def printable(text: str) -> str:
    r"""Escape all that moves the cursor, changes colours, reorders or hides text: ``\x1b``, ``\u202e``, ``\n``.

    These are the characters that Python does not call printable: Unicode's control, format, surrogate, private and
    unassigned characters, and all separators but the space.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
