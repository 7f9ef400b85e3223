"""The words of captions, by which videos are found: `GET /videos/?search=…`.

Each caption has a row for each different word, so that a search reads an index and no text. A word is a
run of letters and digits in lower case, without accents' different encodings (Unicode NFKC, casefold).
Of scripts without spaces between words, Chinese and Japanese, each sign counts as a word.
"""

import re
import unicodedata
from typing import Any

from django.db.models import QuerySet

from videos.presentation import cues
from videos.presentation.models import Caption, CaptionWord

MOST_LETTERS = 40  # of a word, whose rest is left out
MOST_WORDS = 20_000  # different ones of a caption; a video of two hours has about 3,000
BATCH = 2_000
_SIGN = r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
_WORD = re.compile(rf"{_SIGN}|(?:(?!{_SIGN})[^\W_])+")


def of_text(text: str) -> list[str]:
    """Return the different words of a plain text, in their order.

    >>> of_text("The fog, THE FOG!")
    ['the', 'fog']
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return list(dict.fromkeys(word[:MOST_LETTERS] for word in _WORD.findall(folded)))


def of_caption(text: str) -> list[str]:
    """Return the different words, at most MOST_WORDS, of a text that `cues.write` has made.

    >>> of_caption("WEBVTT\\n\\n00:00.000 --> 00:01.000 align:start\\n<i>Fog</i>")
    ['fog']
    """
    blocks = (block.partition("\n")[2] for block in text.split("\n\n")[1:])
    return of_text(" ".join(map(cues.readable, blocks)))[:MOST_WORDS]


def index(caption: Caption) -> None:
    """Let a caption be found by the words of its text, and by no others. Safe to repeat."""
    CaptionWord.objects.filter(caption=caption).delete()
    rows = [CaptionWord(caption=caption, word=word) for word in of_caption(caption.text)]
    CaptionWord.objects.bulk_create(rows, batch_size=BATCH)


def videos_with(word: str) -> QuerySet[CaptionWord, Any]:
    """Return, for use in a filter, the ids of the videos in whose captions a word occurs."""
    return CaptionWord.objects.filter(word=word).values("caption__video")
