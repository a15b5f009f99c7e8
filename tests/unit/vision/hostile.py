#!/usr/bin/env python3
"""Writes hostile pictures into a folder: bombs, floods, truncated files, polyglots. Only zlib and struct."""
import struct
import sys
import zlib


def chunk(name, body):
    return struct.pack('>I', len(body)) + name + body + struct.pack('>I', zlib.crc32(name + body))


def png(w, h, rows, extra=b'', kind=2):
    head = chunk(b'IHDR', struct.pack('>IIBBBBB', w, h, 8, kind, 0, 0, 0))
    return b'\x89PNG\r\n\x1a\n' + head + extra + chunk(b'IDAT', rows) + chunk(b'IEND', b'')


def segment(marker, body):
    return bytes([0xff, marker]) + struct.pack('>H', len(body) + 2) + body


def jpeg_head(w, h, progressive):
    out = b'\xff\xd8' + segment(0xdb, b'\0' + b'\x01' * 64)
    out += segment(0xc2 if progressive else 0xc0, struct.pack('>BHHB', 8, h, w, 1) + b'\x01\x11\0')
    for table in (0x00, 0x10):  # one code of one bit: symbol 0
        out += segment(0xc4, bytes([table]) + b'\x01' + b'\0' * 15 + b'\0')
    return out


def scans(n):
    """A progressive JPEG of n tiny scans: the first for DC, the rest refine nothing."""
    blocks = b'\0' * 16
    first = jpeg_head(64, 64, True) + segment(0xda, b'\x01\x01\0\0\0\x00') + blocks
    return first + (segment(0xda, b'\x01\x01\0\x01\x3f\x00') + blocks) * n + b'\xff\xd9'


def main(folder):
    white = zlib.compress(b''.join(b'\0' + b'\xff' * 30 for _ in range(10)))
    good = png(10, 10, white)
    files = {
        'flood.png': png(65535, 65535, zlib.compress(b'\0' * 1000)),
        'flood.jpg': jpeg_head(65535, 65535, False) + segment(0xda, b'\x01\x01\0\0\x3f\0') + b'\0' * 100,
        'wide.png': png(6000, 6000, zlib.compress(b'\0' * 1000)),
        'flood.gif': b'GIF89a' + struct.pack('<HHBBB', 65535, 65535, 0x80, 0, 0) + b'\0\0\0\xff\xff\xff' +
                     b',' + struct.pack('<HHHHB', 0, 0, 65535, 65535, 0) + b'\x02\x02\x4c\x01\0;',
        'scans.jpg': scans(3000),
        'scans-few.jpg': scans(480),
        'text-bomb.png': png(10, 10, white, chunk(b'zTXt', b'k\0\0' + zlib.compress(b'a' * 20_000_000, 9))),
        'profile-bomb.png': png(10, 10, white, chunk(b'iCCP', b'k\0\0' + zlib.compress(b'a' * 20_000_000, 9))),
        'chunks.png': png(10, 10, white, chunk(b'tEXt', b'k\0v') * 100_000),
        'rows-bomb.png': png(10, 10, zlib.compress(b'\0' * 40_000_000, 9)),
        'apng.png': png(10, 10, white, chunk(b'acTL', struct.pack('>II', 2**31 - 1, 0)) +
                        chunk(b'fcTL', b'\0' * 26) * 50_000),
        'frames.gif': b'GIF89a' + struct.pack('<HHBBB', 4, 4, 0x80, 0, 0) + b'\0\0\0\xff\xff\xff' +
                      (b'!\xf9\x04\x01\0\0\0\0' * 200_000),
        'block.gif': b'GIF89a' + struct.pack('<HHBBB', 4, 4, 0x80, 0, 0) + b'\0\0\0\xff\xff\xff!\xfe' +
                     (b'\x01a' * 500_000),
        'cut.png': good[:60],
        'cut-head.png': good[:12],
        'bad-crc.png': good.replace(b'IDAT', b'IDAU'),
        'polyglot.jpg': b'%PDF-1.4\n' + good,
        'empty': b'',
        'one': b'\xff',
        'text.jpg': b'<script>alert(1)</script>' * 20,
        'webp-cut.webp': b'RIFF\xff\xff\xff\x7fWEBPVP8 \xff\xff\xff\x7f' + b'\0' * 40,
        'webp-canvas.webp': b'RIFF' + struct.pack('<I', 30) + b'WEBPVP8X' + struct.pack('<I', 10) + b'\0' * 4 +
                            b'\xff\xff\xff\xff\xff\xff' + b'\0' * 8,
        'bmp.bmp': b'BM' + b'\0' * 200,
        'svg.png': b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        'tail.png': good + b'PK\x03\x04' + b'x' * 1000,
    }
    for name, body in files.items():
        with open(f'{folder}/{name}', 'wb') as f:
            f.write(body)


main(sys.argv[1])
