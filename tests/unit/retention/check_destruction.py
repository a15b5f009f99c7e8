#!/usr/bin/env python3
"""A second reader of destruction records: parses a line, checks that it is canonical, that its record
fits the schema, and that its Ed25519 signature holds (RFC 8032, written out below; slow and plain).
Usage: check_destruction.py PROGRAM SCHEMA."""
import base64
import hashlib
import json
import re
import subprocess
import sys

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    t = D * x1 * x2 * y1 * y2 % P
    return ((x1 * y2 + x2 * y1) * pow(1 + t, P - 2, P) % P,
            (y1 * y2 + x1 * x2) * pow(1 - t, P - 2, P) % P)


def multiply(point, n):
    out = (0, 1)
    while n:
        if n & 1:
            out = add(out, point)
        point = add(point, point)
        n >>= 1
    return out


def decode(data):
    y = int.from_bytes(data, 'little')
    sign, y = y >> 255, y & (2**255 - 1)
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - xx) % P:
        raise ValueError('not on the curve')
    return (P - x if x & 1 != sign else x, y)


BASE = decode((4 * pow(5, P - 2, P) % P).to_bytes(32, 'little'))


def verify(key, message, signature):
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), 'little') % L
    s = int.from_bytes(signature[32:], 'little')
    return s < L and multiply(BASE, s) == add(decode(signature[:32]), multiply(decode(key), h))


def main(program, schema_file):
    schema = json.load(open(schema_file))
    line = subprocess.run([program, '--print'], capture_output=True, check=True).stdout
    whole = json.loads(line)
    canonical = json.dumps(whole, sort_keys=True, separators=(',', ':'), ensure_ascii=False).encode()
    errors = []
    if canonical != line:
        errors.append('not canonical')
    record = whole['record']
    if sorted(record) != sorted(schema['required']) or sorted(record) != sorted(schema['properties']):
        errors.append('fields differ from the schema')
    for name, rule in schema['properties'].items():
        if 'pattern' in rule and not re.fullmatch(rule['pattern'], record[name]):
            errors.append(f'{name}: pattern')
        if rule.get('type') == 'integer' and not isinstance(record[name], int):
            errors.append(f'{name}: not an integer')
    text = json.dumps(record, sort_keys=True, separators=(',', ':'), ensure_ascii=False).encode()
    message = b'sluis destruction record v1\n' + text
    key, signature = base64.b64decode(whole['key']), base64.b64decode(whole['signature'])
    if not verify(key, message, signature):
        errors.append('the signature does not hold')
    if verify(key, message + b' ', signature):
        errors.append('control: a changed record was accepted')
    print('\n'.join(errors) or 'destruction record: ok')
    return 1 if errors else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], sys.argv[2]))
