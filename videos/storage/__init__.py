"""Where the files of videos lie: sources, published versions, chosen posters, and work in flight.

``store()`` is the one way to them. Files have names, such as ``sources/<video>/<upload>/source`` and
``videos/<video>/<version>/master.m3u8``, which are the same in every store. STORAGE chooses the store.

MEDIA_DIR is needed with every store: for uploads that arrive, and for the work of this machine.
"""

from videos.storage.away import (
    NEARLY_FULL,
    adopt,
    refusal_of,
    refusing,
    require,
    state,
    trouble,
)
from videos.storage.base import Damaged, Store, poster_name, source_name, version_name
from videos.storage.chosen import store
from videos.storage.folder import AWAY, FULL, MARK, REMEDY, fault, make_folder

__all__ = [
    "AWAY", "FULL", "MARK", "NEARLY_FULL", "REMEDY", "Damaged", "Store", "adopt", "fault",
    "make_folder", "poster_name", "refusal_of", "refusing", "require", "source_name", "state", "store",
    "trouble", "version_name",
]  # fmt: skip
