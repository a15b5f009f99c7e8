#!/usr/bin/env python3
"""The OpenAPI document against the permission table and the running gateway. Usage: openapi_check.py SOCKET TABLE_H

Every path and method of /sluis/v1/ in the table stands in the document, with its doors, and the reverse; nothing answers
"any". Every endpoint of the control socket's door is asked: with what it must refuse (problem+json), and, where that
harms nothing, with what it must do; bodies and answers are validated against the document's schemas. The validator must
refuse a spoiled answer, a document with a path too few must be seen, and a schema that says nothing."""
import http.client
import json
import re
import socket
import sys

SOCKET, TABLE = sys.argv[1:3]
POLICY = open(sys.argv[3]).read()


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
             'additionalProperties', 'maxItems', 'description'}  # beside $ref
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
    return {(m.lower(), '/' + path): door for _, m, path, _, door in rows if path.startswith('sluis/v1/')}


def missing(doc, rows):
    there = {(m, p): o['x-doors'] for p, ops in doc['paths'].items() for m, o in ops.items()}
    doors = {'DOOR_BOTH': 'admin control', 'DOOR_ADMIN': 'admin', 'DOOR_CONTROL': 'control'}
    return [f'not in the document: {r}' for r in sorted(rows.keys() - there.keys())] + \
           [f'not in the table: {r}' for r in sorted(there.keys() - rows.keys())] + \
           [f'{r}: other doors' for r in there.keys() & rows.keys() if there[r] != doors[rows[r]]]


def vague(schema, at):
    """Where a schema lets anything pass. `content` and the like are what others sent."""
    if schema is True or schema == {}:
        return [at]
    if 'items' in schema:
        return vague(schema['items'], at + '[]')
    return [v for k, s in schema.get('properties', {}).items() for v in vague(s, f'{at}.{k}')]


found, asked, done = [], 0, set()


def call(method, path, body=None, expect=None, real=None):
    """Asks, validates; real: the path with its {id} and query filled in."""
    global asked
    operation = doc['paths'][path][method]
    name = f'{method} {path}'
    if body is not None and expect == 'done':
        schema = operation['requestBody']['content']['application/json']['schema']
        found.extend(f'{name} (body) {e}' for e in errors(body, schema, doc))
    status, kind, text = ask(method.upper(), real or path, None if body is None else json.dumps(body))
    asked += 1
    kind = kind.split(';')[0]
    answer = operation['responses'].get(str(status))
    if answer:
        if expect == 'refused':
            found.append(f'{name}: {status} for what it must refuse')
        done.add((method, path))
        if kind not in answer['content']:
            found.append(f'{name}: {kind} is not in the document')
        elif kind == 'application/json':
            value = json.loads(text)
            found.extend(f'{name} {e}' for e in errors(value, answer['content'][kind]['schema'], doc))
            return value
    else:
        if expect == 'done':
            found.append(f'{name}: {status} {text[:120]}')
        if kind != 'application/problem+json':
            found.append(f'{name}: {status} {kind}: not problem+json')
        else:
            problem = json.loads(text)
            found.extend(f'{name} {e}' for e in errors(problem, doc['components']['schemas']['Problem'], doc))
            if problem.get('status') != status:
                found.append(f'{name}: the problem says another status')
    return {}


QUERY = {'/sluis/v1/statistics': '?channel=burgerzaken&by=hour', '/sluis/v1/log/deliveries': '?route=burgerzaken/webcare',
         '/sluis/v1/log/incident': '?from=2020-01-01&to=2099-01-01', '/sluis/v1/log/export': '?from=0&size=1',
         '/sluis/v1/purge/report': '?from=0&to=4000000000000'}
# They do something whatever the body says, or need another program.
UNASKED = {'/sluis/v1/keys/rotate', '/sluis/v1/keys/clock-accept', '/sluis/v1/doctor/meta'}

status, kind, body = ask('GET', '/sluis/v1/openapi.json')
doc = json.loads(body)
rows = table_rows()
found += [] if status == 200 and doc['openapi'].startswith('3.1') else ['no document']
found += missing(doc, rows)
for path, operations in doc['paths'].items():
    for method, operation in operations.items():
        schemas = [c['schema'] for r in operation['responses'].values() if 'content' in r for c in r['content'].values()]
        schemas += [operation['requestBody']['content']['application/json']['schema']] if 'requestBody' in operation else []
        found += [f'{method} {path}: {v} is "any"' for s in schemas for v in vague(s, '$')]
        if 'control' not in operation['x-doors'] or path in UNASKED:
            continue
        real = path.replace('{id}', '4242')
        if method == 'get':
            call(method, path, None, 'done' if path != '/sluis/v1/backup' else None, real + QUERY.get(path, ''))
            if path in QUERY:  # what it is asked with is read: nonsense is refused
                call(method, path, None, 'refused', real + re.sub('=[^&]*', '=%21', QUERY[path]))
        elif operation.get('requestBody', {}).get('required') or '{id}' in path:
            call(method, path, {'nonsense': 1} if method == 'post' else None, 'refused', real)
            if 'requestBody' in operation:
                status, kind, text = ask('POST', real, '{"nonsense":')
                if status != 400 or kind != 'application/problem+json':
                    found.append(f'{method} {path}: half a body: {status} {kind}')
V1, P = '/sluis/v1/', {'channel': 'burgerzaken', 'contact': '+31612345678'}
ID = {'identifier': '+31612345678'}
for name, body in (('history/messages', P), ('history/conversations', {'channel': 'burgerzaken'}),
                   ('history/search', {'channel': 'burgerzaken', 'from': '2020-01-01', 'to': '2099-01-01',
                                       'words': ['zaterdag'], 'purpose': 'toets', 'reference': '1'}),
                   ('history/export', P), ('history/expiring', {'channel': 'burgerzaken', 'before': '2099-01-01'}),
                   ('log/checkpoint', None), ('reload', None), ('doctor/store', {}), ('doctor/route', {'route': 'burgerzaken/webcare'}),
                   ('purge', {'dry_run': True}), ('purge', {}), ('subjects/find', ID), ('subjects/export', ID),
                   ('subjects/restrict', ID), ('subjects/restrict', {**ID, 'lift': True}),
                   ('subjects/hold', {**ID, 'reason': 'toets', 'author': 'jurist'}), ('subjects/release', ID),
                   ('policy/replay', {'from': 0, 'to': 4000000000000, 'old': POLICY, 'new': POLICY.replace('redact', 'keep')}),
                   ('consent', {'entries': [{'contact': '+31612345678', 'basis': 'customer', 'source': 'balie'}], 'dry_run': True}),
                   ('consent/list', {'channel': 'burgerzaken', 'contact': '+31612345678'}),
                   ('backup/verify', {'from': '/nowhere'})):
    call('post', V1 + name, body, 'done')
token = call('post', V1 + 'tokens', {'name': 'toets', 'channels': ['burgerzaken'], 'route': 'burgerzaken/webcare'}, 'done')
token_at = f'{V1}tokens/{token.get("id")}'
call('post', V1 + 'tokens/{id}/rotate', {'overlap_s': 60}, 'done', token_at + '/rotate')
call('delete', V1 + 'tokens/{id}', None, 'done', token_at)
person = call('post', V1 + 'persons', {'name': 'toets'}, 'done')
person_at = f'{V1}persons/toets'
call('post', V1 + 'persons/{id}/reset', None, 'done', person_at + '/reset')
grant = call('post', V1 + 'roles', {'person': 'toets', 'role': 'auditor', 'channels': 'all'})
call('get', V1 + 'roles', None, 'done')
call('delete', V1 + 'roles/{id}', None, None, f'{V1}roles/{grant.get("id", 0)}')
call('delete', V1 + 'persons/{id}', None, 'done', person_at)
for path in ('/sluis/v1/nothing', '/sluis/v2/log'):
    status, kind, text = ask('GET', path)
    if status != 404 or kind != 'application/problem+json':
        found.append(f'{path}: {status} {kind}')
# the checks can fail
if not missing({'paths': {p: o for p, o in list(doc['paths'].items())[1:]}}, rows):
    found.append('self-test: a path too few was not seen')
spoiled = json.loads(ask('POST', '/sluis/v1/history/conversations', '{"channel":"burgerzaken"}')[2])
spoiled['conversations'][0]['last'] = 'gisteren'
del spoiled['cursor']
schema = doc['paths']['/sluis/v1/history/conversations']['post']['responses']['200']['content']['application/json']['schema']
if len(errors(spoiled, schema, doc)) != 2:
    found.append('self-test: a spoiled answer passed')
if vague({'type': 'object', 'properties': {'a': {'type': 'array', 'items': True}}}, '$') != ['$.a[]']:
    found.append('self-test: a schema that says nothing passed')
print('\n'.join(found) or f'{len(rows)} endpoints in table and document, {asked} requests, {len(done)} endpoints did what they do')
sys.exit(1 if found else 0)
