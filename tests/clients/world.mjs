// What the client tests share: addresses from the environment (tests/clients/run), the recordings of
// sluis-sim, and waiting.
import { existsSync, readFileSync } from 'node:fs';
import https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';

const need = (name) => {
    const value = process.env[name];
    if (!value) throw new Error(`${name} is not set: run tests/clients/run`);
    return value;
};

export const phoneId = need('PHONE_ID');
export const wabaId = need('WABA_ID');
export const toolsUrl = need('URL_TOOLS');
export const controlUrl = need('URL_CONTROL');
export const token = need('TOOL_TOKEN');
export const metaToken = need('META_TOKEN');
export const routeSecret = need('ROUTE_SECRET');
export const customer = '31612345678';

export const lines = (file) =>
    existsSync(file)
        ? readFileSync(file, 'utf8').split('\n').slice(0, -1).map((line) => JSON.parse(line)) // the last may not be whole yet
        : [];

// What the gateway asks Meta for itself, a minute after its start: no tool's.
const own = /\/v24\.0\/\d+(\/subscribed_apps|\?fields=webhook_configuration)$/;

// Every request of a tool that reached Meta's side so far.
export const graph = () =>
    lines(`${need('STACK_DIR')}/graph.jsonl`).filter((one) => !(one.method === 'GET' && own.test(one.target)));

// What reached Meta while `fn` ran, with what it returned or threw.
export async function during(fn) {
    const before = graph().length;
    let result, error;
    try {
        result = await fn();
    } catch (thrown) {
        error = thrown;
    }
    return { result, error, reached: graph().slice(before) };
}

export async function faults(side, settings) {
    const answer = await fetch(`${controlUrl}/${side}/faults`, {
        method: 'POST',
        body: JSON.stringify(settings),
    });
    if (!answer.ok) throw new Error(await answer.text());
}

export async function until(what, seconds = 60) {
    for (const end = Date.now() + seconds * 1000; Date.now() < end; await sleep(50))
        if (await what()) return true;
    return false;
}

// One request to the tools listener under a name of Meta's: what a tool with a fixed address does when its host
// file points there. SNI, Host and the certificate are all of that name.
export function asMeta(host, method, path, { body, headers = {} } = {}) {
    const { port } = new URL(toolsUrl);
    return new Promise((resolve, reject) => {
        const request = https.request(
            { host: '127.0.0.1', port, servername: host, method, path, headers: { Host: host, ...headers } },
            (answer) => {
                const chunks = [];
                answer.on('data', (chunk) => chunks.push(chunk));
                answer.on('end', () => {
                    const bytes = Buffer.concat(chunks);
                    let json;
                    try {
                        json = JSON.parse(bytes.toString());
                    } catch { /* bytes then */ }
                    resolve({ status: answer.statusCode, headers: answer.headers, bytes, json });
                });
            },
        );
        request.on('error', reject);
        request.end(body);
    });
}
