#!/usr/bin/env python3
"""The OpenAPI document against the permission table and the running gateway. Usage: openapi_check.py SOCKET TABLE_H

Every path and method of /sluis/v1/ in the table stands in the document and the reverse; every GET of the control
socket's door is asked, and its answer (or its refusal: problem+json) validated against the document's schema; every
POST of history is asked with a bad body and must give problem+json. The validator must refuse a spoiled answer, and
a document with a path too few must be seen."""
import http.client
import json
import re
import socket
import sys

SOCKET, TABLE = sys.argv[1:]


class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(SOCKET)


def ask(method, path, body=None):
    c = Unix('sluis')
    c.request(method, path, body=body, headers={'Content-Type': 'application/json'} if body is not None else {})
    r = c.getresponse()
    return r.status, r.getheader('Content-Type', ''), r.read()


TYPES = {'object': dict, 'array': list, 'string': str, 'boolean': bool, 'null': type(None)}


def is_type(value, name):
    if name in ('integer', 'number'):
        return isinstance(value, int if name == 'integer' else (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def errors(value, schema, doc, at='$'):
    """What of JSON Schema the document uses."""
    if schema is True:
        return []
    if '$ref' in schema:
        target = doc
        for part in schema['$ref'][2:].split('/'):
            target = target[part]
        return errors(value, target, doc, at)
    known = {'type', 'properties', 'required', 'items', 'enum', 'const', 'pattern', 'minimum', 'maximum', 'maxLength',
             'additionalProperties', 'maxItems', 'description'}
    found = [f'{at}: the checker does not know {k}' for k in schema if k not in known]
    if 'type' in schema:
        types = schema['type'] if isinstance(schema['type'], list) else [schema['type']]
        if not any(is_type(value, t) for t in types):
            return found + [f'{at}: not {types}']
    if 'enum' in schema and value not in schema['enum']:
        found.append(f'{at}: {value!r} is none of {schema["enum"]}')
    if 'const' in schema and value != schema['const']:
        found.append(f'{at}: not {schema["const"]!r}')
    if isinstance(value, str) and 'pattern' in schema and not re.search(schema['pattern'], value):
        found.append(f'{at}: {value!r} does not fit the pattern')
    if 'minimum' in schema and isinstance(value, int) and value < schema['minimum']:
        found.append(f'{at}: too small')
    if isinstance(value, dict):
        found += [f'{at}.{k}: missing' for k in schema.get('required', []) if k not in value]
        for k, v in value.items():
            sub = schema.get('properties', {}).get(k, schema.get('additionalProperties', True))
            found += [f'{at}.{k}: not allowed'] if sub is False else errors(v, sub, doc, f'{at}.{k}')
    if isinstance(value, list) and 'items' in schema:
        for i, v in enumerate(value):
            found += errors(v, schema['items'], doc, f'{at}[{i}]')
    return found


def table_rows():
    text = open(TABLE).read().split('#define PERMISSION_ENDPOINTS(X)')[1].split('\n\n')[0].replace('\\\n', ' ')
    rows = re.findall(r'X\(\s*(\w+),\s*(GET|POST|DELETE),\s*"([^"]+)",\s*(\w+),\s*(\w+),', text)
    return {(m.lower(), '/' + path) for _, m, path, _, door in rows if path.startswith('sluis/v1/')}


def missing(doc, rows):
    there = {(m, p) for p, ops in doc['paths'].items() for m in ops}
    return [f'not in the document: {r}' for r in sorted(rows - there)] + \
           [f'not in the table: {r}' for r in sorted(there - rows)]


QUERY = {'/sluis/v1/statistics': '?channel=burgerzaken&by=hour',
         '/sluis/v1/log/incident': '?from=2020-01-01&to=2099-01-01',
         '/sluis/v1/log/export': '?from=0&size=1',
         '/sluis/v1/purge/report': '?from=2020-01-01&to=2099-01-01'}

status, kind, body = ask('GET', '/sluis/v1/openapi.json')
doc = json.loads(body)
rows = table_rows()
found = [] if status == 200 and doc['openapi'].startswith('3.1') else ['no document']
found += missing(doc, rows)
problem = doc['components']['schemas']['Problem']
asked = 0
for path, operations in doc['paths'].items():
    for method, operation in operations.items():
        if 'control' not in operation['x-doors']:
            continue
        history = path.startswith('/sluis/v1/history/')
        if method != 'get' and not history:
            continue
        status, kind, body = ask(method.upper(), path.replace('{id}', '0') + QUERY.get(path, ''),
                                 '{"nonsense":1}' if history else None)
        asked += 1
        if status == 200:
            content = operation['responses']['200']['content']
            if kind.split(';')[0] not in content:
                found.append(f'{method} {path}: {kind} is not in the document')
            elif 'json' in kind and 'ndjson' not in kind:
                schema = content[kind.split(';')[0]]['schema']
                found += [f'{method} {path} {e}' for e in errors(json.loads(body), schema, doc)]
        elif kind != 'application/problem+json':
            found.append(f'{method} {path}: {status} {kind}: not problem+json')
        else:
            found += [f'{method} {path} {e}' for e in errors(json.loads(body), problem, doc)]
            if history and status != 400 or not history and status in (404, 405) and '{id}' not in path:
                found.append(f'{method} {path}: {status}')
for name, body in (('messages', '{"channel":"burgerzaken","contact":"+31612345678"}'),
                   ('conversations', '{"channel":"burgerzaken"}'),
                   ('search', '{"channel":"burgerzaken","from":"2020-01-01","to":"2099-01-01","words":["zaterdag"],'
                              '"purpose":"toets","reference":"1"}'),
                   ('export', '{"channel":"burgerzaken","contact":"+31612345678"}'),
                   ('expiring', '{"channel":"burgerzaken","before":"2099-01-01"}')):
    status, kind, text = ask('POST', f'/sluis/v1/history/{name}', body)
    schema = doc['paths'][f'/sluis/v1/history/{name}']['post']
    answer = json.loads(text)
    found += [f'{name}: {status}'] if status != 200 else []
    found += [f'{name} {e}' for e in errors(answer, schema['responses']['200']['content']['application/json']['schema'], doc)]
    found += [f'{name} (body) {e}'
              for e in errors(json.loads(body), schema['requestBody']['content']['application/json']['schema'], doc)]
# the checks can fail
if not missing({'paths': {p: o for p, o in list(doc['paths'].items())[1:]}}, rows):
    found.append('self-test: a path too few was not seen')
spoiled = json.loads(ask('POST', '/sluis/v1/history/conversations', '{"channel":"burgerzaken"}')[2])
spoiled['conversations'][0]['last'] = 'gisteren'
del spoiled['cursor']
schema = doc['paths']['/sluis/v1/history/conversations']['post']['responses']['200']['content']['application/json']['schema']
if len(errors(spoiled, schema, doc)) != 2:
    found.append('self-test: a spoiled answer passed')
print('\n'.join(found) or f'{len(rows)} endpoints in table and document, {asked + 5} asked')
sys.exit(1 if found else 0)
