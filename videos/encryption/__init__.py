"""Encrypted versions: AES-128 over whole segments (RFC 8216, section 4.3.2.4), for public places."""
