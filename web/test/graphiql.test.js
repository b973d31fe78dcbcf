// Drives the built page, served by a running server, in a real browser.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

const VARIABLES = ['BASE_URL', 'TENANT_TOKEN', 'ADMIN_TOKEN'];
const missing = VARIABLES.filter((name) => !process.env[name]);
if (missing.length > 0) throw new Error(`set ${missing.join(', ')} to run these tests`);

const { BASE_URL, TENANT_TOKEN, ADMIN_TOKEN, CHROMIUM = '/usr/bin/chromium' } = process.env;
const { origin } = new URL(BASE_URL);

// What the whole run must not have: both are asserted to be empty at the end.
const foreignRequests = [];
const consoleErrors = [];

let browser;

before(async () => {
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
});

after(() => browser?.close());

// A page of its own session, as a new visitor has, closed when the test ends.
async function visit(t, path = '/') {
  const context = await browser.newContext({ serviceWorkers: 'block' });
  t.after(() => context.close());
  await context.route(isForeign, (route) => {
    foreignRequests.push(route.request().url());
    return route.abort();
  });
  await context.routeWebSocket(isForeign, (socket) => {
    foreignRequests.push(socket.url());
    return socket.close();
  });
  const page = await context.newPage();
  page.on('console', (message) => {
    if (message.type() !== 'error') return;
    consoleErrors.push(`${message.text()} (${message.location().url})`);
  });
  page.on('pageerror', (error) => consoleErrors.push(String(error)));
  await page.goto(new URL(path, origin).href);
  return page;
}

// Data and blob URLs have no origin, and never leave the page.
function isForeign(url) {
  return !['data:', 'blob:'].includes(url.protocol) && url.host !== new URL(origin).host;
}

const field = (page, label) => page.getByLabel(label, { exact: true });

// Resolves when an introspection that carries the token was answered with a schema.
async function introspected(page, path, token) {
  const response = await page.waitForResponse((response) => {
    const request = response.request();
    return (
      new URL(response.url()).pathname === path &&
      request.postDataJSON()?.operationName === 'IntrospectionQuery' &&
      request.headers().authorization === `Bearer ${token}`
    );
  });
  assert.ok((await response.json()).data?.__schema, 'the introspection gives a schema');
}

// Clicks Execute and gives what the result pane then holds. The editor draws only
// the lines in view, so the text is asked of the editor and not of the document.
async function execute(page) {
  // Both editors are loaded after the button, which does nothing until then.
  await page.locator('.result-window .CodeMirror').waitFor();
  await page.locator('.graphiql-query-editor .cm-keyword').first().waitFor();
  await page.getByRole('button', { name: /^Execute query/ }).click();
  const result = await page.waitForFunction(() => {
    const text = document.querySelector('.result-window .CodeMirror')?.CodeMirror.getValue();
    try {
      return JSON.parse(text);
    } catch {
      return null; // Empty still.
    }
  });
  return result.jsonValue();
}

const titledBook = (result) => result.data?.books?.nodes[0];
const titles = (result) => result.data?.books?.nodes.map((book) => book.title) ?? [];
const slugs = (result) => result.data?.tenants?.nodes.map((tenant) => tenant.slug) ?? [];

test('the default query runs with a tenant token', async (t) => {
  const page = await visit(t);
  await page.getByText('script/server', { exact: true }).waitFor();

  await Promise.all([
    introspected(page, '/graphql', TENANT_TOKEN),
    field(page, 'Token').fill(TENANT_TOKEN),
  ]);
  await page.getByText('script/server', { exact: true }).waitFor({ state: 'hidden' });
  const result = await execute(page);

  assert.ok(
    titles(result).some((title) => title.startsWith('acme')),
    `no title starts with "acme": ${JSON.stringify(result)}`,
  );
  await page.locator('.result-window').getByText(/^"acme/).first().waitFor();
  const stored = await page.evaluate(() => JSON.stringify(localStorage));
  assert.ok(!stored.includes(TENANT_TOKEN), 'the token stays out of the local storage');
});

test('a subscription is told how things are', async (t) => {
  const page = await visit(t, `/#tenant=acme&token=${encodeURIComponent(TENANT_TOKEN)}`);
  const book = titledBook(await execute(page));
  await page.evaluate((id) => {
    const editor = document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror;
    editor.setValue(`subscription { stockChanged(bookId: "${id}") { book { title } } }`);
  }, book.id);
  // Until then it is the query of before that is sent.
  await page.waitForFunction(() =>
    Object.values(sessionStorage).some((value) => value.includes('stockChanged')),
  );
  await page.getByRole('button', { name: /^Execute query/ }).click();
  await page.waitForFunction((title) => {
    const text = document.querySelector('.result-window .CodeMirror').CodeMirror.getValue();
    return text.includes('stockChanged') && text.includes(JSON.stringify(title));
  }, book.title);
  await page.getByRole('button', { name: /^Stop query/ }).click();
});

test('the admin endpoint has a token and a query of its own', async (t) => {
  const page = await visit(t);
  await field(page, 'Token').fill(TENANT_TOKEN);
  // Once the tenant's tab is stored, the admin endpoint could pick it up by mistake.
  await page.waitForFunction(() =>
    Object.keys(sessionStorage).some((key) => key.endsWith('graphiql:tabState')),
  );

  await field(page, 'Endpoint').selectOption({ label: 'Admin API /admin/graphql' });
  assert.equal(await field(page, 'Token').inputValue(), '');
  await Promise.all([
    introspected(page, '/admin/graphql', ADMIN_TOKEN),
    field(page, 'Token').fill(ADMIN_TOKEN),
  ]);
  const result = await execute(page);

  for (const slug of ['acme', 'borealis']) {
    assert.ok(slugs(result).includes(slug), `no slug "${slug}": ${JSON.stringify(result)}`);
  }
  await field(page, 'Endpoint').selectOption({ label: 'Tenant API /graphql' });
  assert.equal(await field(page, 'Token').inputValue(), TENANT_TOKEN);
});

test('a link fills the toolbar and leaves no trace in the address bar', async (t) => {
  const page = await visit(t, `/#tenant=acme&token=${encodeURIComponent(TENANT_TOKEN)}`);

  await field(page, 'Token').waitFor();
  assert.equal(new URL(page.url()).hash, '');
  assert.equal(await field(page, 'Tenant').inputValue(), 'acme');
  assert.equal(await field(page, 'Token').getAttribute('type'), 'password');
  await page.getByRole('button', { name: 'Show token' }).click();
  assert.equal(await field(page, 'Token').getAttribute('type'), 'text');
  assert.equal(await field(page, 'Token').inputValue(), TENANT_TOKEN);

  const [request, result] = await Promise.all([
    page.waitForRequest((request) => request.postDataJSON()?.operationName === 'Catalogue'),
    execute(page),
  ]);
  assert.equal(request.headers()['x-tenant'], 'acme');
  assert.ok(titles(result).some((title) => title.startsWith('acme')), JSON.stringify(result));

  await page.reload();
  assert.equal(await field(page, 'Token').inputValue(), TENANT_TOKEN);
});

test('a mailed link opens with the operation that uses it', async (t) => {
  const page = await visit(t, '/#tenant=acme&invitation=sw_acme_0_0');

  const [request, result] = await Promise.all([
    page.waitForRequest((request) => request.postDataJSON()?.operationName === 'Use'),
    execute(page),
  ]);
  assert.equal(new URL(page.url()).hash, '');
  assert.equal(request.postDataJSON().variables.token, 'sw_acme_0_0');
  assert.equal(result.data.invitationAccept.userErrors[0].code, 'TOKEN_INVALID');
});

// Last, since it judges all of the above.
test('nothing above logged an error or left the origin', () => {
  assert.deepEqual(foreignRequests, []);
  assert.deepEqual(consoleErrors, []);
});
