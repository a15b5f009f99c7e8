#!/usr/bin/env python3
"""An independent second implementation of the keyring's derivations and formats, in plain Python.

Prints vectors.h (`vectors.py > vectors.h`); `vectors.py --check vectors.h` exits 1 when the committed
file differs. Nothing here was taken from the C code: BLAKE2b is hashlib's, XChaCha20-Poly1305 is
written from RFC 8439 and draft-irtf-cfrg-xchacha-03, and is checked below against a vector of theirs.
"""
import hashlib
import struct
import sys

MASK = 0xffffffff


def rotl(v, n):
    return ((v << n) | (v >> (32 - n))) & MASK


def quarter(s, a, b, c, d):
    s[a] = (s[a] + s[b]) & MASK
    s[d] = rotl(s[d] ^ s[a], 16)
    s[c] = (s[c] + s[d]) & MASK
    s[b] = rotl(s[b] ^ s[c], 12)
    s[a] = (s[a] + s[b]) & MASK
    s[d] = rotl(s[d] ^ s[a], 8)
    s[c] = (s[c] + s[d]) & MASK
    s[b] = rotl(s[b] ^ s[c], 7)


def rounds(state):
    s = list(state)
    for _ in range(10):
        for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                           (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(s, a, b, c, d)
    return s


CONST = struct.unpack('<4I', b'expand 32-byte k')


def chacha_block(key, counter, nonce):
    state = list(CONST) + list(struct.unpack('<8I', key)) + [counter] + list(struct.unpack('<3I', nonce))
    return struct.pack('<16I', *((a + b) & MASK for a, b in zip(state, rounds(state))))


def hchacha(key, nonce16):
    s = rounds(list(CONST) + list(struct.unpack('<8I', key)) + list(struct.unpack('<4I', nonce16)))
    return struct.pack('<8I', *(s[0:4] + s[12:16]))


def poly1305(key, data):
    r = int.from_bytes(key[:16], 'little') & 0x0ffffffc0ffffffc0ffffffc0fffffff
    s = int.from_bytes(key[16:], 'little')
    acc = 0
    for i in range(0, len(data), 16):
        acc = (acc + int.from_bytes(data[i:i + 16] + b'\x01', 'little')) * r % ((1 << 130) - 5)
    return ((acc + s) & ((1 << 128) - 1)).to_bytes(16, 'little')


def pad16(data):
    return data + b'\0' * (-len(data) % 16)


def xchacha_seal(key, nonce, ad, plain):
    subkey, short = hchacha(key, nonce[:16]), b'\0' * 4 + nonce[16:]
    out = b''
    for i in range(0, len(plain), 64):
        stream = chacha_block(subkey, 1 + i // 64, short)
        out += bytes(a ^ b for a, b in zip(plain[i:i + 64], stream))
    mac = pad16(ad) + pad16(out) + struct.pack('<QQ', len(ad), len(out))
    return out + poly1305(chacha_block(subkey, 0, short)[:32], mac)


# draft-irtf-cfrg-xchacha-03, A.3.1
assert xchacha_seal(
    bytes(range(0x80, 0xa0)), bytes(range(0x40, 0x58)), bytes.fromhex('50515253c0c1c2c3c4c5c6c7'),
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
    b"sunscreen would be it.")[-16:].hex() == 'c0875924c1c7987947deafd8780acf49'


def blake(size, person, message, key=b''):
    return hashlib.blake2b(message, digest_size=size, key=key, person=person).digest()


def leaf(root, path, levels):
    node = root
    for level in range(levels):
        index = path >> 2 * (levels - 1 - level) & 3
        node = blake(32, b'sluis tree', bytes([index]), node)
    return node


ROOT, INDEX, DERIVE = bytes(range(32)), b'\x11' * 32, b'\x22' * 32
TREES = [b'\x33' * 32, b'\x44' * 32, b'\x55' * 32]  # time, subject, message
INSTALLATION, GENERATION = b'sluis-test-inst.', 7
EPOCH = b'\x66' * 32
CLS, BUCKET, SUBJECT, SERIAL, PART, TABLE, ROWGEN = 3, 495123, 77, 123456, ord('O'), 1, 9
DAY = 20778
LOOKUP, MADE, NEXT_MADE, NEXT = 4, 1790000000000, 1792000000000, b'\x77' * 32
TEXT = b'Mijn rekening is NL91ABNA0417164300'


def record_key(cls, bucket, subject, serial, part):
    material = (leaf(TREES[0], cls << 32 | bucket, 24) + leaf(TREES[1], subject, 16) +
                leaf(TREES[2], serial, 16) + bytes([part, 1]))
    return blake(32, b'sluis record', material)


def record(cls, bucket, subject, serial, part, leaf_serial):
    nonce = bytes(range(100, 124))
    ad = struct.pack('>BHIQQBBI', TABLE, cls, bucket, subject, serial, part, 1, ROWGEN)
    key = record_key(cls, bucket, subject, leaf_serial, part)
    return bytes([1, part]) + struct.pack('>I', ROWGEN) + nonce + xchacha_seal(key, nonce, ad, TEXT)


def epoch_slot():
    head = b'SLUISEP1' + struct.pack('>Q', GENERATION) + INSTALLATION
    nonce = bytes(range(24))
    key = blake(32, b'sluis root', b'epoch slot', ROOT)
    return head + nonce + xchacha_seal(key, nonce, head, EPOCH)


def cover_file():
    head = b'SLUISKR1' + struct.pack('>Q', GENERATION) + INSTALLATION
    nonce = bytes(range(24, 48))
    plain = INDEX + DERIVE + b''.join(b'\x01' + t for t in TREES)
    return head + nonce + xchacha_seal(EPOCH, nonce, head, plain)


def replacing_file():
    """The same while the index key is being replaced: number and time of the old, then of the next."""
    head = b'SLUISKR1' + struct.pack('>Q', GENERATION) + INSTALLATION
    nonce = bytes(range(24, 48))
    plain = (INDEX + DERIVE + b''.join(b'\x01' + t for t in TREES) +
             b'L' + struct.pack('>IQBQ', LOOKUP, MADE, 1, NEXT_MADE) + NEXT)
    return head + nonce + xchacha_seal(EPOCH, nonce, head, plain)


def header():
    day_key = leaf(TREES[0], 0xffff << 32 | DAY, 24)
    rows = {
        'ROOT_KEY': ROOT, 'SLOT': epoch_slot(), 'COVER': cover_file(), 'INSTALLATION': INSTALLATION,
        'CHILD_2_OF_ROOT_KEY': blake(32, b'sluis tree', b'\x02', ROOT),
        'TIME_LEAF': leaf(TREES[0], CLS << 32 | BUCKET, 24),
        'SUBJECT_LEAF': leaf(TREES[1], SUBJECT, 16),
        'MESSAGE_LEAF': leaf(TREES[2], SERIAL, 16),
        'RECORD': record(CLS, BUCKET, SUBJECT, SERIAL, PART, SERIAL),
        'RECORD_FOREVER': record(0, 0, SUBJECT, SERIAL, ord('P'), 0),
        'RECORD_LOG': record(CLS, BUCKET, 0, SERIAL, ord('L'), 0),
        'IDENTIFIER': blake(16, b'sluis lookup', b'phone\0' + b'31612345678', INDEX),
        'COVER_REPLACING': replacing_file(),
        'IDENTIFIER_NEXT': blake(16, b'sluis lookup', b'phone\0' + b'31612345678', NEXT),
        'SUBJECT_HASH': blake(16, b'sluis subject', b'identifier\0' + b'31612345678',
                              leaf(TREES[1], SUBJECT, 16)),
        'DAY_HASH': blake(16, b'sluis lookup', b'message\0' + b'wamid.X', day_key),
        'PSEUDONYM': blake(32, b'sluis subject', b'pseudonym', leaf(TREES[1], SUBJECT, 16))[:8],
        'DERIVED': blake(32, b'sluis derive', b'alias', DERIVE),
        'TEXT': TEXT,
    }
    lines = ['/* Made by vectors.py; do not edit. */', '#ifndef KEYRING_VECTORS_H', '#define KEYRING_VECTORS_H', '']
    for name in ('GENERATION', 'CLS', 'BUCKET', 'SUBJECT', 'SERIAL', 'TABLE', 'ROWGEN', 'DAY', 'LOOKUP'):
        lines.append(f'#define V_{name} {globals()[name]}u')
    for name, value in rows.items():
        text = value.hex()
        parts = [text[i:i + 80] for i in range(0, len(text), 80)]
        lines.append(f'#define V_{name} \\')
        lines.append(' \\\n'.join(f'    "{p}"' for p in parts))
    lines += ['', '#endif', '']
    return '\n'.join(lines)


if __name__ == '__main__':
    if len(sys.argv) == 3 and sys.argv[1] == '--check':
        if open(sys.argv[2]).read() != header():
            print(f'{sys.argv[2]} is not what vectors.py computes')
            sys.exit(1)
        print('vectors: same')
    else:
        sys.stdout.write(header())
