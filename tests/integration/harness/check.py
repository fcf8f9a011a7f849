"""Claims: each raises Failed with what was found."""
from .agent import Failed


def check(condition, text):
    if not condition:
        raise Failed(text)


def equal(found, wanted, what):
    check(found == wanted, f"{what}: {found!r}, expected {wanted!r}")


def says(text, *parts):
    """Every part is in the text."""
    for part in parts:
        check(part in text, f"'{part}' is not said in: {text[-3000:]}")


def say(text):
    """A line for who reads the TAP output."""
    print(f"# {text}", flush=True)
