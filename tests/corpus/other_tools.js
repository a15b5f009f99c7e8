/*
 * The corpus through redact-pii and @openredaction/openredaction, findings as evaluate.py reads them.
 *
 *     node other_tools.js FOLDER TOOL < corpus.jsonl > findings.jsonl
 *
 * FOLDER holds node_modules (npm install --ignore-scripts @openredaction/openredaction redact-pii, outside the
 * tree); TOOL is redact-pii or openredaction. Types are left out: what counts is what is masked
 * (evaluate.py --masking). Microseconds a message go to standard error. Neither tool knows earlier messages.
 */
'use strict';
const path = require('path');
const { createRequire } = require('module');
const load = createRequire(path.join(path.resolve(process.argv[2]), 'x.js'));
const tool = process.argv[3];

/* UTF-16 offsets to code points. */
function points(text, at) {
    return Array.from(text.slice(0, at)).length;
}

/* redact-pii answers with the masked text only: what stands between the marks is looked up in order. */
const MARK = '\uE000';
function fromMasked(text, masked) {
    const out = [];
    let at = 0;
    const kept = masked.split(MARK);
    kept.forEach((piece, k) => {
        if (k === 0) {
            at = piece.length;
            return;
        }
        const found = k === kept.length - 1 ? text.length - piece.length : text.indexOf(piece, at + 1);
        const start = at;
        const next = found < 0 ? text.length : found;
        if (next > start)
            out.push([start, next]);
        at = next + piece.length;
    });
    return out;
}

async function main() {
    let judge;
    if (tool === 'redact-pii') {
        const { SyncRedactor } = load('redact-pii');
        const redactor = new SyncRedactor({ globalReplaceWith: MARK });
        judge = async (text) => fromMasked(text, redactor.redact(text));
    } else {
        const { OpenRedaction } = load('@openredaction/openredaction');
        const shield = new OpenRedaction();
        judge = async (text) => (await shield.detect(text)).detections.map((d) => d.position);
    }
    const rows = require('fs').readFileSync(0, 'utf8').trim().split('\n').map((l) => JSON.parse(l));
    for (const row of rows.slice(0, 50))
        await judge(row.text);
    const start = process.hrtime.bigint();
    const all = [];
    for (const row of rows)
        all.push(await judge(row.text));
    const us = Number(process.hrtime.bigint() - start) / 1000 / rows.length;
    rows.forEach((row, k) => {
        const findings = all[k].map(([start, end]) => ({
            type: 'any', start: points(row.text, start), end: points(row.text, end),
        }));
        process.stdout.write(JSON.stringify({ id: row.id, findings }) + '\n');
    });
    process.stderr.write(`${tool}: ${us.toFixed(0)} us a message\n`);
}

main();
