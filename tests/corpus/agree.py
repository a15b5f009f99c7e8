#!/usr/bin/python3
"""Agreement with python3-stdnum (Debian) on random and mutated strings.

Usage: agree.py DETECT_CHECKS [COUNT]      (a million)

Every difference is counted by its reason; what has no reason named below fails. Exit 77 without stdnum.
"""
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import generate

try:
    from stdnum import iban, luhn
    from stdnum.nl import bsn
except ImportError:
    print('skipped: no python3-stdnum')
    sys.exit(77)

# In the SWIFT registry since the release that stdnum 1.18 was made from.
NEWER = {'FK', 'HN', 'MN', 'NI', 'OM', 'SO', 'YE'}


def mutate(rng, text):
    kind = rng.randrange(5)
    k = rng.randrange(len(text))
    if kind == 0:
        return text[:k] + rng.choice('0123456789ABCDEFNLX') + text[k + 1:]
    if kind == 1 and k + 1 < len(text):
        return text[:k] + text[k + 1] + text[k] + text[k + 2:]
    if kind == 2:
        return text[:k] + text[k + 1:]
    if kind == 3:
        return text[:k] + rng.choice('0123456789') + text[k:]
    return text


def spaced(rng, text):
    return generate.group(text, 4, sep=rng.choice([' ', '-', '.'])) if rng.random() < 0.3 else text


def make(rng, n):
    countries = sorted(generate.BBAN)
    for k in range(n):
        kind = k % 3
        if kind == 0:
            text = generate.iban(rng, rng.choice(countries))
            text = spaced(rng, mutate(rng, text))
            yield 'iban', text.lower() if rng.random() < 0.2 else text
        elif kind == 1:
            text = generate.bsn(rng, '') if rng.random() < 0.5 else generate.digits(rng, 9)
            if rng.random() < 0.3:
                text = text[:8] + rng.choice('0123456789')
            if rng.random() < 0.1:
                text = text[1:]
            yield 'bsn', text
        else:
            text = generate.digits(rng, rng.randrange(12, 20))
            if rng.random() < 0.5:
                text += generate.luhn_digit(text)
            yield 'luhn', text


def valid(kind, text):
    if kind == 'iban':
        return iban.is_valid(text, check_country=False)
    if kind == 'bsn':
        return bsn.is_valid(text)
    return luhn.is_valid(text)


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000000
    values = list(make(random.Random(2026), count))
    data = ''.join(f'{kind} {text}\n' for kind, text in values)
    out = subprocess.run([sys.argv[1]], input=data, capture_output=True, text=True, check=True).stdout.split()
    assert len(out) == len(values)
    same, named, bad, yes = 0, {}, [], 0
    for (kind, text), got in zip(values, out):
        want = valid(kind, text)
        yes += want
        if want == (got == '1'):
            same += 1
        elif kind == 'iban' and not want and iban.compact(text)[:2] in NEWER:
            named['country newer than stdnum 1.18'] = named.get('country newer than stdnum 1.18', 0) + 1
        elif kind == 'iban' and want and not iban.compact(text)[2:4].isdigit():
            # ISO 13616: check digits are digits; stdnum takes letters there
            named['letter among the check digits'] = named.get('letter among the check digits', 0) + 1
        else:
            bad.append((kind, text, want))
    print(f'{count} strings, {yes} valid, {same} the same, named differences {named}, unnamed {len(bad)}')
    for kind, text, want in bad[:20]:
        print(f'  {kind} {text}: stdnum says {want}')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
