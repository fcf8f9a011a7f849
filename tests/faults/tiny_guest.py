"""Guests of one boot sector, for cases in which the operating system does not matter: up in a moment, next to no memory or time.

Both write their name and a newline to the first serial port once they run. `polite` powers off when its power button is pressed (PM1a
registers at 0x600, where SeaBIOS puts them on pc and q35); `deaf` ignores it.
"""
POLITE = "polite"
DEAF = "deaf"

_ENABLE_POWER_BUTTON = bytes.fromhex("ba0206 ed 80cc01 ef")  # PM1a_EN |= PWRBTN_EN
_POWER_OFF_WHEN_PRESSED = bytes.fromhex(
    "fb f4"            # sleep: sti; hlt (the timer wakes it 18 times a second)
    "ba0006 ed"        # PM1a_STS
    "f6c401 74f5"      # not pressed: sleep
    "ba0406 b80020 ef"  # PM1a_CNT: soft off
    "ebec")            # sleep
_SLEEP_FOR_EVER = bytes.fromhex("fb f4 ebfc")


def _say(text):
    return bytes.fromhex("baf803") + b"".join(bytes([0xB0, c, 0xEE]) for c in text.encode() + b"\n")


def image(kind):
    """1 MiB with that boot sector."""
    code = _ENABLE_POWER_BUTTON + _say(kind) + _POWER_OFF_WHEN_PRESSED if kind != DEAF else _say(kind) + _SLEEP_FOR_EVER
    sector = code.ljust(446, b"\0") + b"\x80\0\1\0\x83\0\2\0\1\0\0\0\xff\7\0\0" + b"\0" * 48 + b"\x55\xaa"
    return sector.ljust(1 << 20, b"\0")
