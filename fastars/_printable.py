"""Text from files, written so that a terminal only shows it."""


def printable(text: str, keep: str = "") -> str:
    """Return a text in which every character that is not printable stands as its escape, as in `repr`.

    Escapes are control characters, also line ends and those of 8 bits; marks that turn the direction of text; characters without a
    width; lone surrogates; and all spaces but the usual one. So a text from a file is one line and gives a terminal no order.

    Parameters
    ----------
    text : str
        Any text.
    keep : str
        Characters that stay, such as line ends in a traceback.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode("ascii") for c in text)
