#!/usr/bin/env python3
"""Writes vectors.h: roots and proofs of small trees, straight from the recursive definitions of RFC 6962
section 2.1 and with nothing but hashlib. With --check FILE it compares instead."""
import hashlib
import sys

SIZES = list(range(0, 18)) + [31, 33, 100]
INCLUSION = [(0, 1), (0, 2), (1, 2), (2, 3), (4, 5), (6, 7), (3, 8), (7, 11), (10, 11), (16, 17), (42, 100), (99, 100)]
CONSISTENCY = [(1, 1), (1, 2), (2, 3), (3, 4), (4, 7), (6, 8), (7, 7), (8, 16), (13, 33), (64, 100), (99, 100)]


def sha(b):
    return hashlib.sha256(b).digest()


def leaf(i):
    return sha(b'\x00' + b'leaf %d' % i)


def split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(d):
    if not d:
        return sha(b'')
    if len(d) == 1:
        return d[0]
    k = split(len(d))
    return sha(b'\x01' + mth(d[:k]) + mth(d[k:]))


def path(m, d):
    if len(d) == 1:
        return []
    k = split(len(d))
    return path(m, d[:k]) + [mth(d[k:])] if m < k else path(m - k, d[k:]) + [mth(d[:k])]


def subproof(m, d, whole):
    if m == len(d):
        return [] if whole else [mth(d)]
    k = split(len(d))
    if m <= k:
        return subproof(m, d[:k], whole) + [mth(d[k:])]
    return subproof(m - k, d[k:], False) + [mth(d[:k])]


def tree(n):
    return [leaf(i) for i in range(n)]


def row(a, b, hashes):
    return '    {%d, %d, "%s"},' % (a, b, ''.join(h.hex() for h in hashes))


def text():
    out = ['/* Made by vectors.py: do not edit. Leaf i is "leaf i". */', 'static const struct vector roots[] = {']
    out += [row(n, 0, [mth(tree(n))]) for n in SIZES]
    out += ['};', 'static const struct vector inclusions[] = {']
    out += [row(i, n, path(i, tree(n))) for i, n in INCLUSION]
    out += ['};', 'static const struct vector consistencies[] = {']
    out += [row(m, n, subproof(m, tree(n), True)) for m, n in CONSISTENCY]
    out += ['};']
    return '\n'.join(out) + '\n'


if len(sys.argv) == 3 and sys.argv[1] == '--check':
    sys.exit(0 if open(sys.argv[2]).read() == text() else 'vectors.h is not what vectors.py writes')
sys.stdout.write(text())
