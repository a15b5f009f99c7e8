#!/usr/bin/python3
"""Draws the pictures of tests/system/pictures into a folder. Needs Pillow, DejaVu and qrencode; exit 77 without."""
import subprocess
import sys

try:
    from PIL import Image, ImageDraw, ImageFont
    FONTS = {n: '/usr/share/fonts/truetype/dejavu/' + f for n, f in
             (('sans', 'DejaVuSans.ttf'), ('mono', 'DejaVuSansMono.ttf'))}
    ImageFont.truetype(FONTS['mono'], 10)
except (ImportError, OSError) as reason:
    print(f'skipped: {reason}')
    sys.exit(77)

INK = (25, 28, 34)


def face(size, name='sans'):
    return ImageFont.truetype(FONTS[name], size)


def lines(texts, size=28, wh=(700, 320), ink=INK, ground='white', mode='RGB'):
    picture = Image.new(mode, wh, ground)
    draw = ImageDraw.Draw(picture)
    for i, text in enumerate(texts):
        draw.text((40, 60 + int(size * 2.4) * i), text, font=face(size), fill=ink)
    return picture


def check(text):
    total = sum((int(c, 36) if c != '<' else 0) * (7, 3, 1)[i % 3] for i, c in enumerate(text))
    return str(total % 10)


def portrait(draw, box):
    """A head and shoulders of its own colours: whatever of them is seen afterwards was not covered."""
    x0, y0, x1, y1 = box
    w, h = x1 - x0, y1 - y0
    draw.rectangle(box, fill=(200, 60, 200))
    draw.ellipse((x0 + w * .25, y0 + h * .12, x0 + w * .75, y0 + h * .62), fill=(60, 200, 90))
    draw.pieslice((x0, y0 + h * .6, x1, y0 + h * 1.4), 180, 360, fill=(60, 200, 90))


def passport():
    """The data page of a passport on a table: portrait at the left, the zone below."""
    picture = Image.new('RGB', (1400, 1000), (150, 130, 100))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((200, 120, 1200, 824), fill=(236, 228, 236))
    portrait(draw, (235, 250, 500, 600))
    for i, (label, value) in enumerate((('Surname / Naam', 'DE VRIES'), ('Given names / Voornamen', 'ANNA MARIA'),
                                        ('Nationality / Nationaliteit', 'UTO'), ('Date of birth', '12 AUG 1974'),
                                        ('Passport no.', 'L898902C3'))):
        draw.text((540, 190 + 88 * i), label, font=face(17), fill=(90, 90, 110))
        draw.text((540, 214 + 88 * i), value, font=face(28), fill=INK)
    draw.text((235, 150), 'PASPOORT PASSPORT', font=face(26), fill=INK)
    first = 'P<UTODE<VRIES<<ANNA<MARIA'.ljust(44, '<')
    number, birth, end, own = 'L898902C3', '740812', '330415', 'ZE184226B'.ljust(14, '<')
    second = number + check(number) + 'UTO' + birth + check(birth) + 'F' + end + check(end) + own + check(own)
    second += check(second[:10] + second[13:20] + second[21:43])
    for i, row in enumerate((first, second)):
        draw.text((232, 690 + 55 * i), row, font=face(35, 'mono'), fill=INK)
    return picture


def licence():
    """A driving licence without a zone: portrait and signature at the left, text at the right."""
    picture = Image.new('RGB', (1300, 900), (70, 90, 80))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((150, 130, 1150, 760), fill=(240, 214, 222))
    portrait(draw, (190, 260, 420, 560))
    draw.arc((200, 600, 400, 700), 150, 400, fill=(60, 200, 90), width=6)
    draw.text((460, 160), 'RIJBEWIJS KONINKRIJK DER NEDERLANDEN', font=face(28), fill=INK)
    for i, row in enumerate(('1. DE VRIES', '2. ANNA MARIA', '3. 12.08.1974 UTRECHT', '4a. 01.02.2021  4b. 01.02.2031',
                             '4c. Gemeente Voorbeeld', '5. 5123456789')):
        draw.text((460, 230 + 66 * i), row, font=face(30), fill=INK)
    draw.text((460, 650), 'Geboortedatum  Datum afgifte  Burgerservicenummer', font=face(18), fill=INK)
    return picture


def code(text, inverted=False, scale=6, wh=(700, 560)):
    args = ['qrencode', '-t', 'PNG', '-s', str(scale), '-m', '4', '-o', '-'] + (['--foreground=FFFFFF', '--background=000000'] if inverted else [])
    try:
        png = subprocess.run(args, input=text.encode(), capture_output=True, check=True).stdout
    except OSError as reason:
        print(f'skipped: {reason}')
        sys.exit(77)
    import io
    picture = lines(['Betaal met deze code'], wh=wh, ground='black' if inverted else 'white', ink='white' if inverted else INK)
    picture.paste(Image.open(io.BytesIO(png)).convert('RGBA').convert('RGB'), (200, 150))
    return picture


def turned(picture):
    """Turned by an eighth, on a large page."""
    page = Image.new('RGB', (2000, 1500), 'white')
    page.paste(picture.rotate(45, expand=True, fillcolor='white', resample=Image.BICUBIC), (600, 300))
    return page


PAYMENT = 'BCD\n002\n1\nSCT\n\nVoorbeeld BV\nNL91ABNA0417164300\nEUR12.50\n\n\nfactuur'


def through(colour, ground, alpha):
    """An account number in `colour` with the opacity `alpha`, on `ground` (RGBA)."""
    picture = Image.new('RGBA', (700, 320), ground)
    draw = ImageDraw.Draw(picture)
    draw.text((40, 130), 'NL91 ABNA 0417 1643 00', font=face(34), fill=colour + (alpha,))
    return picture


def half(ground):
    """An account number half in white, half in black: on light and on dark one half of it is seen."""
    picture = through((255, 255, 255), ground, 255)
    black = through((0, 0, 0), ground, 255)
    picture.paste(black.crop((230, 0, 700, 320)), (230, 0))
    return picture


def main(folder):
    files = {
        'plain.png': lines(['Er ging iets mis', 'Foutcode 5012, probeer het later opnieuw', 'Versie 3.14']),
        'customer.png': lines(['Beste mevrouw', 'Uw klantnummer is K482913', 'Met vriendelijke groet']),
        'iban.png': lines(['Overboeken naar', 'NL91 ABNA 0417 1643 00', 'Bedrag 12,50']),
        'bsn.png': lines(['Mijn gegevens', 'Burgerservicenummer 111222333', 'Toeslag']),
        'card.png': lines(['Bank Voorbeeld', '4111 1111 1111 1111', 'VALID THRU 12/28', 'J JANSEN'], size=40, wh=(900, 500)),
        'passport.png': passport(),
        'licence.png': licence(),
        'code.png': code(PAYMENT),
        'code-inverted.png': code(PAYMENT, True),
        'code-turned.png': turned(code(PAYMENT, scale=4)),
        'code-long.png': code('NL91ABNA0417164300 ' + 'A' * 4180, scale=4, wh=(1000, 950)),
        'light-on-nothing.png': through((250, 250, 250), (255, 255, 255, 0), 255),
        'dark-on-nothing.png': through((5, 5, 5), (0, 0, 0, 0), 255),
        'under-glass.png': through((255, 255, 255), (0, 0, 0, 3), 3),
        'half-and-half.png': half((255, 255, 255, 0)),
        'code-link.png': code('https://voorbeeld.example/spaar'),
    }
    for name, picture in files.items():
        picture.save(f'{folder}/{name}')


if __name__ == '__main__':
    main(sys.argv[1])
