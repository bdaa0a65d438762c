/** Acts that wait for a second person (`console.fourEyes`), and their confirmation. */
import { type Operations, refusal } from '../api/index.ts';
import { allGranted, Client, narrowed, seesAllOf } from '../client/index.ts';
import { SealpostError } from '../errors.ts';
import type { Audit, AuditEntry } from '../queue/index.ts';
import type { AskedFor, Person, Seconds, UserRegistry } from '../user/index.ts';
import type { SecondNeeded } from './call.ts';
import { csrfField } from './csrf.ts';
import { type Html, html } from './html.ts';
import { type Page, type PageCall, type PageRoute, page } from './page.ts';
import { onceBody } from './views/once.ts';
import { empty, moment } from './views/parts.ts';

export interface SecondParts {
  operations: Operations;
  seconds: Seconds;
  registry: UserRegistry;
  audit: Pick<Audit, 'add'>;
  now(): number;
}

const subjectOf = ({ operation, id }: AskedFor) => `${operation} ${id}`;

/** The act as text, with every argument, since that is what is confirmed. */
function argumentsOf({ params, query, json }: AskedFor): Html {
  const rows = [...Object.entries(params), ...Object.entries(query), ...Object.entries(json ?? {})];
  return html`<dl class="facts">
    ${rows.map(
      ([name, value]) => html`<div><dt>${name}</dt>
        <dd>${typeof value === 'string' ? value : JSON.stringify(value)}</dd></div>`,
    )}
  </dl>`;
}

/** Keeps the act that the first person asked for. */
export async function askForSecond(
  { seconds, audit, now }: SecondParts,
  person: Person,
  { operation, asked: { params = {}, query = {}, json } }: SecondNeeded,
): Promise<Page> {
  const given = Object.fromEntries(
    Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
  const kept = await seconds.ask({
    ...{ operation, params, query: given, json: json ?? {} },
    ...{ person: person.id, name: person.name },
  });
  const by = person.client.actor;
  await audit.add({ at: now(), by, what: 'second-asked', subject: subjectOf(kept) });
  return {
    title: 'A second person has to confirm it',
    body: html`<p>Nothing has been done yet. Another person sees it under ${html`<a href="/second">what waits</a>`}.</p>
      ${argumentsOf(kept)}`,
    status: 202,
  };
}

export function secondPages(parts: SecondParts): PageRoute[] {
  const { operations, seconds, registry, audit, now } = parts;

  const mayBoth = ({ operation, person: asker }: AskedFor, person: Person): boolean => {
    // The act may reveal something about any mail that the first person sees, and about all mail if that person is
    // gone.
    const first = registry.person(asker, '')?.client.grants ?? allGranted;
    if (asker !== person.id && !seesAllOf(person.client.grants, first)) return false;
    try {
      operations.checkGrant(operation, person.client);
      return true;
    } catch (error) {
      if (error instanceof SealpostError && error.code === 'not-granted') return false;
      throw error;
    }
  };

  async function view({ person, csrf }: PageCall): Promise<Page> {
    const waiting = (await seconds.list()).filter((each) => mayBoth(each, person));
    const rows = waiting.map(
      (each) => html`<section>
        <h2>${each.operation}</h2>
        <p>Asked for by ${each.name}, ${moment(new Date(each.at).toISOString(), new Date(now()))}</p>
        ${argumentsOf(each)}
        <form class="act more" method="post" action=${`/second/${each.id}`}>
          ${csrfField(csrf)}
          ${
            each.person === person.id
              ? html`<p>Another person has to confirm it.</p>`
              : html`<button name="answer" value="confirm">Confirm</button>`
          }
          <button class="quiet" name="answer" value="refuse">${each.person === person.id ? 'Take it back' : 'Refuse'}</button>
        </form>
      </section>`,
    );
    const body =
      waiting.length === 0
        ? empty('Nothing waits.', 'Grave acts of others that you may confirm appear here, and your own.')
        : rows;
    return { title: 'Waits for a second person', body };
  }

  /** Both persons have to be permitted, so it is done with the rights that both have. */
  function together({ person: { client } }: PageCall, first: Person, asked: AskedFor): Client {
    const actor = `${client.actor}, asked for by ${asked.name}`;
    return new Client(client.name, narrowed(client.grants, first.client.grants), client.credential, actor);
  }

  async function answer(call: PageCall): Promise<Page> {
    const { person, params, form, address, request, response } = call;
    const asked = await seconds.find(params.id ?? '');
    if (asked === undefined || !mayBoth(asked, person))
      throw refusal('route-unknown', 'it does not wait any more');
    const note = (what: AuditEntry['what']) =>
      audit.add({ at: now(), by: person.client.actor, what, subject: subjectOf(asked) });
    if (form.get('answer') !== 'confirm') {
      await note('second-refused');
      await seconds.take(asked.id);
      return { to: '/second' };
    }
    if (asked.person === person.id)
      throw refusal('not-granted', 'you asked for it yourself, and another person has to confirm it');
    const first = registry.person(asked.person, address);
    if (first === undefined || !mayBoth(asked, first))
      throw refusal('not-granted', `${asked.name}, who asked for it, may not do it any more`);
    await note('second-confirmed');
    if (!(await seconds.take(asked.id))) throw refusal('route-unknown', 'it does not wait any more');
    const caller = { client: together(call, first, asked), address, request, response, byTwo: true };
    const given = await operations.call(asked.operation, caller, asked);
    return {
      title: 'Done',
      body: html`<p>${asked.operation} was done, as ${asked.name} asked.</p>
        ${argumentsOf(asked)} ${'json' in given && onceBody(given.json)}
        <p><a href="/second">What waits</a></p>`,
    };
  }

  return [
    page({ method: 'GET', url: '/second', needs: 'viewer', handle: view }),
    page({ method: 'POST', url: '/second/:id', needs: 'viewer', stepUp: true, handle: answer }),
  ];
}
