// Drives the client against a running server, and against one that is hard to reach.
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { CombinedError } from '@urql/core';
import { WebSocket } from 'ws';

import { codes, connect } from '../src/client.js';
import { bookCreate, everyBook, orderCreate, orderPlace, orderStates, Refused } from '../src/shop.js';

const { BASE_URL = '', TENANT_TOKEN = '' } = process.env;
if (!BASE_URL || !TENANT_TOKEN) throw new Error('set BASE_URL and TENANT_TOKEN to run these tests');

const shop = connect({ origin: BASE_URL, token: () => TENANT_TOKEN, webSocket: WebSocket });

/** A title that no other run has. */
const newTitle = (what: string) => `acme ${what} ${crypto.randomUUID()}`;

async function titled(title: string): Promise<number> {
  let count = 0;
  for await (const book of everyBook(shop)) if (book.title === title) count += 1;
  return count;
}

/** Does to the first request what a bad day would, and passes the others on. Answers where it is. */
async function badDay(t: TestContext, first: (request: Request, response: ServerResponse) => Promise<void>) {
  let requests = 0;
  const server = createServer(async (incoming, response) => {
    const request = new Request(new URL(incoming.url ?? '/', BASE_URL), {
      method: incoming.method ?? 'GET',
      headers: forwarded(incoming),
      body: await bodyOf(incoming),
    });
    requests += 1;
    if (requests === 1) return first(request, response);
    const answer = await fetch(request);
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' });
    response.end(await answer.text());
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  return { origin: `http://127.0.0.1:${port}`, requests: () => requests };
}

function forwarded(incoming: IncomingMessage): Headers {
  const headers = new Headers();
  for (const name of ['accept', 'authorization', 'content-type', 'idempotency-key']) {
    const value = incoming.headers[name];
    if (typeof value === 'string') headers.set(name, value);
  }
  return headers;
}

async function bodyOf(incoming: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of incoming) body += chunk;
  return body;
}

test('pages are followed to the end, each book once', async () => {
  const ids: string[] = [];
  for await (const book of everyBook(shop, 7)) {
    assert.match(book.title, /^acme/i);
    ids.push(book.id);
  }
  assert.ok(ids.length > 14, `${ids.length} books are more than two pages`);
  assert.equal(new Set(ids).size, ids.length);
});

test('a call that is made again with its key changes the shop once', async () => {
  const title = newTitle('idempotent');
  const key = crypto.randomUUID();
  const once = await bookCreate(shop, { title }, key);
  const again = await bookCreate(shop, { title }, key);
  assert.deepEqual(again, once);
  assert.equal(await titled(title), 1);

  const other = bookCreate(shop, { title: newTitle('other') }, key);
  await assert.rejects(other, (error) => codes(error as CombinedError)[0] === 'IDEMPOTENCY_CONFLICT');
});

test('what the shop refuses is thrown with its codes, and changes nothing', async () => {
  const title = newTitle('refused');
  const refused = bookCreate(shop, { title, price: { amount: '-1.00', currency: 'EUR' } });
  await assert.rejects(refused, (error) => {
    assert.ok(error instanceof Refused);
    assert.deepEqual(error.userErrors.map(({ code, path }) => ({ code, path })), [
      { code: 'PRICE_INVALID', path: ['input', 'price', 'amount'] },
    ]);
    return true;
  });
  assert.equal(await titled(title), 0);
});

test('a credential that does not hold is told by its code', async () => {
  const nobody = connect({ origin: BASE_URL, token: () => 'nonsense' });
  await assert.rejects(everyBook(nobody).next(), (error) => codes(error as CombinedError)[0] === 'UNAUTHENTICATED');
});

test('an answer that is lost is asked for again, and the book is there once', async (t) => {
  const { origin, requests } = await badDay(t, async (request, response) => {
    // The server has done it, and nobody hears of it.
    await (await fetch(request)).text();
    response.destroy();
  });
  const title = newTitle('lost');
  const book = await bookCreate(connect({ origin, token: () => TENANT_TOKEN }), { title });
  assert.equal(book.title, title);
  assert.equal(requests(), 2);
  assert.equal(await titled(title), 1);
});

test('who has just written is not answered by what servers keep', async (t) => {
  const asked: (string | undefined)[] = [];
  const server = createServer(async (incoming, response) => {
    asked.push(incoming.headers['cache-control']);
    const headers = forwarded(incoming);
    const answer = await fetch(new URL(incoming.url ?? '/', BASE_URL), { method: 'POST', headers, body: await bodyOf(incoming) });
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' });
    response.end(await answer.text());
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const writing = connect({ origin: `http://127.0.0.1:${port}`, token: () => TENANT_TOKEN });
  await everyBook(writing).next();
  await bookCreate(writing, { title: newTitle('fresh') });
  await everyBook(writing).next();
  assert.deepEqual(asked, [undefined, undefined, 'no-cache']);
});

test('who asks too often waits for as long as the server says', async (t) => {
  const { origin, requests } = await badDay(t, async (_, response) => {
    response.writeHead(429, { 'content-type': 'application/graphql-response+json', 'retry-after': '1' });
    response.end(JSON.stringify({ errors: [{ message: 'Slow down.', extensions: { code: 'RATE_LIMITED' } }] }));
  });
  const started = performance.now();
  await everyBook(connect({ origin, token: () => TENANT_TOKEN })).next();
  assert.ok(performance.now() - started >= 1000, 'it has waited');
  assert.equal(requests(), 2);
});

test('an order is entered and placed, and who looks on is told', async () => {
  const book = await bookCreate(shop, { title: newTitle('ordered'), stock: 3, price: { amount: '9.90', currency: 'EUR' } });
  const customer = { name: 'Ann Example', email: 'ann@example.org', address: '1 High Street' };
  const order = await orderCreate(shop, { customer, lines: [{ bookId: book.id, quantity: 2 }] });
  assert.equal(order.status, 'DRAFT');
  const states = orderStates(shop, order.id);
  assert.equal((await states.next()).value, 'DRAFT');
  assert.equal((await orderPlace(shop, order.id)).status, 'PLACED');
  assert.equal((await states.next()).value, 'PLACED');
  await states.return(undefined);
});

test('an order that the shop does not have has no states', async () => {
  const states = orderStates(shop, 'order_00000000000000000000000000');
  assert.deepEqual(await states.next(), { value: undefined, done: true });
});
