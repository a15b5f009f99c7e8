#!/usr/bin/python3
"""Renders payment cards as customers photograph them, with ground truth. Nothing real: numbers are made here.

Usage: picture_cards.py FOLDER [--cards N] [--dutch N] [--seed N]

Writes FOLDER/NNN-KIND.jpg and FOLDER/manifest.tsv (file, kind, digits that must not stay readable, distortions,
and where they stand in the picture as it is shown: four corners for each line, from its top left, x,y each).
The same seed gives the same pictures (Pillow of Debian 12). Kinds: front (embossed or flat number), stacked
(number in four rows), back (number, signature strip, CVC), dutch (debit card with IBAN, no card number).
Distortions: perspective, glare, motion blur, low light with noise, a hand over the edge, four rotations (half of
them by EXIF), JPEG 40-80, and for every second card the way over WhatsApp (1600 px, recompressed).
"""
import argparse
import math
import os
import random
import string

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

W, H = 1012, 638  # ID-1 at 300 dpi
FONTS = '/usr/share/fonts/truetype/'
MONO = [FONTS + 'liberation/LiberationMono-Bold.ttf', FONTS + 'dejavu/DejaVuSansMono-Bold.ttf',
        FONTS + 'dejavu/DejaVuSansMono.ttf', FONTS + 'liberation/LiberationMono-Regular.ttf']
SANS = [FONTS + 'liberation/LiberationSans-Regular.ttf', FONTS + 'dejavu/DejaVuSans.ttf',
        FONTS + 'liberation/LiberationSans-Bold.ttf']
NAMES = ['J DE VRIES', 'A M JANSEN', 'FATIMA EL AMRANI', 'P.J. VAN DEN BERG', 'S BAKKER-SMIT', 'MEHMET YILMAZ',
         'ANNA VISSER', 'H K DE GROOT', 'LISA MULDER', 'R. VAN DIJK']
BRANDS = ['VISA', 'mastercard', 'Maestro', 'VISA DEBIT', 'mastercard']
BANKS = ['Bank Voorbeeld', 'Rivierenbank', 'Duinbank', 'First Example Bank', 'Polderbank']
DUTCH = [('ABNA', 'Bank Noord'), ('RABO', 'Polderbank'), ('INGB', 'Leeuwbank'), ('SNSB', 'Stadsbank'),
         ('TRIO', 'Groenbank'), ('BUNQ', 'Snelbank')]


def font(rng, paths, size):
    return ImageFont.truetype(rng.choice(paths), size)


def luhn(prefix, length, rng):
    digits = prefix + ''.join(rng.choice(string.digits) for _ in range(length - len(prefix) - 1))
    total = sum((int(d) * 2 - 9 if int(d) > 4 else int(d) * 2) if i % 2 == 0 else int(d)
                for i, d in enumerate(reversed(digits)))
    return digits + str(-total % 10)


def iban(bank, rng):
    account = ''.join(rng.choice(string.digits) for _ in range(10))
    number = ''.join(str(int(c, 36)) for c in bank + account + 'NL00')
    return f'NL{98 - int(number) % 97:02d}{bank}{account}'


def fours(text):
    return ' '.join(text[i:i + 4] for i in range(0, len(text), 4))


def background(rng):
    a = [rng.randrange(0, 256) for _ in range(3)]
    b = [min(255, max(0, v + rng.randrange(-110, 110))) for v in a]
    ramp = Image.linear_gradient('L').resize((W, H)).rotate(rng.choice([0, 90, 180, 270]), expand=False).resize((W, H))
    card = Image.composite(Image.new('RGB', (W, H), tuple(a)), Image.new('RGB', (W, H), tuple(b)), ramp)
    draw = ImageDraw.Draw(card)
    for _ in range(rng.randrange(0, 5)):  # ornament
        x, y, r = rng.randrange(W), rng.randrange(H), rng.randrange(60, 400)
        draw.ellipse([x - r, y - r, x + r, y + r], outline=tuple(min(255, v + 25) for v in b), width=rng.randrange(2, 9))
    light = sum(a) + sum(b) > 3 * 256
    return card, ((20, 20, 30) if light else (240, 240, 235))


def write(card, xy, text, face, ink, embossed):
    """Returns the box of the text."""
    draw = ImageDraw.Draw(card)
    x, y = xy
    if embossed:  # light from above: shine on one edge, shadow on the other, silver between
        draw.text((x - 2, y - 2), text, font=face, fill=(250, 250, 250))
        draw.text((x + 2, y + 2), text, font=face, fill=(40, 40, 40))
        draw.text((x, y), text, font=face, fill=(190, 190, 185))
    else:
        draw.text((x, y), text, font=face, fill=ink)
    return draw.textbbox((x, y), text, font=face)


def chip(card, rng):
    draw = ImageDraw.Draw(card)
    draw.rounded_rectangle([90, 210, 210, 300], 12, fill=(212, 175, 95), outline=(120, 95, 40), width=3)
    for y in (240, 270):
        draw.line([90, y, 210, y], fill=(120, 95, 40), width=2)


def expiry(rng):
    return f'{rng.randrange(1, 13):02d}/{rng.randrange(26, 32)}'


def front(rng, stacked):
    card, ink = background(rng)
    embossed = rng.random() < 0.5 and not stacked
    number = luhn(rng.choice(['4', '51', '53', '55', '2221']), 16, rng)
    if stacked:
        face = font(rng, MONO, 66)
        boxes = [write(card, (560, 90 + 84 * i), number[4 * i:4 * i + 4], face, ink, False) for i in range(4)]
        low = 500
    else:
        chip(card, rng)
        boxes = [write(card, (88, 330), fours(number), font(rng, MONO, 72 if embossed else 64), ink, embossed)]
        low = 440
    small, sans = font(rng, MONO, 34), font(rng, SANS, 22)
    write(card, (330, low), rng.choice(['VALID THRU', 'GOOD THRU', 'GELDIG T/M', 'EXPIRES END']), sans, ink, False)
    write(card, (490, low - 4), expiry(rng), small, ink, embossed)
    write(card, (88, 540), rng.choice(NAMES), small, ink, embossed)
    write(card, (80, 60), rng.choice(BANKS), font(rng, SANS, 48), ink, False)
    write(card, (740, 540), rng.choice(BRANDS), font(rng, SANS, 46), ink, False)
    return card, [number], boxes


def back(rng):
    card, ink = background(rng)
    draw = ImageDraw.Draw(card)
    number, cvc = luhn(rng.choice(['4', '52', '54']), 16, rng), f'{rng.randrange(1000):03d}'
    draw.rectangle([0, 50, W, 160], fill=(15, 15, 15))
    draw.rectangle([60, 210, 700, 290], fill=(235, 235, 230))
    write(card, (60, 180), 'AUTHORISED SIGNATURE - NOT VALID UNLESS SIGNED', font(rng, SANS, 20), ink, False)
    write(card, (720, 225), cvc, font(rng, MONO, 46), ink, False)
    boxes = [write(card, (60, 340), fours(number), font(rng, MONO, 58), ink, False)]
    write(card, (60, 430), 'VALID THRU ' + expiry(rng) + '   CVC ' + cvc, font(rng, MONO, 32), ink, False)
    write(card, (60, 500), rng.choice(NAMES), font(rng, MONO, 34), ink, False)
    write(card, (740, 540), rng.choice(BRANDS), font(rng, SANS, 46), ink, False)
    return card, [number], boxes


def dutch(rng):
    card, ink = background(rng)
    code, bank = rng.choice(DUTCH)
    number = iban(code, rng)
    chip(card, rng)
    write(card, (80, 60), bank, font(rng, SANS, 52), ink, False)
    boxes = [write(card, (80, 350), fours(number), font(rng, SANS + MONO, 48), ink, False)]
    write(card, (80, 430), rng.choice(NAMES), font(rng, SANS, 38), ink, False)
    write(card, (80, 510), f'Pasnr. {rng.randrange(1, 999):03d}', font(rng, SANS, 32), ink, False)
    write(card, (330, 510), 'Geldig t/m ' + expiry(rng), font(rng, SANS, 32), ink, False)
    write(card, (740, 540), rng.choice(['Maestro', 'V PAY', 'mastercard', 'VISA', 'Debit']), font(rng, SANS, 46), ink, False)
    return card, [number], boxes


def coefficients(target, source):
    """Of a perspective transform that takes target points to source points: eight equations, Gauss."""
    rows = []
    for (x, y), (u, v) in zip(target, source):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y, u])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y, v])
    n = 8
    for i in range(n):
        pivot = max(range(i, n), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(n):
            if r != i:
                f = rows[r][i] / rows[i][i]
                rows[r] = [a - f * b for a, b in zip(rows[r], rows[i])]
    return [rows[i][n] / rows[i][i] for i in range(n)]


def photograph(card, rng, boxes):
    done = []
    pw, ph = 1800, 1350
    table = tuple(rng.randrange(30, 220) for _ in range(3))
    photo = Image.effect_noise((pw, ph), rng.randrange(8, 40)).convert('RGB')
    photo = Image.blend(photo, Image.new('RGB', (pw, ph), table), 0.8)
    width = rng.uniform(0.5, 0.85) * pw
    height = width * H / W
    x0, y0 = (pw - width) * rng.uniform(0.3, 0.7), (ph - height) * rng.uniform(0.3, 0.7)
    lean = 0.0
    if rng.random() < 0.6:
        lean = 0.09
        done.append('perspective')
    tilt = math.radians(rng.uniform(-12, 12))
    corners = []
    for u, v in ((0, 0), (1, 0), (1, 1), (0, 1)):
        x = x0 + u * width + rng.uniform(-lean, lean) * width
        y = y0 + v * height + rng.uniform(-lean, lean) * height
        cx, cy = pw / 2, ph / 2
        corners.append((cx + (x - cx) * math.cos(tilt) - (y - cy) * math.sin(tilt),
                        cy + (x - cx) * math.sin(tilt) + (y - cy) * math.cos(tilt)))
    c = coefficients(corners, [(0, 0), (W, 0), (W, H), (0, H)])
    b = coefficients([(0, 0), (W, 0), (W, H), (0, H)], corners)
    places = [[((b[0] * x + b[1] * y + b[2]) / (b[6] * x + b[7] * y + 1),
                (b[3] * x + b[4] * y + b[5]) / (b[6] * x + b[7] * y + 1))
               for x, y in ((l, t), (r, t), (r, u), (l, u))] for l, t, r, u in boxes]
    flat = card.transform((pw, ph), Image.PERSPECTIVE, c, Image.BICUBIC)
    mask = Image.new('L', (W, H), 255).transform((pw, ph), Image.PERSPECTIVE, c, Image.BICUBIC)
    photo.paste(flat, (0, 0), mask)
    if rng.random() < 0.3:
        done.append('hand')
        draw = ImageDraw.Draw(photo)
        skin = rng.choice([(224, 172, 105), (141, 85, 36), (255, 219, 172), (198, 134, 66)])
        side = rng.choice([0, 1])
        for k in range(3):  # fingers over the edge, not over the number
            x = corners[3 - side * 1][0] + rng.randrange(-40, 40)
            y = corners[2][1] - 10 + k * 70
            draw.ellipse([x - 90, y - 45, x + 90, y + 45], fill=skin)
    if rng.random() < 0.35:
        done.append('glare')
        spot = Image.radial_gradient('L').point(lambda v: max(0, 255 - v * 2)).resize(
            (rng.randrange(300, 900), rng.randrange(200, 600)))
        light = Image.new('L', (pw, ph), 0)
        light.paste(spot, (rng.randrange(200, pw - 700), rng.randrange(100, ph - 500)))
        strength = rng.uniform(0.4, 0.8)
        light = light.point(lambda v: int(v * strength))
        photo = ImageChops.add(photo, Image.merge('RGB', [light] * 3))
    if rng.random() < 0.3:
        done.append('blur')
        n = rng.choice([3, 5])
        kernel = [0] * (n * n)
        for i in range(n):
            kernel[(n // 2) * n + i if rng.random() < 0.5 else i * n + n // 2] = 1
        photo = photo.filter(ImageFilter.Kernel((n, n), kernel, sum(kernel)))
        photo = photo.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 1.3)))
    if rng.random() < 0.3:
        done.append('dark')
        photo = photo.point(lambda v, f=rng.uniform(0.25, 0.5): int(v * f))
        noise = Image.effect_noise((pw, ph), 18).convert('RGB')
        photo = ImageChops.add(photo, noise, 1, -128)
    return photo, done, places


def save(photo, rng, path, done, places):
    """Returns the places in the picture as it is shown."""
    turns, exif = rng.randrange(4), None
    size = list(photo.size)
    if turns:
        photo = photo.rotate(90 * turns, expand=True)  # against the clock
        if rng.random() < 0.5:  # and EXIF says how it is shown
            exif = Image.Exif()
            exif[0x0112] = {1: 6, 2: 3, 3: 8}[turns]
        done.append(f'turn{90 * turns}' + ('-exif' if exif else ''))
        for _ in range(0 if exif else turns):
            places = [[(y, size[0] - x) for x, y in place] for place in places]
            size.reverse()
    quality = rng.randrange(40, 81)
    if rng.random() < 0.5:  # over WhatsApp: at most 1600 px, no metadata
        done.append('whatsapp')
        if exif:
            photo = photo.rotate(-90 * turns, expand=True)
            exif = None
        photo.thumbnail((1600, 1600))
    photo.save(path, quality=quality, **({'exif': exif} if exif else {}))
    done.append(f'q{quality}')
    shrunk = max(photo.size) / max(size)
    return [[(x * shrunk, y * shrunk) for x, y in place] for place in places]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('folder')
    parser.add_argument('--cards', type=int, default=240)
    parser.add_argument('--dutch', type=int, default=60)
    parser.add_argument('--seed', type=int, default=1)
    args = parser.parse_args()
    os.makedirs(args.folder, exist_ok=True)
    with open(os.path.join(args.folder, 'manifest.tsv'), 'w', encoding='ascii') as manifest:
        for i in range(args.cards + args.dutch):
            rng = random.Random(f'{args.seed}/{i}')
            # Debit cards are spread over the run, so that its first part is a sample of all.
            total = args.cards + args.dutch
            is_dutch = (i + 1) * args.dutch // total > i * args.dutch // total
            if is_dutch:
                kind, (card, secrets, boxes) = 'dutch', dutch(rng)
            else:
                kind = rng.choice(['front'] * 7 + ['stacked', 'back', 'back'])
                card, secrets, boxes = back(rng) if kind == 'back' else front(rng, kind == 'stacked')
            photo, done, places = photograph(card, rng, boxes)
            name = f'{i:03d}-{kind}.jpg'
            places = save(photo, rng, os.path.join(args.folder, name), done, places)
            where = ';'.join(' '.join(f'{x:.1f},{y:.1f}' for x, y in place) for place in places)
            manifest.write('\t'.join([name, kind, ','.join(secrets), ' '.join(done), where]) + '\n')


if __name__ == '__main__':
    main()
