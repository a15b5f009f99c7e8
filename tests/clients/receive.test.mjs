// @chat-adapter/whatsapp receives what Sluis delivers, with its signature check on. WhatsApp's side is
// sluis-sim; the route points at the server below.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import http from 'node:http';
import test, { after, before } from 'node:test';
import { promisify } from 'node:util';

import { createMemoryState } from '@chat-adapter/state-memory';
import { createWhatsAppAdapter } from '@chat-adapter/whatsapp';
import { Chat } from 'chat';

import { phoneId, routeSecret, token, toolsUrl, until } from './world.mjs';

const port = Number(process.env.RECEIVE_PORT);
const texts = [], actions = [], reactions = [], posts = [];
let server;

before(async () => {
    const whatsapp = createWhatsAppAdapter({
        accessToken: token, appSecret: routeSecret, phoneNumberId: phoneId, verifyToken: 'x', apiUrl: toolsUrl,
    });
    const bot = new Chat({ userName: 'webcare', adapters: { whatsapp }, state: createMemoryState(), logger: 'silent' });
    bot.onDirectMessage((_thread, message) => { texts.push(message.text); });
    bot.onAction((event) => { actions.push(event.value); });
    bot.onReaction((event) => { reactions.push(event.rawEmoji); });
    server = http.createServer((request, response) => {
        const chunks = [];
        request.on('data', (chunk) => chunks.push(chunk));
        request.on('end', async () => {
            const body = Buffer.concat(chunks);
            const answer = await bot.webhooks.whatsapp(new Request(`http://localhost:${port}${request.url}`, {
                method: request.method, headers: request.headers, body,
            }));
            posts.push({ status: answer.status, headers: request.headers, body: body.toString() });
            response.writeHead(answer.status).end(await answer.text());
        });
    });
    await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
});
after(() => server.close());

const deliver = async (file) => promisify(execFile)('bash', ['-c',
    `bin=$BIN dir=$STACK_DIR; source "$SLUIS_TOP/proxy/stack.sh"; URL_META=$URL_META CA=$CA; stack_send "$SLUIS_TOP/tests/scenario/${file}"`]);

test('the adapter\'s own check is on: forged and unsigned posts are refused', async () => {
    const body = '{"object":"whatsapp_business_account","entry":[]}';
    const forged = createHmac('sha256', 'another').update(body).digest('hex');
    for (const headers of [{ 'X-Hub-Signature-256': `sha256=${forged}` }, {}]) {
        const answer = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', headers, body });
        assert.equal(answer.status, 401);
    }
    posts.length = 0;
});

test('a conversation arrives masked, and every delivery passes the check', async () => {
    await deliver('demo.sim');
    assert.ok(await until(() => texts.length >= 6), `${texts.length} of 6 arrived`);
    assert.ok(posts.every((p) => p.status === 200));
    const all = texts.join('\n');
    assert.match(all, /parkeervergunning/);
    assert.match(all, /zaterdag! 👍/);
    for (const number of [/0417 ?1643/, /111222333/, /4111 ?1111/]) assert.doesNotMatch(all, number);
});

test('one message per POST, pure ASCII, with delivery headers', () => {
    for (const post of posts) {
        assert.match(post.body, /^[\x00-\x7e]*$/);
        assert.ok(post.headers['x-sluis-delivery']);
        assert.ok(Number(post.headers['x-sluis-attempt']) >= 1);
        const changes = JSON.parse(post.body).entry.flatMap((e) => e.changes);
        assert.equal(changes.length, 1);
        const { messages = [], statuses = [], metadata } = changes[0].value;
        assert.equal(messages.length + statuses.length, 1);
        assert.equal(metadata.phone_number_id, phoneId);
    }
});

test('every type of message arrives in a form that the adapter takes', async () => {
    const before = posts.length;
    await deliver('types.sim');
    assert.ok(await until(() => reactions.length >= 1 && actions.length >= 3), `${reactions.length} ${actions.length}`);
    assert.ok(await until(() => texts.some((t) => /derde van een bundel/.test(t))));
    assert.deepEqual(actions.slice().sort(), ['Afspraak maken', 'do-10', 'ja']);
    assert.equal(reactions[0], '👍');
    assert.ok(await until(() => posts.length - before >= 20), `${posts.length - before} of 20 arrived`);
    const late = posts.slice(before);
    assert.ok(late.length >= 20);
    for (const post of late) {
        assert.equal(post.status, 200);
        for (const leak of [/0417164300/, /111222333/, /4111 ?1111/, /lookaside\.fbsbx\.com/, /fbcdn\.net/])
            assert.doesNotMatch(post.body, leak);
    }
});
