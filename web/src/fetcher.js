import { getOperationAST, parse } from 'graphql';
import { watch } from './socket.js';

// A GraphiQL fetcher for one endpoint. `current` gives the tenant and token of
// the moment of sending, so Execute never uses a value that was just replaced.
export function createFetcher(url, current) {
  return async (params, options) => {
    const { tenant, token } = current();
    const headers = new Headers({
      'content-type': 'application/json',
      accept: 'application/graphql-response+json, application/json',
    });
    if (token) headers.set('authorization', `Bearer ${token}`);
    if (tenant) headers.set('x-tenant', tenant);
    // The Headers pane has the last word.
    for (const [name, value] of Object.entries(options?.headers ?? {})) headers.set(name, value);
    if (isSubscription(params)) return watch(url, Object.fromEntries(headers), params);

    const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(params) });
    const text = await response.text();
    try {
      return JSON.parse(text);
    } catch {
      // Not from the API: a proxy's error page, or nothing at all.
      throw new Error(`HTTP ${response.status} ${response.statusText}: ${text.slice(0, 500)}`);
    }
  };
}

// The server says what is wrong with a query that cannot be parsed.
function isSubscription({ query, operationName }) {
  try {
    return getOperationAST(parse(query), operationName)?.operation === 'subscription';
  } catch {
    return false;
  }
}
