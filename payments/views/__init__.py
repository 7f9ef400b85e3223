"""The HTTP face of money: buyers, then creators and administrators, then the sandbox's own page."""
