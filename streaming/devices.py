"""What a viewer calls the device that a user agent names."""

from functools import lru_cache

from ua_parser import parse

UNKNOWN = "Unknown device"
LETTERS_MAX = 80


@lru_cache(maxsize=1000)
def name_of(user_agent: str) -> str:
    """Return a user agent in words, such as "Firefox on Windows"; UNKNOWN for one that says nothing.

    The text is what the client claims to be, so it is for people and decides nothing.

    >>> name_of("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
    'Firefox on Linux'
    >>> name_of("Lavf/61.7.100")
    'Lavf'
    """
    found = parse(user_agent)
    program = found.user_agent.family if found.user_agent else _first_word(user_agent)
    system = found.os.family if found.os else ""
    if user_agent.startswith("Lavf/"):  # FFmpeg, which ua-parser takes for the Windows Media Player
        program = "Lavf"
    words = " on ".join(filter(None, (program, system)))
    return words[:LETTERS_MAX] or UNKNOWN


def _first_word(user_agent: str) -> str:
    """Return the product of a user agent (RFC 9110, section 10.1.5), or an empty text."""
    product = user_agent.split("/")[0].split(" ")[0]
    return "".join(char for char in product if char.isprintable())
