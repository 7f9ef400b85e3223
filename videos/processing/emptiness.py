"""Black pictures and silence, as FFmpeg's filters blackdetect and silencedetect tell of them."""

import re
from collections import defaultdict
from dataclasses import dataclass, field

LEAST_SECONDS = 0.5
_FOUND = re.compile(r"detect@(\w+) @ .*(?:black|silence)_duration: ?(\d+(?:\.\d+)?)")


def black(name: str, *, least: float = LEAST_SECONDS) -> str:
    """Return the filter that tells of ``least`` seconds of black pictures or more by ``name``."""
    return f"blackdetect@{name}=d={least}"


def silence(name: str) -> str:
    """Return the filter that tells of silence by ``name``."""
    return f"silencedetect@{name}=n=-60dB:d={LEAST_SECONDS}"


@dataclass
class Emptiness:
    """The seconds of each filter, read from what FFmpeg says."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def note(self, remark: str) -> None:
        if match := _FOUND.search(remark):
            self.seconds[match[1]] += float(match[2])
