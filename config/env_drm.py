"""Readers of the settings of HLS_ENCRYPTION=cbcs: who gives the keys, and where licences are."""

import re

from config.env import read, wrong

# The key systems as browsers name them (EME).
SYSTEMS = {
    "fairplay": "com.apple.fps",
    "playready": "com.microsoft.playready",
    "widevine": "com.widevine.alpha",
}
PLACES = ("video", "version", "grant")  # what an address may name, in braces
_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+", re.ASCII)
_ADDRESS = re.compile(
    r"(?:https://[A-Za-z0-9.-]{1,253}|http://(?:127\.0\.0\.1|localhost))(?::[0-9]{1,5})?"
    rf"(?:[/?](?:[A-Za-z0-9_.~/?=&%+:@-]|\{{(?:{'|'.join(PLACES)})\}}){{0,1000}})?"
)


def provider(name: str) -> str:
    """Return the dotted path of a function or class in Python, or ""."""
    value = read(name)
    if value and not _PATH.fullmatch(value):
        allowed = "it must be the path of a function or class in Python, with dots"
        wrong(name, allowed, example="our_drm.keys.content_keys")
        return ""
    return value


def licence_servers(**addresses: str) -> dict[str, str]:
    """Return the addresses of licence servers by key system, without the empty ones."""
    return {SYSTEMS[name]: address for name, address in addresses.items() if address}


def certificate(name: str, servers: dict[str, str]) -> str:
    """Return the address of FairPlay's certificate, without which its licence server cannot be asked."""
    value = address(name)
    if SYSTEMS["fairplay"] in servers and not value:
        allowed = "LICENCE_SERVER_URL_FAIRPLAY needs it, for players to ask with"
        wrong(name, allowed, example="https://drm.example.com/fairplay.cer", shown=" (not set)")
    return value


def address(name: str) -> str:
    """Return an address with https://, in which a few names may stand in braces, or ""."""
    value = read(name)
    if value and not _ADDRESS.fullmatch(value):
        allowed = (
            "it must be an address that begins with https://, in which {video}, {version} and {grant}"
            " may stand"
        )
        wrong(name, allowed, example="https://drm.example.com/licence?video={video}")
        return ""
    return value
