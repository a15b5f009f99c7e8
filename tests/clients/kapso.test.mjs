// @kapso/whatsapp-cloud-api, unchanged, with Sluis as its base URL.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'node:test';

import { WhatsAppClient } from '@kapso/whatsapp-cloud-api';

import { customer, during, faults, metaToken, phoneId, token, toolsUrl, wabaId } from './world.mjs';

const client = new WhatsAppClient({ accessToken: token, baseUrl: toolsUrl });
const to = `+${customer}`;

// One request reached Meta, with the gateway's token, and its body as JSON.
function only(reached) {
    assert.equal(reached.length, 1, 'one request reaches Meta');
    assert.equal(reached[0].authorization, `Bearer ${metaToken}`);
    assert.ok(!JSON.stringify(reached[0]).includes(token), "the tool's token does not leave");
    return JSON.parse(reached[0].body);
}

async function sends(fn) {
    const { result, error, reached } = await during(fn);
    assert.ifError(error);
    assert.match(result.messages[0].id, /^wamid\./);
    return only(reached);
}

test('text', async () => {
    const body = await sends(() =>
        client.messages.sendText({ phoneNumberId: phoneId, to, body: 'Goedemiddag, waarmee kan ik u helpen? é 👍' }));
    assert.equal(body.text.body, 'Goedemiddag, waarmee kan ik u helpen? é 👍');
    assert.equal(body.to, to);
});

test('text with a BSN is refused in Meta\'s shape and does not leave', async () => {
    const { error, reached } = await during(() =>
        client.messages.sendText({ phoneNumberId: phoneId, to, body: 'Uw BSN is 111222333, klopt dat?' }));
    assert.equal(reached.length, 0);
    assert.ok(error, 'refused');
    assert.equal(error.constructor.name, 'GraphApiError');
    assert.equal(error.httpStatus ?? error.status, 403);
    assert.ok(error.code >= 900001 && error.code <= 900099, `own code, not ${error.code}`);
});

test('template', async () => {
    const body = await sends(() => client.messages.sendTemplate({
        phoneNumberId: phoneId, to,
        template: {
            name: 'afspraak_bevestigd', language: { code: 'nl' },
            components: [{ type: 'body', parameters: [{ type: 'text', text: 'donderdag 10:00' }] }],
        },
    }));
    assert.equal(body.template.name, 'afspraak_bevestigd');
    assert.equal(body.template.components[0].parameters[0].text, 'donderdag 10:00');
});

test('a PAN in a template parameter is refused', async () => {
    const { error, reached } = await during(() => client.messages.sendTemplate({
        phoneNumberId: phoneId, to,
        template: {
            name: 'afspraak_bevestigd', language: { code: 'nl' },
            components: [{ type: 'body', parameters: [{ type: 'text', text: 'kaart 4111 1111 1111 1111' }] }],
        },
    }));
    assert.ok(error);
    assert.equal(reached.length, 0);
});

test('buttons', async () => {
    const body = await sends(() => client.messages.sendInteractiveButtons({
        phoneNumberId: phoneId, to, bodyText: 'Wilt u een afspraak?',
        buttons: [{ id: 'ja', title: 'Ja' }, { id: 'nee', title: 'Nee' }],
    }));
    assert.deepEqual(body.interactive.action.buttons.map((b) => b.reply.id), ['ja', 'nee']);
});

test('list', async () => {
    const body = await sends(() => client.messages.sendInteractiveList({
        phoneNumberId: phoneId, to, bodyText: 'Kies een tijd', buttonText: 'Tijden',
        sections: [{ title: 'Donderdag', rows: [{ id: 'd10', title: '10:00', description: 'Balie 3' }] }],
    }));
    assert.equal(body.interactive.action.sections[0].rows[0].description, 'Balie 3');
});

test('location, contacts, reaction', async () => {
    const place = await sends(() => client.messages.sendLocation({
        phoneNumberId: phoneId, to,
        location: { latitude: 52.3731, longitude: 4.8932, name: 'Stadhuis', address: 'Amstel 1' },
    }));
    assert.equal(place.location.latitude, 52.3731);
    const card = await sends(() => client.messages.sendContacts({
        phoneNumberId: phoneId, to,
        contacts: [{ name: { formattedName: 'Balie', firstName: 'Balie' }, phones: [{ phone: '+31201234567', type: 'WORK' }] }],
    }));
    assert.equal(card.contacts[0].name.formatted_name, 'Balie');
    const thumb = await sends(() => client.messages.sendReaction({
        phoneNumberId: phoneId, to, reaction: { messageId: 'wamid.HBgLMzE2MTIzNDU2NzgVAgARGBI1QTRB', emoji: '👍' },
    }));
    assert.equal(thumb.reaction.emoji, '👍');
});

test('mark as read and typing', async () => {
    const { result, error, reached } = await during(() => client.messages.markRead({
        phoneNumberId: phoneId, messageId: 'wamid.HBgLMzE2MTIzNDU2NzgVAgARGBI1QTRB', typingIndicator: { type: 'text' },
    }));
    assert.ifError(error);
    assert.equal(result.success, true);
    assert.equal(only(reached).typing_indicator.type, 'text');
});

test('media: upload, metadata, bytes, delete', async () => {
    const bytes = Buffer.from('%PDF-1.4 een formulier zonder gegevens');
    const { result: up, error, reached } = await during(() => client.media.upload({
        phoneNumberId: phoneId, type: 'application/pdf', fileName: 'formulier.pdf',
        file: new Blob([bytes], { type: 'application/pdf' }),
    }));
    assert.ifError(error);
    assert.match(up.id, /^\d+$/);
    assert.equal(reached.length, 1);
    const meta = await client.media.get({ mediaId: up.id, phoneNumberId: phoneId });
    const hash = createHash('sha256').update(bytes).digest('hex');
    assert.equal(meta.sha256, hash);
    assert.equal(new URL(meta.url).origin, new URL(toolsUrl).origin, "bytes come by the gateway's own URL");
    const got = Buffer.from(await client.media.download({ mediaId: up.id, phoneNumberId: phoneId, auth: 'always' }));
    assert.deepEqual(got, bytes);
    assert.equal((await client.media.delete({ mediaId: up.id, phoneNumberId: phoneId })).success, true);
});

test('an unknown media id is refused and not asked of Meta', async () => {
    const { error, reached } = await during(() => client.media.get({ mediaId: '123456789012345' }));
    assert.ok(error);
    assert.equal(reached.length, 0);
});

test('media by link is refused with a reason', async () => {
    const { error, reached } = await during(() => client.messages.sendImage({
        phoneNumberId: phoneId, to, image: { link: 'https://voorbeeld.example/foto.jpg', caption: 'De balie' },
    }));
    assert.equal(reached.length, 0);
    assert.ok(error.code >= 900001 && error.code <= 900099);
});

test('templates, page by page, without leaving the gateway', async () => {
    const first = await client.templates.list({ businessAccountId: wabaId, limit: 2 });
    assert.equal(first.data.length, 2);
    const next = new URL(first.paging.next);
    assert.equal(next.origin, new URL(toolsUrl).origin);
    assert.ok(!first.paging.next.includes(metaToken));
    const second = await (await client.fetch(next)).json();
    assert.equal(second.data[0].name, 'verhuizing');
    assert.ok(!second.paging?.next);
});

test('phone number', async () => {
    const number = await client.request('GET', phoneId, { responseType: 'json' });
    assert.equal(number.id ?? number.Id, phoneId);
});

test('Meta\'s errors and rate limits arrive as they are', async () => {
    for (const [code, status] of [[130429, 429], [131056, 400], [131047, 400], [131000, 500]]) {
        await faults('graph', { kind: 'status', code, count: 1, path: '/messages' });
        const { error, reached } = await during(() =>
            client.messages.sendText({ phoneNumberId: phoneId, to, body: 'Nog een moment geduld' }));
        assert.equal(reached.length, 1, 'asked once, never repeated');
        assert.equal(error?.code, code);
        assert.equal(error.httpStatus ?? error.status, status);
    }
    await faults('graph', {});
});

test('an unknown outcome is told as such, and the message is not sent twice', async () => {
    await faults('graph', { kind: 'close', count: 1, path: '/messages' });
    const { error, reached } = await during(() =>
        client.messages.sendText({ phoneNumberId: phoneId, to, body: 'Komt dit aan?' }));
    await faults('graph', {});
    assert.equal(reached.length, 1);
    assert.equal(error?.httpStatus ?? error?.status, 504);
    assert.ok(error.code >= 900001 && error.code <= 900099);
});

test('a wrong token learns nothing', async () => {
    const stranger = new WhatsAppClient({ accessToken: `sluis_${'A'.repeat(43)}`, baseUrl: toolsUrl });
    const { error, reached } = await during(() =>
        stranger.messages.sendText({ phoneNumberId: phoneId, to, body: 'Hallo' }));
    assert.equal(reached.length, 0);
    assert.equal(error?.httpStatus ?? error?.status, 401);
});
