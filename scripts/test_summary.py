#!/usr/bin/env python3
"""Counts test cases for scripts/test.sh.

test_summary.py CHECKS [LOGBASE...]: CHECKS is a file of lines "result<TAB>seconds<TAB>name<TAB>message" (result: pass, fail, skip);
each LOGBASE names what `meson test --logbase` wrote: LOGBASE.junit.xml with every gtest case, LOGBASE.json with every program.
Prints failures, skips with their reasons and the slowest cases; the last line is "N passed, N failed[, N skipped]".
Exit status 1 when anything failed or nothing ran.
"""
import json
import sys
import xml.etree.ElementTree as xml
from collections import namedtuple
from pathlib import Path

Case = namedtuple("Case", "result seconds name message")


def first_line(text):
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    return lines[0] if lines else ""


def short(text, limit=600):
    return text if len(text) <= limit else text[:limit] + " ..."


def read_checks(path):
    for line in Path(path).read_text().splitlines():
        result, seconds, name, message = line.split("\t", 3)
        yield Case(result, float(seconds), name, message)


def read_junit(path, label):
    for suite in xml.parse(path).getroot().iter("testsuite"):
        # "project.project:suite / program.Suite" when meson knows the suite, else "project.program.Suite".
        program = suite.get("name", "").split(" / ")[-1].removeprefix("compute-agent.").split(".")[0]
        for case in suite.findall("testcase"):
            name = f"{label}: {program} {case.get('classname', '')}.{case.get('name')}"
            seconds = float(case.get("time") or 0)
            bad = [e for e in case if e.tag in ("failure", "error")]
            skipped = case.find("skipped")
            if bad:
                text = "\n".join((e.get("message") or e.text or "") for e in bad)
                yield Case("fail", seconds, name, short(text))
            elif skipped is not None or case.get("status") == "notrun":
                reason = skipped.get("message") or skipped.text if skipped is not None else "disabled in the source"
                yield Case("skip", seconds, name, short(reason or "no reason given"))
            else:
                yield Case("pass", seconds, name, "")


def read_programs(path, label, failed_names):
    """Programs that failed although no case of theirs did: a crash, a time limit, a sanitizer's report at exit."""
    for line in Path(path).read_text().splitlines():
        program = json.loads(line)
        name = program["name"].split(" / ")[-1]
        if program["result"] in ("OK", "SKIP", "EXPECTEDFAIL"):
            continue
        if any(f" {name} " in failed for failed in failed_names):
            continue
        output = (program.get("stdout") or "") + (program.get("stderr") or "")
        message = f"{program['result']}, exit status {program.get('returncode')}; last output:\n{output[-1200:]}"
        yield Case("fail", float(program.get("duration") or 0), f"{label}: {name} (the program)", message)


def main():
    cases = list(read_checks(sys.argv[1]))
    for base in map(Path, sys.argv[2:]):
        label = base.name
        found = list(read_junit(f"{base}.junit.xml", label)) if Path(f"{base}.junit.xml").exists() else []
        cases += found
        if Path(f"{base}.json").exists():
            cases += read_programs(f"{base}.json", label, [c.name for c in found if c.result == "fail"])
    count = {result: sum(case.result == result for case in cases) for result in ("pass", "fail", "skip")}

    slowest = sorted((c for c in cases if c.seconds > 0), key=lambda c: -c.seconds)[:10]
    if slowest:
        print("\nSlowest 10:")
        for case in slowest:
            print(f"  {case.seconds:8.2f} s  {case.name}")
    if count["skip"]:
        print("\nSkipped, and why:")
        for case in cases:
            if case.result == "skip":
                print(f"  {case.name}: {first_line(case.message) or 'no reason given'}")
    if count["fail"]:
        print("\nFailed:")
        for case in cases:
            if case.result == "fail":
                print(f"  {case.name}")
                for line in case.message.splitlines():
                    print(f"      {line}")
    nothing = count["pass"] + count["fail"] == 0
    if nothing:
        print("\nNo test ran at all; that counts as a failure.")
    print()
    print(f"{count['pass']} passed, {count['fail'] + nothing} failed" + (f", {count['skip']} skipped" if count["skip"] else ""))
    return 1 if count["fail"] or nothing else 0


if __name__ == "__main__":
    sys.exit(main())
