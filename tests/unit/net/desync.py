#!/usr/bin/env python3
"""The vectors of http-desync-guardian (SLUIS_VECTORS/http-desync-guardian/tests/*.yaml) against the codec.

Usage: desync.py HTTP_PROBE. Each vector is made into a connection: its head, with a Host added when it
has none (so that it is not refused for that), the body its fields announce, and a second request, which
must never be seen when the first was to be refused.

Exit 0: every vector of the severe and the ambiguous class is refused, and what is refused of the compliant
and acceptable classes is refused for a reason named in STRICT. Exit 1: not so. Exit 77: the vectors are
not there.
"""
import glob
import os
import re
import struct
import subprocess
import sys

HIDDEN = b'GET /hidden HTTP/1.1\r\nHost: a.example\r\n\r\n'

# Compliant and acceptable vectors that are refused on purpose, by reason.
STRICT = {
    'body_too_large': 'a length above the cap of the probe',
    'coding': 'only chunked',
    'coding_twice': 'Transfer-Encoding once',
    'field_name': 'control bytes in a name',
    'field_value': 'control bytes in a value',
    'length_required': 'POST, PUT or PATCH without a length',
    'request_line': 'request line outside RFC 9112',
    'target': 'a target outside RFC 3986',
    'version': 'only HTTP/1.0 and 1.1',
}

ESCAPES = {'n': '\n', 'r': '\r', 't': '\t', '0': '\0', 'b': '\b', 'f': '\f', 'v': '\v', 'a': '\a',
           'e': '\x1b', '"': '"', '\\': '\\', '/': '/', ' ': ' '}


def scalar(text):
    """A YAML scalar of one line: plain, single or double quoted."""
    text = text.strip()
    if text.startswith("'"):
        return text[1:text.rindex("'")].replace("''", "'")
    if not text.startswith('"'):
        return re.sub(r'\s+#.*$', '', text)
    out, i = '', 1
    while text[i] != '"':
        if text[i] != '\\':
            out += text[i]
            i += 1
            continue
        kind = text[i + 1]
        width = {'x': 2, 'u': 4, 'U': 8}.get(kind)
        if width:
            out += chr(int(text[i + 2:i + 2 + width], 16))
            i += 2 + width
        else:
            out += ESCAPES[kind]
            i += 2
    return out


def load(path):
    """The little of YAML that these files use: a list of maps, `headers` a list of maps inside."""
    vectors, where = [], None
    for number, line in enumerate(open(path, encoding='utf-8'), 1):
        line = line.rstrip('\n')
        if not line.strip() or line.lstrip().startswith('#'):
            continue
        match = re.match(r'^(\s*)(- )?(\w+):(.*)$', line)
        if not match:
            if re.match(r'^\s+- ', line):
                continue  # an item of required_message_items
            sys.exit(f'{path}:{number}: not understood')
        depth, item, key, value = len(match[1]), match[2], match[3], scalar(match[4])
        if depth == 0 and item:
            vectors.append({'headers': [], 'file': os.path.basename(path), 'line': number})
            where = 'top'
        if depth == 0 or (depth == 2 and not item):
            where = key if not value and key in ('headers', 'expected') else 'top'
            if where == 'top':
                vectors[-1][key] = value
        elif where == 'headers':
            if item:
                vectors[-1]['headers'].append({})
            vectors[-1]['headers'][-1][key] = value
        elif where == 'expected':
            vectors[-1].setdefault('expected_' + key, value)
    return vectors


def connection(vector):
    lines = [f"{vector['method']} {vector['uri']} {vector['version']}".encode()]
    body = b''
    names = set()
    for header in vector['headers']:
        name, value = header['name'], header.get('value', '')
        names.add(name.lower())
        blank = '' if value[:1] == ' ' else ' '
        lines.append(f'{name}:{blank}{value}'.encode())
        if name.lower() == 'content-length' and value.strip().isdecimal() and int(value) < 1000000:
            body = b'x' * int(value)
        if name.lower() == 'transfer-encoding' and 'chunked' in value:
            body = b'0\r\n\r\n'
    if 'host' not in names:
        lines.append(b'Host: a.example')
    return b'\r\n'.join(lines) + b'\r\n\r\n' + body + HIDDEN


def main(probe):
    folder = os.path.join(os.environ.get('SLUIS_VECTORS', ''), 'http-desync-guardian', 'tests')
    files = sorted(glob.glob(os.path.join(folder, '*.yaml')))
    if not os.environ.get('SLUIS_VECTORS') or not files:
        print('skipped: SLUIS_VECTORS does not hold http-desync-guardian')
        return 77
    vectors = [vector for path in files for vector in load(path)]
    blob = b''.join(struct.pack('>I', len(c)) + c for c in map(connection, vectors))
    lines = subprocess.run([probe], input=blob, stdout=subprocess.PIPE, check=True).stdout
    lines = lines.decode().splitlines()
    if len(lines) != len(vectors):
        print(f'{len(vectors)} vectors, {len(lines)} verdicts')
        return 1
    counts, wrong, strict, reasons = {}, [], {}, {}
    for vector, line in zip(vectors, lines):
        taken, end, _ = (part.split('=', 1)[1] for part in line.split(' '))
        tier = vector['expected_tier']
        refused = taken == '0'
        counts.setdefault(tier, [0, 0])[0 if refused else 1] += 1
        what = f"{vector['file']}:{vector['line']}: {tier}: {vector['name']!r}"
        if tier in ('Severe', 'Ambiguous'):
            reasons.setdefault(tier, {}).setdefault(end, 0)
            reasons[tier][end] += 1
            if not refused:
                wrong.append(f'{what}: taken ({line})')
        elif tier in ('Compliant', 'Acceptable') and refused:
            strict.setdefault(end, []).append(what)
            if end not in STRICT:
                wrong.append(f'{what}: refused: {end}')
    for tier, by_reason in sorted(reasons.items()):
        print(f'{tier}: ' + ', '.join(f'{r} {n}' for r, n in sorted(by_reason.items())))
    for reason, names in sorted(strict.items()):
        print(f'stricter than the vectors, {reason} ({STRICT.get(reason, "?")}): {len(names)}')
    for text in wrong:
        print('WRONG ' + text)
    for tier, (refused, taken) in sorted(counts.items()):
        print(f'{tier}: {refused} refused, {taken} taken')
    # a harness that reads nothing, or whose connections are all refused, proves nothing
    if counts.get('Severe', [0, 0])[0] < 50 or counts.get('Compliant', [0, 0])[1] < 10:
        print('too few severe vectors were read, or too few compliant ones taken')
        return 1
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
