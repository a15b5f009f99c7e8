#!/usr/bin/env python3
"""Writes the labelled corpus as JSON lines, always the same.

Usage: generate.py [OUT]      (standard output without OUT)

Lines as `sluis scan --jsonl` reads them, plus "group", "part" and "labels": type, start, end (code
points of `text`, end exclusive); a label with "back": k lies in the k-th message before the text.

Parts, a file each: messages.txt "tuning"; held_out.txt "held-out", written before any tuning and never
looked at; blind.txt, blind_2.txt and blind_3.txt "blind...", written one after the other when the engine
stood, each counted once before it was looked at (blind_3 never was). In a message
  {TYPE=literal}   is a labelled value,
  {TYPE SPEC}      a labelled value made up here, with valid check digits ({bsnx}, {ibanx} ...: one
                   typing error, still labelled),
  {~KIND SPEC}     a made-up value that is not personal data,
  {back:...}       a labelled value in an earlier message,
  a || b           earlier messages before the text, each "A: " agent or "C: " customer,
  \\n               a line break.
All persons and numbers are invented.
"""
import json
import os
import random
import re
import string
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
NL_BANKS = ['ABNA', 'INGB', 'RABO', 'SNSB', 'TRIO', 'ASNB', 'KNAB', 'BUNQ', 'RBRB', 'FVLB']
BBAN = {  # SWIFT registry; as iban.c
    'AD': '8n12c', 'AE': '19n', 'AL': '8n16c', 'AT': '16n', 'AZ': '4a20c', 'BA': '16n', 'BE': '12n',
    'BG': '4a6n8c', 'BH': '4a14c', 'BI': '23n', 'BR': '23n1a1c', 'BY': '4c4n16c', 'CH': '5n12c',
    'CR': '18n', 'CY': '8n16c', 'CZ': '20n', 'DE': '18n', 'DJ': '23n', 'DK': '14n', 'DO': '4c20n',
    'EE': '16n', 'EG': '25n', 'ES': '20n', 'FI': '14n', 'FK': '2a12n', 'FO': '14n', 'FR': '10n11c2n',
    'GB': '4a14n', 'GE': '2a16n', 'GI': '4a15c', 'GL': '14n', 'GR': '7n16c', 'GT': '4c20c',
    'HN': '4a20n', 'HR': '17n', 'HU': '24n', 'IE': '4a14n', 'IL': '19n', 'IQ': '4a15n', 'IS': '22n',
    'IT': '1a10n12c', 'JO': '4a4n18c', 'KW': '4a22c', 'KZ': '3n13c', 'LB': '4n20c', 'LC': '4a24c',
    'LI': '5n12c', 'LT': '16n', 'LU': '3n13c', 'LV': '4a13c', 'LY': '21n', 'MC': '10n11c2n',
    'MD': '20c', 'ME': '18n', 'MK': '3n10c2n', 'MN': '16n', 'MR': '23n', 'MT': '4a5n18c',
    'MU': '4a19n3a', 'NI': '4a20n', 'NL': '4a10n', 'NO': '11n', 'OM': '3n16c', 'PK': '4a16c',
    'PL': '24n', 'PS': '4a21c', 'PT': '21n', 'QA': '4a21c', 'RO': '4a16c', 'RS': '18n',
    'RU': '14n15c', 'SA': '2n18c', 'SC': '4a20n3a', 'SD': '14n', 'SE': '20n', 'SI': '15n',
    'SK': '20n', 'SM': '1a10n12c', 'SO': '19n', 'ST': '21n', 'SV': '4a20n', 'TL': '19n', 'TN': '20n',
    'TR': '6n16c', 'UA': '6n19c', 'VA': '18n', 'VG': '4a16n', 'XK': '16n', 'YE': '4a4n18c'}
KEYCAP = '\ufe0f\u20e3'


def digits(rng, n):
    return ''.join(rng.choice(string.digits) for _ in range(n))


def mod97(text):
    text = text[4:] + text[:4]
    return int(''.join(str(int(c, 36)) for c in text)) % 97


def iban(rng, country):
    body = ''
    for count, kind in re.findall(r'(\d+)([nac])', BBAN[country]):
        pool = {'n': string.digits, 'a': string.ascii_uppercase,
                'c': string.digits + string.ascii_uppercase}[kind]
        body += ''.join(rng.choice(pool) for _ in range(int(count)))
    if country == 'NL':
        body = rng.choice(NL_BANKS) + '0' + digits(rng, 9)
    check = 98 - mod97(country + '00' + body)
    return f'{country}{check:02d}{body}'


def elfproef(text):
    text = text.zfill(9)
    total = sum(int(c) * w for c, w in zip(text, [9, 8, 7, 6, 5, 4, 3, 2, -1]))
    return total % 11 == 0 and int(text) > 0


def bsn(rng, first=None):
    while True:
        text = (first or rng.choice('12345')) + digits(rng, 8)
        if elfproef(text):
            return text


def luhn_digit(body):
    total = 0
    for k, c in enumerate(reversed(body)):
        v = int(c) * (2 if k % 2 == 0 else 1)
        total += v - 9 if v > 9 else v
    return str(-total % 10)


def pan(rng, brand):
    head, n = {'visa': ('4', 16), 'mc': (rng.choice(['51', '52', '53', '54', '55']), 16),
               'mc2': (rng.choice(['2221', '2345', '2720']), 16), 'amex': (rng.choice(['34', '37']), 15),
               'maestro': (rng.choice(['6759', '6761', '6703', '6799']), 16), 'up': ('6212', 16),
               'jcb': ('3530', 16), 'diners': ('3612', 14), 'disc': ('6011', 16)}[brand]
    body = head + digits(rng, n - 1 - len(head))
    return body + luhn_digit(body)


def group(text, *sizes, sep=' '):
    out, at, k = [], 0, 0
    while at < len(text):
        n = sizes[min(k, len(sizes) - 1)]
        out.append(text[at:at + n])
        at, k = at + n, k + 1
    return sep.join(out)


def other_script(text, zero):
    return ''.join(chr(zero + int(c)) if c in string.digits else c for c in text)


def full_width(text):
    return ''.join(chr(ord(c) + 0xfee0) if '!' <= c <= '~' else c for c in text)


def shape(text, spec):
    """One way of writing a value."""
    cyrillic = str.maketrans('ABEKMHOPCTX', 'АВЕКМНОРСТХ')
    shapes = {
        'c': lambda t: t, 'l': str.lower, '4': lambda t: group(t, 4), '8': lambda t: group(t, 8),
        'l4': lambda t: group(t.lower(), 4), 'd': lambda t: group(t, 4, sep='.'),
        'h': lambda t: group(t, 4, sep='-'), 's2': lambda t: group(t, 4, 4, 30),
        's3': lambda t: group(t, 2, 2, 4, 4, 2, 2, 2), 'n': lambda t: t[:8] + '\n' + t[8:],
        'us': lambda t: group(t, 4, sep='_'), '2': lambda t: group(t, 2), 'sl': lambda t: group(t, 4, sep=' / '),
        'nbsp': lambda t: group(t, 4, sep='\u00a0'), 'thin': lambda t: group(t, 4, sep='\u2009'),
        'zw': lambda t: group(t, 4, sep='\u200b'), 'fw': full_width,
        'arab': lambda t: other_script(t, 0x660), 'cyr': lambda t: t.translate(cyrillic),
        'keycap': lambda t: ''.join(c + KEYCAP if c.isdigit() else c for c in t),
        'shy': lambda t: group(t, 5, sep='\u00ad'), 'esc': lambda t: group(t, 4, sep='\\u00a0'),
        'bidi': lambda t: '\u202d' + t, 'endash': lambda t: group(t, 4, sep='\u2013'),
        'dot': lambda t: f'{t[:4]}.{t[4:6]}.{t[6:]}', '3': lambda t: group(t, 3),
        '3h': lambda t: group(t, 3, sep='-'), 'nbsp3': lambda t: group(t, 3, sep='\u00a0'),
        '465': lambda t: group(t, 4, 6, 5), '465h': lambda t: group(t, 4, 6, 5, sep='-'),
        '464': lambda t: group(t, 4, 6, 4), 'nl4': lambda t: group(t, 8, sep='\n'),
        's': lambda t: group(t, 2, 6, 6, 1),
    }
    return shapes[spec](text)


def spoil(rng, text, first):
    """One wrong digit behind `first` so that no check holds."""
    while True:
        k = rng.randrange(first, len(text))
        if text[k].isdigit():
            return text[:k] + rng.choice([c for c in string.digits if c != text[k]]) + text[k + 1:]


def swap(rng, text, first):
    while True:
        k = rng.randrange(first, len(text) - 1)
        if text[k] != text[k + 1]:
            return text[:k] + text[k + 1] + text[k] + text[k + 2:]


def drop(rng, text, first):
    k = rng.randrange(first, len(text))
    return text[:k] + text[k + 1:]


def add(rng, text, first):
    k = rng.randrange(first, len(text))
    return text[:k] + text[k] + text[k:] if text[k].isdigit() else text + digits(rng, 1)


class Maker:
    def __init__(self, rng):
        self.rng = rng
        self.parts = {}

    def split(self, kind):
        """Parts of one value over several messages."""
        rng = self.rng
        if kind.startswith('iban') or kind.startswith('bsn') or kind.startswith('pan'):
            if kind not in self.parts:
                value = iban(rng, 'NL')
                self.parts.update(iban1=group(value[:10], 4), iban2=group(value[10:], 4),
                                  iban3a=value[:8], iban3b=value[8:12], iban3c=value[12:])
                value = bsn(rng)
                self.parts.update(bsn1=value[:4], bsn2=value[4:])
                value = pan(rng, 'visa')
                self.parts.update(pan1=group(value[:8], 4), pan2=group(value[8:], 4),
                                  pan4a=value[:4], pan4b=group(value[4:12], 4), pan4c=value[12:])
            return self.parts[kind]
        raise ValueError(kind)

    def value(self, words):
        """(type or None, text) of a placeholder."""
        rng, kind, spec = self.rng, words[0], words[1:]
        if kind in ('iban1', 'iban2', 'iban3a', 'iban3b', 'iban3c', 'bsn1', 'bsn2', 'pan1', 'pan2',
                    'pan4a', 'pan4b', 'pan4c'):
            return re.sub(r'\d.*', '', kind), self.split(kind)
        if kind.startswith('iban'):
            good = iban(rng, spec[0])
            text = {'iban': lambda t: t, 'ibanx': lambda t: spoil(rng, t, 8),
                    'ibanswap': lambda t: swap(rng, t, 9), 'ibanmiss': lambda t: drop(rng, t, 8),
                    'ibanextra': lambda t: add(rng, t, 9),
                    'ibano': lambda t: t[:8] + 'O' + t[9:]}[kind](good)
            return 'iban', shape(text, spec[1])
        if kind == 'vatbsn':
            while True:
                text = bsn(rng)
                full = f'NL{text}B01'
                if int(''.join(str(int(c, 36)) for c in full)) % 97 != 1:
                    return 'bsn', ('NL', text, 'B01')
        if kind.startswith('bsn'):
            short = '8' in spec
            good = bsn(rng, '0') if short else bsn(rng)
            good = good.lstrip('0') if short else good
            while short and len(good) != 8:
                good = bsn(rng, '0').lstrip('0')
            text = {'bsn': lambda t: t, 'bsnx': lambda t: spoil(rng, t, 1),
                    'bsnmiss': lambda t: drop(rng, t, 1), 'bsnextra': lambda t: add(rng, t, 1)}[kind](good)
            if kind == 'bsnmiss':
                while elfproef(text):
                    text = drop(rng, good, 1)
            rest = [s for s in spec if s != '8']
            return 'bsn', shape(text, rest[0]) if rest else text
        if kind.startswith('pan'):
            good = pan(rng, spec[0])
            text = {'pan': lambda t: t, 'panx': lambda t: spoil(rng, t, 6),
                    'panmiss': lambda t: drop(rng, t, 6)}[kind](good)
            return 'pan', shape(text, spec[1])
        raise ValueError(kind)

    def filler(self, words):
        rng, kind = self.rng, words[0]
        spec = words[1] if len(words) > 1 else 'c'
        if kind == 'elf9':
            return bsn(rng, rng.choice('123456789'))
        if kind == 'elf8':
            while True:
                text = rng.choice('123456789') + digits(rng, 7)
                if elfproef(text):
                    return text
        if kind == 'luhn16':
            body = rng.choice('45') + digits(rng, 14)
            if body[0] == '5':
                body = '5' + rng.choice('12345') + body[2:]
            return shape(body + luhn_digit(body), spec)
        if kind == 'kvk':
            return rng.choice('12345678') + digits(rng, 7)
        if kind == 'oin':
            return '0000000' + rng.choice('1234') + digits(rng, 9) + '000'
        if kind == 'vatnew':  # ISO 7064 over NL, nine digits, B, two digits
            while True:
                text = f'NL{digits(rng, 9)}B{digits(rng, 2)}'
                if int(''.join(str(int(c, 36)) for c in text)) % 97 == 1:
                    return text
        if kind == 'vatcorp':
            return f'NL{bsn(rng, "8")}B{rng.choice(["01", "02"])}'
        if kind == 'imei':
            body = rng.choice(['35', '86', '01']) + digits(rng, 12)
            return shape(body + luhn_digit(body), spec)
        if kind == 'ean18':
            return '8716' + digits(rng, 14)
        if kind == 'ean13':
            return '87' + digits(rng, 11)
        if kind == 'isbn13':
            return '978' + digits(rng, 10)
        if kind.startswith('num'):
            n = int(kind[3:])
            return rng.choice('123456789') + digits(rng, n - 1)
        if kind.startswith('let'):
            return ''.join(rng.choice(string.ascii_uppercase) for _ in range(int(kind[3:])))
        raise ValueError(kind)


def expand(maker, template):
    """(text, labels) of one message; labels marked back are told by the third field."""
    text, labels = '', []
    for piece in re.split(r'(\{[^{}]*\})', template):
        if not (piece.startswith('{') and piece.endswith('}')):
            text += piece
            continue
        inner = piece[1:-1]
        if inner.startswith('~'):
            text += maker.filler(inner[1:].split())
            continue
        back = inner.startswith('back:')
        inner = inner[5:] if back else inner
        before = after = ''
        if '=' in inner:
            kind, value = inner.split('=', 1)
        else:
            kind, value = maker.value(inner.split())
            if isinstance(value, tuple):
                before, value, after = value
        text += before
        labels.append({'type': kind, 'start': len(text), 'end': len(text) + len(value)})
        text += value + after
    return text, labels


def load(name, part):
    current, rows = '', []
    for line in open(os.path.join(HERE, name), encoding='utf-8'):
        line = line.rstrip('\n')
        if line.startswith('# group: '):
            current = line[9:]
        elif line == '* all-ibans':
            for k, country in enumerate(sorted(BBAN)):
                form = ['c', '4', 'l', 'h', 'l4'][k % 5]
                rows.append((current, f'{{iban {country} {form}}}', 'held-out' if k % 4 == 3 else part))
        elif line and not line.startswith('# '):
            rows.append((current, line, part))
    return rows


def main():
    out = open(sys.argv[1], 'w', encoding='utf-8') if len(sys.argv) > 1 else sys.stdout
    rows = load('messages.txt', 'tuning') + load('held_out.txt', 'held-out') + load('blind.txt', 'blind') + load('blind_2.txt', 'blind-2') + load('blind_3.txt', 'blind-3')
    for number, (name, line, where) in enumerate(rows):
        rng = random.Random(f'{name}|{line}')
        maker = Maker(rng)
        parts = [p.replace('\\n', '\n').replace('\\u200b', '\u200b') for p in line.split(' || ')]
        labels, context = [], []
        for k, part in enumerate(parts[:-1]):
            who, _, body = part.partition(': ')
            text, marks = expand(maker, body)
            context.append({'from': {'A': 'agent', 'C': 'customer'}[who], 'text': text})
            labels += [dict(m, back=len(parts) - 1 - k) for m in marks]
        text, marks = expand(maker, parts[-1])
        labels += marks
        row = {'id': number, 'text': text, 'group': name, 'part': where, 'labels': labels}
        if context:
            row['context'] = context
        out.write(json.dumps(row, ensure_ascii=False) + '\n')


if __name__ == '__main__':
    main()
