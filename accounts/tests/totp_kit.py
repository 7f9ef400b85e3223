"""A telephone with an app of time-based codes, for tests."""

import pyotp

from accounts import totp


class Phone:
    """The app of a user whose second factor is on. Each code is of a later step than the one before."""

    def __init__(self, user, clock):
        self.clock = clock
        self.secret = totp.begin(user=user).secret
        self.recovery_codes = totp.confirm(user=user, code=self.shows())

    def shows(self) -> str:
        """Return the code that the app shows now."""
        return pyotp.TOTP(self.secret).at(self.clock.now())

    def next(self) -> str:
        """Wait for the next code, and return it."""
        self.clock.wait(30)
        return self.shows()

    def wrong(self) -> str:
        """Return six digits that are no code of these minutes."""
        near = {
            pyotp.TOTP(self.secret).at(self.clock.now(), counter_offset=step)
            for step in range(-3, 4)
        }
        return next(each for each in ("000000", "111111", "222222", "333333") if each not in near)
