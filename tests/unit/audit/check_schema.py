#!/usr/bin/env python3
"""Checks the leaves that `test_leaf --print` writes against leaf.schema.json, with the few schema words
that file uses. Usage: check_schema.py PROGRAM SCHEMA. A leaf spoiled on purpose must be refused."""
import json
import re
import subprocess
import sys


def errors(leaf, schema):
    found = [f'missing {name}' for name in schema['required'] if name not in leaf]
    for name, value in leaf.items():
        rule = schema['properties'].get(name)
        if rule is None:
            found.append(f'{name} is not in the schema')
            continue
        kinds = {'string': str, 'integer': int, 'array': list}
        if 'type' in rule and not isinstance(value, kinds[rule['type']]):
            found.append(f'{name}: not a {rule["type"]}')
            continue
        if 'const' in rule and value != rule['const']:
            found.append(f'{name}: not {rule["const"]}')
        if 'enum' in rule and value not in rule['enum']:
            found.append(f'{name}: {value!r} is not in the list')
        if 'pattern' in rule and not re.fullmatch(rule['pattern'], value):  # '$' alone lets a newline by
            found.append(f'{name}: pattern')
        if isinstance(value, str) and not rule.get('minLength', 0) <= len(value) <= rule.get('maxLength', 9999):
            found.append(f'{name}: length')
        if isinstance(value, int) and not rule.get('minimum', 0) <= value <= rule.get('maximum', 1 << 64):
            found.append(f'{name}: range')
        if isinstance(value, list):
            if len(set(value)) != len(value) or len(value) < rule['minItems']:
                found.append(f'{name}: items')
            found += [f'{name}: {v!r}' for v in value if v not in rule['items']['enum']]
    return found


def main(program, schema_file):
    schema = json.load(open(schema_file))
    text = subprocess.run([program, '--print'], capture_output=True, check=True, text=True).stdout
    leaves = [json.loads(line) for line in text.splitlines() if line]
    bad = 0
    for leaf in leaves:
        for error in errors(leaf, schema):
            print(error)
            bad += 1
        if json.dumps(leaf, sort_keys=True, separators=(',', ':'), ensure_ascii=False) not in text:
            print('a leaf is not canonical')
            bad += 1
    seen = {name for leaf in leaves for name in leaf}
    for name in set(schema['properties']) - seen:
        print(f'no leaf has {name}')
        bad += 1
    if {leaf['action'] for leaf in leaves} != set(schema['properties']['action']['enum']):
        print('actions of the schema and of the program differ')
        bad += 1
    spoiled = [dict(leaves[0], extra=1), dict(leaves[0], v=2), dict(leaves[0], claimed='a\n'),
               dict(leaves[0], masked=['name', 'name']), {'v': 1}]
    for leaf in spoiled:
        if not errors(leaf, schema):
            print('control: a spoiled leaf was accepted')
            bad += 1
    print(f'{len(leaves)} leaves, {bad} errors')
    return 1 if bad or not leaves else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], sys.argv[2]))
