#!/usr/bin/env python3
"""Every field of leaf.schema.json has a full row in the table of sluis-log(7), and no other field has one.
Usage: check_manual.py SCHEMA MANUAL. A table without one of the rows must be refused."""
import json
import re
import sys


def errors(fields, text):
    section = text.split('\n## Fields\n', 1)[1].split('\n## ', 1)[0]
    rows = {}
    for line in section.split('\n'):
        cells = [c.strip() for c in line.strip().strip('|').split('|')]
        name = re.fullmatch(r'`(\w+)`', cells[0])
        if name:
            rows[name[1]] = cells[1:]
    found = [f'{f}: no row' for f in fields if f not in rows]
    found += [f'{f}: not in the schema' for f in rows if f not in fields]
    found += [f'{f}: an empty cell' for f, cells in rows.items() if len(cells) != 4 or not all(cells)]
    return found


schema, manual = sys.argv[1:]
fields = json.load(open(schema))['properties']
text = open(manual, encoding='utf-8').read()
found = errors(fields, text)
for field in fields:  # each row is looked at: without it the check fails
    if not errors(fields, re.sub(rf'\n\| `{field}` [^\n]*', '', text)):
        found.append(f'self-test: a table without {field} passed')
print('\n'.join(found) or f'{len(fields)} fields, each in the manual')
sys.exit(1 if found else 0)
