"""Text from outside as one line that cannot control a terminal or forge a line of a log."""


def one_line(text: str) -> str:
    """The text with its control characters, line breaks and invisible characters as escapes, such as `\\n`."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)
