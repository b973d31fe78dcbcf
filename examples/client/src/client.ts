// The way to a shop's API: queries and mutations by HTTP, subscriptions by a WebSocket that is opened for the first of them. What
// may be sent again is sent again, and mutations carry a key, so that all of them may be. Who has just written reads what was
// written, whichever server answers.
import {
  Client,
  type CombinedError,
  fetchExchange,
  makeOperation,
  mapExchange,
  type Operation,
  subscriptionExchange,
  type SubscriptionForwarder,
} from '@urql/core';
import { retryExchange } from '@urql/exchange-retry';
import { createClient, type Client as Socket, type Sink } from 'graphql-ws';

export interface Options {
  /** Where the server is, such as `https://acme.example.com`. */
  origin: string;
  /** The token of now: an access token ends after minutes, so each request asks for it. */
  token: () => string;
  /** How often a request is sent at most. */
  attemptsMax?: number;
  /** The WebSocket of a platform that has none of its own, as Node 20. */
  webSocket?: unknown;
}

/** Errors that say that nothing was done and that it may be asked for again. */
const PASSING = new Set(['RATE_LIMITED', 'SERVICE_UNAVAILABLE', 'IDEMPOTENCY_IN_PROGRESS']);

/** How long servers may go on answering with what was before a mutation, in milliseconds: what they promise, and some more. */
const OUTDATED_MS = 3_000;

export function connect({ origin, token, attemptsMax = 4, webSocket }: Options): Client {
  const url = new URL('/graphql/ws', origin).href.replace(/^http/, 'ws');
  let socket: Socket | undefined;
  const open = () =>
    (socket ??= createClient({
      url,
      webSocketImpl: webSocket,
      // A browser gives a socket no headers. Asked for at each connection: the token may be another by then.
      connectionParams: () => ({ authorization: `Bearer ${token()}` }),
      // A server that is restarted closes its sockets; each subscription begins anew, with how things are. With pauses that
      // double this is four minutes, in which somebody may have logged in again as well.
      retryAttempts: 8,
    }));
  let writtenAt = -Infinity;
  const withFreshness = (operation: Operation) => {
    const isFresh = operation.kind === 'query' && performance.now() - writtenAt < OUTDATED_MS;
    return withHeaders(operation, token(), isFresh);
  };
  return new Client({
    url: new URL('/graphql', origin).href,
    preferGetMethod: false,
    requestPolicy: 'network-only',
    exchanges: [
      // First, so that all attempts have one key.
      mapExchange({ onOperation: withKey }),
      retryExchange({ initialDelayMs: 250, maxDelayMs: 60_000, maxNumberAttempts: attemptsMax, retryWith: again }),
      mapExchange({
        onOperation: withFreshness,
        // Be it an error: it may have been done.
        onResult: ({ operation }) => {
          if (operation.kind === 'mutation') writtenAt = performance.now();
        },
      }),
      subscriptionExchange({ forwardSubscription: forwarder(open) }),
      fetchExchange,
    ],
  });
}

/** Subscribes over the socket. Once nobody subscribes to anything it is closed. */
function forwarder(open: () => Socket): SubscriptionForwarder {
  return ({ query = '', variables }) => ({
    subscribe: (sink) => ({ unsubscribe: open().subscribe({ query, variables }, sink as Sink<unknown>) }),
  });
}

/** The codes of what the server said, the first one telling most. */
export function codes(error: CombinedError | undefined): string[] {
  return (error?.graphQLErrors ?? []).map((known) => String(known.extensions['code']));
}

/** Gives a mutation a key to be known by when it comes again; the caller's own, where one was chosen. */
function withKey(operation: Operation): Operation {
  if (operation.kind !== 'mutation') return operation;
  const idempotencyKey = operation.context['idempotencyKey'] ?? crypto.randomUUID();
  return makeOperation(operation.kind, operation, { ...operation.context, idempotencyKey });
}

/** Says who asks, and of a query whether what servers keep will not do. */
function withHeaders(operation: Operation, token: string, isFresh: boolean): Operation {
  const headers: Record<string, string> = { authorization: `Bearer ${token}` };
  if (isFresh) headers['cache-control'] = 'no-cache';
  const key: unknown = operation.context['idempotencyKey'];
  if (typeof key === 'string') headers['idempotency-key'] = key;
  return makeOperation(operation.kind, operation, { ...operation.context, fetchOptions: { headers } });
}

/** What to send again, after as long as the server asks for; nothing where that would help nobody. */
function again(error: CombinedError, operation: Operation): Operation | null {
  const isPassing = error.networkError !== undefined || codes(error).some((code) => PASSING.has(code));
  if (!isPassing) return null;
  const response: Response | undefined = error.response;
  const seconds = Number(response?.headers.get('retry-after'));
  if (!(seconds > 0)) return operation;
  const count = operation.context['retry']?.count ?? 0;
  return makeOperation(operation.kind, operation, { ...operation.context, retry: { count, delay: seconds * 1000 } });
}
