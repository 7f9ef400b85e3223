"""The text of one cue: kept are WebVTT's own tags, and everything else is plain text.

A cue may come from anybody, and pages show it to others. WebVTT knows eight tags and has no scripts,
links or pictures. Any other "<" and "&" is escaped, so that it is shown as it was written.
"""

import re

# https://www.w3.org/TR/webvtt1/, 4.2.2
_PLAIN = {"b", "c", "i", "rt", "ruby", "u"}
_ANNOTATED = {"lang", "v"}
_TAG = re.compile(
    r"<(?:"
    r"(?P<time>(?:\d{2,}:)?[0-5]\d:[0-5]\d\.\d{3})"
    r"|/(?P<end>[A-Za-z]{1,4})\s*"
    r"|(?P<start>[A-Za-z]{1,4})(?P<classes>(?:\.[\w-]+)*)(?:\s(?P<annotation>[^<>]*))?"
    r")>"
)
_FONT = re.compile(r"</?font\b[^<>]*>", re.IGNORECASE)
# Positions and styles of ASS, which people also write into SubRip files. 8 is the middle of the top.
_ASS = re.compile(r"\{\\(an?)(\d+)[^{}]*\}|\{\\[^{}]*\}")
_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|lrm|rlm|nbsp|#\d{1,7}|#x[0-9A-Fa-f]{1,6});)")


def clean(text: str) -> str:
    """Return the text of a cue of WebVTT with no other tags than WebVTT's own.

    >>> clean("<v Ann>Hi <b onclick=x>there</b> <script>1 < 2")
    '<v Ann>Hi <b>there</b> &lt;script>1 &lt; 2'
    """
    parts, place = [], 0
    for match in _TAG.finditer(text):
        parts.append(_escaped(text[place : match.start()]))
        parts.append(_tag(match))
        place = match.end()
    parts.append(_escaped(text[place:]))
    return "".join(parts).replace("-->", "--&gt;")


def clean_subrip(text: str) -> tuple[str, str]:
    """Return the text of a cue of SubRip as WebVTT, and the settings of its cue: "line:0" at the top.

    Colours and fonts are left out.
    """
    top = any(match[1] == "an" and match[2] in "789" for match in _ASS.finditer(text))
    plain = _FONT.sub("", _ASS.sub("", text))
    return clean(plain), "line:0" if top else ""


def _tag(match: re.Match[str]) -> str:
    if match["time"]:
        return match[0]
    if match["end"]:
        name = match["end"].lower()
        return f"</{name}>" if name in _PLAIN | _ANNOTATED else _escaped(match[0])
    name, classes = match["start"].lower(), match["classes"]
    if name in _PLAIN:
        return f"<{name}{classes}>"
    annotation = " ".join((match["annotation"] or "").split())
    if name in _ANNOTATED and annotation:
        return f"<{name}{classes} {_escaped(annotation)}>"
    return _escaped(match[0])


def _escaped(text: str) -> str:
    return _ENTITY.sub("&amp;", text).replace("<", "&lt;")
