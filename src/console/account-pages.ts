/** Pages on which people manage their own logins: passkeys. Nobody else can do that for them. */
import { refusal } from '../api/index.ts';
import type { Logins, StoredPerson, UserRegistry } from '../user/index.ts';
import { type Page, type PageCall, type PageRoute, page } from './page.ts';
import { telling, told } from './pages/told.ts';
import { accountBody, newPasskeyBody } from './views/account.ts';

export interface AccountParts {
  logins: Logins;
  registry: UserRegistry;
}

export function accountPages({ logins, registry }: AccountParts): PageRoute[] {
  const { passkeys } = logins;
  const storedOf = ({ person }: PageCall): StoredPerson => {
    const found = registry.byId(person.id);
    if (found?.subject === null) return found;
    throw refusal('request-invalid', 'you log in at the provider, which has passkeys of its own');
  };

  async function view({ person, query, csrf, now }: PageCall): Promise<Page> {
    const stored = registry.byId(person.id);
    const list = stored?.passkeys ?? [];
    const body = accountBody({
      ...{ person, passkeys: list, able: passkeys.areThere, csrf, now, said: told(query.did) },
    });
    return { title: 'Your account', body };
  }

  return [
    page({ method: 'GET', url: '/account', needs: 'viewer', handle: view }),
    page({
      method: 'POST',
      url: '/account/passkeys/new',
      needs: 'viewer',
      stepUp: true,
      async handle(call) {
        const options = await passkeys.newOptions(storedOf(call));
        const body = newPasskeyBody({ name: call.form.get('name'), options, csrf: call.csrf });
        return { title: 'Make a passkey', body };
      },
    }),
    page({
      method: 'POST',
      url: '/account/passkeys',
      needs: 'viewer',
      stepUp: true,
      async handle({ person, form }) {
        await passkeys.add(person, form.get('name'), form.get('credential'));
        return { to: telling('/account', 'passkey') };
      },
    }),
    page({
      method: 'POST',
      url: '/account/passkeys/remove',
      needs: 'viewer',
      stepUp: true,
      async handle({ person, form }) {
        await passkeys.remove(person, form.get('id'));
        return { to: telling('/account', 'passkey-removed') };
      },
    }),
  ];
}
