// @ts-check
/**
 * Makes and uses passkeys: buttons with [data-passkey], which are hidden until this script has seen that the browser can.
 * What the browser answers goes into a field of the form around the button, and the form is sent as any other.
 */

(() => {
  const able =
    typeof PublicKeyCredential !== 'undefined' &&
    typeof PublicKeyCredential.parseRequestOptionsFromJSON === 'function' &&
    typeof PublicKeyCredential.parseCreationOptionsFromJSON === 'function';

  for (const part of document.querySelectorAll('[data-passkey-part]'))
    if (part instanceof HTMLElement) part.hidden = (part.dataset.passkeyPart === 'able') !== able;
  if (!able) return;

  /** @param {HTMLElement} button */
  const made = async ({ dataset }) => {
    if (dataset.passkey === 'create') {
      const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(JSON.parse(dataset.options ?? '{}'));
      return await navigator.credentials.create({ publicKey });
    }
    const answer = await fetch('/login/passkey', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
    });
    if (!answer.ok) throw new Error((await answer.json()).detail ?? 'the console does not answer');
    const options = { ...(await answer.json()), userVerification: dataset.verify };
    return await navigator.credentials.get({
      publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options),
    });
  };

  /** @param {HTMLElement} button */
  const use = async (button) => {
    const form = button.closest('form');
    const field = form?.querySelector('[data-passkey-field]');
    const said = form?.querySelector('[data-passkey-said]');
    if (form === null || !(field instanceof HTMLInputElement)) return;
    try {
      const credential = await made(button);
      if (!(credential instanceof PublicKeyCredential)) return;
      field.value = JSON.stringify(credential.toJSON());
      // A passkey that verifies its person is all that is needed.
      if (button.dataset.verify === 'required')
        for (const each of form.querySelectorAll('input:not([type=hidden])'))
          if (each instanceof HTMLInputElement) each.value = '';
      form.submit();
    } catch (error) {
      const { name, message } = error instanceof Error ? error : new Error(String(error));
      const words =
        name === 'NotAllowedError'
          ? 'Nothing was done: there is no such passkey here, or it was not allowed.'
          : name === 'InvalidStateError'
            ? 'This device has a passkey of yours already.'
            : name === 'SecurityError'
              ? 'Passkeys work under the address of the console alone (console.publicUrl).'
              : message;
      if (said) said.textContent = words;
    }
  };

  for (const button of document.querySelectorAll('[data-passkey]'))
    if (button instanceof HTMLElement) button.addEventListener('click', () => void use(button));
})();
