/** Which texts of a binding file are mail addresses; the configuration checks them again when a person enables them. */
const label = /^[a-z0-9-]{1,63}$/i;

export function isAddress(text: string): boolean {
  const at = text.lastIndexOf('@');
  return (
    at > 0 &&
    at <= 64 &&
    text.length <= 254 &&
    /^[\w.+=-]+$/.test(text.slice(0, at)) &&
    isDomain(text.slice(at + 1))
  );
}

/** True for `@example.com`. */
export function domainOf(text: string): boolean {
  return text.startsWith('@') && isDomain(text.slice(1));
}

function isDomain(text: string): boolean {
  const labels = text.split('.');
  const isRight = (each: string) => label.test(each) && !each.startsWith('-') && !each.endsWith('-');
  return text.length <= 253 && labels.length > 1 && labels.every(isRight);
}
