"""Strict check of Prometheus text (exposition format 0.0.4). Usage: metrics_check.py FILE"""
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf'({NAME})(?:\{{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*"(?:,|(?=\}})))*)\}})? '
                    r"(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|[-+]?Inf|NaN)$")
text = open(sys.argv[1], encoding="utf-8").read()
wrong, helped, typed, ended, seen, current = [], {}, {}, set(), set(), None
if not text.endswith("\n"):
    wrong.append("the last line has no end")
for n, line in enumerate(text.splitlines(), 1):
    comment = re.fullmatch(rf"# (HELP|TYPE) ({NAME}) (.*)", line)
    if comment:
        what, name, rest = comment.groups()
        table = helped if what == "HELP" else typed
        if name in table:
            wrong.append(f"{n}: {what} of {name} twice")
        if what == "TYPE" and rest not in ("counter", "gauge", "histogram", "summary", "untyped"):
            wrong.append(f"{n}: type {rest}")
        if name != current:
            if name in ended:
                wrong.append(f"{n}: {name} in two groups")
            ended.add(current)
            current = name
        table[name] = rest
        continue
    if line.startswith("#") or not line:
        wrong.append(f"{n}: {line!r}")
        continue
    sample = SAMPLE.fullmatch(line)
    if not sample:
        wrong.append(f"{n}: no sample: {line!r}")
        continue
    name = sample.group(1)
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    family = base if typed.get(base) in ("histogram", "summary") else name
    if family not in typed or family not in helped:
        wrong.append(f"{n}: {family} without HELP and TYPE")
    if family != current:
        wrong.append(f"{n}: {family} outside its group")
    if (name, sample.group(2)) in seen:
        wrong.append(f"{n}: twice: {line}")
    seen.add((name, sample.group(2)))
    if typed.get(family) == "counter" and not name.endswith("_total"):
        wrong.append(f"{n}: counter {name} without _total")
for line in wrong:
    print(line)
print(f"{len(seen)} samples of {len(typed)} metrics, {len(wrong)} wrong")
sys.exit(1 if wrong or not seen else 0)
