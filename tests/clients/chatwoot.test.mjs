// Chatwoot's calls in the order in which it makes them, under the host names and with the token places it
// uses: messages, templates and media over the configured base URL, the rest fixed to graph.facebook.com.
import assert from 'node:assert/strict';
import test from 'node:test';

import { asMeta, customer, during, graph, metaToken, phoneId, token, wabaId } from './world.mjs';

const bearer = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
const call = (method, path, options) => asMeta('graph.facebook.com', method, path, options);
const post = (path, payload) => call('POST', path, { headers: bearer, body: JSON.stringify(payload) });
const get = (path) => call('GET', path, { headers: bearer });
const first = graph().length;

test('inbox creation: the number, then registration and webhook override, answered here', async () => {
    const number = await get(`/v22.0/${phoneId}`);
    assert.equal(number.status, 200);
    assert.equal(number.json.code_verification_status, 'VERIFIED');
    const { result, reached } = await during(async () => [
        await post(`/v22.0/${phoneId}/register`, { messaging_product: 'whatsapp', pin: '212834' }),
        await post(`/v22.0/${wabaId}/subscribed_apps`, {
            override_callback_uri: 'https://chatwoot.intern/webhooks/whatsapp/+31201234567', verify_token: 'geheim',
        }),
        await call('DELETE', `/v22.0/${wabaId}/subscribed_apps`, { headers: bearer }),
        await post(`/v22.0/${phoneId}`, { webhook_configuration: { override_callback_uri: 'https://x.example' } }),
    ]);
    for (const answer of result) {
        assert.equal(answer.status, 200);
        assert.equal(answer.json.success, true);
    }
    assert.equal(reached.length, 0, 'no set-up call leaves');
});

test('debug_token is answered here, oauth refused', async () => {
    const { result, reached } = await during(async () => [
        await get(`/v22.0/debug_token?input_token=${token}`),
        await get('/v22.0/oauth/access_token?client_id=1&code=x'),
    ]);
    assert.equal(result[0].status, 200);
    assert.equal(result[0].json.data.is_valid, true);
    assert.ok(result[1].status >= 400 && result[1].json.error);
    assert.equal(reached.length, 0);
});

test('template sync with the token in the query, following paging.next', async () => {
    let path = `/v14.0/${wabaId}/message_templates?access_token=${token}`;
    const names = [];
    for (let pages = 0; path && pages < 5; pages++) {
        const page = await call('GET', path);
        assert.equal(page.status, 200);
        names.push(...page.json.data.map((t) => t.name));
        assert.ok(!page.bytes.includes(metaToken), "Meta's token is not in the answer");
        const next = page.json.paging?.next;
        if (next) assert.equal(new URL(next).hostname, 'graph.facebook.com', 'stays under the name it came by');
        path = next && new URL(next).pathname + new URL(next).search;
    }
    assert.deepEqual(names, ['afspraak_bevestigd', 'paspoort_klaar', 'verhuizing']);
});

test('text', async () => {
    const { result, reached } = await during(() => post(`/v13.0/${phoneId}/messages`, {
        messaging_product: 'whatsapp', context: {}, to: customer, text: { body: 'Wij kijken het na.' }, type: 'text',
    }));
    assert.equal(result.status, 200);
    assert.match(result.json.messages[0].id, /^wamid\./);
    assert.equal(JSON.parse(reached[0].body).text.body, 'Wij kijken het na.');
});

test('attachment by link: 403 with a reason, never 401', async () => {
    const { result, reached } = await during(() => post(`/v13.0/${phoneId}/messages`, {
        messaging_product: 'whatsapp', context: {}, to: customer, type: 'image',
        image: { link: 'https://chatwoot.intern/rails/active_storage/blobs/x/foto.jpg', caption: 'De balie' },
    }));
    assert.equal(result.status, 403);
    assert.ok(result.json.error.message.length > 10);
    assert.equal(reached.length, 0);
});

test('media: an id that no webhook brought is refused, not 401', async () => {
    const { result, reached } = await during(() => get(`/v13.0/987654321098765?phone_number_id=${phoneId}`));
    assert.ok(result.status >= 400 && result.status !== 401, String(result.status));
    assert.equal(reached.length, 0);
});

test('health', async () => {
    const answer = await call('GET', `/v22.0/${phoneId}?access_token=${token}&fields=quality_rating,` +
        'messaging_limit_tier,code_verification_status,account_mode,id,display_phone_number,name_status,' +
        'verified_name,webhook_configuration,throughput,last_onboarded_time,platform_type,certificate');
    assert.equal(answer.status, 200);
    assert.equal(answer.json.quality_rating, 'GREEN');
});

test('without a version, and under the name of the media host', async () => {
    assert.equal((await get(`/${phoneId}`)).status, 200);
    const { result, reached } = await during(() =>
        asMeta('lookaside.fbsbx.com', 'GET', '/whatsapp_business/attachments/?mid=1&ext=2&hash=x', { headers: bearer }));
    assert.ok(result.status >= 400);
    assert.equal(reached.length, 0);
});

test('Graph\'s other doors are shut: method, batch, ids, forms, other numbers', async () => {
    const { result, reached } = await during(async () => [
        await get(`/v22.0/${phoneId}?method=delete`),
        await get(`/v22.0/?ids=${phoneId},${wabaId}`),
        await post('/v22.0/', { batch: [{ method: 'GET', relative_url: phoneId }] }),
        await get(`/v22.0/${phoneId}/messages?callback=x`),
        await call('POST', `/v22.0/${phoneId}/messages`, {
            headers: { ...bearer, 'Content-Type': 'application/x-www-form-urlencoded' },
            body: `messaging_product=whatsapp&to=${customer}&type=text&text={"body":"hoi"}`,
        }),
        await post('/v22.0/106540352242999/messages', {
            messaging_product: 'whatsapp', to: customer, type: 'text', text: { body: 'hoi' },
        }),
        await get('/v22.0/me'),
    ]);
    for (const answer of result) {
        assert.ok(answer.status >= 400, String(answer.status));
        assert.ok(answer.json?.error?.code, 'Graph-shaped');
    }
    assert.equal(reached.length, 0);
});

test('over the whole run only allowed calls left, all with the gateway\'s token', () => {
    const left = graph().slice(first);
    assert.ok(left.length >= 4);
    for (const request of left) {
        assert.equal(request.setup, false, `${request.method} ${request.target}`);
        assert.equal(request.authorization, `Bearer ${metaToken}`);
        assert.ok(!request.target.includes('access_token'), 'no token in a URL');
        assert.ok(!request.target.includes(token));
    }
});
