#!/usr/bin/python3
"""Tells what tests/bench/pictures measured, as Markdown. Usage: pictures_tell.py WORK SHARED SAMPLE

Writes WORK/covered.tsv, the input of picture_shows, too.
"""
import json
import math
import os
import sys

from PIL import Image, ImageChops, ImageOps, ImageStat

WANTED = {'card': {'card'}, 'id': {'mrz'}, 'screenshot': {'iban', 'payment_code'}}
ALARMS = {'card', 'mrz', 'id_document', 'iban', 'bsn', 'payment_code'}
PSNR_MIN = 40


def lines(path):
    if not os.path.exists(path):
        return []
    with open(path) as f:
        return [json.loads(line) for line in f]


def kind_of(row, made):
    name = os.path.basename(row['file'])
    return 'rendered ' + made[name][1] if name in made else 'shared ' + row['file'].split('/')[-2]


def recall(rows, made):
    out = {}
    for row in rows:
        kind = kind_of(row, made)
        seen, withheld, all_ = out.get(kind, (0, 0, 0))
        hit = bool(set(row['classes']) & WANTED.get(kind.split()[-1], {'card'}))
        out[kind] = (seen + hit, withheld + (row['verdict'] == 'withheld' and not hit), all_ + 1)
    return out


def times(rows):
    out = []
    for word, key in (('clock', 'ms'), ('CPU', 'cpu_ms')):
        ms = sorted(r[key] for r in rows)
        n = len(ms)
        out.append(f'{word}: mean {sum(ms) / n / 1000:.2f}, median {ms[n // 2] / 1000:.2f}, '
                   f'p95 {ms[int(n * .95)] / 1000:.2f} s')
    return '; '.join(out)


def flat(path):
    """As it is shown, on white: colours under full transparency do not count."""
    picture = ImageOps.exif_transpose(Image.open(path)).convert('RGBA')
    return Image.alpha_composite(Image.new('RGBA', picture.size, 'white'), picture).convert('RGB')


def psnr(a, b):
    rms = ImageStat.Stat(ImageChops.difference(a, b)).rms
    mean = sum(v * v for v in rms) / 3
    return 99 if mean == 0 else 10 * math.log10(255 * 255 / mean)


def tell_psnr(work, rows):
    got = []
    for row in rows:
        if row['verdict'] != 'clean':
            continue
        for end in ('jpg', 'png', 'webp'):
            path = os.path.join(work, 'covered', f"{os.path.basename(row['file'])}.{end}")
            if os.path.exists(path):
                a, b = flat(row['file']), flat(path)
                got.append((psnr(a, b) if a.size == b.size else 0, row['file'], a))
    if not got:
        return
    worst = min(got, key=lambda g: g[0])
    print(f'clean pictures: {sum(g[0] >= PSNR_MIN for g in got)} of {len(got)} at {PSNR_MIN} dB or more, '
          f'least {worst[0]:.1f} dB, {sum(g[0] == 99 for g in got)} with the same pixels')
    below = 0  # the check itself: JPEG of quality 30 falls below
    for _, _, picture in got[:10]:
        path = os.path.join(work, 'control.jpg')
        picture.save(path, quality=30)
        below += psnr(picture, flat(path)) < PSNR_MIN
    print(f'control: {below} of {len(got[:10])} fall below when saved with quality 30')


def main():
    work, shared, sample = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with open(f'{work}/cards/manifest.tsv') as f:
        made = {line.split('\t')[0]: line.rstrip('\n').split('\t') for line in f}
    cards, rows = lines(f'{work}/runs/cards.jsonl'), lines(f'{work}/runs/shared.jsonl')
    plain = [r for r in rows if '/negative/' in r['file']]
    print('| pictures | recognised | withheld besides | of |\n|---|---|---|---|')
    for kind, (seen, held, n) in sorted(recall(cards + [r for r in rows if r not in plain], made).items()):
        print(f'| {kind} | {seen} | {held} | {n} |')
    dutch = [r for r in cards if '-dutch' in r['file']]
    print(f"\nDutch debit cards: IBAN read as such on {sum('iban' in r['classes'] for r in dutch)} of {len(dutch)}")
    zones = [max([f['score'] for f in r['findings'] if f['type'] == 'mrz'], default=0) for r in rows if '/id/' in r['file']]
    if zones:
        print(f'zones: {sum(z > 0 for z in zones)} of {len(zones)} shaped, {sum(z >= .9 for z in zones)} with two valid '
              f'check digits (birth, expiry) or more, {sum(z >= 1 for z in zones)} with that of the number too')
    false = [r for r in plain if set(r['classes']) & ALARMS]
    print(f'false alarms: {len(false)} in {len(plain)}; covered in part: '
          f"{sum(r['verdict'] == 'redacted' for r in plain)}, withheld: {sum(r['verdict'] == 'withheld' for r in plain)}")
    for name, group in (('rendered', cards), ('shared, all', rows), ('shared, ordinary', plain), ('all', cards + rows)):
        if group:
            print(f"{name}: {times(group)}; at most {max(r['peak_kib'] for r in group) // 1024} MiB resident")
    for run in ('passes-1', 'passes-2', 'passes-3', 'passes-4', 'tesseract'):
        group = lines(f'{work}/runs/{run}.jsonl')
        if group:
            seen = ', '.join(f'{kind} {s} of {n}' for kind, (s, _, n) in sorted(recall(group, made).items()))
            total = sum(s for s, _, _ in recall(group, made).values())
            print(f'{run}: {total} of {len(group)} recognised ({seen}); {times(group)}')
    tell_psnr(work, rows)
    with open(f'{work}/covered.tsv', 'w') as out:
        for row in cards[::sample]:
            name = os.path.basename(row['file'])
            if row['verdict'] == 'redacted':
                out.write(f"{work}/covered/{name}.jpg\t{made[name][2]}\t{made[name][4]}\n")


if __name__ == '__main__':
    main()
