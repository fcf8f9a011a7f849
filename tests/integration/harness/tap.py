"""Runs functions as TAP cases, so that meson counts each of them.

Cases read as claims: def SecondCreateOfTheSameIdIsRefused(). A case fails by an exception; it skips by raising Skip with the reason.
"""
import sys
import time
import traceback


class Skip(Exception):
    pass


def run(cases, *arguments):
    """cases: functions or (name, function) pairs. Exits with 1 when one failed."""
    named = [(c.__name__, c) if callable(c) else c for c in cases]
    print(f"1..{len(named)}", flush=True)
    failed = 0
    for number, (name, case) in enumerate(named, 1):
        began = time.monotonic()
        try:
            case(*arguments)
            print(f"ok {number} {name}", flush=True)
        except Skip as skip:
            print(f"ok {number} {name} # SKIP {skip}", flush=True)
        except Exception:
            failed += 1
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
            print(f"not ok {number} {name}", flush=True)
        print(f"# {name} took {time.monotonic() - began:.2f} s", flush=True)
    sys.exit(1 if failed else 0)
