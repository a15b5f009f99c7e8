#!/usr/bin/env python3
"""Precision, recall and F1 of a detector on the labelled corpus.

Usage: evaluate.py CORPUS FINDINGS [--part tuning|held-out|blind|blind-2|blind-3|all] [--misses] [--gate] [--name NAME]

FINDINGS are JSON lines {"id", "findings": [{"type", "start", "end", "back"?}]} as `sluis scan --jsonl`
writes them. A label is found when a finding of its type covers at least half of its letters and digits
(iban, bsn, pan: all of them, and no more than two others). A finding that touches no label of its type is
a false one; a message without labels that has any finding is "touched".
--gate: exit 1 when a target of issue 4 is missed (on the part chosen).
"""
import argparse
import collections
import json
import sys

PROVED = {'iban', 'bsn', 'pan'}
OFF_BY_DEFAULT = {'name', 'special'}
OFF = set(OFF_BY_DEFAULT)


def solid(text, start, end):
    return {k for k in range(start, end) if text[k].isalnum()}


def same(label, finding, text):
    if label['type'] != finding['type'] or label.get('back', 0) != finding.get('back', 0):
        return False
    want = solid(text, label['start'], label['end'])
    got = solid(text, finding['start'], min(finding['end'], len(text)))
    if label['type'] in PROVED:
        return want <= got and len(got - want) <= 2
    return len(want & got) * 2 >= len(want)


def touches(label, finding):
    return (label['type'] == finding['type'] and label.get('back', 0) == finding.get('back', 0)
            and finding['start'] < label['end'] and label['start'] < finding['end'])


def text_of(row, mark):
    back = mark.get('back', 0)
    return row['context'][-back]['text'] if back else row['text']


def evaluate(rows, found):
    count = collections.defaultdict(lambda: [0, 0, 0])  # hit, missed, false
    touched, harmless, misses, leaks = [], 0, [], 0
    for row in rows:
        findings = [f for f in found.get(row['id'], []) if f['type'] not in OFF]
        labels = row['labels']
        if not labels:
            harmless += 1
            if findings:
                touched.append(row['id'])
        for label in labels:
            text = text_of(row, label)
            hit = any(same(label, f, text) for f in findings)
            count[label['type']][0 if hit else 1] += 1
            if not hit:
                misses.append(('MISS', row, label, findings))
            covered = set()
            for f in findings:
                if f.get('back', 0) == label.get('back', 0):
                    covered |= set(range(f['start'], f['end']))
            leaks += not solid(text, label['start'], label['end']) <= covered
        for f in findings:
            if not any(touches(label, f) for label in labels):
                # another label masked under a different name is not a harmless value touched
                count[f['type']][2] += 1
                misses.append(('FALSE', row, f, findings))
    return count, touched, harmless, misses, leaks


def evaluate_masking(rows, found):
    """Whatever it is called: is at least half of a label masked, does every finding touch a label?"""
    table = {}
    for wanted in (PROVED, None):
        hit = missed = false = 0
        for row in rows:
            findings = [f for f in found.get(row['id'], []) if f['type'] not in OFF]
            for label in row['labels']:
                if wanted and label['type'] not in wanted:
                    continue
                covered = set()
                for f in findings:
                    if f.get('back', 0) == label.get('back', 0):
                        covered |= set(range(f['start'], f['end']))
                want = solid(text_of(row, label), label['start'], label['end'])
                half = len(want & covered) * 2 >= len(want)
                hit, missed = hit + half, missed + (not half)
            for f in findings:
                false += not any(touches(dict(label, type=f['type']), f) for label in row['labels'])
        table['iban+bsn+pan' if wanted else 'all types'] = (hit, missed, false)
    harmless = [r for r in rows if not r['labels']]
    touched = sum(bool([f for f in found.get(r['id'], []) if f['type'] not in OFF]) for r in harmless)
    return table, touched, len(harmless)


def ratios(hit, missed, false):
    recall = hit / (hit + missed) if hit + missed else 1.0
    precision = hit / (hit + false) if hit + false else 1.0
    f1 = 2 * recall * precision / (recall + precision) if recall + precision else 0.0
    return precision, recall, f1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('corpus')
    parser.add_argument('findings')
    parser.add_argument('--part', default='tuning', choices=['tuning', 'held-out', 'blind', 'blind-2', 'blind-3', 'all'])
    parser.add_argument('--misses', action='store_true')
    parser.add_argument('--masking', action='store_true', help='any type counts: for tools with other names')
    parser.add_argument('--all', action='store_true', help='name and special too')
    parser.add_argument('--gate', action='store_true')
    parser.add_argument('--json', action='store_true')
    args = parser.parse_args()
    rows = [json.loads(line) for line in open(args.corpus, encoding='utf-8')]
    if args.all:
        OFF.clear()
    else:  # messages of the types that are off say nothing
        rows = [r for r in rows if not r['labels'] or any(m['type'] not in OFF for m in r['labels'])]
    if args.part != 'all':
        rows = [r for r in rows if r['part'] == args.part]
    found = {}
    for line in open(args.findings, encoding='utf-8'):
        row = json.loads(line)
        found[row['id']] = row['findings']
    if args.masking:
        table, touched, harmless = evaluate_masking(rows, found)
        for name, counts in table.items():
            precision, recall, f1 = ratios(*counts)
            print(f'  {name:14} P {precision:.3f} R {recall:.3f} F1 {f1:.3f}; harmless messages touched {touched}/{harmless}')
        return 0
    count, touched, harmless, misses, leaks = evaluate(rows, found)
    if args.misses:
        for kind, row, mark, findings in misses:
            text = text_of(row, mark)
            context = ' || '.join(c['text'] for c in row.get('context', []))
            print(f"{kind} {mark['type']} [{text[mark['start']:mark['end']]}] {row['group']} #{row['id']}: "
                  f"{context} || {row['text']!r} {[(f['type'], f['score'], f['evidence'], f.get('back')) for f in findings]}")
    total = [sum(count[t][k] for t in PROVED) for k in range(3)]
    if args.json:
        print(json.dumps({'messages': len(rows), 'harmless': harmless, 'touched': len(touched), 'leaks': leaks,
                          'types': {t: count[t] for t in count}, 'proved': total}))
        return 0
    print(f'{args.part}: {len(rows)} messages, {harmless} without personal data, {len(touched)} of those touched')
    bad = bool(touched)
    for t in sorted(count):
        precision, recall, f1 = ratios(*count[t])
        print(f'  {t:14} P {precision:.3f} R {recall:.3f} F1 {f1:.3f}  (found {count[t][0]}, missed {count[t][1]}, false {count[t][2]})')
        if t in OFF_BY_DEFAULT:
            continue  # best effort
        bad |= recall < (0.99 if t in PROVED else 0.95) or (t in PROVED and precision < 0.99)
    precision, recall, f1 = ratios(*total)
    print(f'  iban+bsn+pan   P {precision:.3f} R {recall:.3f} F1 {f1:.3f}; labelled values not wholly covered by any finding: {leaks}')
    return 1 if args.gate and bad else 0


if __name__ == '__main__':
    sys.exit(main())
