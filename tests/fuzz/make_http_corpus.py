#!/usr/bin/env python3
"""Makes the seed corpora of the HTTP fuzz targets from a few vectors of tests/unit/net/*.txt.

Usage: make_http_corpus.py TOP. Run by hand when the tables change; the corpora are in the tree. Only short
vectors, every third: libFuzzer finds the rest, and long ones slow it down.
"""
import os
import re
import sys

SHORT = 700  # bytes


def unescape(text):
    out, i = b'', 0
    while i < len(text):
        c = text[i]
        if c != '\\':
            out += c.encode()
            i += 1
            continue
        kind = text[i + 1]
        if kind == 'x':
            out += bytes([int(text[i + 2:i + 4], 16)])
            i += 4
        elif kind == '{':
            end = text.index('}', i)
            times, inside = text[i + 2:end].split(':', 1)
            out += unescape(inside) * int(times)
            i = end + 1
        else:
            out += {'r': b'\r', 'n': b'\n', 't': b'\t', '0': b'\0', '\\': b'\\'}[kind]
            i += 2
    return out


def vectors(path):
    head, body = None, b''
    for line in open(path, encoding='utf-8'):
        line = line.rstrip('\n')
        if line.startswith('= '):
            if head:
                yield head, body
            head, body = line[2:].split(' :: '), b''
        elif line.startswith('|'):
            text = line[2:] if line[1:2] == ' ' else line[1:]
            open_end = len(text) - len(text.rstrip('\\'))
            if open_end % 2:
                body += unescape(text[:-1])
            else:
                body += unescape(text) + b'\r\n'
    if head:
        yield head, body


def write(folder, stem, n, data):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, f'{stem}-{n:03}'), 'wb') as file:
        file.write(data)


def main(top):
    tables = os.path.join(top, 'tests', 'unit', 'net')
    corpus = os.path.join(top, 'tests', 'fuzz', 'corpus')
    sets = [('requests_good.txt', 'http_request', 2), ('requests_bad.txt', 'http_request', 5),
            ('answers.txt', 'http_answer', 2), ('multipart.txt', 'multipart', 2)]
    for table, target, every in sets:
        stem = re.sub(r'\.txt$', '', table)
        for n, (head, body) in enumerate(vectors(os.path.join(tables, table))):
            if n % every or len(body) > SHORT:
                continue
            given = head[3] if len(head) > 3 else ''
            bits = 1 * ('head' in given) + 2 * ('until_close' in given) + 4 * ('closed' in given)
            prefix = bytes([7, n % 64, bits])
            if target == 'multipart':
                body = (given or 'multipart/form-data; boundary=b').encode() + b'\n' + body
            write(os.path.join(corpus, target), stem, n, prefix + body)


if __name__ == '__main__':
    main(sys.argv[1])
