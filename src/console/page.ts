/**
 * What a page of the console is: a path, the role that it needs, and a function that turns a call into what is shown.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { z } from 'zod';
import type { Answer, Asked } from '../api/index.ts';
import type { Person, Role } from '../user/index.ts';
import type { Form } from './form.ts';
import type { Html } from './html.ts';

/** The operations of the API, called as the person: its grants apply, and its name is in the audit trail. */
export interface PageOperations {
  /**
   * Calls an operation.
   *
   * @param name of the operation, as in docs/openapi.json
   * @throws {SealpostError} `not-granted`, and those of the operation. Let `step-up-needed` and `second-person-needed`
   *    through: the person is asked then, and the page is called again.
   */
  call(name: string, asked?: Asked): Promise<Answer>;
  /** The JSON answer, in the form of the schema. */
  json<S extends z.ZodType>(name: string, schema: S, asked?: Asked): Promise<z.output<S>>;
}

/** Text that only this person's requests can read. */
export interface Veil {
  hide(text: string): string;
  /** Undefined for what was not hidden for this person. */
  show(hidden: string): string | undefined;
}

export interface PageCall {
  person: Person;
  /** Where the request came from, if known. */
  address: string;
  /** For the hidden field `_csrf` of each form: `csrfField`. */
  csrf: string;
  /** For what is written in messages and has to stand in an address, which browsers and proxies keep. */
  veil: Veil;
  params: Record<string, string>;
  query: Record<string, string>;
  /** Of a POST; empty otherwise. */
  form: Form;
  operations: PageOperations;
  now: Date;
  /** Whether the person has proved who it is within `console.stepUp`. */
  stepUpFresh: boolean;
  /** For pages that write events themselves. */
  request: IncomingMessage;
  response: ServerResponse;
}

export type Page =
  | { title: string; body: Html; status?: number }
  /** Another page, after a POST. */
  | { to: string }
  /** As an operation gave it: JSON, a download, or a stream of events. */
  | { answer: Answer };

export interface PageRoute {
  method: 'GET' | 'POST';
  /** The path in fastify's notation: `/messages/:id`. */
  url: string;
  needs: Role;
  /** Always asks people to prove who they are first. Grave operations ask for that by themselves. */
  stepUp?: boolean;
  handle(call: PageCall): Promise<Page>;
}

export const page = (route: PageRoute): PageRoute => route;
