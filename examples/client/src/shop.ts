// What a till or a web shop does, in calls that answer values or throw.
import type { AnyVariables, Client, OperationResult } from '@urql/core';
import { toAsyncIterable } from 'wonka';

import {
  type BookCreateInput,
  BookCreateDocument,
  BooksDocument,
  type BooksQuery,
  OrderCreateDocument,
  type OrderCreateInput,
  OrderPlaceDocument,
  OrderStatusChangedDocument,
} from './generated/graphql.js';

export type Book = BooksQuery['books']['nodes'][number];

/** The shop has refused, for reasons that the caller can mend. Nothing was changed. */
export class Refused extends Error {
  readonly userErrors: UserError[];

  constructor(userErrors: UserError[]) {
    super(userErrors.map((error) => error.message).join(' '));
    this.name = 'Refused';
    this.userErrors = userErrors;
  }
}

interface UserError {
  code: string;
  message: string;
  /** Which part of the arguments, if one is to blame. */
  path: string[] | null;
}

/** All books, a page at a time: the next one is asked for when the caller has come to its end. */
export async function* everyBook(client: Client, pageSize = 100): AsyncGenerator<Book> {
  let after: string | null = null;
  do {
    const { books }: BooksQuery = data(await client.query(BooksDocument, { first: pageSize, after }));
    yield* books.nodes;
    after = books.pageInfo.hasNextPage ? books.pageInfo.endCursor : null;
  } while (after !== null);
}

/** Adds a book. With a key of the caller's, a call that is made again after a crash adds none and answers the same. */
export async function bookCreate(client: Client, input: BookCreateInput, idempotencyKey?: string) {
  const { bookCreate } = data(await client.mutation(BookCreateDocument, { input }, keyed(idempotencyKey)));
  return accepted(bookCreate.userErrors, bookCreate.book);
}

export async function orderCreate(client: Client, input: OrderCreateInput, idempotencyKey?: string) {
  const { orderCreate } = data(await client.mutation(OrderCreateDocument, { input }, keyed(idempotencyKey)));
  return accepted(orderCreate.userErrors, orderCreate.order);
}

export async function orderPlace(client: Client, id: string, idempotencyKey?: string) {
  const { orderPlace } = data(await client.mutation(OrderPlaceDocument, { id }, keyed(idempotencyKey)));
  return accepted(orderPlace.userErrors, orderPlace.order);
}

/** The states of an order, from the one that it is in to its last; ends there. A shop that has no such order has no states of it. */
export async function* orderStates(client: Client, id: string): AsyncGenerator<string> {
  for await (const result of toAsyncIterable(client.subscription(OrderStatusChangedDocument, { id }))) {
    const { orderStatusChanged } = data(result);
    if (orderStatusChanged === null) return;
    yield orderStatusChanged.status;
  }
}

function keyed(idempotencyKey: string | undefined) {
  return idempotencyKey === undefined ? {} : { idempotencyKey };
}

/** The data of an answer; throws urql's `CombinedError` where the operation has failed. */
function data<Data, Variables extends AnyVariables>(result: OperationResult<Data, Variables>): Data {
  if (result.error) throw result.error;
  if (result.data === undefined) throw new Error('The server has answered neither data nor errors.');
  return result.data;
}

function accepted<Entity>(userErrors: UserError[], entity: Entity | null): Entity {
  if (userErrors.length > 0 || entity === null) throw new Refused(userErrors);
  return entity;
}
